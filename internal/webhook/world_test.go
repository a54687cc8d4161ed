package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
	"gotong.dev/gotong/internal/webhook"
)

const (
	rt   = gotong.Stream("group/ent-rt")
	hook = gotong.Stream("webhook/whk-1")
	open = gotong.Stream("thread/open")
)

var wati, siti = communitytest.User("wati"), communitytest.User("siti")

// request is what a receiver was sent.
type request struct {
	header http.Header
	body   []byte
	event  webhook.Event
}

// warning is a warning in the stream of the registrant.
type warning struct {
	user, hook string
	after      time.Duration // since the first failure
	left       time.Duration
}

// world is a community with one webhook, a receiver, and a clock that stands. Nothing
// runs by itself: plan moves the planner to the end, and turn runs the job once.
type world struct {
	testing.TB
	clock    *clocktest.Clock
	store    *memory.Store
	engine   *engine.Engine
	codec    *store.Codec
	sender   *webhook.Sender
	planned  [gotong.Partitions]uint64
	requests int

	mu       sync.Mutex
	status   int
	statuses []int // of the next requests, before status
	got      []request
	warnings []warning
	counted  map[string]int
}

func newWorld(tb testing.TB, profile rules.Profile) *world {
	tb.Helper()
	w := &world{TB: tb, clock: clocktest.Stopped(1_795_968_000_000_000), status: http.StatusNoContent, counted: map[string]int{}}
	w.store = memory.New("k3f9", memory.Options{Now: w.clock.Now})
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	kinds = append(kinds, cases.Rules{Lenders: gotong.LendersOf(kinds), Tracks: cases.BuiltIn()}.Kind())
	lenders := gotong.LendersOf(kinds)
	kinds = append(kinds, thread.Kind(lenders...), rules.Rules{Lenders: lenders}.Kind())
	for i := range kinds {
		kinds[i] = gotong.WithWebhooks(kinds[i], gotong.AnyIssuer)
	}
	w.codec = store.NewCodec(kinds)
	receiver := httptest.NewServer(w)
	tb.Cleanup(func() {
		receiver.Close()
		w.check(w.engine.Close(context.Background()))
		w.check(w.store.Close())
	})
	w.begin()
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(siti, rt, group.CmdJoin, group.Join{})
	w.do(wati, open, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public})
	w.do(wati, hook, rules.CmdRegister, rules.Register{ScopeID: "ent-rt", Profile: profile})
	w.set(rules.ConfigKey("whk-1"), webhook.Config{URL: receiver.URL, Secrets: []webhook.Secret{webhook.NewSecret("")}})
	return w
}

