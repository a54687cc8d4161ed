package realtime

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

func TestFramesRefused(t *testing.T) {
	w := newWorld(t)
	mine := w.thread("ann")
	long := strings.Repeat("x", 65)
	for _, tc := range []struct {
		name, send, id string
		code           gotong.Code
		field          string
	}{
		{"no JSON", `{"op":"ping","id":"1"`, "", gotong.CodeBadJSON, ""},
		{"no object", `["ping"]`, "", gotong.CodeBadJSON, ""},
		{"trailing data", `{"op":"ping"} x`, "", gotong.CodeBadJSON, ""},
		{"a field twice", `{"op":"ping","op":"ping","id":"1"}`, "1", gotong.CodeBadJSON, ""},
		{"a lone surrogate", `{"op":"ping","id":"\ud800"}`, "\ufffd", gotong.CodeBadJSON, ""},
		{"no op", `{"id":"1"}`, "1", gotong.CodeInvalid, "op"},
		{"an unknown op", `{"op":"jump","id":"1"}`, "1", gotong.CodeInvalid, "op"},
		{"an op in capitals", `{"op":"PING","id":"1"}`, "1", gotong.CodeInvalid, "op"},
		{"an unknown field", `{"op":"ping","id":"1","hm":1}`, "1", gotong.CodeInvalid, "hm"},
		{"an unknown field before the id", `{"hm":1,"op":"ping","id":"1"}`, "1", gotong.CodeInvalid, "hm"},
		{"a field in capitals", `{"op":"ping","ID":"1"}`, "1", gotong.CodeInvalid, "ID"},
		{"a field of another type", `{"op":"ping","id":1}`, "", gotong.CodeInvalid, "id"},
		{"a long id", `{"op":"ping","id":"` + long + `"}`, "", gotong.CodeInvalid, "id"},
		{"a field of another op", `{"op":"ping","id":"1","stream":"thread/1"}`, "1", gotong.CodeInvalid, "stream"},
		{"data of another op", `{"op":"subscribe","id":"1","stream":"thread/1","data":{}}`, "1", gotong.CodeInvalid, "data"},
		{"a token of another op", `{"op":"signal","stream":"thread/1","type":"typing","token":"x"}`, "", gotong.CodeInvalid, "token"},
		{"a cursor of another op", `{"op":"unsubscribe","id":"1","stream":"thread/1","cursor":"start"}`, "1", gotong.CodeInvalid, "cursor"},

		{"no stream", `{"op":"subscribe","id":"1"}`, "1", gotong.CodeInvalid, "stream"},
		{"no name of a stream", `{"op":"subscribe","id":"1","stream":"thread"}`, "1", gotong.CodeInvalid, "stream"},
		{"a broken cursor", `{"op":"subscribe","id":"1","stream":"MINE","cursor":"41"}`, "1", gotong.CodeCursorInvalid, ""},
		{"an empty cursor", `{"op":"subscribe","id":"1","stream":"MINE","cursor":""}`, "1", gotong.CodeCursorInvalid, ""},
		{"an empty cursor of another op", `{"op":"ping","id":"1","cursor":""}`, "1", gotong.CodeInvalid, "cursor"},
		{"a cursor ahead", `{"op":"subscribe","id":"1","stream":"MINE","cursor":"test:99"}`, "1", gotong.CodeCursorAhead, ""},
		{"a cursor of another history", `{"op":"subscribe","id":"1","stream":"MINE","cursor":"other:1"}`, "1", gotong.CodeEpochChanged, ""},
		{"not followed", `{"op":"unsubscribe","id":"1","stream":"MINE"}`, "1", gotong.CodeConflict, ""},
		{"a signal to what is not followed", `{"op":"signal","id":"1","stream":"MINE","type":"typing"}`, "1", gotong.CodeNotFound, ""},

		{"no request id", `{"op":"command","id":"1","stream":"MINE","type":"thread.leave"}`, "1", gotong.CodeInvalid, "request_id"},
		{"a bad request id", `{"op":"command","id":"1","request_id":"a b","stream":"MINE","type":"thread.leave"}`, "1", gotong.CodeInvalid, "request_id"},
		{"a bad correlation id", `{"op":"command","id":"1","request_id":"a","correlation_id":"a b","stream":"MINE","type":"thread.leave"}`, "1", gotong.CodeInvalid, "correlation_id"},
		{"a kind of nobody", `{"op":"command","id":"1","request_id":"a","stream":"tree/1","type":"thread.leave"}`, "1", gotong.CodeNotFound, ""},
		{"a kind that is not written here", `{"op":"command","id":"1","request_id":"a","stream":"user/ann","type":"user.set_role","data":{"role":"admin"}}`, "1", gotong.CodeNotFound, ""},
		{"a broken stream", `{"op":"command","id":"1","request_id":"a","stream":"thread/a b","type":"thread.leave"}`, "1", gotong.CodeInvalid, "stream"},
		{"an unknown command", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"thread.burn"}`, "1", gotong.CodeInvalid, "type"},
		{"a command of another kind", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"group.create"}`, "1", gotong.CodeInvalid, "type"},
		{"an unknown field in data", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"message.post","data":{"body":"x","hm":1}}`, "1", gotong.CodeInvalid, "hm"},
		{"data that is no object", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"message.post","data":[]}`, "1", gotong.CodeBadJSON, ""},
		{"no data where there has to be", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"message.post"}`, "1", gotong.CodeInvalid, "body"},
		{"a field left out whose zero value is valid", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"member.mute","data":{"user_id":"ann"}}`, "1", gotong.CodeInvalid, "until_ms"},
		{"an id of its own choice", `{"op":"command","id":"1","request_id":"a","stream":"thread/mine","type":"thread.create","data":{"scope_id":"rt05","privacy_level":"public"}}`, "1", gotong.CodeInvalid, "stream"},
		{"a stream of its own choice", `{"op":"command","id":"1","request_id":"a","stream":"thread","type":"message.post","data":{"body":"x"}}`, "1", gotong.CodeNotFound, ""},
		{"what the state forbids", `{"op":"command","id":"1","request_id":"a","stream":"MINE","type":"member.add","data":{"user_id":"ann"}}`, "1", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := w.connect("ann")
			s.t = t
			s.raw(strings.ReplaceAll(tc.send, "MINE", string(mine)))
			f := s.next()
			if tc.code == "" { // a no-op is an answer too
				if f.Op != "ack" || len(f.Receipt.Seq) != 0 || f.ID != tc.id {
					t.Fatalf("got %s", f.raw)
				}
				return
			}
			if f.Op != "error" || f.ID != tc.id || f.Problem.Code != tc.code {
				t.Fatalf("got %s, want %s for id %q", f.raw, tc.code, tc.id)
			}
			if tc.field != "" && (len(f.Problem.Errors) == 0 || !strings.HasSuffix(f.Problem.Errors[0].Field, tc.field)) {
				t.Errorf("got %s, want field %s", f.raw, tc.field)
			}
			s.send("op", "ping", "id", "alive")
			if f := s.want("pong"); f.ID != "alive" {
				t.Errorf("got %s", f.raw)
			}
		})
	}
}

