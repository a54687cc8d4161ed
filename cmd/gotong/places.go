package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

// place is an open store of a tool that moves logs.
type place struct {
	store.Whole
	name string // without secrets
}

// placeName returns an address without its secrets.
func placeName(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "", misuse("sqlite:PATH", "this is not the address of a store")
	}
	if p, ok := app.StoreProperties(address); ok && !p.Durable.Holds {
		return "", misuse("sqlite:PATH", "only its own server can use a store in memory")
	}
	if path, ok := app.StoreFile(address); ok {
		if path, err = filepath.Abs(path); err != nil {
			return "", err
		}
		return "sqlite:" + path, nil
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String(), nil
}

// checkStore returns an error in the address of a store; "" is a flag that was
// not given.
func checkStore(flag, address string) error {
	if err := app.CheckStore(address); address != "" && err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// trust is flags to accept a SurrealDB at one's own risk, for example to move
// away from it.
type trust struct {
	AllowUntested bool `name:"allow-untested" help:"Accept a version of SurrealDB that was not tested with this version of Gotong."`
	UnsafeEngine  bool `name:"unsafe-engine" help:"Accept a database that may lose acknowledged writes: a SurrealDB on mem or surrealkv, a PostgreSQL with fsync off."`

	readOnly bool
}

// openToRead opens a store that exists for reading, also an SQLite file that a server has
// open.
func (t trust) openToRead(ctx context.Context, address string) (*place, error) {
	t.readOnly = true
	return t.open(ctx, address, true)
}

// open opens a store. With mustExist, it does not create one.
func (t trust) open(ctx context.Context, address string, mustExist bool) (*place, error) {
	name, err := placeName(address)
	if err != nil {
		return nil, err
	}
	if mustExist && !placeExists(address) {
		return nil, &failure{err: fmt.Errorf("there is no database %s", name), code: 1, hint: "another address"}
	}
	s, err := app.OpenStore(ctx, address, app.Kinds(), now, app.Trust{
		UnsafeEngine: t.UnsafeEngine, AllowUntested: t.AllowUntested, ReadOnly: t.readOnly,
	})
	if err != nil {
		return nil, err
	}
	return &place{s, name}, nil
}

// placeExists reports whether opening the address would not create a new file.
func placeExists(address string) bool {
	path, ok := app.StoreFile(address)
	if !ok {
		return true
	}
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

func codec() *store.Codec { return store.NewCodec(app.Kinds()) }

func now() gotong.Instant { return gotong.InstantOf(time.Now()) }

func copyOptions(bar *stages) logcopy.Options {
	return logcopy.Options{Codec: codec(), Readers: app.Readers(), Now: now, Progress: bar.show}
}

// stages shows how far a move of a log is: on a terminal in one line that is
// overwritten, elsewhere in a line at intervals.
type stages struct {
	std               *stdio
	stage             string
	began, last, seen time.Time
	from              uint64        // where the stage began, when it goes on
	writing           time.Duration // how long the stages took that write
	line              bool          // one is on the terminal
}

const stagesEvery = 15 * time.Second

func (p *stages) show(s logcopy.Progress) {
	at := time.Now()
	if p.stage == "copying" || p.stage == "writing" {
		p.writing += at.Sub(p.seen)
	}
	p.seen = at
	if s.Stage != p.stage {
		p.stage, p.began, p.from = s.Stage, at, s.Done
		if !p.std.progress {
			p.last = at
		}
	}
	every := stagesEvery
	if p.std.progress {
		every = progressEvery
	}
	if at.Sub(p.last) < every {
		return
	}
	p.last = at
	text := p.text(s, at.Sub(p.began))
	if p.line = p.std.progress; p.line {
		_, _ = fmt.Fprintf(p.std.err, "\r\x1b[K%s", text)
		return
	}
	_, _ = fmt.Fprintln(p.std.err, text)
}

func (p *stages) text(s logcopy.Progress, took time.Duration) string {
	if s.Total == 0 {
		return s.Stage
	}
	rate, left := float64(s.Done-p.from)/max(took.Seconds(), 0.001), "…"
	if rate > 0 && s.Done <= s.Total {
		left = time.Duration(float64(s.Total-s.Done) / rate * float64(time.Second)).Round(time.Second).String()
	}
	done, total := int(s.Done), int(s.Total) //nolint:gosec // counts
	return fmt.Sprintf("%s %s of %s (%d %%), %.0f/s, %s left", s.Stage, grouped(done), grouped(total), 100*done/total, rate, left)
}

func (p *stages) clear() {
	if p.line {
		_, _ = fmt.Fprint(p.std.err, "\r\x1b[K")
	}
}
