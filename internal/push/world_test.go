package push_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/httpapi/chat"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/push/pushtest"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
)

var wati, siti = communitytest.User("wati"), communitytest.User("siti")

const talk = gotong.Stream("thread/talk")

// The settings of the tests.
const (
	delay    = 5 * time.Second
	interval = time.Minute
)

var b64 = base64.RawURLEncoding

// device is a phone, and the push service that it uses.
type device struct {
	world *world
	user  string
	key   *ecdh.PrivateKey
	auth  []byte
	url   string

	during func() // is called once, while a request waits

	mu     sync.Mutex
	status int // 0: 201
	header http.Header
	got    []push.Payload
	raw    []string // the texts
	sent   []http.Header
	size   []int
}

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if during := d.during; during != nil {
		d.during = nil
		during()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var p push.Payload
	var text []byte
	if err == nil {
		text, err = pushtest.Open(d.key, d.auth, body)
	}
	if err != nil || json.Unmarshal(text, &p) != nil {
		d.world.Errorf("a push cannot be read: %v %s", err, text)
	}
	maps.Copy(w.Header(), d.header)
	if d.sent = append(d.sent, r.Header); d.status > 0 {
		w.WriteHeader(d.status)
		return
	}
	d.got, d.raw, d.size = append(d.got, p), append(d.raw, string(text)), append(d.size, len(body))
	w.WriteHeader(http.StatusCreated)
}

// world is a community with a clock that stands. Nothing runs by itself: turn plans
// what was committed, and runs the jobs that are due.
type world struct {
	testing.TB
	clock    *clocktest.Clock
	store    *memory.Store
	engine   *engine.Engine
	codec    *store.Codec
	pusher   *push.Pusher
	second   *push.Pusher // of another node
	reading  chat.Reading
	box      *inbox.Box
	kinds    []gotong.Kind
	planned  [2][gotong.Partitions]uint64
	requests int
	log      bytes.Buffer
	mu       sync.Mutex // guards decided

	looks     map[string]gotong.Stream
	decided   map[string]bool // about whom something was decided, since it was last emptied
	ended     map[string]bool
	requested chan struct{} // for each request to a push service
}

// deciding notes whose state is read.
type deciding struct {
	*memory.Store
	world *world
}

func (d deciding) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	for _, key := range need.Registers {
		if key.Collection == "push_states" {
			d.world.mu.Lock()
			d.world.decided[key.Name] = true
			d.world.mu.Unlock()
		}
	}
	return d.Store.Load(ctx, need)
}

