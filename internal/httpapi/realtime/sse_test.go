package realtime

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/live"
)

func TestEventStream(t *testing.T) {
	w := newWorld(t)
	one, two := w.thread("ann", "bob"), w.thread("ann", "bob")
	e := w.sse("bob", "?"+streams(one, two)[1:], "")
	first := e.want("subscribed")
	e.want("subscribed")
	if list, err := gotong.ParseCursors(first.id); err != nil || len(list) != 2 {
		t.Errorf("id %q of the first frame: %v", first.id, err)
	}
	var ids []string
	for i := range 20 {
		s := []gotong.Stream{one, two}[i%2]
		r := w.post("ann", s, strconv.Itoa(i))
		f := e.want("events")
		if f.Stream != s || f.To != r.Last {
			t.Fatalf("got %s", f.raw)
		}
		list, err := gotong.ParseCursors(f.id)
		if err != nil || len(list) != 2 {
			t.Fatalf("id %q: %v", f.id, err)
		}
		for _, c := range list {
			if c.Stream == s && c.Cursor.Seq != f.To {
				t.Errorf("the id says %d after %d", c.Cursor.Seq, f.To)
			}
		}
		ids = append(ids, f.id)
	}
	e.close()
	// Each id resumes exactly behind its frame, and beats the query.
	for i, id := range ids[:19] {
		e := w.sse("bob", "?cursor="+cursorOf(one, 1), id)
		got := map[gotong.Stream]uint64{}
		list, _ := gotong.ParseCursors(id)
		for _, c := range list {
			got[c.Stream] = c.Cursor.Seq
		}
		for got[one] < 12 || got[two] < 12 {
			f := e.next()
			if f.Op == "events" {
				if f.From != got[f.Stream] {
					t.Fatalf("%d: got %s after %d", i, f.raw, got[f.Stream])
				}
				got[f.Stream] = f.To
			}
		}
		e.close()
	}
}

func TestEventStreamRefused(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.thread("ann"), w.thread("bob")
	for _, path := range []string{"sse", "poll"} {
		for _, tc := range []struct {
			name, query string
			status      int
			code        gotong.Code
		}{
			{"nothing to follow", "", 422, gotong.CodeInvalid},
			{"no name", "?stream=thread", 422, gotong.CodeInvalid},
			{"another's", "?stream=" + string(theirs), 404, gotong.CodeNotFound},
			{"a broken cursor", "?cursor=41&stream=" + string(mine), 400, gotong.CodeCursorInvalid},
			{"an empty cursor", "?cursor=&stream=" + string(mine), 400, gotong.CodeCursorInvalid},
			{"an empty cursor in place of streams", "?cursor=", 400, gotong.CodeCursorInvalid},
			{"a stream's own cursor", "?cursor=test:1&stream=" + string(mine), 400, gotong.CodeCursorInvalid},
			{"ahead", "?cursor=" + cursorOf(mine, 99), 409, gotong.CodeCursorAhead},
			{"ahead beside a good one", "?stream=" + string(w.thread("ann")) + "&cursor=" + cursorOf(mine, 99), 409, gotong.CodeCursorAhead},
			{"another history", "?cursor=" + gotong.FormatCursors([]gotong.StreamCursor{{Stream: mine, Cursor: gotong.Cursor{Epoch: "other", Seq: 1}}}), 409, gotong.CodeEpochChanged},
			{"a token in the address", "?token=x&stream=" + string(mine), 400, httpapi.CodeBadRequest},
			{"two tickets", "?ticket=x&ticket=y&stream=" + string(mine), 422, gotong.CodeInvalid},
			{"a typing error", "?curser=start&stream=" + string(mine), 422, gotong.CodeInvalid},
			{"two cursors", "?cursor=start&cursor=start&stream=" + string(mine), 422, gotong.CodeInvalid},
			{"too many", "?stream=" + strings.Repeat("&stream=thread/x", 33)[8:], 422, gotong.CodeInvalid},
		} {
			t.Run(path+" "+tc.name, func(t *testing.T) {
				if tc.name == "too many" {
					tc.query = "?"
					for i := range 33 {
						tc.query += "&stream=thread/" + strconv.Itoa(i)
					}
				}
				refused(t, w.get("/v1/realtime/"+path+tc.query, bearer("ann")...), tc.status, tc.code)
			})
		}
		res := w.get("/v1/realtime/" + path + "?stream=" + string(mine))
		refused(t, res, 401, gotong.CodeUnauthorized)
		if res.header.Get("WWW-Authenticate") == "" {
			t.Error("no word of how to authenticate")
		}
		refused(t, w.get("/v1/realtime/"+path+"?stream="+string(mine), bearer("nobody at all")[0], "Bearer x"), 401, gotong.CodeUnauthorized)
	}
	if _, n := w.server.Open(); n != 0 {
		w.until("no request is open", func() bool { _, n := w.server.Open(); return n == 0 })
	}
}

