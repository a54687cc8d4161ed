package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong/internal/bench"
)

const benchKey = "kid=bench,alg=HS256,key=0123456789abcdef0123456789abcdef"

func TestBench(t *testing.T) {
	url := serving(t, "--jwt-keys="+benchKey, "--command-rate=1000000", "--command-burst=1000000")
	plots := t.TempDir()
	r := command(t, nil, "bench", "--url="+url, "--jwt-key="+benchKey, "--only=threes,stream", "--for=200ms", "--json", "--svg="+plots)
	var report bench.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 0 || len(report.Results) != 2 {
		t.Fatalf("%v: %+v", err, r)
	}
	for _, s := range report.Results {
		if s.Posts == 0 || s.Faulty() || s.RateLimited > 0 {
			t.Errorf("%+v", s)
		}
	}
	if !strings.Contains(r.err, "[2/2] stream: connect") {
		t.Errorf("no progress: %s", r.err)
	}
	for _, name := range []string{"latency.svg", "throughput.svg"} {
		if b, err := os.ReadFile(filepath.Join(plots, name)); err != nil || !strings.Contains(string(b), "stream") {
			t.Errorf("%s: %v %s", name, err, b)
		}
	}
}

func TestBenchReportsTheServersRateLimit(t *testing.T) {
	url := serving(t, "--command-rate=2", "--command-burst=5")
	r := command(t, nil, "bench", "--url="+url, "--only=alone", "--for=500ms")
	if r.code != 0 || !strings.Contains(r.out, "the server limited the rate") || !strings.Contains(r.out, "command-rate") {
		t.Errorf("%+v", r)
	}
}

// TestBenchNeedsYes: a log that may matter gets no post by mistake.
func TestBenchNeedsYes(t *testing.T) {
	for name, c := range map[string]struct {
		version, url string // of the server; its own where empty
		args         []string
		says         string // empty: it is measured
	}{
		"in development on this machine": {`{"version":"1","development":true}`, "", nil, ""},
		"in production":                  {`{"version":"1"}`, "", nil, "is not in development"},
		"in production, with --yes":      {`{"version":"1"}`, "", []string{"--yes"}, ""},
		"another kind of answer":         {`<html>`, "", nil, "is not in development"},
		"development is not true":        {`{"development":"true"}`, "", nil, "is not in development"},
		"elsewhere, in development":      {`{"development":true}`, "http://bench.invalid", nil, "is not on this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/version" {
					asked.Add(1)
					w.WriteHeader(http.StatusTeapot)
					return
				}
				_, _ = w.Write([]byte(c.version))
			}))
			t.Cleanup(server.Close)
			if c.url != "" {
				cmd := benchCmd{server: serverAt(c.url)}
				if err := cmd.allowed(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
				return
			}
			url := server.URL
			r := command(t, nil, append([]string{"bench", "--url=" + url, "--jwt-key=" + benchKey, "--only=alone", "--for=10ms"}, c.args...)...)
			refused := r.code == 2 && strings.Contains(r.err, c.says) && strings.Contains(r.err, "--yes")
			if c.says != "" && (!refused || asked.Load() > 0) || c.says == "" && asked.Load() == 0 {
				t.Errorf("%d requests beside /version, %+v", asked.Load(), r)
			}
		})
	}
}

// serverAt is the flag, which variables named server hide.
func serverAt(url string) server { return server{URL: url} }

func TestBenchMisuse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"development":true}`))
	}))
	t.Cleanup(server.Close)
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("a\n\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no scenario":       {[]string{"--only=x"}, `unknown scenario "x"`},
		"too long":          {[]string{"--for=1h"}, "at most 10m0s"},
		"too many accounts": {[]string{"--only=callers"}, "scenario callers needs 200 users"},
		"too few tokens":    {[]string{"--only=threes", "--tokens=" + tokens}, "scenario threes needs 3 users"},
		"tokens and key":    {[]string{"--tokens=" + tokens, "--jwt-key=" + benchKey}, "exclude each other"},
		"another algorithm": {[]string{"--jwt-key=kid=x,alg=RS256,key=k"}, "must be an HS256 key"},
		"no key":            {[]string{"--jwt-key=x"}, "must be name=value pairs"},
		"too many clients":  {[]string{"--clients=1000000", "--jwt-key=" + benchKey}, "at most 20000 clients"},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, nil, append([]string{"bench", "--url=" + server.URL}, c.args...)...)
			if r.code != 2 || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, "Try: ") {
				t.Errorf("%+v", r)
			}
		})
	}
}
