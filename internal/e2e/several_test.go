package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/store"
)

// soakEnv is how long the long run lasts; without it there is none.
const soakEnv = "GOTONG_SOAK"

// scale is how much goes on.
type scale struct {
	nodes, threads, followers, removals int
	trouble, away                       time.Duration // with things breaking, and with Redis away
}

// TestSeveralNodes: several nodes on one database and one Redis, everything
// between them breaking, and all that is promised holds.
func TestSeveralNodes(t *testing.T) {
	t.Parallel() // it mostly waits
	s := scale{nodes: 2, threads: 6, followers: 24, removals: 16, trouble: 77 * time.Second, away: 6 * time.Second}
	if testing.Short() {
		s.trouble, s.away, s.threads, s.followers, s.removals = 8*time.Second, 6*time.Second, 3, 6, 6
	}
	runTown(t, startCluster(t, s.nodes), s, 20261123)
}

// TestSeveralNodesOnPostgres is the same with a PostgreSQL and nothing else.
func TestSeveralNodesOnPostgres(t *testing.T) {
	t.Parallel() // it mostly waits
	s := scale{nodes: 2, threads: 6, followers: 24, removals: 16, trouble: 88 * time.Second}
	if testing.Short() {
		s.trouble, s.threads, s.followers, s.removals = 8*time.Second, 3, 6, 6
	}
	runTown(t, startOnPostgres(t, s.nodes), s, 20261130)
}

// TestSoak is the same, larger and longer: GOTONG_SOAK=10m.
func TestSoak(t *testing.T) {
	d := soaking(t)
	if d == 0 {
		t.Skipf("runs by make soak, with %s=10m or so", soakEnv)
	}
	s := scale{nodes: 3, threads: 50, followers: 300, removals: 120, trouble: d, away: time.Minute}
	runTown(t, startCluster(t, s.nodes), s, rand.Uint64())
}

// soaking returns how long the long run lasts; 0 without one.
func soaking(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(soakEnv)
	if text == "" {
		return 0
	}
	return must(time.ParseDuration(text))(t)
}

// town is what happens on a cluster.
type town struct {
	*cluster
	scale   scale
	seed    uint64
	threads []client.Thread
	streams []gotong.Stream
	group   client.Group
	loads   []*load
	watch   []*follower
	outcast []*outcast
	broken  atomic.Int64
}

func runTown(t *testing.T, c *cluster, sc scale, seed uint64) {
	t.Helper()
	w := &town{cluster: c, scale: sc, seed: seed}
	ctx, cancel := context.WithTimeout(t.Context(), sc.trouble+sc.away+patience)
	defer cancel()
	w.run(ctx, func() {
		if w.redis != nil {
			w.withoutRedis(ctx)
		}
		w.withTrouble(ctx)
	})
}

// run has everybody write and follow while things happen, and checks what was
// promised.
func (w *town) run(ctx context.Context, happens func()) {
	t := w.t
	t.Helper()
	t.Logf("seed %d", w.seed)
	w.settle()
	var watching, writing sync.WaitGroup
	for i, f := range w.watch {
		watching.Go(func() {
			if err := f.run(ctx, w.rnd(i)); err != nil {
				t.Errorf("%s, after %d events and %d pauses: %v", f.name, len(f.got), f.resumes, err)
			}
		})
	}
	for _, o := range w.outcast {
		watching.Go(func() { o.run(ctx) })
	}
	loading, quiet := context.WithCancel(ctx)
	w.write(loading, &writing)
	happens()
	w.recovered(ctx)
	quiet()
	writing.Wait()
	w.sayLastWords(ctx)
	watching.Wait()
	w.check()
}

func (w *town) rnd(n int) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(n))) }

// at is where clients find the node of this turn.
func (w *town) at(n int) string { return w.nodes[n%len(w.nodes)].url() }

