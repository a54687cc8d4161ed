package signal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const r1 = gotong.Stream("room/1")

// kindOf has signals in rooms and none elsewhere; of some streams there is no
// kind.
func kindOf(s gotong.Stream) (*gotong.Kind, error) {
	switch s.Kind() {
	case "room":
		return &gotong.Kind{Signals: []string{"typing", signal.Presence, signal.Read}}, nil
	case "user":
		return &gotong.Kind{Signals: []string{signal.Inbox}}, nil
	case "club":
		return &gotong.Kind{}, nil
	default:
		return nil, errors.New("no such kind")
	}
}

// node is an exchange, and the signals that it showed.
type node struct {
	*signal.Exchange
	mu    sync.Mutex
	shown []string
}

func (n *node) show(m *bus.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shown = append(n.shown, strings.TrimSpace(fmt.Sprint(m.Type, " ", m.Actor.UserID, " ", string(m.Data))))
}

func (n *node) showPresence(s gotong.Stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shown = append(n.shown, fmt.Sprint("presence ", string(n.Shown(s))))
}

// saw returns what was shown since the last call.
func (n *node) saw() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.shown
	n.shown = nil
	return list
}

func (n *node) join(users ...string) {
	for _, u := range users {
		n.Join(r1, u)
	}
}

func (n *node) leave(users ...string) {
	for _, u := range users {
		n.Leave(r1, u)
	}
}

func (n *node) present(t *testing.T, want ...string) {
	t.Helper()
	if got := n.Present(r1); !slices.Equal(got, want) {
		t.Errorf("present %v, want %v", got, want)
	}
}

// start runs a node on a bus, or alone, until the test ends.
func start(t *testing.T, name string, b bus.Bus, c clock.Clock) *node {
	t.Helper()
	n := &node{}
	opt := signal.Options{Clock: c, Kind: kindOf, Show: n.show, ShowPresence: n.showPresence}
	if b != nil {
		opt.Publish = func(m bus.Message) { m.Node = name; b.Publish(m) }
	}
	n.Exchange = signal.New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	if b != nil {
		running.Go(func() { _ = b.Run(ctx, n.Hear) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return n
}

// pass lets time pass in a bubble, where it costs none, and what is due be done.
func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

const second = time.Second

// Each signal goes to the sessions that it is for, on every node, and only in
// the form in which it may be sent.
func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewSwitch()
		a, b := start(t, "a", net.Join(), clock.System()), start(t, "b", net.Join(), clock.System())
		evil := net.Join()
		ann := gotong.Actor{UserID: "ann"}
		long := json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)
		for _, test := range []struct {
			name string
			send func() error
			want string // at the other node
		}{
			{"typing", func() error { return a.Send(r1, "typing", ann) }, "typing ann"},
			{"no such signal", func() error { return a.Send(r1, "dance", ann) }, ""},
			{"presence of a client's own", func() error { return a.Send(r1, signal.Presence, ann) }, ""},
			{"read mark of a client's own", func() error { return a.Send(r1, signal.Read, ann) }, ""},
			{"a kind without signals", func() error { return a.Send("club/1", "typing", ann) }, ""},
			{"no such kind", func() error { return a.Send("none/1", "typing", ann) }, ""},
			{"read mark", func() error { a.Whisper(r1, ann, []byte(`{"n":3}`)); return nil }, `read ann {"n":3}`},
			{"read mark that is not JSON", func() error { a.Whisper(r1, ann, []byte(`{`)); return nil }, ""},
			{"read mark that is too long", func() error { a.Whisper(r1, ann, long); return nil }, ""},
			{"read mark of a kind without", func() error { a.Whisper("club/1", ann, []byte(`{}`)); return nil }, ""},
			{"inbox", func() error { a.Changed("user/ann"); return nil }, "inbox ann"},
			{"inbox of all members", func() error { a.Changed("club/rt"); return nil }, "inbox rt"},
			{"inbox of a stream of no kind, of another node", func() error {
				evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: "nothing/rt", Type: signal.Inbox, Actor: ann}})
				return nil
			}, ""},
			{"inbox of a client's own", func() error { return a.Send("user/ann", signal.Inbox, ann) }, ""},
			{"inbox of another node with data", func() error {
				evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: "user/ann", Type: signal.Inbox, Actor: ann, Data: []byte(`{"n":1}`)}})
				return nil
			}, "inbox ann"},
			{"typing with data of another node", func() error {
				evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: "typing", Actor: ann, Data: []byte(`{"n":1}`)}})
				return nil
			}, "typing ann"},
			{"read mark of another node that is too long", func() error {
				evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: signal.Read, Actor: ann, Data: long}})
				return nil
			}, ""},
			{"unknown signal of another node", func() error {
				evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: "dance", Actor: ann}})
				return nil
			}, ""},
		} {
			a.saw()
			err := test.send()
			synctest.Wait()
			if got := a.saw(); test.want == "" && len(got) > 0 {
				t.Errorf("%s: shown %q at its node", test.name, got)
			}
			if got := strings.Join(b.saw(), ","); got != test.want {
				t.Errorf("%s: shown %q, want %q", test.name, got, test.want)
			}
			if err != nil && (test.want != "" || gotong.CodeOf(err) != gotong.CodeInvalid) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	})
}

