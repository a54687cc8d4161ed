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
	unit       = "../deploy/gotong.service"
	socketUnit = "../deploy/gotong.socket"
	verifier   = "systemd-analyze" //nolint:misspell // its name
)

// TestUnitsAreValid has systemd read the shipped units.
func TestUnitsAreValid(t *testing.T) {
	program, err := exec.LookPath(verifier)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(verifier, "is missing, of Debian's package systemd: dev/install-packages installs it")
	}
	if err != nil {
		t.Skip("NOT TESTED: the units in deploy/, because there is no", verifier)
	}
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	service, socket := page(t, unit), page(t, socketUnit)
	const installed = "/usr/local/bin/gotong"
	if !strings.Contains(service, "ExecStart="+installed+" serve ") {
		t.Fatal("the unit does not start", installed)
	}
	service = strings.ReplaceAll(service, installed, this) // it must exist
	complaints := func(service, socket string) string {
		t.Helper()
		dir := t.TempDir()
		for name, text := range map[string]string{"gotong.service": service, "gotong.socket": socket} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// The socket's unit loads the service. It exits with 0 where it ignores a line, and
		// may complain of other units of this machine.
		out, err := exec.CommandContext(t.Context(), program, "verify", filepath.Join(dir, "gotong.socket")).CombinedOutput()
		about := regexp.MustCompile(`(?m)^.*gotong\.(service|socket).*$`).FindString(string(out))
		if err != nil && about == "" {
			return err.Error() + "\n" + string(out)
		}
		return about
	}
	if found := complaints(service, socket); found != "" {
		t.Error(found)
	}
	if complaints(strings.Replace(service, "WatchdogSec=", "WatchdogSecs=", 1), socket) == "" {
		t.Error("an unknown key of the service is not noticed")
	}
	if complaints(service, strings.Replace(socket, "ListenStream=", "ListenStreams=", 1)) == "" {
		t.Error("an unknown key of the socket is not noticed")
	}
}

// TestSocketIsOneOnLoopback: the server takes one socket, and TLS ends at a proxy.
func TestSocketIsOneOnLoopback(t *testing.T) {
	if sockets := names(`(?m)^Listen\w+=(.*)$`, page(t, socketUnit)); len(sockets) != 1 || !strings.HasPrefix(sockets[0], "127.0.0.1:") {
		t.Errorf("it listens at %q", sockets)
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