// settle makes threads, two thirds with members of their own and one third
// with those of a group or of a case in it, and everybody who takes part.
func (w *town) settle() {
	t := w.t
	owner := dial(t, w.at(0), "owner")
	w.group = must(owner.CreateGroup(t.Context(), client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "undangan"}))(t)
	watchers, outcasts := names("watcher", w.scale.followers), names("outcast", w.scale.removals)
	writers := append(names("rest", 2*w.scale.threads), names("ws", 2*w.scale.threads)...)
	all := append(append(append([]string{"clock-0", "clock-1"}, writers...), watchers...), outcasts...)
	each(all, func(user string) {
		must(owner.AddGroupMember(t.Context(), w.group.GroupID, user, ""))(t)
	})
	conn := connect(t, dial(t, w.at(0), "owner", client.WebSocket), client.ConnOptions{})
	affair := makeCase(t, conn, w.group, all)
	for i := range w.scale.threads {
		in := client.NewThread{ScopeID: w.group.GroupID, Privacy: "private"}
		members := []string{"clock-0", "clock-1"}
		if i%3 == 2 {
			in.Members, members = "home", nil
			if i%2 == 0 {
				in.Lender = string(affair)
			}
		} else {
			members = append(members, writers[2*i], writers[2*i+1], writers[2*w.scale.threads+2*i], writers[2*w.scale.threads+2*i+1])
			for _, list := range [][]string{watchers, outcasts} {
				for k := i; k < len(list); k += w.scale.threads {
					members = append(members, list[k])
				}
			}
		}
		th, stream := makeThread(t, w.at(i), "owner", in, members...)
		w.threads, w.streams = append(w.threads, th), append(w.streams, stream)
	}
	kept := newPool()
	transports := []client.Transport{client.WebSocket, client.SSE, client.Poll}
	for i, user := range watchers {
		f := &follower{
			name: fmt.Sprintf("%s over %s", user, transports[i%3]), stream: w.streams[i%len(w.streams)], pool: kept, pauses: 3,
			last: func(e client.Event) bool { return strings.Contains(string(e.Data), lastWords) },
		}
		for k := range len(w.nodes) { // each stretch at another node
			f.clients = append(f.clients, dial(t, w.at(i+k), user, transports[(i+k)%3]))
		}
		w.watch = append(w.watch, f)
	}
	for i, user := range outcasts {
		w.outcast = append(w.outcast, newOutcast(t, w, user, i, transports[i%3]))
	}
}

// write begins the steady load: of each thread a writer over REST and one over
// WebSocket at two nodes.
func (w *town) write(ctx context.Context, writing *sync.WaitGroup) {
	for n := range min(2, len(w.nodes)) {
		l := newLoad(w.t, w.at(n))
		l.gap = time.Duration(len(w.streams)) * 25 * time.Millisecond
		w.loads = append(w.loads, l)
		for i, s := range w.streams {
			writing.Go(func() { l.post(ctx, s, fmt.Sprintf("rest-%03d", 2*i+n)) })
			writing.Go(func() { l.command(ctx, s, fmt.Sprintf("ws-%03d", 2*i+n)) })
		}
	}
}

// withoutRedis logs how much later an event comes at one node than at the other,
// with Redis and then without: nothing but that may change. How much later
// is the machine's affair; that a node looks once a second is a test of package
// live.
func (w *town) withoutRedis(ctx context.Context) {
	seen := &arrivals{at: map[timedPost][]time.Time{}}
	for n := range min(2, len(w.nodes)) {
		conn := connect(w.t, dial(w.t, w.at(n), fmt.Sprint("clock-", n), client.WebSocket), client.ConnOptions{Handle: seen.handle})
		if err := conn.Subscribe(w.streams[0], client.Now); err != nil {
			w.t.Fatal(err)
		}
	}
	w.talk(ctx, seen, "with Redis", w.scale.away/2)
	w.redis.Kill()
	w.talk(ctx, seen, "without Redis", w.scale.away)
	w.redis.Restart()
	for _, phase := range []string{"with Redis", "without Redis"} {
		late := seen.lags(phase)
		p99 := percentile(late, 99)
		w.t.Logf("%s: %d events, at the other node p50 %v, p99 %v later", phase, len(late), percentile(late, 50), p99)
		if len(late) == 0 {
			w.t.Errorf("%s: no event came to both nodes", phase)
		}
	}
}