func TestFor(t *testing.T) {
	for _, test := range []struct {
		typ, user string
		want      bool
	}{
		{"typing", "ann", false}, {"typing", "bob", true},
		{signal.Read, "ann", true}, {signal.Read, "bob", false}, {signal.Inbox, "ann", true}, {signal.Inbox, "bob", false},
	} {
		if got := signal.For(&bus.Signal{Type: test.typ, Actor: gotong.Actor{UserID: "ann"}}, test.user); got != test.want {
			t.Errorf("%s of ann for %s: %v", test.typ, test.user, got)
		}
	}
}

// A user is present who follows on any node: a node that begins to listen asks,
// a user who leaves one node is still on the other, and a node of which nothing
// is heard any more is forgotten.
func TestPresenceOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, cut := bustest.NewSwitch(), bustest.NewSwitch()
		a, b, c := start(t, "a", net.Join(), clock.System()), start(t, "b", net.Join(), clock.System()), start(t, "c", net.Join(), clock.System())
		alone := start(t, "alone", cut.Join(), clock.System())
		a.join("ann")
		pass(second)
		b.join("ann")
		pass(second)
		b.join("bob")
		pass(second)
		c.join("cat") // long after the others were reported
		pass(second)
		for _, n := range []*node{a, b, c} {
			n.present(t, "ann", "bob", "cat")
		}
		alone.join("bob")
		pass(second)
		alone.present(t, "bob")

		a.leave("ann")
		pass(second)
		b.present(t, "ann", "bob", "cat")
		c.present(t, "ann", "bob", "cat")
		a.present(t) // nobody listens here any more
		c.saw()
		b.leave("ann")
		pass(second)
		c.present(t, "bob", "cat")
		if got := c.saw(); !slices.Equal(got, []string{`presence {"present":2,"users":["bob","cat"]}`}) {
			t.Errorf("shown %q", got)
		}
		net.Cut()
		pass(50 * second)
		c.present(t, "bob", "cat")
		pass(40 * second)
		c.present(t, "cat")
		net.Mend()
		pass(25 * second)
		c.present(t, "bob", "cat")
	})
}

// A user who comes back at once was never away, and the last session counts.
func TestShortAbsenceIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", nil, clock.System())
		n.join("ann", "bob", "bob")
		pass(second)
		if got := n.saw(); !slices.Equal(got, []string{`presence {"present":2,"users":["ann","bob"]}`}) {
			t.Errorf("shown %q", got)
		}
		n.leave("ann", "bob")
		n.join("ann")
		pass(second)
		if got := n.saw(); len(got) != 0 {
			t.Errorf("shown %q", got)
		}
		n.leave("bob")
		pass(second)
		if got := n.saw(); !slices.Equal(got, []string{`presence {"present":1,"users":["ann"]}`}) {
			t.Errorf("shown %q", got)
		}
	})
}

