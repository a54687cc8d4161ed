package app

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/primary"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// TestOldPrimaryAfterRestart: a node that has seen a newer timeline rejects the old
// primary after its restart too, and says what to do if the database was restored.
func TestOldPrimaryAfterRestart(t *testing.T) {
	t.Cleanup(postgrestest.Stop)
	server := postgrestest.Start(t, "-c", "synchronous_commit=local", "-c", "synchronous_standby_names=none") // waits for none
	data, address := t.TempDir(), server.Schema()
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
	logsChange(t, address)
}

// logsChange: the log of a server has what acknowledged writes survive once that has changed.
func logsChange(t *testing.T, address string) {
	t.Helper()
	var log bytes.Buffer
	s, r, err := openStore(t.Context(), &config.Config{Store: address, Data: t.TempDir()}, nil, nil, nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // it opens no connections any more
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(address + "&synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	r.guard.Watch(&cfg.Config)
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		err = c.Close(t.Context())
	}
	if err != nil || strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "it is on a standby too (none)") {
		t.Errorf("%v, the log is %q", err, log.String())
	}
}