// arrivals is when timed messages came, at each node.
type arrivals struct {
	mu sync.Mutex
	at map[timedPost][]time.Time
}

func (a *arrivals) handle(e client.Event) error {
	var d struct {
		Body string `json:"body"`
	}
	var p timedPost
	if e.Type != "message.posted" || json.Unmarshal(e.Data, &d) != nil || json.Unmarshal([]byte(d.Body), &p) != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[p] = append(a.at[p], time.Now())
	return nil
}

// lags is how much later each message of a phase came at the second node.
func (a *arrivals) lags(phase string) (list []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, at := range a.at {
		if p.Phase == phase && len(at) == 2 {
			list = append(list, at[1].Sub(at[0]))
		}
	}
	return list
}

// talk posts timed messages at both nodes in turn for a while, and until one has come
// to both.
func (w *town) talk(ctx context.Context, seen *arrivals, phase string, d time.Duration) {
	began := time.Now()
	for i := 0; lull(ctx, 50) && (time.Since(began) < d || len(seen.lags(phase)) == 0); i++ {
		n := i % min(2, len(w.nodes))
		body := encode(timedPost{Phase: phase, Sent: time.Now().UnixNano()})
		_, _ = dial(w.t, w.at(n), fmt.Sprint("clock-", n)).Send(ctx, w.threads[0].ThreadID, client.NewMessage{Body: body})
	}
}

// withTrouble breaks things while outcasts are removed, each at another node
// than the one that they are connected to.
func (w *town) withTrouble(ctx context.Context) {
	breaking, whole := context.WithTimeout(ctx, w.scale.trouble)
	defer whole()
	var removing sync.WaitGroup
	removing.Go(func() {
		gap := w.scale.trouble / time.Duration(w.scale.removals+1)
		for i, o := range w.outcast {
			if !lull(breaking, int(gap.Milliseconds())) {
				break
			}
			removing.Go(func() { o.remove(ctx, w, i) })
		}
	})
	w.trouble(breaking, w.rnd(-1), &w.broken)
	removing.Wait()
	for i, o := range w.outcast {
		if !o.removed {
			o.remove(ctx, w, i)
		}
	}
}

// recovered waits until every node acknowledges again.
func (w *town) recovered(ctx context.Context) {
	for _, l := range w.loads {
		if err := l.await(ctx, l.acks.Load()+20); err != nil {
			w.t.Fatal("after the troubles:", err)
		}
	}
}

func (w *town) sayLastWords(ctx context.Context) {
	owner := dial(w.t, w.at(0), "owner")
	for _, th := range w.threads {
		if _, err := owner.Send(ctx, th.ThreadID, client.NewMessage{Body: lastWords}); err != nil {
			w.t.Error(err)
		}
	}
}

// check reads the log from the database and compares it with what everybody
// was told.
func (w *town) check() {
	t := w.t
	db := openStore(t, w.db.store)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	log := checkLog(t, db)
	acked, resumes, deliveries := 0, 0, 0
	for _, l := range w.loads {
		l.check(log)
		acked += len(l.written)
	}
	for _, f := range w.watch {
		rows := upToLastWords(t, log.streams[f.stream])
		f.check(t, rows)
		if len(f.got) != len(rows) {
			t.Errorf("%s ended with %d of %d events", f.name, len(f.got), len(rows))
		}
		resumes += f.resumes
		deliveries += len(f.got)
	}
	seen := w.checkOutcasts(log)
	t.Logf("%d nodes, %d troubles: %d requests acknowledged, all there once; %d events of the log, one order for %d followers (%d deliveries, left and resumed %d times); %d removed at another node, who saw %d events before and none after",
		len(w.nodes), w.broken.Load(), acked, log.events, len(w.watch), deliveries, resumes, len(w.outcast), seen)
}