// A crowd is reported in few messages, and
// whatever another node reports makes nobody present for longer than a minute,
// nor memory grow without bound.
func TestPresenceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewSwitch()
		evil := net.Join()
		n := start(t, "a", net.Join(), clock.System())
		const crowd = 300
		for i := range crowd {
			n.join(fmt.Sprint("u", i))
		}
		heard := make(chan bus.Message, 1000)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- evil.Run(ctx, func(m bus.Message) { heard <- m }) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		pass(second)
		if got := len(heard); got < 3 || got > 6 {
			t.Errorf("%d messages report %d users", got, crowd)
		}
		say := func(data string) {
			evil.Publish(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: signal.Presence, Data: json.RawMessage(data)}})
			synctest.Wait()
		}
		for _, data := range []string{``, `{`, `7`, `{"here":"x"}`, `{"here":["a b"]}`, `{"gone":["u1"]}`, `{"gone":["x"]}`} {
			say(data)
		}
		for i := range 400 {
			list := make([]string, 100)
			for j := range list {
				list[j] = fmt.Sprint("evil", i, "-", j)
			}
			b, _ := json.Marshal(map[string]any{"here": list})
			say(string(b))
		}
		if got := len(n.Present(r1)); got > 20_000 {
			t.Errorf("%d users are present", got)
		}
		pass(90 * second)
		if got := len(n.Present(r1)); got != crowd {
			t.Errorf("%d users are present, want %d", got, crowd)
		}
		// A node that asks is answered, and not more often than is gathered.
		for len(heard) > 0 {
			<-heard
		}
		for range 100 {
			say(`{"ask":true}`)
		}
		pass(second)
		if got := len(heard); got != 3 {
			t.Errorf("%d messages answer", got)
		}
	})
}

// metered is a bus that counts the messages of each second.
type metered struct {
	bus.Bus
	mu      sync.Mutex // guards what follows
	second  time.Time
	n, most int
}

func (m *metered) Publish(msg bus.Message) {
	m.mu.Lock()
	if now := time.Now().Truncate(second); now != m.second {
		m.second, m.n = now, 0
	}
	m.n++
	m.most = max(m.most, m.n)
	m.mu.Unlock()
	m.Bus.Publish(msg)
}

// peak returns the most messages of one second since the last call.
func (m *metered) peak() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.most
	m.most = 0
	return n
}

// However many streams two nodes follow, no user who stays is shown to be gone,
// no typing is lost for it, and a user who vanishes with their node is gone
// after a minute and a half.
func TestPresenceOfManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewSwitch()
		meter := &metered{Bus: net.Join()}
		a, b := start(t, "a", meter, clock.System()), start(t, "b", net.Join(), clock.System())
		const rooms, each = 4 * bustest.Queue, 32
		name := func(i int) gotong.Stream { return gotong.NewStream("room", fmt.Sprint(i)) }
		for i := range rooms {
			a.Join(name(i), fmt.Sprint("u", i))
			b.Join(name(i), fmt.Sprint("v", i))
			if i%each == 0 {
				pass(20 * time.Millisecond)
			}
		}
		pass(30 * second)
		known := func() (n int) {
			for i := range rooms {
				if len(b.Present(name(i))) == 2 {
					n++
				}
			}
			return n
		}
		b.saw()
		if n := known(); n != rooms {
			t.Errorf("of %d streams %d have both users", rooms, n)
		}
		meter.peak()
		for i := range 100 {
			if err := a.Send(name(i*each), "typing", gotong.Actor{UserID: "ann"}); err != nil {
				t.Fatal(err)
			}
			pass(second)
			if got := b.saw(); !slices.Equal(got, []string{"typing ann"}) {
				t.Fatalf("after %d s: shown %q", i, got)
			}
		}
		if n := known(); n != rooms {
			t.Errorf("of %d streams %d have both users", rooms, n)
		}
		if n := meter.peak(); n > bustest.Queue {
			t.Errorf("%d messages in one second", n)
		}
		net.Cut()
		pass(82 * second) // reports of so many streams would hold longer by themselves
		if n := known(); n != 0 {
			t.Errorf("%d users of a node of which nothing is heard are present", n)
		}
	})
}

