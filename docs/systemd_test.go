package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/config"
)

const (
	unit     = "../deploy/gotong.service"
	verifier = "systemd-analyze" //nolint:misspell // its name
)

// TestUnitIsValid has systemd read the shipped unit.
func TestUnitIsValid(t *testing.T) {
	program, err := exec.LookPath(verifier)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(verifier, "is missing, of Debian's package systemd: dev/install-packages installs it")
	}
	if err != nil {
		t.Skip("NOT TESTED: deploy/gotong.service, because there is no", verifier)
	}
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := page(t, unit)
	const installed = "/usr/local/bin/gotong"
	if !strings.Contains(text, "ExecStart="+installed+" serve ") {
		t.Fatal("the unit does not start", installed)
	}
	text = strings.ReplaceAll(text, installed, this) // it must exist
	complaints := func(text string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "gotong.service")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// It exits with 0 where it ignores a line, and may complain of other units of this machine.
		out, err := exec.CommandContext(t.Context(), program, "verify", file).CombinedOutput()
		about := regexp.MustCompile(`(?m)^.*gotong\.service.*$`).FindString(string(out))
		if err != nil && about == "" {
			return err.Error() + "\n" + string(out)
		}
		return about
	}
	if found := complaints(text); found != "" {
		t.Error(found)
	}
	if complaints(strings.Replace(text, "WatchdogSec=", "WatchdogSecs=", 1)) == "" {
		t.Error("an unknown key is not noticed")
	}
}

// TestUnitFitsTheDefaults compares the limits of the unit with those of the server.
func TestUnitFitsTheDefaults(t *testing.T) {
	limit := func(key string) int {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + key + `=(\d+)$`).FindStringSubmatch(page(t, unit))
		if m == nil {
			t.Fatal("the unit has no number for", key)
		}
		return must(strconv.Atoi(m[1]))(t)
	}
	preset := func(name string) string {
		field, _ := reflect.TypeFor[config.Config]().FieldByName(name)
		return field.Tag.Get("default")
	}
	if files, sessions := limit("LimitNOFILE"), must(strconv.Atoi(preset("MaxSessions")))(t); files < max(65536, sessions+1000) {
		t.Errorf("%d open files are too few for %d sessions", files, sessions)
	}
	grace := must(time.ParseDuration(preset("ShutdownGrace")))(t)
	if stop := time.Duration(limit("TimeoutStopSec")) * time.Second; stop < 2*grace {
		t.Errorf("systemd kills the server after %v, which may take %v and has to close its store", stop, grace)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