// begin serves the store, as a server does after its start.
func (w *world) begin() {
	w.engine = engine.New(engine.Options{Store: w.store, Codec: w.codec, Clock: w.clock})
	w.sender = webhook.New(webhook.Options{
		Store: w.store, Codec: w.codec, Views: view.New(view.Options{Store: w.store, Codec: w.codec}), Engine: w.engine, Clock: w.clock,
		Guard: outbound.New(outbound.Options{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Log:   slog.New(slog.DiscardHandler),
		Names: func(context.Context, []string) map[string]string { return map[string]string{"wati": "Wati"} },
		Observer: webhook.Observer{
			Attempted: func(outcome string, _ time.Duration) { w.count(outcome) },
			Warned:    func() { w.count("warned") }, Disabled: func() { w.count("disabled") },
		},
		Warn: func(_ context.Context, userID, id string, since, at gotong.Instant) error {
			w.warnings = append(w.warnings, warning{userID, id, w.clock.Now().Sub(since), at.Sub(w.clock.Now())})
			return nil
		},
	})
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	req := request{header: r.Header, body: body}
	req.event.Data = new(webhook.Data)
	_ = json.Unmarshal(body, &req.event)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, req)
	status := w.status
	if len(w.statuses) > 0 {
		status, w.statuses = w.statuses[0], w.statuses[1:]
	}
	rw.WriteHeader(status)
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[what]++
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// do executes a command and returns the seq of its first event.
func (w *world) do(by gotong.Actor, s gotong.Stream, name string, data any) uint64 {
	w.Helper()
	w.requests++
	id := "request-" + strconv.Itoa(w.requests)
	raw, err := json.Marshal(data)
	w.check(err)
	receipt, err := w.engine.Execute(w.Context(), gotong.Command{
		Stream: s, Type: name, Actor: by, RequestID: id, CorrelationID: id, Data: data, Raw: raw,
	})
	w.check(err)
	return receipt.First
}

func (w *world) say(text string) {
	w.Helper()
	w.do(wati, open, thread.CmdPost, thread.Post{Body: text})
}

func (w *world) set(key gotong.Key, doc any) {
	w.Helper()
	r, err := store.ReadRegister(w.Context(), w.store, key)
	w.check(err)
	body, err := json.Marshal(doc)
	w.check(err)
	w.check(w.store.SetRegister(w.Context(), key, r.Version, body, 0))
}

// commits returns the commits of a partition after a position.
func (w *world) commits(p gotong.Partition, from uint64) (list []reader.Commit) {
	w.Helper()
	rows, err := w.store.ReadPartition(w.Context(), p, from, 1<<62, 1<<20)
	w.check(err)
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(e store.Event) bool { return e.Position != rows[0].Position })
		if n < 0 {
			n = len(rows)
		}
		list, rows = append(list, reader.Commit{Partition: p, Position: rows[0].Position, Events: rows[:n]}), rows[n:]
	}
	return list
}

// plan moves the planner to the end of the log, commit by commit.
func (w *world) plan() {
	w.Helper()
	planner := webhook.Planner(w.codec)
	for p := range gotong.Partition(gotong.Partitions) {
		for _, c := range w.commits(p, w.planned[p]) {
			docs, need := map[gotong.Key][]byte{}, planner.Needs(c)
			snap, err := w.store.Load(w.Context(), store.Need{Documents: need})
			w.check(err)
			for _, key := range need {
				if body, ok := snap.Documents[key]; ok {
					docs[key] = body
				}
			}
			step, err := planner.Read(docs, []reader.Commit{c})
			w.check(err)
			w.check(w.store.Advance(w.Context(), store.Step{
				Reader: planner.Name, Partition: p, From: w.planned[p], To: c.Position, Changes: step.Changes, Jobs: step.Jobs,
			}))
			w.planned[p] = c.Position
		}
	}
}

// turn plans and runs the webhook's job once. It returns the new requests.
func (w *world) turn() []request {
	w.Helper()
	w.plan()
	before := len(w.got)
	_, err := w.sender.Handler().Run(w.Context(), store.Job{Queue: webhook.Queue, ID: hook.ID()})
	w.check(err)
	return w.got[before:]
}

// state returns how delivery stands.
func (w *world) state() webhook.State {
	w.Helper()
	s, err := webhook.ReadState(w.Context(), w.store, hook.ID())
	w.check(err)
	return s
}

// read returns a document of a stream.
func read[T any](w *world, s gotong.Stream, key gotong.Key) T {
	w.Helper()
	state, _, err := store.LoadState(w.Context(), w.store, w.codec, s, func(gotong.State) []gotong.Ref {
		return []gotong.Ref{{Stream: s, Key: key}}
	}, nil)
	w.check(err)
	doc, _ := gotong.Doc[T](state, key)
	return doc
}

// hooked returns the webhook's document.
func (w *world) hooked() rules.Webhook {
	w.Helper()
	return read[rules.Webhook](w, hook, rules.Key(hook.ID()))
}

// types returns the types of events in requests.
func types(list []request) (names []string) {
	for _, r := range list {
		names = append(names, r.event.Type)
	}
	return names
}

// texts are the bodies of the messages in requests.
func texts(list []request) (bodies []string) {
	for _, r := range list {
		content, _ := r.event.Data.(*webhook.Data).Content.(map[string]any)
		text, _ := content["body"].(string)
		bodies = append(bodies, text)
	}
	return bodies
}
