package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// TestEveryDocumentedMessageIsValid makes every message of the document, every
// command and every event happen once, and checks each.
func TestEveryDocumentedMessageIsValid(t *testing.T) {
	c := theContract()
	c.mu.Lock()
	before := c.seen
	c.seen = map[string]int{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for name, n := range before {
			c.seen[name] += n
		}
	}()
	w := newWorld(t)
	ann, bob := w.dial(""), w.connect("bob")
	ann.send("op", "auth", "token", "t-ann")
	ann.want("welcome")
	made := everyGroupCommand(t, w, ann, bob)
	everyAppointment(t, w)
	everyCaseCommand(t, w, ann, bob)
	everyThreadCommand(t, w, ann, bob)
	everyUserEvent(t, w)
	everyWebhookEvent(t, w, ann)
	w.poll("ann", "?wait=0&cursor=start&stream="+string(made))
	ann.send("op", "ping", "id", "p")
	ann.want("pong")
	bob.send("op", "unsubscribe", "id", "u", "stream", w.thread("bob"))
	bob.problem("u", gotong.CodeConflict)
	resync(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = w.hub.Drain(context.Background()) }()
	ann.want("going_away")
	<-done
	if missing := c.missing(); len(missing) > 0 {
		t.Errorf("never seen: %v", missing)
	}
}

// order runs a command and takes its answer and, where the sender follows the
// stream, its events.
func order(s *socket, stream gotong.Stream, typ string, data any) receipt {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("o", s.n)
	s.command(id, stream, typ, data)
	for {
		f := s.next()
		if f.Op == "error" {
			s.t.Fatalf("%s: %s", typ, f.raw)
		}
		if f.Op == "ack" && f.ID == id {
			return f.Receipt
		}
	}
}

// upTo reads events up to those of a command.
func (e *eventSource) upTo(r receipt) {
	e.t.Helper()
	for to := uint64(0); to < r.Seq[1]; {
		to = e.want("events").To
	}
}

func everyGroupCommand(t *testing.T, w *world, ann, bob *socket) gotong.Stream {
	t.Helper()
	g := order(ann, group.Name, group.CmdCreate, object{"name": "RT 05", "description": "Warga", "entity_type": "kelompok", "join_policy": "terbuka"}).Stream
	watch := w.sse("ann", "?cursor=start&stream="+string(g), "")
	order(ann, g, group.CmdUpdate, object{"name": "RT 05 baru"})
	order(bob, g, group.CmdJoin, object{})
	order(bob, g, group.CmdLeave, object{})
	order(ann, g, group.CmdAdd, object{"user_id": "bob"})
	order(ann, g, group.CmdRole, object{"user_id": "bob", "role": "moderator"})
	order(ann, g, group.CmdRemove, object{"user_id": "bob", "ban": true})
	order(ann, g, group.CmdUnban, object{"user_id": "bob"})
	order(ann, g, group.CmdUpdate, object{"join_policy": "persetujuan"})
	for _, answer := range []struct {
		by  *socket
		typ string
	}{{ann, group.CmdReject}, {bob, group.CmdWithdraw}, {ann, group.CmdApprove}} {
		made := order(bob, g, group.CmdAsk, object{"message": "Saya tetangga"})
		order(answer.by, g, answer.typ, object{"request_id": group.RequestID(made.Seq[0])})
	}
	order(bob, g, group.CmdLeave, object{})
	order(ann, g, group.CmdInvite, object{"user_id": "bob"})
	order(bob, g, group.CmdDecline, object{})
	order(ann, g, group.CmdInvite, object{"user_id": "bob"})
	order(ann, g, group.CmdWithdrawInvite, object{"user_id": "bob"})
	order(ann, g, group.CmdInvite, object{"user_id": "bob"})
	order(bob, g, group.CmdAccept, object{})
	last := erase(t, w, g)
	watch.want("subscribed")
	watch.upTo(last)
	watch.close()
	return g
}

