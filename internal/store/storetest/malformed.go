package storetest

import (
	"bytes"
	"context"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// malformed: a batch with a commit whose parts contradict each other is not
// written at all.
func malformed(e *env) {
	e.next(Draft{Stream: "thread/a", Events: 1})
	for name, spoil := range map[string]func(*store.Commit){
		"gap":           func(c *store.Commit) { c.Events[1].Seq++ },
		"other stream":  func(c *store.Commit) { c.Events[1].Stream = "thread/b" },
		"broken chain":  func(c *store.Commit) { c.Events[1].Prev[0]++ },
		"first link":    func(c *store.Commit) { c.Events[0].Prev[0]++ },
		"count jumps":   func(c *store.Commit) { c.Events[1].Count++ },
		"count falls":   func(c *store.Commit) { c.Events[1].Count -= 2 },
		"time stands":   func(c *store.Commit) { c.Events[1].At = c.Events[0].At },
		"no home":       func(c *store.Commit) { c.Home = "" },
		"another home":  func(c *store.Commit) { c.Home = "group/other" },
		"born erased":   func(c *store.Commit) { c.Events[0].Erased = true },
		"starts at two": func(c *store.Commit) { c.Events = c.Events[1:] },
		"id of another": func(c *store.Commit) { c.Events[1].ID = gotong.NewEventID(c.Events[1].At+1, 7) },
		"elsewhere":     func(c *store.Commit) { c.Events[0].Partition++ },
	} {
		bad := e.m.Peek(Draft{Stream: "thread/a", Events: 2})
		spoil(&bad)
		e.malformed(name, bad)
	}
	equal(e, "head", e.head("thread/a").Seq, 1)
}

// malformed commits a bad commit beside a good one. Neither may leave a trace.
func (e *env) malformed(name string, bad store.Commit) {
	e.Helper()
	good := e.m.Peek(Draft{Stream: "thread/good", Events: 1})
	if _, err := store.CommitAll(e.ctx, e.s, []store.Commit{good, bad}); !errors.Is(err, store.ErrMalformed) {
		e.Errorf("%s: %v", name, err)
	}
	e.traceless([]store.Commit{good, bad})
}

func withoutFingerprint(e *env) {
	c := e.m.Next(Draft{Stream: "thread/a", Events: 1})
	c.Salt, c.Fingerprint = nil, nil
	e.must(c)
	if r, ok := e.record(c.Request); !ok || r.Salt != nil || r.Fingerprint != nil {
		e.Errorf("record %+v %v", r, ok)
	}
}

// aliasing: the caller may change what it passed to the store and what it got
// from it.
func aliasing(e *env) {
	c := e.m.Next(Draft{Stream: "thread/a", Events: 1, Changes: []store.Change{put("x", `{"n":1}`)}})
	need := store.Need{
		Documents: []gotong.Key{key("x")}, Records: []gotong.RequestKey{c.Request},
		Events: []store.EventRange{{Stream: "thread/a", To: 1}},
		Ranges: []store.KeyRange{{Collection: things, Owner: "owner", To: "~"}},
	}
	out := e.must(c)
	want := e.load(need)
	for _, b := range [][]byte{c.Changes[0].Body, c.Events[0].Data, c.Events[0].Content, c.Salt, out[0].Record.Fingerprint} {
		b[0]++
	}
	second := e.load(need)
	equal(e, "after changing what was handed in", second, want)
	second.Documents[key("x")][0]++
	second.Events[0][0].Content[0]++
	second.Ranges[0][0].Body[0]++
	second.Records[c.Request].Salt[0]++
	if bytes.Equal(second.Documents[key("x")], want.Documents[key("x")]) {
		e.Fatalf("the test changes nothing")
	}
	equal(e, "after changing what was handed out", e.load(need), want)
}

func doneContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	c := e.m.Peek(Draft{Stream: "thread/a", Events: 1})
	if _, err := store.CommitAll(ctx, e.s, []store.Commit{c}); !errors.Is(err, context.Canceled) {
		e.Errorf("commit: %v", err)
	}
	if _, err := e.s.Load(ctx, store.Need{}); !errors.Is(err, context.Canceled) {
		e.Errorf("load: %v", err)
	}
	e.traceless([]store.Commit{c})
}
