package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an engine over a store, with what it announced.
type rig struct {
	*engine.Engine
	store engine.Store

	mu        sync.Mutex
	announced []store.Event
	damage    []error
}

// clock goes back as often as forward.
func clock() func() gotong.Instant {
	var n atomic.Int64
	return func() gotong.Instant {
		i := n.Add(1)
		return gotong.Instant(1_700_000_000_000_000 + (i%7)*1000 - i)
	}
}

func newRig(t *testing.T, s engine.Store) *rig {
	t.Helper()
	r := &rig{store: s}
	r.Engine = engine.New(engine.Options{
		Store: s, Codec: store.NewCodec([]gotong.Kind{tally()}), Clock: clocktest.Showing(clock()),
		Committed: func(_ context.Context, rows []store.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.announced = append(r.announced, rows...)
		},
		Damage: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.damage = append(r.damage, err)
		},
	})
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newMemory(t *testing.T) *memory.Store {
	t.Helper()
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

const one = gotong.Stream("tally/one")

func command(stream gotong.Stream, actor, request string, data any) gotong.Command {
	return gotong.Command{
		Stream: stream, Type: fmt.Sprintf("%T", data), RequestID: request, Data: data,
		Actor: gotong.Actor{UserID: actor, Role: gotong.RoleUser}, Raw: fmt.Appendf(nil, "%v", data),
	}
}

func (r *rig) must(t *testing.T, c gotong.Command) gotong.Receipt {
	t.Helper()
	receipt, err := r.Execute(t.Context(), c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.Type, c.RequestID, err)
	}
	return receipt
}