func everyThreadCommand(t *testing.T, w *world, ann, bob *socket) {
	t.Helper()
	s := order(ann, thread.Name, thread.CmdCreate, object{"scope_id": "rt05", "privacy_level": "public", "history": "all"}).Stream
	w.sse("ann", "?stream="+string(s), "").want("subscribed")
	watch := w.sse("ann", "?cursor=start&stream="+string(s), "")
	watch.want("subscribed")
	order(bob, s, thread.CmdJoin, object{})
	bob.subscribe(s, "start")
	post := order(bob, s, thread.CmdPost, object{"body": "Halo"})
	order(ann, s, thread.CmdReact, object{"message_id": post.EventIDs[0], "emoji": "👍", "on": true})
	order(ann, s, thread.CmdPin, object{"message_id": post.EventIDs[0]})
	order(ann, s, thread.CmdUnpin, object{"message_id": post.EventIDs[0]})
	order(bob, s, thread.CmdEdit, object{"message_id": post.EventIDs[0], "revision": 0, "body": "Halo semua"})
	order(bob, s, thread.CmdDelete, object{"message_id": post.EventIDs[0], "revision": 1})
	everyReview(t, w, ann, bob, s, order(bob, s, thread.CmdPost, object{"body": "Hmm"}).EventIDs[0])
	order(ann, s, thread.CmdMute, object{"user_id": "bob", "until_ms": time.Now().Add(time.Hour).UnixMilli()})
	order(ann, s, thread.CmdHistory, object{"policy": "from_join"})
	order(ann, s, thread.CmdUpdate, object{"name": "Banjir", "topic": "Pompa", "icon": "🌧️", "archived": true})
	order(ann, s, thread.CmdUpdate, object{"topic": "", "archived": false, "slow_mode_s": 1})
	order(ann, s, thread.CmdRole, object{"user_id": "bob", "role": "admin"})
	order(ann, s, thread.CmdMute, object{"user_id": "bob", "until_ms": 0}) // he may type again
	bob.send("op", "active", "stream", s)
	bob.send("op", "signal", "stream", s, "type", "typing")
	for f := watch.next(); f.Op != "signal"; f = watch.next() {
		if f.Op != "events" {
			t.Errorf("got %s", f.raw)
		}
	}
	bob.send("op", "unsubscribe", "id", "u", "stream", s)
	bob.until("unsubscribed")
	order(bob, s, thread.CmdLeave, object{})
	order(ann, s, thread.CmdAdd, object{"user_id": "bob"})
	bob.subscribe(s, "")
	order(ann, s, thread.CmdRemove, object{"user_id": "bob", "ban_until_ms": time.Now().Add(time.Hour).UnixMilli()})
	bob.until("access_revoked")
	order(ann, s, thread.CmdUnban, object{"user_id": "bob"})
	last := erase(t, w, s)
	watch.upTo(last)
	// The page of a new viewer shows it as it is now.
	again := w.sse("ann", "?cursor=start&stream="+string(s), "")
	again.want("subscribed")
	if f := again.want("events"); strings.Contains(f.raw, "Halo") || !strings.Contains(f.raw, `"deleted_at_ms"`) {
		t.Errorf("got %s", f.raw)
	}
}

