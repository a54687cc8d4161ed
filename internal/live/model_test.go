package live_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/view"
	"pgregory.net/rapid"
)

// TestModel runs random histories on two nodes: commits of all sorts by
// either, subscriptions, cuts and resumptions, slow and quick takers, removals
// in the stream and in what governs it. In the end each follower has exactly
// what the model says they may see, once and in order, with the newest text.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { newModel(rt).run() }) // without its Deadline, which is not of the bubble
	})
}

type model struct {
	*world
	rt      *rapid.T
	hubs    []*live.Hub
	streams []gotong.Stream
	users   []string
	members map[gotong.Stream]map[string]bool // by governing stream
	clients []*modelClient
	stop    func()
}

type modelClient struct {
	*client
	user string
	hub  *live.Hub
	full map[gotong.Stream]bool // followed from the beginning
}

func newModel(rt *rapid.T) *model {
	m := &model{
		world: newWorld(rt), rt: rt,
		streams: []gotong.Stream{"room/1", "room/c-x-1", "room/c-x-2", "room/t-x-1"},
		users:   []string{"ann", "bob", "cat"}, members: map[gotong.Stream]map[string]bool{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	net := bustest.NewSwitch()
	for range 2 {
		h := live.New(live.Options{
			Store: m.world, Codec: m.codec, Views: view.New(view.Options{Store: m.world, Codec: m.codec}), Bus: net.Join(),
			Limits: live.Limits{RingFrames: 6, PageEvents: 5},
		})
		running.Go(func() { _ = h.Run(ctx) })
		m.hubs = append(m.hubs, h)
	}
	m.stop = func() { cancel(); running.Wait() }
	return m
}

func (m *model) run() {
	defer m.stop()
	for _, s := range m.streams {
		for _, of := range chain(s) {
			if m.members[of] == nil {
				m.members[of] = map[string]bool{"ann": true}
				m.commit(m.hubs[0], of, add("ann"))
			}
		}
		m.commit(m.hubs[0], s, say("first"))
	}
	for range 3 {
		c := &modelClient{
			user: rapid.SampledFrom(m.users).Draw(m.rt, "user"), hub: m.node(m.rt),
			full: map[gotong.Stream]bool{},
		}
		c.client = open(m.rt, c.hub, c.user, live.SessionOptions{})
		m.clients = append(m.clients, c)
	}
	m.rt.Repeat(map[string]func(*rapid.T){
		"say":       func(rt *rapid.T) { m.write(rt, say(fmt.Sprint("text ", m.n))) },
		"say twice": func(rt *rapid.T) { m.write(rt, say("a"), say("b")) },
		"whisper":   func(rt *rapid.T) { m.write(rt, whisper(rapid.SampledFrom(m.users).Draw(rt, "to"), "psst")) },
		"edit":      m.edit,
		"member":    m.member,
		"touch":     func(rt *rapid.T) { m.write(rt, opened()) },
		"subscribe": m.subscribe,
		"resume":    m.resume,
		"take":      m.take,
		"wait":      func(*rapid.T) { synctest.Wait() },
		"second":    func(*rapid.T) { pass(time.Second) },
	})
	m.settle()
	for _, c := range m.clients {
		m.check(c)
		c.s.Close()
	}
}

func (m *model) stream(rt *rapid.T) gotong.Stream {
	return rapid.SampledFrom(m.streams).Draw(rt, "stream")
}

// write commits on either node, or on one that nobody here hears of.
func (m *model) write(rt *rapid.T, facts ...gotong.Fact) {
	to := m.node(rt)
	if rapid.IntRange(0, 3).Draw(rt, "unheard") == 3 {
		to = nil
	}
	m.commit(to, m.stream(rt), facts...)
}

func (m *model) node(rt *rapid.T) *live.Hub { return m.hubs[rapid.IntRange(0, 1).Draw(rt, "node")] }

func (m *model) edit(rt *rapid.T) {
	s := m.stream(rt)
	var candidates []uint64
	for _, e := range m.rows[s] {
		if e.Type == "said" && e.Audience == "" {
			candidates = append(candidates, e.Seq)
		}
	}
	if len(candidates) == 0 {
		rt.Skip()
	}
	seq := rapid.SampledFrom(candidates).Draw(rt, "target")
	m.commit(m.node(rt), s, edit(seq, fmt.Sprint("edit ", m.n)))
}

func (m *model) member(rt *rapid.T) {
	s := rapid.SampledFrom(chain(m.stream(rt))).Draw(rt, "of")
	user := rapid.SampledFrom(m.users).Draw(rt, "user")
	fact := add(user)
	if m.members[s][user] {
		fact = remove(user)
	}
	m.members[s][user] = !m.members[s][user]
	hub := m.node(rt)
	e := m.commit(hub, s, fact)
	if fact.Type == "added" || !rapid.Bool().Draw(rt, "await") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := hub.Await(ctx, e.Partition, e.Position); err != nil {
		rt.Fatal(err, hub.Stats())
	}
	for _, c := range m.clients {
		if c.hub != hub || c.user != user {
			continue
		}
		counts := map[gotong.Stream]int{}
		for _, st := range m.streams {
			counts[st] = len(c.got[st])
		}
		c.drain()
		for st, n := range counts {
			if slices.Contains(chain(st), s) && len(c.got[st]) != n {
				rt.Errorf("%s got %v of %s after the removal was awaited", user, c.got[st][n:], st)
			}
		}
	}
}

func (m *model) client(rt *rapid.T) *modelClient {
	return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(rt, "client")]
}

// subscribe begins at the beginning, or where the client was.
func (m *model) subscribe(rt *rapid.T) {
	c, s := m.client(rt), m.stream(rt)
	start := at(c.cursor[s])
	if !c.full[s] && rapid.Bool().Draw(rt, "first") {
		start = live.First()
	}
	c.full[s] = true
	_ = c.s.Subscribe(live.Subscription{ID: "1", Stream: s, Start: start}) // followed already is no matter
}

// resume cuts the connection and makes a new one, with frames taken or not.
func (m *model) resume(rt *rapid.T) {
	c := m.client(rt)
	c.s.Close()
	c.hub = m.node(rt)
	s, err := c.hub.Open(reader(c.user), live.SessionOptions{})
	if err != nil {
		rt.Fatal(err)
	}
	c.s = s
	for _, st := range m.streams {
		if c.full[st] {
			_ = s.Subscribe(live.Subscription{ID: "1", Stream: st, Start: at(c.cursor[st])})
		}
	}
}

func (m *model) take(rt *rapid.T) {
	c := m.client(rt)
	c.take(rapid.SampledFrom([]int{1, 600, 1 << 20}).Draw(rt, "bytes"))
}

// settle lets everyone resubscribe and take all there is.
func (m *model) settle() {
	pass(2 * time.Second)
	for _, c := range m.clients {
		synctest.Wait()
		c.drain()
		for _, s := range m.streams {
			if c.full[s] {
				_ = c.s.Subscribe(live.Subscription{ID: "1", Stream: s, Start: at(c.cursor[s])})
			}
		}
	}
	for busy := true; busy; {
		busy = false
		synctest.Wait()
		for _, c := range m.clients {
			n, _ := c.take(1 << 20)
			busy = busy || n > 0
		}
	}
}

// check compares with the model. Who was removed saw some of what they might
// have; who may read now has all of it.
func (m *model) check(c *modelClient) {
	for _, s := range m.streams {
		want, got := m.visible(c.user, s), c.got[s]
		for _, seq := range got {
			if !slices.Contains(want, seq) {
				m.rt.Errorf("%s got %d of %s, which is not his: %v", c.user, seq, s, want)
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			m.rt.Errorf("%s got %v of %s: doubles, or out of order", c.user, got, s)
		}
		out := func(of gotong.Stream) bool { return !m.members[of][c.user] }
		if c.full[s] && !slices.ContainsFunc(chain(s), out) && !slices.Equal(got, want) {
			m.rt.Errorf("%s got %v of %s, want %v", c.user, got, s, want)
		}
	}
}

// TestRemovalRace removes and adds users, half of them by what governs the
// stream, under a steady stream of posts and with real concurrency: not one
// event at or beyond a removal's position is taken, and none after its Await.
func TestRemovalRace(t *testing.T) {
	const rounds = 200
	w := newWorld(t)
	h := w.start()
	streams := []gotong.Stream{"room/1", "room/c-x-1", "room/t-x-1", "room/c-x-1"}
	for i, s := range streams {
		w.seat(h, s, fmt.Sprint("user", i))
		w.commit(h, governing(s), add("ann"))
		w.commit(h, s, say("first"))
	}
	stop := make(chan struct{})
	var posts, removals sync.WaitGroup
	for _, s := range streams {
		posts.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
					w.commit(h, s, say("steady"))
				}
			}
		})
	}
	for i := range 4 {
		removals.Go(func() {
			s := streams[i]
			for n := range rounds / 4 {
				removeOne(t, w, h, s, fmt.Sprint("user", i), n)
			}
		})
	}
	removals.Wait()
	close(stop)
	posts.Wait()
}

