package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const monitoring = "../deploy/monitoring/"

// TestAlertsHaveARunbookAndTests compares names of alerts, metrics and sections.
func TestAlertsHaveARunbookAndTests(t *testing.T) {
	alerts := names(`(?m)^ +- alert: (\w+)$`, page(t, monitoring+"alerts.yaml"))
	if len(alerts) < 10 {
		t.Fatalf("only %q were found", alerts)
	}
	if sections := names(`(?m)^## (\w+)$`, page(t, "runbook.md")); !slices.Equal(sections, alerts) {
		t.Errorf("runbook.md has %q, the alerts are %q", sections, alerts)
	}
	if tested := names(`(?m)^ +- name: (\w+) fires$`, page(t, monitoring+"alerts_test.yaml")); !slices.Equal(tested, alerts) {
		t.Errorf("%q are tested, the alerts are %q", tested, alerts)
	}
	var links []string
	for _, a := range alerts {
		links = append(links, strings.ToLower(a))
	}
	if found := names(`runbook: docs/runbook\.md#(\w+)`, page(t, monitoring+"alerts.yaml")); !slices.Equal(found, links) {
		t.Errorf("the alerts name %q, want %q", found, links)
	}
}

func names(pattern, text string) (list []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestMonitoringUsesMetricsThatExist compares with the table of operate.md, which
// TestMetrics compares with the code.
func TestMonitoringUsesMetricsThatExist(t *testing.T) {
	var known []string
	for _, row := range table(t, page(t, "operate.md"), "metrics") {
		known = append(known, row[0])
	}
	for file, least := range map[string]int{
		monitoring + "alerts.yaml": 10, monitoring + "alerts_test.yaml": 10, monitoring + "dashboard.json": 10, "slo.md": 5, "runbook.md": 2,
	} {
		used := names(`\b(gotong_[a-z_]+)`, page(t, file))
		if len(used) < least {
			t.Errorf("%s uses only %q", file, used)
		}
		for _, name := range used {
			base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			if !slices.Contains(known, name) && !slices.Contains(known, base) {
				t.Errorf("%s uses %s, which does not exist", file, name)
			}
		}
	}
	if !json.Valid([]byte(page(t, monitoring+"dashboard.json"))) {
		t.Error("dashboard.json is not JSON")
	}
}

// TestAlertsFire runs the unit tests of the rules with Prometheus' own tool.
func TestAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("promtool is missing, of Debian's package prometheus: dev/install-packages installs it")
	}
	if err != nil {
		t.Skip("NOT TESTED: the alert rules, because there is no promtool")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", monitoring+"alerts_test.yaml")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
