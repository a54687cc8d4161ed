package conformance

import (
	"path"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// judge runs cases against the tiny client and compares those that fail.
func judge(t *testing.T, defect string, beats int, cases []string, fails ...string) {
	t.Helper()
	report, err := Run(t.Context(), Options{Start: startTiny(defect), Cases: cases, patience: beats, parallel: 16})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		should := slices.ContainsFunc(fails, func(pattern string) bool { ok, _ := path.Match(pattern, r.ID); return ok })
		if outcome := r.Outcome == Fail; outcome != should || r.Outcome == Skip {
			t.Errorf("%s: %s %s\n%s", r.ID, r.Outcome, r.Reason, strings.Join(r.Transcript, "\n"))
		}
	}
}

func TestTheRightClientPasses(t *testing.T) { judge(t, "", 0, nil) }

// Each defect makes the cases of its rule fail, and no other.
func TestDefects(t *testing.T) {
	t.Parallel()
	for defect, fails := range map[string][]string{
		"no jitter":             {"ws.backoff.jitter"},
		"no wait":               {"*.refuse.503", "*.refuse.html", "*.refuse.gateway", "*.refuse.redirect", "*.refuse.nothing", "*.ends-at-once", "ws.backoff.jitter", "*.restart", "ws.fallback.restart", "ws.stop.waiting"},
		"cursor before handler": {"*.cursor.after-handler"},
		"from ignored":          {"*.gap"},
		"duplicates":            {"*.resume.duplicates"},
		"request id renewed":    {"ws.send.retry.request-id", "ws.send.again.*"},
		"data rewritten":        {"ws.send.retry.bytes"},
		"401 loops":             {"*.401", "*.401-again", "ws.close.4401*"},
		"second socket":         {"ws.page.pageshow"},
		"fallback kept":         {"ws.fallback.left"},
		"epoch ignored":         {"*.epoch.changed"},
		"silence unnoticed":     {"*.silence*"},
		"one page":              {"rest.replies"},
		"key renewed":           {"rest.pin.retry", "rest.upload.begin"},
		"rejection repeated":    {"rest.pin.rejected"},
		"upload begins again":   {"rest.upload.cut", "rest.upload.answer"},
		"offset guessed":        {"rest.upload.cut", "rest.upload.begin"},
	} {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			cases := fails
			if !testing.Short() {
				cases = nil
			}
			judge(t, defect, 60, cases, fails...)
		})
	}
}
