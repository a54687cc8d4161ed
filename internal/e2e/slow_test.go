package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// quick is somebody who reads as fast as it comes and notes how late it came.
type quick struct {
	mu   sync.Mutex
	late map[string][]time.Duration // by phase
	n    map[string]int
	more chan struct{} // something was counted
}

// timedPost carries its phase and the moment it was sent.
type timedPost struct {
	Phase string `json:"p"`
	Sent  int64  `json:"s"`
}

func (q *quick) handle(e client.Event) error {
	var d struct {
		Body string `json:"body"`
	}
	var p timedPost
	if e.Type != "message.posted" || json.Unmarshal(e.Data, &d) != nil || json.Unmarshal([]byte(d.Body[:strings.IndexByte(d.Body, '}')+1]), &p) != nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n[p.Phase]++
	q.late[p.Phase] = append(q.late[p.Phase], time.Duration(time.Now().UnixNano()-p.Sent))
	select {
	case q.more <- struct{}{}:
	default:
	}
	return nil
}

func (q *quick) count(phase string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n[phase]
}

// has waits until so many events of a phase came; false where they did not
// while ctx lasted.
func (q *quick) has(ctx context.Context, phase string, n int) bool {
	for q.count(phase) < n {
		select {
		case <-q.more:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list[(len(list)-1)*p/100]
}

// TestSlowReader: some readers stop for 7 s. It costs the others nothing, the
// server no memory, and those who stopped nothing of the log.
func TestSlowReader(t *testing.T) {
	stop := 7 * time.Second
	if testing.Short() {
		stop = 3 * time.Second
	}
	const fast, slow, padding = 10, 32, 4000
	dir := t.TempDir()
	server := startChild(t, dir)
	if !server.ready() {
		t.Fatal("the server did not start")
	}
	users := append(names("fast", fast), names("slow", slow)...)
	_, stream := makeThread(t, server.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, users...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q := &quick{late: map[string][]time.Duration{}, n: map[string]int{}, more: make(chan struct{}, 1)}
	for _, user := range users[:fast] {
		conn := connect(t, dial(t, server.url, user, client.WebSocket), client.ConnOptions{Handle: q.handle})
		if err := conn.Subscribe(stream, client.Start); err != nil {
			t.Fatal(err)
		}
	}
	var reading sync.WaitGroup
	pause, resume := newMoment(), newMoment()
	readers := make([]*stopping, slow)
	for i, user := range users[fast:] {
		r := &stopping{tap: &tap{small: true}, pause: pause, resume: resume}
		readers[i] = r
		reading.Go(func() { r.read(ctx, t, server.url, user, stream) })
	}
	conn := connect(t, dial(t, server.url, "owner", client.WebSocket), client.ConnOptions{MaxPending: 64})
	sent := map[string]int{}
	phase := func(name string, d time.Duration) {
		sent[name] = talkFor(ctx, t, conn, stream, name, padding, d)
	}
	phase("warm-up", time.Second)
	phase("before", stop/3)
	before := server.memory(t)
	pause.set()
	phase("stopped", stop)
	grown := server.memory(t) - before
	// Nobody waits for those who stopped: what was posted meanwhile is here
	// before they go on. How late it came is for the benchmarks to judge.
	if !q.has(ctx, "stopped", fast*sent["stopped"]) {
		t.Errorf("the quick ones wait for the slow ones: %d of %d events", q.count("stopped"), fast*sent["stopped"])
	}
	resume.set()
	if _, err := conn.Post(ctx, stream, lastWords); err != nil {
		t.Fatal(err)
	}
	reading.Wait()
	terminate(t, server)
	rows := readLog(t, dir).streams[stream]
	for i, r := range readers {
		r.check(t, users[fast+i], uint64(len(rows)), 1)
	}
	for name, n := range sent {
		if got := q.count(name); got != fast*n {
			t.Errorf("%s: the quick ones got %d of %d events", name, got, fast*n)
		}
	}
	p50, p99 := percentile(q.late["before"], 50), percentile(q.late["before"], 99)
	q50, q99 := percentile(q.late["stopped"], 50), percentile(q.late["stopped"], 99)
	t.Logf("%d posts of %d bytes in %s: to the quick ones within %s (median), %s (99 of 100) before, %s and %s while %d stopped; the server grew by %d KiB",
		sent["stopped"], padding, stop, p50, p99, q50, q99, slow, grown>>10)
	// What a node keeps for a stream, and the caches of its store, are bounded;
	// what slow readers have yet to read is not kept at all.
	const most = 96 << 20
	behind := int64(sent["stopped"]) * padding * slow
	if grown > most {
		t.Errorf("the server grew by %d bytes for readers that were %d bytes behind", grown, behind)
	} else if behind < 2*most {
		t.Logf("the slow ones were only %d bytes behind: that says nothing of the server's memory", behind)
	}
}

// talkFor posts steadily for some time and returns how often.
func talkFor(
	ctx context.Context, t *testing.T, conn *client.Conn, stream gotong.Stream, name string, padding int, d time.Duration,
) int {
	t.Helper()
	tick := pace(4 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	var answers sync.WaitGroup
	defer answers.Wait()
	filler := make([]byte, padding-200)
	for n := 0; ; n++ {
		select {
		case <-end.C:
			return n
		case <-tick.C:
		}
		for i := range filler {
			filler[i] = byte('a' + rand.IntN(26))
		}
		body := encode(timedPost{name, time.Now().UnixNano()}) + string(filler)
		call, err := conn.Submit(ctx, stream, "message.post", map[string]string{"body": body})
		if err != nil {
			t.Error(err)
			return n
		}
		answers.Go(func() {
			if _, err := call.Wait(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// stopping reads a WebSocket, stops, and goes on.
type stopping struct {
	tap           *tap
	pause, resume *moment
	paused        time.Duration
	epoch, at     string      // the cursor behind what was read
	spans         [][2]uint64 // from and to of each frame
	seqs          []uint64
}

// mayBeCut is how long a reader may stop before the server may cut it, and some time
// less, for what the server does meanwhile.
const mayBeCut = 25 * time.Second

// read reads to the last words. On a machine so slow that the stop lasted long, the
// server may cut the connection: then it goes on over another.
func (r *stopping) read(ctx context.Context, t *testing.T, url, user string, stream gotong.Stream) {
	t.Helper()
	r.at = "start"
	err := r.connect(ctx, t, url, user, stream)
	if err != nil && r.paused > mayBeCut {
		t.Logf("%s was cut after %s: %v", user, r.paused, err)
		err = r.connect(ctx, t, url, user, stream)
	}
	if err != nil {
		t.Errorf("%s: %v", user, err)
	}
}

// connect reads over one connection, to the last words or until it breaks.
func (r *stopping) connect(ctx context.Context, t *testing.T, url, user string, stream gotong.Stream) error {
	t.Helper()
	h := r.tap.http(t)
	ws := unreadSocket(ctx, t, h, url, user)
	defer func() { _ = ws.CloseNow() }()
	if err := tell(ctx, ws, map[string]any{"op": "subscribe", "id": "1", "stream": stream, "cursor": r.at}); err != nil {
		return err
	}
	for {
		select {
		case <-r.pause.c:
			began := time.Now()
			<-r.resume.c
			r.paused = max(r.paused, time.Since(began))
		default:
		}
		_, b, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		var f struct {
			Op     string `json:"op"`
			Epoch  string `json:"epoch"`
			From   uint64 `json:"from"`
			To     uint64 `json:"to"`
			Events []struct {
				Seq uint64 `json:"seq"`
			} `json:"events"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
		if f.Op == "welcome" {
			r.epoch = f.Epoch
		}
		if f.Op != "events" {
			continue
		}
		r.at = fmt.Sprint(r.epoch, ":", f.To)
		r.spans = append(r.spans, [2]uint64{f.From, f.To})
		for _, e := range f.Events {
			r.seqs = append(r.seqs, e.Seq)
		}
		if strings.Contains(string(b), lastWords) {
			return nil
		}
	}
}

// check: frames join without a gap, and every seq came once.
func (r *stopping) check(t *testing.T, user string, head, first uint64) {
	t.Helper()
	for i := 1; i < len(r.spans); i++ {
		if r.spans[i][0] != r.spans[i-1][1] {
			t.Errorf("%s: a frame from %d after one to %d", user, r.spans[i][0], r.spans[i-1][1])
		}
	}
	for i, seq := range r.seqs {
		if seq != first+uint64(i) {
			t.Errorf("%s: event %d has seq %d", user, i, seq)
			return
		}
	}
	if n := head - first + 1; uint64(len(r.seqs)) != n {
		t.Errorf("%s got %d of %d events", user, len(r.seqs), n)
	}
}

// memory is what a child has resident, in bytes; 0 where nobody tells.
func (c *child) memory(tb testing.TB) int64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		tb.Error(err)
	}
	return pages * int64(os.Getpagesize())
}