func TestTooManyBadFrames(t *testing.T) {
	w := newWorld(t)
	s := w.connect("ann")
	for range maxBad - 1 {
		s.raw(`{"op":"jump"}`)
		s.problem("", gotong.CodeInvalid)
	}
	s.send("op", "ping")
	s.want("pong")
	s.raw(`{`)
	s.closed(4400)
	w.ended("ws bad_frames")
}

// A stream that the user may not read and one that does not exist give the same
// bytes.
func TestHiddenStreamLooksLikeAMissingOne(t *testing.T) {
	w := newWorld(t)
	theirs := w.thread("bob")
	left := w.thread("bob", "ann")
	w.remove("bob", left, "ann")
	s := w.connect("ann")
	var first string
	for i, stream := range []gotong.Stream{"thread/0192", theirs, left, "tree/1", "group/ent-1", "user/bob"} {
		for _, start := range []string{"", "start", "test:1", "other:1", "test:99"} {
			m := []any{"op", "subscribe", "id", "1", "stream", stream}
			if start != "" {
				m = append(m, "cursor", start)
			}
			s.send(m...)
			f := s.problem("1", gotong.CodeNotFound)
			text := strings.ReplaceAll(f.raw, string(stream), "STREAM")
			if first == "" {
				first = text
			}
			if text != first {
				t.Errorf("%d %q: got %s, want %s", i, start, text, first)
			}
		}
	}
	// And over the other transports.
	for _, path := range []string{"poll", "sse"} {
		for _, q := range []string{"", "&cursor=start"} {
			for _, stream := range []gotong.Stream{"thread/0192", theirs, left, "tree/1"} {
				refused(t, w.get("/v1/realtime/"+path+"?stream="+string(stream)+q, bearer("ann")...), 404, gotong.CodeNotFound)
				refused(t, w.get("/v1/realtime/"+path+"?cursor="+cursorOf(stream, 1), bearer("ann")...), 404, gotong.CodeNotFound)
			}
		}
	}
}

