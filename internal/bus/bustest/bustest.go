// Package bustest is the suite that defines [bus.Bus] and that every bus
// passes, and [Switch], a bus within one process.
//
// # Caveats
//
// Of the wake-ups of one partition, only the one with the highest position must
// arrive, whichever node sent it.
//
// The port allows a bus to lose messages; the suite demands that a bus over a
// working network lose none of a few. It demands no order.
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

// Net is the network of a test.
type Net struct {
	Join func() bus.Bus // makes one more end

	// Cut breaks every connection and keeps them broken until Mend.
	Cut, Mend func()

	// Garbage sends these bytes to the ends; nil if a bus cannot receive any.
	Garbage func(text string)

	// NoSignals means that the bus carries wake-ups only.
	NoSignals bool
}

// patience bounds the wait for anything that must happen.
const patience = 20 * time.Second

// Test runs the suite. open returns a network without ends, which is closed
// with the test.
func Test(t *testing.T, open func(t *testing.T) Net) {
	for name, test := range map[string]func(*testing.T, Net){
		"delivers to the others": deliversToOthers, "reconnects": reconnects, "never blocks": neverBlocks,
		"run ends": runEnds, "ignores garbage": ignoresGarbage,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// end is one end of the bus, with what it received.
type end struct {
	name string
	bus  bus.Bus
	stop context.CancelFunc
	done chan error

	mu       sync.Mutex
	received map[string]int              // count, by the message as JSON
	far      map[gotong.Partition]uint64 // of its wake-ups
	change   chan struct{}               // closed at the next message
	held     chan struct{}               // handle waits until it is closed, if not nil
}

func join(t *testing.T, n *Net, name string) *end {
	t.Helper()
	e := newEnd(n, name)
	e.run(t)
	return e
}

func newEnd(n *Net, name string) *end {
	return &end{
		name: name, bus: n.Join(), done: make(chan error, 1), received: map[string]int{}, far: map[gotong.Partition]uint64{},
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

// ended stops the end, once, and requires Run to return nil in time.
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
	e.received[text(m)]++
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

// until waits until the end has received enough.
func (e *end) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	if !e.within(time.After(patience), enough) {
		t.Fatalf("%s does not receive %s", e.name, what)
	}
}

// within waits until the end has received enough. It returns false if the limit
// has a value first.
func (e *end) within(limit <-chan time.Time, enough func() bool) bool {
	for {
		e.mu.Lock()
		change, ok := e.change, enough()
		e.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-change:
		case <-limit:
			return false
		}
	}
}

// settle waits until every end receives from every other one. Each end
// publishes repeatedly, because messages are lost until a bus is connected.
func settle(t *testing.T, round uint64, list ...*end) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	quiet := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
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
	defer publishing.Wait()
	defer close(quiet)
	for _, e := range list {
		for i, o := range list {
			if o != e {
				e.until(t, "the wake-up of "+o.name, func() bool { return e.far[settling(i)] >= round })
			}
		}
	}
}

// settling returns a partition for the nth end alone. The end publishes there
// until the ends have settled.
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

// rounds bounds the tries of deliversToOthers: a busy machine may end a
// connection, and the signals of that moment may be lost.
const rounds = 5

// deliversToOthers: every end receives all messages of the others, whole, and
// none of its own.
func deliversToOthers(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	list := []*end{join(t, &n, "a"), join(t, &n, "b"), join(t, &n, "c")}
	lost := ""
	for round := range rounds {
		settle(t, uint64(round)+1, list...)
		if lost = delivered(t, n, round, list); lost == "" {
			break
		}
		t.Logf("round %d: %s", round, lost)
	}
	if lost != "" {
		t.Errorf("each round of messages lost some; the last: %s", lost)
	}
	for _, e := range list {
		e.mu.Lock()
		for message := range e.received {
			var m bus.Message
			if json.Unmarshal([]byte(message), &m) != nil || m.Node == e.name {
				t.Errorf("%s received its own message: %s", e.name, message)
			}
		}
		e.mu.Unlock()
	}
}

// delivered publishes messages from each end. It returns a sentence about one
// that another end did not receive, or "".
func delivered(t *testing.T, n Net, round int, list []*end) string {
	t.Helper()
	const most = 100
	first := round * most
	for i := first + 1; i <= first+most; i++ {
		for who, e := range list {
			e.bus.Publish(wake(e, gotong.Partition(4*who+i%4), uint64(i)))
			if !n.NoSignals {
				e.bus.Publish(signal(e, i))
				e.bus.Publish(ended(e, i))
			}
		}
	}
	limit := time.After(patience)
	for _, e := range list {
		for who, o := range list {
			if o == e {
				continue
			}
			for p := 4 * who; p < 4*who+4; p++ {
				e.until(t, "the farthest wake-up of "+o.name, func() bool { return e.far[gotong.Partition(p)] >= uint64(first+most-3) })
			}
			for i := first + 1; i <= first+most && !n.NoSignals; i++ {
				s, d := text(signal(o, i)), text(ended(o, i))
				if !e.within(limit, func() bool { return e.received[s] > 0 && e.received[d] > 0 }) {
					return fmt.Sprintf("%s does not receive %s with %s", e.name, s, d)
				}
			}
		}
	}
	return ""
}

// reconnects: after a cut, all ends reconnect by themselves, also one that
// joined during the cut.
func reconnects(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
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

// neverBlocks: neither a network that is down nor an end whose handler blocks
// makes Publish wait or memory grow.
func neverBlocks(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	a, b := join(t, &n, "a"), join(t, &n, "b")
	idle := newEnd(&n, "idle") // never runs
	settle(t, 1, a, b)
	b.mu.Lock()
	b.held = make(chan struct{})
	held := b.held
	b.mu.Unlock()
	publish := func() {
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
	publish()
	n.Cut()
	publish()
	if took := time.Since(began); took > time.Minute { // far above what a busy machine needs
		t.Errorf("600,000 messages without a receiver took %s to publish", took)
	}
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("messages without a receiver hold %d MiB", grown>>20)
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

// runEnds: Run returns nil in time, connected or not, and leaves no goroutine
// behind (the package's goleak checks that).
func runEnds(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	a, b := join(t, &n, "a"), join(t, &n, "b")
	settle(t, 1, a, b)
	a.ended(t)
	a.bus.Publish(wake(a, 1, 1)) // without a receiver
	n.Cut()
	c := join(t, &n, "c")
	b.ended(t)
	c.ended(t)
}

// ignoresGarbage: invalid messages are ignored.
func ignoresGarbage(t *testing.T, n Net) { //nolint:thelper // a test, whose lines should be shown
	if n.Garbage == nil {
		t.Skip("this bus accepts no bytes from outside")
	}
	a, b := join(t, &n, "a"), join(t, &n, "b")
	settle(t, 1, a, b)
	a.mu.Lock()
	known := len(a.received)
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
	if n := len(a.received) - known; n != 1 {
		t.Errorf("%d messages were received, want the valid one", n)
	}
}