// One stream among several that may not be read does not hide the others.
func TestSomeRefused(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.thread("ann"), w.thread("bob")
	fresh := "?" + streams(mine, theirs)[1:]
	resumed := "?cursor=" + gotong.FormatCursors([]gotong.StreamCursor{
		{Stream: mine, Cursor: gotong.Cursor{Epoch: "test", Seq: 1}}, {Stream: theirs, Cursor: gotong.Cursor{Epoch: "test", Seq: 1}},
	})
	check := func(t *testing.T, frames []frame, op, cursor string) {
		t.Helper()
		found := false
		for _, f := range frames {
			found = found || f.Op == op && f.Stream == theirs
		}
		list, err := gotong.ParseCursors(cursor)
		if !found || err != nil || len(list) != 1 || list[0].Stream != mine {
			t.Errorf("no %s, or cursor %v (%v): %v", op, list, err, frames)
		}
	}
	for query, op := range map[string]string{fresh: "error", resumed: "access_revoked"} {
		a := w.poll("ann", query+"&wait=0")
		check(t, a.frames, op, a.Cursor)
		e := w.sse("ann", query, "")
		f, g := e.next(), e.next()
		check(t, []frame{f.frame, g.frame}, op, g.id)
		e.close()
	}
	gone := gotong.FormatCursors([]gotong.StreamCursor{
		{Stream: "thread/gone", Cursor: gotong.Cursor{Epoch: "test", Seq: 1}}, {Stream: theirs, Cursor: gotong.Cursor{Epoch: "test", Seq: 1}},
	})
	refused(t, w.get("/v1/realtime/poll?wait=0&cursor="+gone, bearer("ann")...), 404, gotong.CodeNotFound)
}

// The raw text of a stream: retry with jitter, comments while it is idle.
func TestEventStreamText(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.comment = 20 * time.Millisecond }))
	stream := w.thread("ann")
	retries := map[string]bool{}
	for range 5 {
		e := w.trySSE("ann", "?stream="+string(stream), "")
		lines := bufio.NewScanner(e.body)
		comments := 0
		for comments < 3 && lines.Scan() {
			line := lines.Text()
			if ms, ok := strings.CutPrefix(line, "retry: "); ok {
				retries[ms] = true
				if n, err := strconv.Atoi(ms); err != nil || n < 1000 || n >= 5000 {
					t.Errorf("retry %q", ms)
				}
			}
			if line == ": still here" {
				comments++
			}
		}
		if comments < 3 {
			t.Error("no comments: ", lines.Err())
		}
		e.close()
	}
	if len(retries) < 2 {
		t.Errorf("no jitter: %v", retries)
	}
}

// Who stops reading is let go; who reads slowly is not.
func TestSlowEventStream(t *testing.T) {
	w := newWorld(t, timed(func(t *times) { t.stalled = 400 * time.Millisecond }))
	w.tap.buffer.Store(4 << 10)
	stream := w.thread("ann")
	for range 1500 {
		w.post("ann", stream, strings.Repeat("x", 3900))
	}
	stopped := w.trySSE("ann", "?cursor=start&stream="+string(stream), "")
	w.ended("sse stalled")
	stopped.close()
}

func TestEventStreamExpires(t *testing.T) {
	w := newWorld(t)
	p := w.door.principal("ann")
	p.Expires = w.now().Add(300 * time.Millisecond)
	w.door.tokens["short"] = p
	stream := w.thread("ann")
	// The whole answer: it has an end.
	if res := w.get("/v1/realtime/sse?stream="+string(stream), "Authorization", "Bearer short"); res.status != http.StatusOK {
		t.Errorf("got %d %s", res.status, res.body)
	}
	w.ended("sse left")
}