func TestSubscriptions(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob") // 1 created, 2 added
	w.post("ann", stream, "three")
	for _, tc := range []struct {
		cursor, at string
		want       []uint64
	}{
		{"", "test:3", []uint64{4}},
		{"start", "test:0", []uint64{1, 2, 3, 4}},
		{"test:0", "test:0", []uint64{1, 2, 3, 4}},
		{"test:2", "test:2", []uint64{3, 4}},
		{"test:3", "test:3", []uint64{4}},
	} {
		t.Run(tc.cursor, func(t *testing.T) {
			w := newWorld(t)
			stream := w.thread("ann", "bob")
			w.post("ann", stream, "three")
			s := w.connect("bob")
			f := s.subscribe(stream, tc.cursor)
			if f.Cursor != tc.at || f.Head != 3 {
				t.Errorf("got %s", f.raw)
			}
			w.post("ann", stream, "four")
			at, err := gotong.ParseCursor(f.Cursor)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for at.Seq < 4 {
				f := s.want("events")
				if f.From != at.Seq || f.Stream != stream {
					t.Fatalf("got %s after %d", f.raw, at.Seq)
				}
				at.Seq = f.To
				for _, e := range f.Events {
					got = append(got, e.Seq)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	s := w.connect("bob")
	s.subscribe(stream, "")
	s.send("op", "subscribe", "id", "twice", "stream", stream)
	s.problem("twice", gotong.CodeConflict)
	s.send("op", "unsubscribe", "id", "off", "stream", stream)
	if f := s.want("unsubscribed"); f.ID != "off" || f.Stream != stream {
		t.Errorf("got %s", f.raw)
	}
	w.post("ann", stream, "not for bob")
	s.subscribe(stream, "")
	w.post("ann", stream, "again for bob")
	if got := s.bodies("again for bob"); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

// Commands that are sent without waiting are answered in the order of the
// lane, each by its id.
func TestPipeline(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	s := w.connect("ann")
	const n = 300 // more than the inbox and the answers hold
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			s.post(fmt.Sprint("p", i), stream, fmt.Sprint("text ", i))
		}
	}()
	for i := range n {
		f := s.want("ack")
		if f.ID != fmt.Sprint("p", i) || f.Receipt.Seq[0] != uint64(i+2) || f.Receipt.Stream != stream || len(f.Receipt.EventIDs) != 1 {
			t.Fatalf("answer %d: %s", i, f.raw)
		}
	}
	<-done
}

// A command of the server is accepted from no client, whatever its role, and is
// answered as one that does not exist.
func TestCommandsOfTheServer(t *testing.T) {
	w := newWorld(t)
	boss := w.connect("boss")
	n := 0
	for _, k := range kinds() {
		for _, c := range k.Commands {
			if !c.Server {
				continue
			}
			n++
			for _, name := range []string{c.Name, "no.such"} {
				boss.raw(fmt.Sprintf(`{"op":"command","id":%q,"request_id":"r","stream":"%s/x","type":%q,"data":{}}`, name, k.Name, name))
				if f := boss.problem(name, gotong.CodeInvalid); f.Problem.Detail != "type is not a command of this kind of stream" {
					t.Errorf("%s/%s: got %s", k.Name, name, f.raw)
				}
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d commands are the server's", n)
	}
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	s := w.connect("ann")
	s.post("p1", stream, "once")
	first := s.want("ack")
	if first.Receipt.Replayed {
		t.Errorf("got %s", first.raw)
	}
	s.post("p1", stream, "once")
	again := s.want("ack")
	if strings.Replace(again.raw, `"replayed":true`, `"replayed":false`, 1) != first.raw || !again.Receipt.Replayed {
		t.Errorf("got %s, first %s", again.raw, first.raw)
	}
	s.post("p1", stream, "something else")
	s.problem("p1", gotong.CodeReused)
	bob := w.connect("bob")
	bob.post("p1", stream, "of bob")
	if f := bob.want("ack"); f.Receipt.Replayed {
		t.Errorf("got %s", f.raw)
	}
	// A create names the kind; its repetition makes no twin.
	create := map[string]any{"scope_id": "rt05", "privacy_level": "public"}
	s.command("c1", "thread", thread.CmdCreate, create)
	made := s.want("ack").Receipt
	if made.Stream != thread.StreamOf("ann", "c1") {
		t.Errorf("got %s", made.Stream)
	}
	for _, name := range []gotong.Stream{"thread", made.Stream} {
		m := []any{"op", "command", "id", "c2", "request_id", "c1", "stream", name, "type", thread.CmdCreate, "data", create}
		if name == "thread" {
			s.send(m...)
		} else { // not in the contract, but right for who made it
			s.raw(`{"op":"command","id":"c2","request_id":"c1","stream":"` + string(name) + `","type":"thread.create","data":{"privacy_level":"public","scope_id":"rt05"}}`)
		}
		if f := s.want("ack"); !f.Receipt.Replayed || f.Receipt.Stream != made.Stream {
			t.Errorf("got %s", f.raw)
		}
	}
	s.command("g1", "group", group.CmdCreate, map[string]any{"name": "RT 05", "description": "", "entity_type": "kelompok", "join_policy": "terbuka"})
	if f := s.want("ack"); f.Receipt.Stream != group.StreamOf("ann", "g1") {
		t.Errorf("got %s", f.raw)
	}
}

func TestRateLimit(t *testing.T) {
	var open atomic.Bool
	open.Store(true)
	w := newWorld(t, with(func(o *Options) {
		o.Allow = func(string) (bool, time.Duration) { return open.Load(), 2500 * time.Millisecond }
	}))
	stream := w.thread("ann", "bob")
	s, bob := w.connect("ann"), w.connect("bob")
	s.subscribe(stream, "")
	bob.subscribe(stream, "")
	open.Store(false)
	s.post("p1", stream, "too much")
	if f := s.problem("p1", gotong.CodeRateLimited); f.Problem.Retry != 2500 {
		t.Errorf("got %s", f.raw)
	}
	s.send("op", "subscribe", "id", "s2", "stream", w.thread("ann"))
	s.problem("s2", gotong.CodeRateLimited)
	s.send("op", "signal", "id", "t", "stream", stream, "type", "typing") // dropped without a word
	s.send("op", "ping", "id", "free")
	s.want("pong")
	open.Store(true)
	s.post("p1", stream, "allowed again")
	for seen := ""; !strings.Contains(seen, "ack") || !strings.Contains(seen, "events"); {
		seen += s.next().Op
	}
	bob.want("events") // and no signal before it
	open.Store(false)
	for i := range maxRefused {
		s.post(fmt.Sprint("q", i), stream, "too much")
	}
	if reason := s.reason(4429); reason != "retry_after_ms 2500" {
		t.Errorf("reason %q", reason)
	}
	w.ended("ws rate_limited")
}
