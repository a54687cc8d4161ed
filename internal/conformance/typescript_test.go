package conformance

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The client for browsers and Node passes every case. Without Node, or before
// `make sdk`, CI fails and a developer's test is skipped.
func TestTypeScriptClient(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("../../sdk/js/dist/index.js")
	}
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("there is no Node, or `make sdk` was not run: ", err)
	}
	if err != nil {
		t.Skip("NOT TESTED: the TypeScript client, because ", err)
	}
	report, err := Run(t.Context(), Options{Start: Command([]string{node, "../../sdk/js/conformance/adapter.mjs"})})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Outcome != Pass {
			t.Errorf("%s: %s %s\n%s", r.ID, r.Outcome, r.Reason, strings.Join(r.Transcript, "\n"))
		}
	}
}