// about fails the test unless the decisions since the last call were about these users.
func (w *world) about(what string, want ...string) {
	w.Helper()
	if got := slices.Sorted(maps.Keys(w.decided)); !slices.Equal(got, want) {
		w.Errorf("%s: decided about %v, want %v", what, got, want)
	}
	clear(w.decided)
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{
		TB: tb, clock: clocktest.Stopped(1_795_968_000_000_000), looks: map[string]gotong.Stream{}, ended: map[string]bool{}, decided: map[string]bool{},
		requested: make(chan struct{}, 10_000),
	}
	w.store = memory.New("k3f9", memory.Options{Now: w.clock.Now})
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	kinds = append(kinds, cases.Rules{Lenders: gotong.LendersOf(kinds), Tracks: cases.BuiltIn()}.Kind())
	rules := thread.Rules{Lenders: gotong.LendersOf(kinds)}
	kinds = append(kinds, rules.Kind())
	w.kinds, w.codec = kinds, store.NewCodec(kinds)
	w.engine = engine.New(engine.Options{Store: w.store, Codec: w.codec, Clock: w.clock})
	tb.Cleanup(func() {
		w.check(w.engine.Close(context.Background()))
		w.check(w.store.Close())
	})
	views := view.New(view.Options{Store: w.store, Codec: w.codec})
	w.reading = chat.NewReading(chat.Options{
		Options: members.Options{Engine: w.engine, Store: w.store, Codec: w.codec, Views: views}, Marks: w.store, Now: w.clock.Now,
		Rules: rules,
	})
	w.box = &inbox.Box{Options: inbox.Options{Store: w.store, Views: views, Codec: w.codec, Now: w.clock.Now, Changed: func(string) {}}}
	keys, err := push.NewKeys([]byte("a secret of a server"), "mailto:ops@rt05.id")
	w.check(err)
	options := push.Options{
		Store: deciding{w.store, w}, Codec: w.codec, Views: views, Clock: w.clock, Keys: keys, Delay: delay, Interval: interval,
		Log:   slog.New(slog.NewTextHandler(&w.log, nil)),
		Box:   w.box,
		Guard: outbound.New(outbound.Options{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Lives: func(_ context.Context, p auth.Principal) (bool, error) { return !w.ended[p.LoginID], nil },
		Looks: func(userID string, s gotong.Stream) bool { return w.looks[userID] == s },
		Reading: func(ctx context.Context, viewer gotong.Viewer, s gotong.Stream) (push.Reading, error) {
			r, err := w.reading.Of(ctx, viewer, s)
			return push.Reading(r), err
		},
		Badge: w.reading.Badge,
		Count: func(string) { w.requested <- struct{}{} },
	}
	w.pusher, w.second = push.New(options), push.New(options)
	w.do(wati, talk, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	w.do(wati, talk, thread.CmdAdd, thread.Add{UserID: "siti"})
	w.do(wati, talk, thread.CmdAdd, thread.Add{UserID: "joko"})
	w.turn()
	return w
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) do(by gotong.Actor, s gotong.Stream, name string, data any) gotong.Receipt {
	w.Helper()
	w.requests++
	w.clock.Pass(time.Millisecond) // two events of a stream are never of one instant
	id := "request-" + strconv.Itoa(w.requests)
	raw, err := json.Marshal(data)
	w.check(err)
	receipt, err := w.engine.Execute(w.Context(), gotong.Command{
		Stream: s, Type: name, Actor: by, RequestID: id, CorrelationID: id, Data: data, Raw: raw,
	})
	w.check(err)
	return receipt
}

func (w *world) say(by gotong.Actor, text string) gotong.Receipt {
	w.Helper()
	return w.do(by, talk, thread.CmdPost, thread.Post{Body: text})
}

// device subscribes a new device of a user.
func (w *world) device(userID string) *device {
	w.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	w.check(err)
	d := &device{world: w, user: userID, key: key, auth: make([]byte, 16)}
	_, _ = rand.Read(d.auth)
	s := httptest.NewServer(d)
	w.Cleanup(s.Close)
	d.url = s.URL + "/" + userID
	d.subscribe(userID+"-1", true)
	return d
}

func (d *device) subscribe(login string, withdraw bool) {
	d.world.Helper()
	_, err := d.world.pusher.Subscribe(d.world.Context(), auth.Principal{UserID: d.user, Role: gotong.RoleUser, LoginID: login},
		d.url, b64.EncodeToString(d.key.PublicKey().Bytes()), b64.EncodeToString(d.auth), withdraw)
	d.world.check(err)
}

// mark marks everything of a thread as read.
func (w *world) mark(userID string, n uint64, more string) {
	w.Helper()
	key := gotong.Key{Collection: "read_marks", Owner: userID, Name: talk.ID()}
	r, err := store.ReadRegister(w.Context(), w.store, key)
	w.check(err)
	w.check(w.store.SetRegister(w.Context(), key, r.Version, []byte(`{"n":`+strconv.FormatUint(n, 10)+more+`}`), 0))
}

// plan makes the jobs of what was committed.
func (w *world) plan() {
	w.Helper()
	for i, r := range []reader.Reader{push.Planner(true, delay), push.Alerting(inbox.Reader(w.kinds), true, delay)} {
		for p := range gotong.Partition(gotong.Partitions) {
			w.advance(r, p, &w.planned[i][p])
		}
	}
}

// advance moves a reader to the end of a partition, commit by commit.
func (w *world) advance(r reader.Reader, p gotong.Partition, at *uint64) {
	w.Helper()
	rows, err := w.store.ReadPartition(w.Context(), p, *at, 1<<62, 1<<20)
	w.check(err)
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(e store.Event) bool { return e.Position != rows[0].Position })
		if n < 0 {
			n = len(rows)
		}
		c, docs := reader.Commit{Partition: p, Position: rows[0].Position, Events: rows[:n]}, map[gotong.Key][]byte{}
		if r.Needs != nil {
			snap, err := w.store.Load(w.Context(), store.Need{Documents: r.Needs(c)})
			w.check(err)
			docs = snap.Documents
		}
		step, err := r.Read(docs, []reader.Commit{c})
		w.check(err)
		w.check(w.store.Advance(w.Context(), store.Step{
			Reader: r.Name, Partition: p, From: *at, To: c.Position, Changes: step.Changes, Jobs: step.Jobs,
		}))
		*at, rows = c.Position, rows[n:]
	}
}

// turn plans, and runs what is due.
func (w *world) turn() {
	w.Helper()
	w.plan()
	w.run(w.pusher)
}

func (w *world) run(p *push.Pusher) {
	w.Helper()
	h := p.Handler()
	jobs, err := w.store.ClaimJobs(w.Context(), h.Queue, w.clock.Now(), w.clock.Now().Add(30*time.Second), 100)
	w.check(err)
	for _, job := range jobs {
		result, err := h.Run(w.Context(), job)
		w.check(err)
		var next *store.Job
		if result != reader.Done {
			again := job
			again.Due, again.Lease = max(gotong.Instant(reflect.ValueOf(result).Field(0).Int()), w.clock.Now().Add(time.Second)), 0
			next = &again
		}
		w.check(w.store.SettleJob(w.Context(), job, next))
	}
}

// pass lets time pass in small steps, and runs what is due in each.
func (w *world) pass(d time.Duration) {
	w.Helper()
	for ; d > 0; d -= time.Second {
		w.clock.Pass(min(d, time.Second))
		w.turn()
	}
}

// unread returns the counts that a device got.
func (d *device) unread() (list []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.got {
		list = append(list, p.Unread)
	}
	return list
}

func (d *device) want(counts ...int) {
	d.world.Helper()
	if got := d.unread(); !slices.Equal(got, counts) {
		d.world.Errorf("%s got pushes with the counts %v, want %v", d.user, got, counts)
	}
}

func (d *device) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.raw, " ")
}

