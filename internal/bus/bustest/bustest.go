// Package bustest is the suite that every bus passes, which defines
// what [bus.Bus] promises, and [Switch], a bus within one process.
//
// # Caveats
//
// Of the wake-ups of one partition only the one with the highest position must
// arrive, whichever node sent it.
//
// The port allows a bus to lose messages, but over a working network it must
// lose none of a few; the suite demands that. It demands no order.
//
// # Dependencies
//
// Packages gotong and bus, and the standard library.
package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
)

// Net is the network under test.
type Net struct {
	Join func() bus.Bus // makes one more end

	// Cut breaks every connection and keeps them broken until Mend.
	Cut, Mend func()

	// Garbage puts these bytes where the ends listen; nil where nobody can.
	Garbage func(text string)

	// NoSignals says that wake-ups are all that travels.
	NoSignals bool
}

// patience is how long anything may take here that must happen at all.
const patience = 20 * time.Second

// Test runs the suite; open makes a network without ends, which ends with the
// test.
func Test(t *testing.T, open func(t *testing.T) Net) {
	for name, test := range map[string]func(*testing.T, Net){
		"hears others": hearsOthers, "comes back": comesBack, "never blocks": neverBlocks,
		"ends": ends, "garbage": garbage,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// end is one end, and what it heard.
type end struct {
	name string
	bus  bus.Bus
	stop context.CancelFunc
	done chan error

	mu     sync.Mutex
	heard  map[string]int              // of a message, by what it says
	far    map[gotong.Partition]uint64 // of its wake-ups
	change chan struct{}               // closed at the next message
	held   chan struct{}               // handle waits for it, if not nil
}

func join(t *testing.T, n *Net, name string) *end {
	t.Helper()
	e := newEnd(n, name)
	e.run(t)
	return e
}

func newEnd(n *Net, name string) *end {
	return &end{
		name: name, bus: n.Join(), done: make(chan error, 1), heard: map[string]int{}, far: map[gotong.Partition]uint64{},
		change: make(chan struct{}),
	}
}

func (e *end) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() { e.done <- e.bus.Run(ctx, e.handle) }()
	t.Cleanup(func() { e.ended(t) })
}

// ended stops the end, once, and wants it to go in peace and soon.
func (e *end) ended(t *testing.T) {
	t.Helper()
	if e.stop == nil {
		return
	}
	e.stop()
	e.stop = nil
	select {
	case err := <-e.done:
		if err != nil {
			t.Errorf("%s: Run returned %v", e.name, err)
		}
	case <-time.After(patience):
		t.Errorf("%s: Run does not end", e.name)
	}
}

func (e *end) handle(m bus.Message) {
	e.mu.Lock()
	held := e.held
	if w := m.Wake; w != nil {
		e.far[w.Partition] = max(e.far[w.Partition], w.Position)
	}
	e.heard[text(m)]++
	close(e.change)
	e.change = make(chan struct{})
	e.mu.Unlock()
	if held != nil {
		<-held
	}
}

func text(m bus.Message) string {
	b, _ := json.Marshal(m)
	return string(b)
}

// until waits for what it heard to be enough.
func (e *end) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		e.mu.Lock()
		change, ok := e.change, enough()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-limit:
			t.Fatalf("%s does not hear: %s", e.name, what)
		}
	}
}

// settle waits until every end hears every other one: each says so again and
// again, because what is said before a bus is connected is lost.
func settle(t *testing.T, round uint64, list ...*end) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	quiet := make(chan struct{})
	var speaking sync.WaitGroup
	speaking.Go(func() {
		for {
			for i, e := range list {
				e.bus.Publish(wake(e, settling(i), round))
			}
			select {
			case <-quiet:
				return
			case <-again.C:
			}
		}
	})
	defer speaking.Wait()
	defer close(quiet)
	for _, e := range list {
		for i, o := range list {
			if o != e {
				e.until(t, "that "+o.name+" is there", func() bool { return e.far[settling(i)] >= round })
			}
		}
	}
}

// settling is the partition of which the nth end speaks to be heard.
func settling(n int) gotong.Partition { return gotong.Partition(12 + n) }

func wake(e *end, p gotong.Partition, position uint64) bus.Message {
	return bus.Message{Node: e.name, Wake: &bus.Wake{Partition: p, Position: position, Stream: "thread/1", Seq: position}}
}

func signal(e *end, n int) bus.Message {
	return bus.Message{Node: e.name, Signal: &bus.Signal{
		Stream: "thread/ü", Type: "typing", Actor: gotong.Actor{UserID: fmt.Sprint(n), Role: gotong.RoleUser},
		Data: json.RawMessage(`{"online":true}`),
	}}
}

func ended(e *end, n int) bus.Message {
	return bus.Message{Node: e.name, Ended: &bus.Ended{UserID: fmt.Sprint(e.name, n)}}
}