// A user who vanished with their node is gone after a minute of this node's
// life, and a user who is there stays, whatever is done to the time of day.
func TestStepsKeepNobodyPresent(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clocked := clocktest.Running()
				set := func(f func()) {
					for _, d := range steps {
						clocked.Step(d)
						f()
					}
				}
				net := bustest.NewSwitch()
				a, b := start(t, "a", net.Join(), clocked), start(t, "b", net.Join(), clock.System())
				a.join("ann")
				b.join("bob")
				pass(second)
				a.present(t, "ann", "bob")
				set(func() {
					a.present(t, "ann", "bob") // reported a moment ago
					pass(50 * second)          // and twice again since
					a.present(t, "ann", "bob")
				})
				a.saw()
				net.Cut()
				set(func() {
					pass(10 * second)
					a.present(t, "ann", "bob")
				})
				pass(80 * second)
				a.present(t, "ann")
				if got := a.saw(); !slices.Equal(got, []string{`presence {"present":1,"users":["ann"]}`}) {
					t.Errorf("shown %q", got)
				}
			})
		})
	}
}

// A burst is one frame, whatever came and went in it; of more users than fifty
// only the number is shown; and a stream is shown the more rarely the more users
// are present.
func TestPresenceOfBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, "a", nil, clock.System())
		some := func(from, to int) (list []string) {
			for i := from; i < to; i++ {
				list = append(list, fmt.Sprintf("u%03d", i))
			}
			return list
		}
		listed := func(users []string) string {
			b, _ := json.Marshal(map[string]any{"present": len(users), "users": users})
			return "presence " + string(b)
		}
		for _, step := range []struct {
			what  string
			do    func()
			after time.Duration
			shown []string
		}{
			{"the first", func() { n.join("u000") }, second, nil},
			{"its second session", func() { n.join("u000"); n.leave("u000") }, second, nil},
			{"forty-nine more", func() { n.join(some(1, 50)...) }, 300 * time.Millisecond, []string{listed(some(0, 50))}},
			{"one too many, too soon", func() { n.join("u050") }, 4 * second, nil},
			{"later", func() {}, 2 * second, []string{`presence {"present":51}`}},
			{"one for another", func() { n.join("u051"); n.leave("u050") }, 20 * second, nil},
			{"many", func() { n.join(some(52, 500)...) }, second, []string{`presence {"present":499}`}},
			{"many again", func() { n.join(some(500, 600)...); pass(second); n.leave(some(500, 501)...) }, 8 * second, nil},
			{"at the end", func() {}, 2 * second, []string{`presence {"present":598}`}},
			{"nearly all go", func() { pass(10 * second); n.leave("u051"); n.leave(some(52, 500)...); n.leave(some(501, 600)...) }, second, []string{listed(some(0, 50))}},
			{"all but one", func() { pass(10 * second); n.leave(some(1, 50)...) }, second, []string{listed(some(0, 1))}},
			{"nobody", func() { n.leave("u000") }, second, nil},
			{"one again", func() { n.join("u000") }, second, nil},
		} {
			step.do()
			pass(step.after)
			if got := n.saw(); !slices.Equal(got, step.shown) {
				t.Errorf("%s: shown %q, want %q", step.what, got, step.shown)
			}
		}
	})
}