// everyReview has the server advise on a message, and its owner decide about it.
func everyReview(t *testing.T, w *world, ann, bob *socket, s gotong.Stream, id string) {
	t.Helper()
	message, err := gotong.ParseEventID(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.Execute(t.Context(), gotong.Command{
		Stream: s, Type: thread.CmdAdvise, Actor: reader.System(), RequestID: fmt.Sprint("u", w.n.Add(1)), CorrelationID: "c",
		Data: thread.Advise{MessageID: message, Action: "review", Status: "hold", Provider: "rules", Version: "v0.2.0", Violations: []string{"spam"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	order(ann, s, thread.CmdReview, object{
		"message_id": id, "moderation_action": "hold_for_review", "hold_duration_minutes": 5, "auto_release_if_no_action": true,
	})
	order(ann, s, thread.CmdReview, object{"message_id": id, "moderation_action": "block"})
	order(bob, s, thread.CmdAppeal, object{"message_id": id, "reason": "a joke"})
	order(ann, s, thread.CmdReview, object{"message_id": id, "moderation_action": "publish_with_warning", "reason_code": "rude"})
}

// erase erases the first content of a stream.
func erase(t *testing.T, w *world, s gotong.Stream) receipt {
	t.Helper()
	snap, err := w.source.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: s, To: 99}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range snap.Events[0] {
		if row.Content == nil {
			continue
		}
		r, err := w.engine.Execute(t.Context(), gotong.Command{
			Stream: s, Type: gotong.CmdErase, Data: gotong.Erase{Events: []gotong.EventID{row.ID}, Reason: "by order"},
			Actor: gotong.Actor{UserID: "boss", Role: gotong.RoleAdmin}, RequestID: fmt.Sprint("u", w.n.Add(1)), CorrelationID: "c",
		})
		if err != nil {
			t.Fatal(err)
		}
		return receipt{Stream: s, Seq: []uint64{r.First, r.Last}}
	}
	t.Fatal("no content in", s)
	return receipt{}
}

// everyAppointment: the streams are led by somebody whose account is disabled.
func everyAppointment(t *testing.T, w *world) {
	t.Helper()
	gone := w.connect("gone")
	th := order(gone, thread.Name, thread.CmdCreate, object{"scope_id": "rt05", "privacy_level": "private"}).Stream
	g := order(gone, group.Name, group.CmdCreate, object{"name": "RT 06", "entity_type": "kelompok", "join_policy": "terbuka"}).Stream
	for _, s := range []gotong.Stream{th, g} {
		order(gone, s, thread.CmdAdd, object{"user_id": "ann"})
	}
	system := gotong.Actor{UserID: "system", Role: gotong.RoleSystem}
	for _, c := range []struct {
		typ  string
		data any
	}{
		{user.CmdRegister, user.Register{Email: "gone@example.org", Username: "gone", CommunityID: "rt05"}},
		{user.CmdDisable, user.Disable{}},
	} {
		_, err := w.engine.Execute(context.Background(), gotong.Command{
			Stream: "user/gone", Type: c.typ, Data: c.data, Actor: system, RequestID: fmt.Sprint("u", w.n.Add(1)), CorrelationID: "c",
		})
		if err != nil {
			t.Fatal(c.typ, err)
		}
	}
	boss := w.connect("boss")
	for _, s := range []gotong.Stream{th, g} {
		watch := w.sse("ann", "?stream="+string(s), "")
		watch.want("subscribed")
		watch.upTo(order(boss, s, thread.CmdAppoint, object{"user_id": "ann"}))
		watch.close()
	}
}

func everyUserEvent(t *testing.T, w *world) {
	t.Helper()
	s := gotong.NewStream(user.Name, "r")
	actor := gotong.Actor{UserID: "system", Role: gotong.RoleSystem}
	run := func(typ string, data any) {
		t.Helper()
		_, err := w.engine.Execute(context.Background(), gotong.Command{
			Stream: s, Type: typ, Data: data, Actor: actor, RequestID: fmt.Sprint("u", w.n.Add(1)), CorrelationID: "c",
		})
		if err != nil {
			t.Fatal(typ, err)
		}
	}
	run(user.CmdRegister, user.Register{Email: "ann@example.org", Username: "ann", CommunityID: "rt05"})
	run(user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
	run(user.CmdDisable, user.Disable{Reason: "spam"})
	run(user.CmdEnable, user.Enable{})
	run(user.CmdWarnOfWebhook, user.WarnOfWebhook{WebhookID: "whk-1", Since: 1, DisabledAt: 2})
	erase(t, w, s)
	actor = gotong.Actor{UserID: "r", Role: gotong.RoleUser}
	run(user.CmdBlock, user.Block{UserID: "bob"})
	run(user.CmdUnblock, user.Unblock{UserID: "bob"})
	run(user.CmdPrefer, user.Prefer{Kinds: map[string]bool{"reply": false}, Threads: map[string]user.Level{"t": user.Nothing}})
	run(user.CmdAmend, user.Amend{Event: user.EvPasswordChanged, Seq: 10})
	run(user.CmdAmend, user.Amend{Event: user.EvEmailChanged, Seq: 11})
	a := w.poll(s.ID(), "?wait=0&cursor=start&stream="+string(s))
	if got := a.seqs(s); !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
		t.Errorf("got %v", got)
	}
	actor = gotong.Actor{UserID: "system", Role: gotong.RoleSystem}
	run(user.CmdSetRole, user.SetRole{Role: gotong.RoleUser})
	actor = gotong.Actor{UserID: "r", Role: gotong.RoleUser}
	run(user.CmdAmend, user.Amend{Event: user.EvDeleted, Seq: 13})
	if got := w.poll("boss", "?wait=0&cursor=start&stream="+string(s)).seqs(s); !slices.Contains(got, 13) || slices.Contains(got, 7) {
		t.Errorf("an admin got %v", got)
	}
}

// everyWebhookEvent runs every command of a webhook, and those with which a thread and
// a case admit one.
func everyWebhookEvent(t *testing.T, w *world, ann *socket) {
	t.Helper()
	g := order(ann, group.Name, group.CmdCreate, object{"name": "RT 06", "entity_type": "kelompok", "join_policy": "terbuka"}).Stream
	s, n := gotong.WebhookStream("whk-1"), uint64(0)
	run := func(typ string, data any) {
		t.Helper()
		_, err := w.engine.Execute(context.Background(), gotong.Command{
			Stream: s, Type: typ, Data: data, Actor: gotong.Actor{UserID: "ann", Role: gotong.RoleUser},
			RequestID: fmt.Sprint("h", w.n.Add(1)), CorrelationID: "c",
		})
		if n++; err != nil {
			t.Fatal(typ, err)
		}
	}
	run(webhook.CmdRegister, webhook.Register{ScopeID: g.ID(), Types: []string{"message.posted"}, Streams: []gotong.Stream{g}})
	run(webhook.CmdUpdate, webhook.Update{Types: &[]string{}, Streams: &[]gotong.Stream{}, URL: true})
	run(webhook.CmdRotate, webhook.Rotate{})
	run(webhook.CmdSkip, webhook.Skip{Stream: g, Seq: 1})
	run(webhook.CmdReplay, webhook.Replay{ReplayID: "rpl-1"})
	run(webhook.CmdDisable, webhook.Disable{})
	run(webhook.CmdEnable, webhook.Enable{})
	for kind, data := range map[string]object{
		thread.Name: {"privacy_level": "private"}, cases.Name: {"track": "kilat", "title": "Selokan", "privacy_level": "private"},
	} {
		data["scope_id"] = g.ID()
		in := order(ann, gotong.Stream(kind), kind+".create", data).Stream
		watch := w.sse("ann", "?stream="+string(in), "")
		watch.want("subscribed")
		order(ann, in, gotong.CmdAddWebhook, object{"webhook_id": "whk-1"})
		watch.upTo(order(ann, in, "member.remove", object{"user_id": "whk-1"}))
		watch.close()
	}
	order(ann, g, group.CmdAdd, object{"user_id": "bob"})
	order(ann, g, group.CmdRole, object{"user_id": "bob", "role": "admin"})
	if _, err := w.engine.Execute(context.Background(), gotong.Command{
		Stream: s, Type: webhook.CmdTakeOver, Data: webhook.TakeOver{}, Actor: gotong.Actor{UserID: "bob", Role: gotong.RoleUser}, RequestID: "over", CorrelationID: "c",
	}); err != nil {
		t.Fatal(err)
	}
	n++
	run(webhook.CmdEnd, webhook.End{})
	if got := w.poll("ann", "?wait=0&cursor=start&stream="+string(s)).seqs(s); len(got) != int(n) {
		t.Errorf("got %v, want %d", got, n)
	}
}

// resync shows a reader who is behind a log that is shorter than its cursor.
func resync(t *testing.T) {
	t.Helper()
	w := newWorld(t, func(s *setting) { s.limits.RingFrames = 1 })
	s := w.thread("ann", "bob")
	w.post("ann", s, "three")
	bob := w.connect("bob")
	bob.subscribe(s, "")
	c := w.server.all()[0]
	c.wire.mu.Lock()
	w.post("ann", s, "four")
	w.until("the pump writes", func() bool { return c.pumping.Load() != 0 })
	for range 5 {
		w.post("ann", s, "more")
	}
	back := func(snap *store.Snapshot) {
		if head, ok := snap.Heads[s]; ok {
			head.Seq = 1
			snap.Heads[s] = head
			snap.Events = make([][]store.Event, len(snap.Events))
		}
	}
	w.source.load.Store(&back)
	c.wire.mu.Unlock()
	if f := bob.skip("events", "resync_required"); f.Stream != s || f.Reason != "log_behind" {
		t.Errorf("got %s", f.raw)
	}
	bob.send("op", "ping")
	bob.want("pong")
}

// The checks of the contract can fail.
func TestContractRejectsWrongFrames(t *testing.T) {
	c := theContract()
	for _, tc := range []struct {
		d    direction
		text string
	}{
		{fromServer, `{"op":"pong","more":1}`},
		{fromServer, `{"op":"welcome"}`},
		{fromServer, `{"op":"subscribe","stream":"thread/1"}`},
		{fromClient, `{"op":"subscribe","stream":"thread"}`},
		{fromClient, `{"op":"subscribe","stream":"thread/1","cursor":"41"}`},
		{fromClient, `{"op":"signal","stream":"thread/1","type":"presence"}`},
		{fromClient, `{"op":"command","request_id":"r","stream":"thread/1","type":"message.post","data":{"body":"x","more":1}}`},
		{fromClient, `{"op":"command","request_id":"r","stream":"thread/1","type":"thread.create","data":{"scope_id":"x","privacy_level":"public"}}`},
		{fromClient, `{"op":"command","request_id":"r","stream":"group/1","type":"message.post","data":{"body":"x"}}`},
		{fromServer, `{"op":"events","stream":"thread/1","from":0,"to":1,"events":[{"seq":1}]}`},
		{fromServer, `{"op":"events","stream":"group/1","from":0,"to":1,"events":[{"seq":1,"id":"01a2089f-c896-7c9b-a859-177395d3e02f","type":"message.posted","at":"2026-11-23T13:36:59.030788Z","actor":{"user_id":"a","role":"user"},"data":{"n":1,"body":"0"},"request_id":"r","correlation_id":"c","chain":"eafc798c54d9728169fee7d35520851ed742b75ba64170599e11d19067b39830"}]}`},
	} {
		var frame map[string]any
		if err := json.Unmarshal([]byte(tc.text), &frame); err != nil {
			t.Fatal(err)
		}
		for _, often := range []int{0, 1000} {
			fresh := &contract{schemas: c.schemas, parts: c.parts, poll: c.poll, seen: map[string]int{}, mu: sync.Mutex{}}
			op := frame["op"].(string)
			fresh.seen[op] = often
			if fresh.validate(tc.d, op, frame) == nil {
				t.Errorf("accepted: %s", tc.text)
			}
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := newWorld(t)
	edge := httpapi.New(httpapi.Options{
		Auth: w.door, Clock: w.clock, Log: w.server.opts.Log, Mounts: map[string]http.Handler{"GET /asyncapi.json": Document()},
	})
	rec := httptest.NewRecorder()
	edge.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/asyncapi.json", http.NoBody))
	answer := rec.Result()
	b, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Equal(b, api.AsyncAPI) || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/vnd.aai.asyncapi+json") {
		t.Errorf("got %d %v %.100s", answer.StatusCode, answer.Header, b)
	}
}