// marked reports a mark to the pusher, and waits for the request that this causes.
func (w *world) marked(userID string, stream gotong.Stream) {
	w.Helper()
	for len(w.requested) > 0 {
		<-w.requested
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error)
	go func() { ended <- w.pusher.Run(ctx) }()
	w.pusher.Marked(userID, stream)
	select {
	case <-w.requested:
	case <-time.After(time.Minute):
		w.Error("a mark causes nothing")
	}
	cancel()
	w.check(<-ended)
}

func (w *world) subscriptions(userID string) []push.Subscription {
	w.Helper()
	return w.subscriptionsOf(userID, userID+"-1")
}

func (w *world) subscriptionsOf(userID, login string) []push.Subscription {
	w.Helper()
	list, err := w.pusher.Subscriptions(w.Context(), auth.Principal{UserID: userID, LoginID: login})
	w.check(err)
	return list
}

func (w *world) unsubscribe(userID string) {
	w.Helper()
	w.check(w.pusher.Unsubscribe(w.Context(), auth.Principal{UserID: userID, LoginID: userID + "-1"}, w.subscriptions(userID)[0].ID))
}

func (w *world) prefer(level user.Level) {
	w.Helper()
	w.do(siti, "user/siti", user.CmdPrefer, user.Prefer{Threads: map[string]user.Level{talk.ID(): level}})
}