// log reads a stream whole and checks everything that must hold of any log.
func (r *rig) log(t *testing.T, stream gotong.Stream) []store.Event {
	t.Helper()
	var rows []store.Event
	for {
		snap, err := r.store.Load(t.Context(), store.Need{Events: []store.EventRange{
			{Stream: stream, From: uint64(len(rows)), To: 1 << 40},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.Events[0]) == 0 {
			break
		}
		rows = append(rows, snap.Events[0]...)
	}
	var prev store.Event
	for i, e := range rows {
		if err := e.Verify(r.store.Epoch()); err != nil {
			t.Fatalf("seq %d: %v", e.Seq, err)
		}
		if e.Seq != uint64(i+1) || e.Prev != prev.Chain || e.At <= prev.At || e.ID.Compare(prev.ID) <= 0 ||
			e.Position < prev.Position {
			t.Fatalf("event %d does not follow the one before: %+v after %+v", i+1, e, prev)
		}
		prev = e
	}
	return rows
}

// TestErases: what a fact erases stands in the data of its event, and is gone.
func TestErases(t *testing.T) {
	r := newRig(t, newMemory(t))
	for i := range 3 {
		r.must(t, command(one, "ani", fmt.Sprint("add", i), add{N: 1}))
	}
	r.must(t, command(one, "ani", "wipe", wipe{[]uint64{1, 3}}))
	seen, rows := store.Erasures{}, r.log(t, one)
	for i := range rows {
		if err := seen.See(&rows[i]); err != nil {
			t.Fatal(err)
		}
		if want := i == 0 || i == 2; rows[i].Erased != want {
			t.Errorf("event %d erased: %v", i+1, rows[i].Erased)
		}
	}
	if seen.Unnamed() != 0 {
		t.Errorf("no event names %d", seen.Unnamed())
	}
}

func TestEqualRequestsMakeOneEvent(t *testing.T) {
	r := newRig(t, newMemory(t))
	r.must(t, command(one, "ani", "first", flip{true}))
	receipts := make([]gotong.Receipt, 64)
	var wg sync.WaitGroup
	for i := range receipts {
		wg.Go(func() { receipts[i] = r.must(t, command(one, "ani", "twin", add{N: 1})) })
	}
	wg.Wait()
	fresh := 0
	for _, got := range receipts {
		if !got.Replayed {
			fresh++
		}
		got.Replayed, got.Access = false, false
		first := receipts[0]
		first.Replayed, first.Access = false, false
		if fmt.Sprint(got) != fmt.Sprint(first) {
			t.Errorf("receipt %+v is not %+v", got, first)
		}
	}
	if fresh != 1 {
		t.Errorf("%d receipts were not replayed, want 1", fresh)
	}
	if got := len(r.log(t, one)); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestReuse(t *testing.T) {
	r := newRig(t, newMemory(t))
	first := r.must(t, command(one, "ani", "k", add{N: 1}))
	if _, err := r.Execute(t.Context(), command(one, "ani", "k", add{N: 2})); gotong.CodeOf(err) != gotong.CodeReused {
		t.Errorf("another body under the key: %v, want request_id_reused", err)
	}
	if got := r.must(t, command(one, "budi", "k", add{N: 2})); got.First == first.First || got.Replayed {
		t.Errorf("another actor's equal key was answered with %+v", got)
	}
	other := r.must(t, command("tally/two", "ani", "k", add{N: 2}))
	if other.Replayed {
		t.Error("an equal key on another stream was answered as a replay")
	}
}

// The fingerprint covers operation, body and every target, each as a field of
// its own: what one loses another does not gain.
func TestFingerprint(t *testing.T) {
	r := newRig(t, newMemory(t))
	with := func(typ, raw string, targets ...string) gotong.Command {
		c := command(one, "ani", "k", add{N: 1})
		c.Type, c.Raw, c.Targets = typ, []byte(raw), targets
		return c
	}
	first := with("member.mute", `{"a":1}`, "ani", "x")
	r.must(t, first)
	if got := r.must(t, first); !got.Replayed {
		t.Fatal("the same request is not a replay")
	}
	for name, c := range map[string]gotong.Command{
		"operation": with("member.role", `{"a":1}`, "ani", "x"), "body": with("member.mute", `{"a":2}`, "ani", "x"),
		"target": with("member.mute", `{"a":1}`, "budi", "x"), "second target": with("member.mute", `{"a":1}`, "ani", "y"),
		"no target": with("member.mute", `{"a":1}`), "one target less": with("member.mute", `{"a":1}`, "ani"),
		"one more": with("member.mute", `{"a":1}`, "ani", "x", ""), "lengths": with("member.mute", `{"a":1}`, "an", "ix"),
		"in one": with("member.mute", `{"a":1}`, "anix"), "in the body": with("member.mute", `{"a":1}ani`, "x"),
		"swapped": with("member.mute", `{"a":1}`, "x", "ani"), "zero byte": with("member.mute", "{\"a\":1}\x00ani", "x"),
	} {
		if _, err := r.Execute(t.Context(), c); gotong.CodeOf(err) != gotong.CodeReused {
			t.Errorf("another %s under the key: %v, want request_id_reused", name, err)
		}
	}
}

func TestRetriedNoOpAndRejection(t *testing.T) {
	r := newRig(t, newMemory(t))
	r.must(t, command(one, "ani", "on", flip{true}))
	noop := r.must(t, command(one, "ani", "again", flip{true}))
	if noop.First != 0 || noop.Replayed {
		t.Fatalf("a no-op answered %+v", noop)
	}
	r.must(t, command(one, "ani", "off", flip{false}))
	// By now the same wish would be an event; its retry is still the no-op.
	if got := r.must(t, command(one, "ani", "again", flip{true})); got.First != 0 || !got.Replayed || got.At != noop.At {
		t.Errorf("a retried no-op answered %+v, first %+v", got, noop)
	}
	// A rejection is not recorded: the same request may succeed later.
	r.must(t, command(one, "ani", "five", add{N: 5}))
	c := command(one, "ani", "less", add{N: 5, Limit: 9})
	if _, err := r.Execute(t.Context(), c); gotong.CodeOf(err) != gotong.CodeConflict {
		t.Fatalf("beyond the limit: %v", err)
	}
	r.must(t, command(one, "ani", "minus", add{N: -5}))
	if got := r.must(t, c); got.Replayed {
		t.Error("a rejected request was recorded")
	}
	// Its replay comes before the rules, which would reject it by now.
	r.must(t, command(one, "ani", "more", add{N: 5}))
	if got := r.must(t, c); !got.Replayed {
		t.Error("an accepted request was decided again")
	}
}

func TestLaneKeepsTheOrderOfSubmission(t *testing.T) {
	r := newRig(t, newMemory(t))
	const n = 500
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		c := command(one, "ani", fmt.Sprint(i), add{N: i + 1})
		if i%10 == 3 { // a rejection, a replay or a no-op among them may not let others overtake
			c = command(one, "ani", fmt.Sprint(i), add{N: 2, Limit: 1})
		}
		if i%10 == 5 {
			c = command(one, "ani", fmt.Sprint(i-1), add{N: i})
		}
		r.Submit(t.Context(), c, func(gotong.Receipt, error) { wg.Done() })
	}
	wg.Wait()
	last := 0
	codec := store.NewCodec([]gotong.Kind{tally()})
	for _, row := range r.log(t, one) {
		e, err := codec.Event(&row)
		if err != nil {
			t.Fatal(err)
		}
		if d := e.Data.(added); d.N < last {
			t.Fatalf("%d came after %d", d.N, last)
		} else if d.N > 1 {
			last = d.N
		}
	}
	if last != n {
		t.Errorf("the last addition is %d, want %d", last, n)
	}
}

func TestPendingStateDecides(t *testing.T) {
	// Many racing additions under a limit: never more than the limit is let in,
	// and never less.
	r := newRig(t, newMemory(t))
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			_, err := r.Execute(t.Context(), command(one, "ani", fmt.Sprint(i), add{N: 1, Limit: 50}))
			switch gotong.CodeOf(err) {
			case "":
				accepted.Add(1)
			case gotong.CodeConflict:
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 50 || len(r.log(t, one)) != 50 {
		t.Errorf("accepted %d, logged %d, want 50", accepted.Load(), len(r.log(t, one)))
	}
}

func TestAnnouncedIsWhatWasCommitted(t *testing.T) {
	r := newRig(t, newMemory(t))
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { r.must(t, command(one, "ani", fmt.Sprint(i/2), add{N: 1 + i/2})) })
	}
	wg.Wait()
	rows := r.log(t, one)
	if len(rows) != 50 || len(r.announced) != len(rows) {
		t.Fatalf("%d logged, %d announced, want 50 of each", len(rows), len(r.announced))
	}
	for i := range rows {
		if a := r.announced[i]; a.Seq != rows[i].Seq || a.Position != rows[i].Position || a.Chain != rows[i].Chain {
			t.Errorf("announced %d at %d, logged %d at %d", a.Seq, a.Position, rows[i].Seq, rows[i].Position)
		}
	}
}

// TestBorrowedDocuments is the check-then-insert skew: an addition is allowed
// by a document of another stream, which is changed at the same time.
func TestBorrowedDocuments(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			s := newMemory(t)
			rigs := []*rig{newRig(t, s)}
			for len(rigs) < nodes {
				rigs = append(rigs, newRig(t, s))
			}
			lampOf := gotong.Stream("tally/lamp")
			rigs[0].must(t, command(lampOf, "ani", "on", flip{true}))
			rigs[0].must(t, command(one, "ani", "obey", obey{lampOf}))
			var wg sync.WaitGroup
			for i := range 300 {
				wg.Go(func() {
					_, err := rigs[i%nodes].Execute(t.Context(), command(one, "ani", fmt.Sprint(i), add{N: 1}))
					if c := gotong.CodeOf(err); c != "" && c != gotong.CodeForbidden && c != gotong.CodeBusy {
						t.Error(err)
					}
				})
				if i%30 == 29 {
					wg.Go(func() {
						rigs[(i+1)%nodes].must(t, command(lampOf, "ani", fmt.Sprint("flip", i), flip{i%60 == 59}))
					})
				}
			}
			wg.Wait()
			checkLamp(t, rigs[0], lampOf)
		})
	}
}