// An ended stream keeps its cursor until a frame has reported the end to the
// client.
func TestEndedStreamKeepsItsCursorUntilReported(t *testing.T) {
	at := gotong.StreamCursor{Stream: "thread/1", Cursor: gotong.Cursor{Epoch: "test", Seq: 5}}
	events := live.NewFrame([]byte(`{"op":"events","stream":"thread/1","from":5,"to":9,"events":[]}`))
	other := live.NewFrame([]byte(`{"op":"events","stream":"thread/2","from":5,"to":7,"events":[]}`))
	revoked := live.NewFrame([]byte(`{"op":"access_revoked","stream":"thread/1"}`))
	resync := live.NewFrame([]byte(`{"op":"resync_required","stream":"thread/1","reason":"x"}`))
	failed := live.NewFrame([]byte(`{"op":"error","stream":"thread/1","problem":{}}`))
	for _, tc := range []struct {
		frames []live.Frame
		seq    uint64
		ended  bool
	}{
		{nil, 5, false},
		{[]live.Frame{other}, 5, false},
		{[]live.Frame{events, other}, 9, false},
		{[]live.Frame{events, revoked}, 9, true},
		{[]live.Frame{resync}, 5, true},
		{[]live.Frame{failed}, 5, false},
	} {
		if got, ended := reported(at, tc.frames); got.Cursor.Seq != tc.seq || ended != tc.ended {
			t.Errorf("got %v %v, want %d %v", got, ended, tc.seq, tc.ended)
		}
	}
}

// Of two frames of one Take only the last has an id: a client that
// was cut after the first must not skip the other.
func TestOnlyTheLastOfTwoFramesHasAnID(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	session, err := w.hub.Open(gotong.Viewer{UserID: "ann", Role: gotong.RoleUser}, live.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Subscribe(live.Subscription{Stream: stream}); err != nil {
		t.Fatal(err)
	}
	if err := session.Outcome(context.Background(), stream); err != nil {
		t.Fatal(err)
	}
	e := &eventStream{follow: &follow{server: w.server, session: session}}
	e.append([]live.Frame{live.NewFrame([]byte(`{"n":1}`)), live.NewFrame([]byte(`{"n":2}`))})
	want := "data: {\"n\":1}\n\nid: " + cursorOf(stream, 1) + "\ndata: {\"n\":2}\n\n"
	if string(e.buf) != want {
		t.Errorf("got %q, want %q", e.buf, want)
	}
}

func TestPoll(t *testing.T) {
	w := newWorld(t)
	stream, other := w.thread("ann", "bob"), w.thread("ann", "bob")
	for i := range 3 {
		w.post("ann", stream, strconv.Itoa(i))
	}
	now := w.poll("bob", "?wait=0&stream="+string(stream))
	if len(now.Frames) != 0 || now.Cursor != cursorOf(stream, 5) {
		t.Errorf("now: %v %q", now.Frames, now.Cursor)
	}
	start := w.poll("bob", "?wait=0&cursor=start&stream="+string(stream))
	if got := start.seqs(stream); len(got) != 5 || start.Cursor != now.Cursor {
		t.Errorf("start: %v", got)
	}
	from := w.poll("bob", "?wait=0&cursor="+cursorOf(stream, 3))
	if got := from.seqs(stream); len(got) != 2 || from.Cursor != now.Cursor {
		t.Errorf("from 3: %v", got)
	}
	// At once where there is something, however long it might wait.
	if got := w.poll("bob", "?wait=55s&cursor="+cursorOf(stream, 4)).seqs(stream); len(got) != 1 {
		t.Errorf("at once: %v", got)
	}
	// With an empty list and a fresh cursor when the wait is over.
	empty := w.poll("bob", "?wait=50ms&cursor="+now.Cursor)
	if len(empty.Frames) != 0 || empty.Cursor != now.Cursor {
		t.Errorf("empty: %v", empty)
	}
	// When something comes.
	waiting := w.polling("bob", "?wait=50s&cursor="+now.Cursor+"&stream="+string(other))
	w.until("it waits", func() bool { return w.hub.Stats().Subscriptions == 2 })
	w.post("ann", other, "here")
	a := <-waiting
	if got := a.seqs(other); len(got) != 1 || len(a.seqs(stream)) != 0 {
		t.Errorf("came: %v", a)
	}
	if list, err := gotong.ParseCursors(a.Cursor); err != nil || len(list) != 2 {
		t.Errorf("cursor %v %v", list, err)
	}
	for _, wait := range []string{"56s", "-1s", "10", "soon", "1h"} {
		refused(t, w.get("/v1/realtime/poll?wait="+wait+"&stream="+string(stream), bearer("bob")...), 422, gotong.CodeInvalid)
	}
	for _, wait := range []string{"0", "0s", "0ms"} {
		w.poll("bob", "?wait="+wait+"&stream="+string(stream))
	}
}

// Without a wait it is a plain read: to the end, page by page.
func TestPollReadsToTheEnd(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.limits.PageEvents = 7 })
	var list []gotong.Stream
	for range 6 { // more than a session may read at once
		s := w.thread("ann")
		for i := range 40 {
			w.post("ann", s, strconv.Itoa(i))
		}
		list = append(list, s)
	}
	a := w.poll("ann", "?wait=0&cursor=start"+streams(list...))
	for _, s := range list {
		if got := len(a.seqs(s)); got != 41 {
			t.Errorf("%d events of %s", got, s)
		}
	}
	// What does not fit comes next time.
	big := w.thread("ann")
	for range 200 {
		w.post("ann", big, strings.Repeat("x", 3900))
	}
	cursor, seen := cursorOf(big, 0), uint64(0)
	for rounds := 0; seen < 201; rounds++ {
		a := w.poll("ann", "?wait=0&cursor="+cursor)
		if len(a.frames) == 0 || rounds > 20 {
			t.Fatalf("round %d: stopped at %d", rounds, seen)
		}
		for _, f := range a.frames {
			if f.From != seen {
				t.Fatalf("got %d to %d after %d", f.From, f.To, seen)
			}
			seen = f.To
		}
		cursor = a.Cursor
	}
}