// removeOne adds a user, lets them follow for a while, removes them.
func removeOne(t *testing.T, w *world, h *live.Hub, s gotong.Stream, user string, n int) {
	t.Helper()
	w.commit(h, governing(s), add(user))
	wake := make(chan struct{}, 1)
	c := open(t, h, user, live.SessionOptions{Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	defer c.s.Close()
	c.subscribe(s, live.Now())
	for range 1 + rand.IntN(20) {
		for n := len(c.got[s]); len(c.got[s]) == n; c.drain() {
			<-wake
		}
	}
	joined := len(c.got[s])
	removal := w.commit(h, governing(s), remove(user))
	var ended sync.WaitGroup
	awaited := make(chan struct{})
	ended.Go(func() {
		defer close(awaited)
		if err := h.Await(t.Context(), removal.Partition, removal.Position); err != nil {
			t.Error(err)
		}
	})
	for waiting := true; waiting; {
		c.drain()
		select {
		case <-awaited:
			waiting = false
		case <-wake:
		}
	}
	before := len(c.got[s])
	c.drain()
	ended.Wait()
	if len(c.got[s]) != before {
		t.Errorf("round %d: events after Await", n)
	}
	for _, seq := range c.got[s] {
		if w.position(s, seq) >= removal.Position {
			t.Errorf("round %d: event %d of %s at or beyond the removal", n, seq, s)
		}
	}
	if !c.revoked[s] || joined == 0 {
		t.Errorf("round %d: %d events, %v", n, joined, c.ops)
	}
}