// checkLamp walks the partition in order: no addition while the lamp is off.
func checkLamp(t *testing.T, r *rig, lampOf gotong.Stream) {
	t.Helper()
	rows := append(r.log(t, one), r.log(t, lampOf)...)
	on := map[uint64]bool{}
	codec := store.NewCodec([]gotong.Kind{tally()})
	var last uint64
	for _, row := range rows {
		if row.Stream == lampOf {
			e, err := codec.Event(&row)
			if err != nil {
				t.Fatal(err)
			}
			on[row.Position] = e.Data.(flip).On
			last = max(last, row.Position)
		}
	}
	for _, row := range rows {
		if row.Type != "added" {
			continue
		}
		for p := row.Position; p > 0; p-- {
			if lit, ok := on[p]; ok {
				if !lit {
					t.Errorf("added at %d although the lamp went off at %d", row.Position, p)
				}
				break
			}
		}
	}
	if last == 0 {
		t.Error("no flip was logged")
	}
}

func TestTwoNodesShareAStream(t *testing.T) {
	s := newMemory(t)
	a, b := newRig(t, s), newRig(t, s)
	var committed atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		for n, r := range []*rig{a, b} {
			wg.Go(func() {
				// Every request is sent to both nodes: one of them replays it.
				got, err := r.Execute(t.Context(), command(one, "ani", fmt.Sprint(i), add{N: 1}))
				if err != nil {
					t.Errorf("node %d: %v", n, err)
				} else if !got.Replayed {
					committed.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if got := len(a.log(t, one)); got != 200 || committed.Load() != 200 {
		t.Errorf("%d events, %d first answers, want 200 of each", got, committed.Load())
	}
}

func TestBadInputChangesNothing(t *testing.T) {
	r := newRig(t, newMemory(t))
	for name, c := range map[string]gotong.Command{
		"unknown kind":     command("nothing/x", "ani", "k", add{N: 1}),
		"empty request id": command(one, "ani", "", add{N: 1}),
		"bad request id":   command(one, "ani", "a b", add{N: 1}),
		"does not exist":   command(one, "ani", "k", nil),
	} {
		if _, err := r.Execute(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := len(r.log(t, one)); got != 0 {
		t.Errorf("%d events", got)
	}
}

func TestClosedEngineAnswersUnknown(t *testing.T) {
	r := newRig(t, newMemory(t))
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Execute(t.Context(), command(one, "ani", "k", add{N: 1}))
	var e *gotong.Error
	if !errors.As(err, &e) || e.Code != gotong.CodeBusy {
		t.Errorf("answered %v", err)
	}
}

func TestFaultyRulesEndOneCommand(t *testing.T) {
	r := newRig(t, newMemory(t))
	r.must(t, command(one, "ani", "a", add{N: 1}))
	for i := range 3 {
		_, err := r.Execute(t.Context(), command(one, "ani", fmt.Sprint("burst", i), burst{}))
		if gotong.CodeOf(err) != gotong.CodeInternal {
			t.Errorf("answered %v", err)
		}
		r.must(t, command(one, "ani", fmt.Sprint("after", i), add{N: 1}))
	}
	if got := len(r.log(t, one)); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
}
