package postgrestest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// standbyName is the application_name of every standby.
const standbyName = "standby"

// settle bounds the wait for a server that starts, follows or is promoted.
const settle = 60 * time.Second

// Pair starts a primary and a synchronous standby.
func Pair(tb testing.TB, args ...string) (primary, standby *Server) {
	tb.Helper()
	primary = Start(tb, args...)
	standby = newServer(tb, args)
	standby.Follow(primary)
	return primary, standby
}

// Follow makes a server the synchronous standby of another one, with the data of
// that one. It returns when every commit there waits for this server.
func (s *Server) Follow(primary *Server) {
	s.tb.Helper()
	if s.cmd != nil {
		s.Kill()
	}
	if err := os.RemoveAll(s.data()); err != nil {
		s.tb.Fatal(err)
	}
	out, err := command(s.tb, s.dir, program("pg_basebackup"), "-h", "127.0.0.1", "-p", primary.Port, "-U", User,
		"-D", s.data(), "-X", "stream", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		s.tb.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	out, err = command(s.tb, s.dir, "touch", filepath.Join(s.data(), "standby.signal")).CombinedOutput()
	if err != nil {
		s.tb.Fatalf("touch: %v\n%s", err, out)
	}
	own := s.args
	s.args = append(slices.Clone(own), "-c",
		"primary_conninfo=host=127.0.0.1 port="+primary.Port+" user="+User+" application_name="+standbyName)
	s.Restart()
	s.args = own // a primary, from its next start
	primary.do("ALTER SYSTEM SET synchronous_standby_names = '" + standbyName + "'")
	primary.do("SELECT pg_reload_conf()")
	primary.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND replay_lsn >= sent_lsn")
}

// Lag stops what a standby receives, and returns when a commit of the primary waits
// for it. It returns a function that lets the standby go on.
func (s *Server) Lag(primary *Server) (end func()) {
	s.tb.Helper()
	c, err := s.connect()
	if err != nil {
		s.tb.Fatal(err)
	}
	var receiver int
	err = c.QueryRow(context.Background(), "SELECT pid FROM pg_stat_wal_receiver").Scan(&receiver)
	if err = errors.Join(err, c.Close(context.Background())); err == nil {
		err = syscall.Kill(receiver, syscall.SIGSTOP)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	end = func() { _ = syscall.Kill(receiver, syscall.SIGCONT) }
	s.tb.Cleanup(end)
	primary.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	return end
}

// Promote makes a standby the primary, which then waits for no standby.
func (s *Server) Promote() {
	s.tb.Helper()
	out, err := command(s.tb, s.dir, program("pg_ctl"), "-D", s.data(), "-w", "-t", "60", "promote").CombinedOutput()
	if err != nil {
		s.tb.Fatalf("pg_ctl promote: %v\n%s", err, out)
	}
	s.do("ALTER SYSTEM RESET synchronous_standby_names")
	s.do("SELECT pg_reload_conf()")
}

func (s *Server) do(sql string) {
	s.tb.Helper()
	c, err := s.connect()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(context.Background(), sql); err != nil {
		s.tb.Fatalf("%s: %v", sql, err)
	}
}

// until waits until a query returns true.
func (s *Server) until(sql string) {
	s.tb.Helper()
	c, err := s.connect()
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	limit := time.After(settle)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var ok bool
		if err := c.QueryRow(context.Background(), sql).Scan(&ok); err != nil {
			s.tb.Fatalf("%s: %v", sql, err)
		}
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			s.tb.Fatalf("%s: not within %s", sql, settle)
		}
	}
}
