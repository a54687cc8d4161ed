package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/logtest"
)

// TestHole: an event that is gone from the log is the end on no transport and
// no page, and the operator reads of it once.
func TestHole(t *testing.T) {
	log := &logtest.Lines{}
	f := newFaulty(t, func(o *app.Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	f.send("k", "one")
	f.next("message.posted")
	stream := f.thread.Stream()
	f.store.Lose(stream, 2) // older than what the node has in memory
	get := func(path string) answer {
		return must(rest(t.Context(), f.http, f.url, "owner", http.MethodGet, path, ""))(t)
	}
	for range 3 {
		a := get("/v1/realtime/poll?wait=0&cursor=start&stream=" + string(stream))
		if a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"to":1,`)) || !bytes.Contains(a.body, []byte(`"code":"corrupt_event"`)) {
			t.Errorf("a poll from the start: %s", a)
		}
		at := gotong.FormatCursors([]gotong.StreamCursor{{Stream: stream, Cursor: gotong.Cursor{Epoch: f.store.Epoch(), Seq: 1}}})
		get("/v1/realtime/poll?wait=0&cursor="+at).want(t, http.StatusInternalServerError, gotong.CodeCorruptEvent)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // a failure of its own, where nothing comes
	defer cancel()
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/v1/realtime/sse?cursor=start&stream="+string(stream), http.NoBody))(t)
	req.Header.Set("Authorization", "Bearer "+tokenOf("owner"))
	res, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var seen int
	for in := bufio.NewScanner(res.Body); in.Scan() && !strings.Contains(in.Text(), `"code":"corrupt_event"`); seen++ {
		if strings.Contains(in.Text(), `"to":2,`) {
			t.Errorf("served: %s", in.Text())
		}
	}
	if ctx.Err() != nil {
		t.Errorf("server-sent events hang after %d lines", seen)
	}
	for _, path := range []string{"/v1/chat/threads", "/v1/chat/unread", "/v1/chat/threads/" + stream.ID()} {
		get(path).want(t, http.StatusOK, "")
	}
	if n := log.Count("level=ERROR"); n != 1 {
		t.Errorf("the log has %d errors: %s", n, log)
	}
}
