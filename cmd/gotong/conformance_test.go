package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConformance(t *testing.T) {
	script := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ends := script("ends", `echo '{"event":"hello","client":"ends","can":["websocket"]}'; read -r line; echo oops >&2`)
	cannot := script("cannot", `echo '{"event":"hello","client":"cannot","can":[]}'; cat >/dev/null`)
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"list":         {[]string{"--list", "--case=ws.gap,poll.*"}, 0, []string{"ws.gap", "poll.gap", "cursor"}},
		"list as JSON": {[]string{"--list", "--json", "--case=ws.gap"}, 0, []string{`"script": [`, `"events a 2 3"`}},
		"no client":    {nil, 2, []string{"no client", "--list"}},
		"no such case": {[]string{"--case=ws.frob", "--client=x"}, 2, []string{"ws.frob", "--list"}},
		"no program":   {[]string{"--client=/nowhere/adapter x"}, 2, []string{"/nowhere/adapter", "docs/conformance.md"}},
		"no JSON":      {[]string{"--client=" + script("text", "echo hi; cat >/dev/null")}, 2, []string{"not a JSON object", "hi"}},
		"another line": {[]string{"--client=" + script("early", `echo '{"event":"online"}'; cat >/dev/null`)}, 2, []string{`"online"`, "hello"}},
		"silent":       {[]string{"--client=" + script("silent", "echo no >&2")}, 2, []string{"printed nothing", "It wrote: no"}},
		"fails":        {[]string{"--client=" + ends, "--case=ws.gap"}, 1, []string{"fail  ws.gap", "the adapter ended", "adapter wrote: oops", "1 of 1 cases"}},
		"as JSON":      {[]string{"--client=" + ends, "--case=ws.gap", "--json"}, 1, []string{`"outcome": "fail"`, `"transcript": [`}},
		"cannot":       {[]string{"--client=" + cannot, "--case=ws.gap"}, 0, []string{"skip", "cannot websocket", "1 skipped"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, nil, append([]string{"conformance"}, c.args...)...)
			if r.code != c.code {
				t.Errorf("code %d, want %d", r.code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(r.out+r.err, want) {
					t.Errorf("does not say %q:\n%s%s", want, r.out, r.err)
				}
			}
		})
	}
}
