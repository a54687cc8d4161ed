package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

// imported runs an import and returns its report.
func imported(t *testing.T, url, token, file string, args ...string) importReport {
	t.Helper()
	r := command(t, map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": token},
		append([]string{"import", file, "--format=irc", "--zone=UTC", "--json"}, args...)...)
	var report importReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || (r.code != 0) != (report.Survey.Unreadable > 0) {
		t.Fatalf("%+v, %v", r, err)
	}
	return report
}

// tailText is what tail prints of a thread from its start, until it holds last.
func tailText(t *testing.T, url, token, thread, last string, args ...string) string {
	t.Helper()
	b := interruptible(t, append([]string{"tail", thread, "--url=" + url, "--token=" + token, "--from=start", "--zone=UTC"}, args...)...)
	text := b.out.await(t, last, func(s string) bool { return strings.Contains(s, last) && strings.HasSuffix(s, "\n") })
	if code := b.stop(); code != 0 || b.errs.String() != "" {
		t.Errorf("tail ended with %d: %s", code, b.errs.String())
	}
	return text
}

const (
	sample     = "testdata/2026-08-16.txt"
	sampleLast = "00:57:00  Wati          [left]" // its last event, as a line
	sampleEnd  = `"seq":60`                       // and as JSON
)

func TestImportTwiceAndLonger(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	token := account(t, url, "Wati")
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(string(raw), "\n")
	// The shorter export has another name, and leads to the same thread.
	part := filepath.Join(t.TempDir(), "2026-08-16_part.txt")
	if err := os.WriteFile(part, []byte(strings.Join(rows[:25], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	first := imported(t, url, token, part, "--scope=rt05")
	if first.Written.Added != first.Survey.Steps || first.Written.Added < 15 || first.Thread == "" {
		t.Fatalf("%+v", first)
	}
	whole := imported(t, url, token, sample, "--scope=rt05")
	if whole.Thread != first.Thread || whole.Written.Present != first.Survey.Steps ||
		whole.Written.Added != whole.Survey.Steps-first.Survey.Steps || whole.Survey.Unreadable != 2 {
		t.Errorf("the longer export: %+v", whole)
	}
	before := tailText(t, url, token, whole.Thread, sampleLast)
	for _, args := range [][]string{{"--scope=rt05"}, {"--thread=" + whole.Thread}} {
		if again := imported(t, url, token, sample, args...); again.Thread != whole.Thread || again.Written.Added != 0 ||
			again.Written.Present != whole.Survey.Steps {
			t.Errorf("again with %s: %+v", args, again)
		}
	}
	if moved := imported(t, url, token, sample, "--scope=rt05", "--zone=Asia/Jakarta"); moved.Written.Moved != whole.Survey.Steps {
		t.Errorf("in another zone: %+v", moved)
	}
	if after := tailText(t, url, token, whole.Thread, sampleLast); after != before {
		t.Errorf("the thread was changed:\n%s\nis now\n%s", before, after)
	}
	if elsewhere := imported(t, url, token, sample, "--scope=rt06"); elsewhere.Thread == whole.Thread || elsewhere.Written.Added != whole.Survey.Steps {
		t.Errorf("another scope: %+v", elsewhere)
	}
}

// An export keeps its order when the server's limit stops it again and again.
func TestImportUnderALimit(t *testing.T) {
	var url, token string
	var report importReport
	for rate := 50; !report.Written.PutOff; rate /= 2 { // a slow machine is only stopped by a low limit
		url = serving(t, fmt.Sprint("--command-rate=", rate), "--command-burst=25")
		token = account(t, url, "Wati")
		if report = imported(t, url, token, sample, "--scope=rt05"); report.Written.Added != report.Survey.Steps {
			t.Fatalf("%+v", report)
		}
	}
	var got, want []string
	for line := range strings.Lines(tailText(t, url, token, report.Thread, sampleEnd, "--json")) {
		var e struct {
			Type string `json:"type"`
			Data struct {
				Body   string `json:"body"`
				UserID string `json:"user_id"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != "thread.created" {
			got = append(got, e.Type+" "+e.Data.UserID+e.Data.Body)
		}
	}
	for _, s := range stepsOf(t, report.Thread) {
		switch s.Op {
		case importer.Post:
			want = append(want, "message.posted "+s.Text)
		case importer.Add:
			want = append(want, "member.added "+s.UserID)
		default:
			want = append(want, "member.removed "+s.UserID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func stepsOf(t *testing.T, thread string) []importer.Step {
	t.Helper()
	file, err := importer.Open(sample, importer.Source{})
	if err != nil {
		t.Fatal(err)
	}
	var steps []importer.Step
	for s, err := range importer.NewPlan(thread).Steps(file.Entries(importer.Source{})) {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, s)
	}
	return steps
}

func TestImportRefused(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	wati, budi := account(t, url, "Wati"), account(t, url, "Budi")
	thread := imported(t, url, wati, sample, "--scope=rt05").Thread
	for name, c := range map[string]struct {
		token, thread string
		says          string
	}{
		"a thread of others": {budi, thread, "does not exist, or you may not"},
		"no thread":          {wati, "0192", "does not exist, or you may not"},
		"a bad token":        {"abc", thread, "rejects the token"},
	} {
		r := command(t, map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": c.token}, "import", sample, "--format=irc", "--thread="+c.thread)
		if r.code != 1 || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, "Try: ") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestImportOfWhatIsNoExport: it is rejected with one sentence and one hint, and creates nothing.
func TestImportOfWhatIsNoExport(t *testing.T) {
	url := serving(t)
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	const prose = "Dear all,\nthis is a letter.\n"
	irssi := "--- Log opened Mon Aug 17 10:00:00 2026\n10:00 <budi> halo\n"
	for name, c := range map[string]struct {
		file, raw, format string
		says, hint        string
	}{
		"a zip without a chat": {"", "", "auto", "holds no chat", "gotong import --help"},
		"a binary":             {"x.bin", "\x7fELF\x00\x01\x02 \x00\xff\xfe\x80 abc", "auto", "binary file", "gotong import --help"},
		"prose":                {"x.txt", prose, "auto", "no export that is known", "gotong import --help"},
		"another format":       {"x.txt", irssi, "whatsapp", "looks like irc of the dialect irssi", "--format irc --dialect irssi"},
	} {
		path := filepath.Join(t.TempDir(), c.file)
		if c.file == "" {
			path = zipOf(t, map[string]string{"a.jpg": "x", "notes.md": prose})
		} else if err := os.WriteFile(path, []byte(c.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		r := command(t, env, "import", path, "--format="+c.format, "--scope=rt05")
		if r.code != 1 || r.out != "" || !strings.Contains(r.err, c.says) || strings.Count(r.err, "\n") != 2 || !strings.HasSuffix(r.err, "\nTry: "+c.hint+"\n") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	remote, err := client.New(client.Options{BaseURL: url, Token: client.StaticToken(env["GOTONG_TOKEN"])})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := remote.Threads(t.Context(), "rt05", client.Page{Limit: 100}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d threads, %v", len(list.Items), err)
	}
}

func TestImportSummaries(t *testing.T) {
	dry := command(t, nil, "import", sample, "--format=irc", "--dry-run", "--zone=UTC")
	whatsapp := command(t, nil, "import", "testdata/whatsapp-android-id.txt", "--format=whatsapp", "--dry-run", "--zone=Asia/Jakarta", "--self=Wati")
	golden(t, "testdata/import.golden", dry.out+whatsapp.out)
	if dry.code != 1 || !strings.Contains(dry.err, "2 parts of the file could not be read") || whatsapp.code != 0 || whatsapp.err != "" {
		t.Errorf("%+v\n%+v", dry, whatsapp)
	}

	const noYear = "../../internal/importer/testdata/formats/wa-noyear.txt"
	if r := command(t, nil, "import", noYear, "--dry-run"); !strings.Contains(r.out, "some years are a guess") {
		t.Errorf("%+v", r)
	}
	if r := command(t, nil, "import", noYear, "--dry-run", "--json"); !strings.Contains(r.out, `"guessed_years": true`) {
		t.Errorf("%+v", r)
	}

	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	r := command(t, env, "import", sample, "--format=irc", "--scope=rt05")
	if last := regexp.MustCompile(`(?m)^Thread [0-9a-f-]{36}: 59 new events, 0 there already, in \d+\.\d s$`); !last.MatchString(r.out) || r.code != 1 {
		t.Errorf("%+v", r)
	}
}

// TestReportOfOne: where there is one of everything, no sentence speaks of several.
func TestReportOfOne(t *testing.T) {
	one := []importer.Fault{{Line: 1, Why: "because"}}
	all := importReport{zone: time.UTC, stopped: true, Known: comparison{Changed: 1, Changes: one, Bare: 1, Media: 1, Present: 1}}
	all.Survey.Summary = importer.Summary{
		Messages: 1, Actions: 1, Joins: 1, Leaves: 1, Renames: 1, Notices: 1, Unreadable: 1, Faults: one, Files: 1, Media: 1, Steps: 1,
	}
	all.Written = importer.Result{Done: 1, Added: 1, Moved: 1, Media: 1, Denied: 1, Denials: one, Refused: 1, Refusals: one}
	dry := all
	dry.DryRun = true
	texts := []string{all.text(), dry.text()}
	for _, r := range []importReport{
		{Survey: importer.Survey{Summary: importer.Summary{Unreadable: 1}}}, {Written: importer.Result{Refused: 1}}, {Written: importer.Result{Denied: 1}},
	} {
		texts = append(texts, r.faulty().Error())
	}
	many := importReport{Thread: "x", Written: importer.Result{Added: 1234, Present: 1000, Moved: 2000}}
	if text, want := many.text(), "Thread x: 1,234 new events, 3,000 there already (2,000 of them "; !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
	for _, text := range texts {
		if several := regexp.MustCompile(`\b1 [a-z]+s\b|\b1 ([a-z]+ )+(were|are|have|stay)\b|; they|; their`).FindString(text); several != "" {
			t.Errorf("%q in:\n%s", several, text)
		}
	}
}

func TestImportProgress(t *testing.T) {
	std, _, errs := pipes(nil)
	std.progress = true
	p := newProgress(std, 2165, 0)
	p.show(importer.Result{Done: 5})
	if text := errs.String(); !strings.HasPrefix(text, "\r\x1b[K5 of 2,165 (0 %)") {
		t.Errorf("%q", text)
	}
	if got := p.line(1000, 0, 2*time.Second); got != "1,000 of 2,165 (46 %), 500/s, 2s left" {
		t.Errorf("%q", got)
	}
	if got := p.line(0, 0, time.Second); got != "0 of 2,165 (0 %), 0/s, … left" {
		t.Errorf("%q", got)
	}
	std.progress = false
	before := errs.String()
	p.last = time.Time{}
	p.show(importer.Result{Done: 6})
	std.wipe()
	if errs.String() != before {
		t.Error("shows its progress to what is no terminal")
	}
}

// golden compares with a file, or writes it anew.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s:\n%s", path, got)
	}
}
