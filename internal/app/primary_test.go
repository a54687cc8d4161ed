package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// TestOldPrimaryAfterRestart: a node that has seen a newer timeline rejects the old
// primary after its restart too, and says what to do if the database was restored.
func TestOldPrimaryAfterRestart(t *testing.T) {
	t.Cleanup(postgrestest.Stop)
	data, address := t.TempDir(), postgrestest.Start(t).Schema()
	path := filepath.Join(data, primaryFile)
	open := func() error {
		s, err := openPostgres(t.Context(), address, data, postgres.Options{})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := errors.Join(open(), open()); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(kept), " 00000001\n") {
		t.Fatalf("%q %v", kept, err)
	}
	newer := strings.Replace(string(kept), " 00000001", " 00000002", 1)
	for _, other := range []string{newer, "1" + string(kept), "", "no primary"} {
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		err := open()
		if other == "" { // nothing is known
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, primary.ErrTimeline) || !strings.Contains(err.Error(), "delete "+path) {
			t.Errorf("%q: %v", other, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
}
