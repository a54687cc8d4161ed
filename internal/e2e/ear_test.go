package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gotong.dev/gotong"
)

// ear follows every thread that its user may read, over one connection that
// stays as long as it can.
type ear struct {
	w     *walk
	user  string
	sse   bool
	epoch string
	ws    *line
	next  func() []byte
	end   context.CancelFunc // of the SSE
	on    map[*talk]bool
	at    map[*talk]int
	pings int
}

func newEar(w *walk, user string, sse bool) *ear {
	w.t.Helper()
	e := &ear{w: w, user: user, sse: sse, on: map[*talk]bool{}, at: map[*talk]int{}, end: func() {}}
	e.ws = socket(w.ctx, w.t, w.http, w.url, user)
	var welcome wire
	if err := json.Unmarshal(w.readWS(e.ws), &welcome); err != nil {
		w.t.Fatal(err)
	}
	e.epoch = welcome.Epoch
	if sse {
		_ = e.ws.CloseNow()
	}
	e.next = func() []byte { return w.readWS(e.ws) }
	return e
}

func (e *ear) close() {
	e.end()
	_ = e.ws.CloseNow()
}

func (e *ear) how() string {
	if e.sse {
		return "live sse"
	}
	return "live ws"
}

// settle waits until everybody who follows has all that there is, and nothing
// more where it is over.
func (w *walk) settle() {
	w.t.Helper()
	for _, e := range w.ears {
		e.settle()
	}
}

func (e *ear) settle() {
	e.w.t.Helper()
	missing := func(k *talk) bool { return k.members[e.user] && !e.on[k] }
	for _, k := range e.w.talks {
		for e.on[k] && (e.at[k] < len(k.facts) || !k.members[e.user]) {
			e.take()
		}
	}
	if slices.ContainsFunc(e.w.talks, missing) {
		e.follow(missing)
	}
	for _, k := range e.w.talks {
		for e.on[k] && e.at[k] < len(k.facts) {
			e.take()
		}
	}
	if e.pings++; e.pings%20 == 0 && !e.sse {
		if err := tell(e.w.ctx, e.ws, map[string]any{"op": "ping", "id": fmt.Sprint(e.pings)}); err != nil {
			e.w.t.Fatal(err)
		}
		for op := ""; op != "pong"; {
			op = e.take()
		}
	}
}

// follow asks for what may be read by now, after what was got before.
func (e *ear) follow(missing func(*talk) bool) {
	e.w.t.Helper()
	var cursors []gotong.StreamCursor
	for _, k := range e.w.talks {
		cursor := gotong.Cursor{Epoch: gotong.Epoch(e.epoch), Seq: uint64(e.at[k])}
		switch {
		case e.sse && k.members[e.user]:
			cursors = append(cursors, gotong.StreamCursor{Stream: k.stream, Cursor: cursor})
			e.on[k] = true
		case !e.sse && missing(k):
			frame := map[string]any{"op": "subscribe", "stream": k.stream, "cursor": cursor.String()}
			if err := tell(e.w.ctx, e.ws, frame); err != nil {
				e.w.t.Fatal(err)
			}
			e.on[k] = true
		}
	}
	if !e.sse {
		return
	}
	e.end()
	var ctx context.Context
	ctx, e.end = context.WithCancel(e.w.ctx)
	e.next = e.w.openSSE(ctx, e.user, "/v1/realtime/sse?cursor="+gotong.FormatCursors(cursors))
}

// take handles one frame; its op.
func (e *ear) take() string {
	e.w.t.Helper()
	b := e.next()
	e.w.watch(e.user, e.how(), b)
	var f wire
	if err := json.Unmarshal(b, &f); err != nil {
		e.w.t.Fatal(err)
	}
	i := slices.IndexFunc(e.w.talks, func(k *talk) bool { return k.stream == f.Stream })
	switch f.Op {
	case "events":
		k := e.w.talks[i]
		if f.From != e.at[k] {
			e.w.t.Errorf("%s over %s: from %d, had %d", e.user, e.how(), f.From, e.at[k])
		}
		e.w.events(e.user, e.how(), k, f)
		e.at[k] = f.To
	case "access_revoked":
		if e.w.talks[i].members[e.user] {
			e.w.t.Errorf("%s may read %s", e.user, e.w.talks[i].name)
		}
		e.on[e.w.talks[i]] = false
	case "error", "resync_required":
		e.w.t.Fatalf("%s over %s: %s", e.user, e.how(), b)
	}
	return f.Op
}