// hearsOthers: every end hears all of the others, whole, and nothing of itself.
func hearsOthers(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	list := []*end{join(t, &n, "a"), join(t, &n, "b"), join(t, &n, "c")}
	settle(t, 1, list...)
	const most = 100
	for i := 1; i <= most; i++ {
		for who, e := range list {
			e.bus.Publish(wake(e, gotong.Partition(4*who+i%4), uint64(i)))
			if !n.NoSignals {
				e.bus.Publish(signal(e, i))
				e.bus.Publish(ended(e, i))
			}
		}
	}
	for _, e := range list {
		for who, o := range list {
			if o == e {
				continue
			}
			for p := 4 * who; p < 4*who+4; p++ {
				e.until(t, "the farthest wake-up of "+o.name, func() bool { return e.far[gotong.Partition(p)] >= most-3 })
			}
			for i := 1; i <= most && !n.NoSignals; i++ {
				s, d := text(signal(o, i)), text(ended(o, i))
				e.until(t, s, func() bool { return e.heard[s] > 0 && e.heard[d] > 0 })
			}
		}
	}
	for _, e := range list {
		e.mu.Lock()
		for said := range e.heard {
			var m bus.Message
			if json.Unmarshal([]byte(said), &m) != nil || m.Node == e.name {
				t.Errorf("%s heard itself: %s", e.name, said)
			}
		}
		e.mu.Unlock()
	}
}

// comesBack: after a cut, by itself; and an end that joins during one.
func comesBack(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	a, b := join(t, &n, "a"), join(t, &n, "b")
	settle(t, 1, a, b)
	for round := uint64(2); round < 4; round++ {
		n.Cut()
		for i := range 5000 {
			a.bus.Publish(signal(a, i))
		}
		late := join(t, &n, fmt.Sprint("late", round))
		n.Mend()
		settle(t, round, a, b, late)
	}
}

// neverBlocks: neither a network that is down nor an end that does not take
// makes Publish wait or memory grow.
func neverBlocks(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	a, b := join(t, &n, "a"), join(t, &n, "b")
	idle := newEnd(&n, "idle") // never runs
	settle(t, 1, a, b)
	b.mu.Lock()
	b.held = make(chan struct{})
	held := b.held
	b.mu.Unlock()
	say := func() {
		for i := range 50_000 {
			for _, e := range []*end{a, idle} {
				e.bus.Publish(signal(e, i))
				e.bus.Publish(wake(e, gotong.Partition(i%8), uint64(i)))
				e.bus.Publish(ended(e, i))
			}
		}
	}
	before := heap()
	began := time.Now()
	say()
	n.Cut()
	say()
	if took := time.Since(began); took > time.Minute { // on a machine that does much else
		t.Errorf("600,000 messages that nobody takes took %s to publish", took)
	}
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("what nobody took holds %d MiB", grown>>20)
	}
	b.mu.Lock()
	b.held = nil
	b.mu.Unlock()
	close(held)
	n.Mend()
	settle(t, 100_000, a, b)
	runtime.KeepAlive(idle)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// ends: Run returns nil and soon, connected or not, and leaves nothing behind
// (the package's goleak sees that).
func ends(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	a, b := join(t, &n, "a"), join(t, &n, "b")
	settle(t, 1, a, b)
	a.ended(t)
	a.bus.Publish(wake(a, 1, 1)) // to nobody, and no fault
	n.Cut()
	c := join(t, &n, "c")
	b.ended(t)
	c.ended(t)
}

// garbage: what nobody can have said is ignored.
func garbage(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	if n.Garbage == nil {
		t.Skip("nobody else can speak on this bus")
	}
	a, b := join(t, &n, "a"), join(t, &n, "b")
	settle(t, 1, a, b)
	a.mu.Lock()
	known := len(a.heard)
	a.mu.Unlock()
	huge := make([]byte, 1<<20)
	for i := range huge {
		huge[i] = 'x'
	}
	for _, text := range []string{
		"", "x", "{", "null", "[]", "0", `{"from":7}`, `{"from":"x"}`, "\xff\x00", string(huge),
		`{"from":"x","node":"x","wake":{"partition":16,"position":1}}`,
		`{"from":"x","node":"x","wake":{"partition":-1,"position":1}}`,
		`{"from":"x","node":"x","wake":{"partition":1,"position":1},"ended":{"user_id":"u"}}`,
		`{"from":"x","node":"x","signal":null}`,
		`{"from":"x","node":"x","signal":{"stream":"thread/1","type":"t","data":"` + string(huge) + `"}}`,
	} {
		n.Garbage(text)
	}
	settle(t, 2, a, b)
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.heard) - known; n != 1 {
		t.Errorf("%d messages were heard, of which 1 was said", n)
	}
}