// checkOutcasts looks for whatever lies at or beyond a removal in all the bytes
// that the removed user got.
func (w *town) checkOutcasts(log *logbook) (seen int) {
	w.t.Helper()
	of, removed := map[string]*store.Event{}, map[string]uint64{}
	for stream, rows := range log.streams {
		for i := range rows {
			e := &rows[i]
			of[e.ID.String()], of[e.Chain.String()] = e, e
			if e.Type == "member.removed" {
				removed[string(stream)+" "+userIn(w.t, e)] = e.Position
			}
		}
	}
	for _, o := range w.outcast {
		at, ok := removed[string(o.from)+" "+o.user]
		if !ok {
			w.t.Errorf("%s was not removed from %s", o.user, o.from)
			continue
		}
		n := 0
		for trace := range traces(o.heard()) {
			e, ok := of[trace]
			switch {
			case !ok || e.Stream != o.target:
			case e.Position >= at:
				w.t.Errorf("%s, removed at %d, got %q of %s at %d", o.user, at, trace, e.Stream, e.Position)
			default:
				n++
			}
		}
		if n == 0 {
			w.t.Errorf("%s got no event before the removal: it shows nothing", o.user)
		}
		seen += n
	}
	return seen
}

// outcast is somebody who follows until they are removed, at whatever node; every
// byte that they get is kept.
type outcast struct {
	t      *testing.T
	user   string
	how    client.Transport
	target gotong.Stream // that they follow
	from   gotong.Stream // that they are removed from: the thread, or its group
	thread string
	client *client.Client
	taps   *tap
	live   *moment

	removed bool
}

func newOutcast(t *testing.T, w *town, user string, i int, how client.Transport) *outcast {
	t.Helper()
	o := &outcast{t: t, user: user, how: how, taps: &tap{}, live: newMoment()}
	n := i % len(w.threads)
	o.target, o.thread = w.streams[n], w.threads[n].ThreadID
	o.from = o.target
	if n%3 == 2 {
		o.from = w.group.Stream()
	}
	c, err := client.New(client.Options{
		BaseURL: w.at(i), Token: client.StaticToken(tokenOf(user)), Transports: []client.Transport{how}, Backoff: soon, Dial: o.taps.dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	o.client = c
	return o
}

// run follows until the server says that there is no such thread.
func (o *outcast) run(ctx context.Context) {
	err := o.client.Follow(ctx, map[gotong.Stream]client.From{o.target: client.Start}, func(client.Event) error {
		o.live.set()
		return nil
	})
	if ctx.Err() != nil {
		o.t.Errorf("%s over %s was never sent away: %v", o.user, o.how, err)
	}
}

// remove removes them at another node than their own.
func (o *outcast) remove(ctx context.Context, w *town, i int) {
	if !o.live.within(ctx, o.t, o.user+" never got anything") {
		return
	}
	owner := dial(o.t, w.at(i+1), "owner")
	var err error
	key := client.RequestID("remove-" + o.user)
	if o.from == o.target {
		_, err = owner.RemoveMember(ctx, o.thread, o.user, key)
	} else {
		err = owner.RemoveGroupMember(ctx, w.group.GroupID, o.user, key)
	}
	if err != nil {
		o.t.Errorf("removing %s: %v", o.user, err)
	}
	o.removed = true
}

// heard is everything that came, as one text.
func (o *outcast) heard() string {
	raw := string(o.taps.text())
	if o.how != client.WebSocket {
		raw = chunkEdge.ReplaceAllString(raw, "")
	}
	return strings.ToValidUTF8(raw, "\x00")
}
