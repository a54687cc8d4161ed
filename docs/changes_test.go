package docs_test

import (
	"os/exec"
	"testing"
)

// TestFragmentsOfTheChangelog runs the check of `make test` early.
func TestFragmentsOfTheChangelog(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "bash", "../dev/changelog", "--check").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