func TestPollRevoked(t *testing.T) {
	w := newWorld(t)
	stream, other := w.thread("ann", "bob"), w.thread("ann", "bob")
	cursor := w.poll("bob", "?wait=0"+streams(stream, other)).Cursor
	waiting := w.polling("bob", "?wait=50s&cursor="+cursor)
	w.until("it waits", func() bool { return w.hub.Stats().Subscriptions == 2 })
	w.remove("ann", stream, "bob")
	a := <-waiting
	if len(a.frames) != 1 || a.frames[0].Op != "access_revoked" || a.frames[0].Stream != stream || a.Cursor != cursorOf(other, 2) {
		t.Errorf("got %v", a)
	}
	w.remove("ann", other, "bob")
	refused(t, w.get("/v1/realtime/poll?wait=0&cursor="+a.Cursor, bearer("bob")...), 404, gotong.CodeNotFound)
}

// Presence does not end a poll's wait: who polls comes and goes, and would
// make others come and go.
func TestPollIgnoresPresence(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	waiting := w.polling("bob", "?wait=1s&cursor="+cursorOf(stream, 2))
	w.until("it waits", func() bool { return w.hub.Stats().Subscriptions == 1 })
	ann := w.connect("ann")
	ann.subscribe(stream, "")
	if a := <-waiting; len(a.Frames) != 0 {
		t.Errorf("got %s", a.Frames)
	}
	waiting = w.polling("bob", "?wait=50s&cursor="+cursorOf(stream, 2))
	w.until("it waits", func() bool { return w.hub.Stats().Subscriptions == 2 })
	ann.send("op", "signal", "stream", stream, "type", "typing")
	if a := <-waiting; len(a.frames) != 1 || a.frames[0].Type != "typing" {
		t.Errorf("got %v", a)
	}
}

func TestClientLeavesPoll(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	ctx, cancel := context.WithCancel(context.Background())
	e := w.trySSE("ann", "?stream="+string(stream), "")
	poll := w.polling("ann", "?wait=50s&stream="+string(stream))
	w.until("both follow", func() bool { return w.hub.Stats().Subscriptions == 2 })
	cancel()
	<-ctx.Done()
	e.close()
	w.ended("sse left")
	w.server.EndLogin("s-ann")
	<-poll
	w.until("no session is left", func() bool { return w.hub.Stats().Sessions == 0 })
}
