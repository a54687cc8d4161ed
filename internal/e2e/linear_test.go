package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// The operations of the model.
const (
	opPost = iota
	opAdd
	opRemove
	opRead
)

// wish is what somebody asks of the thread; user is who posts, reads, is added
// or removed.
type wish struct {
	op   int
	user string
	text string
}

// told is what came back: a seq (0 for a no-op), what a reader sees, or that
// there is nothing here for them.
type told struct {
	seq    uint64
	hidden bool
	log    string
}

// The state of the model is the log of the thread, one event a line: "+ann",
// "-ann", "ann said 17". What a reader sees is the lines from_join lets them see.

// active reports whether a user is a member at the end of a log.
func active(log, user string) bool {
	return strings.LastIndex(log, "+"+user+"\n") > strings.LastIndex(log, "-"+user+"\n")
}

// visible is what a user may read of a log under the policy from_join: what
// was said and done while they were a member, their own coming with it.
func visible(log, user string) string {
	var b strings.Builder
	member := false
	for i, line := range strings.SplitAfter(strings.TrimSuffix(log, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\n")
		switch line {
		case "+" + user:
			member = true
		case "-" + user:
			member = false
		}
		if member {
			fmt.Fprintf(&b, "%d %s\n", i+1, line)
		}
	}
	return b.String()
}

// step is the model's rule: whether this may be the answer in this state, and
// the state after it.
func step(state, input, output any) (bool, any) {
	log, in, out := state.(string), input.(wish), output.(told)
	next := uint64(strings.Count(log, "\n")) + 1
	member := active(log, in.user)
	write := func(line string) (bool, any) { return out.seq == next && !out.hidden, log + line + "\n" }
	switch {
	case in.op == opRead && !member, in.op == opPost && !member:
		return out.hidden, log
	case in.op == opRead:
		return !out.hidden && out.log == visible(log, in.user), log
	case in.op == opPost:
		return write(in.user + " said " + in.text)
	case in.op == opAdd && !member:
		return write("+" + in.user)
	case in.op == opRemove && member:
		return write("-" + in.user)
	default:
		return out.seq == 0 && !out.hidden, log
	}
}

func modelOf(rule func(state, input, output any) (bool, any)) porcupine.Model {
	return porcupine.Model{Init: func() any { return "+owner\n" }, Step: rule}
}

// TestLinearizable runs operations on one thread from several sides and checks
// that some one order of them explains every answer.
func TestLinearizable(t *testing.T) {
	adapters(t, func(t *testing.T, open func(*testing.T) store.Whole) {
		t.Helper()
		for seed := range uint64(size(4, 2)) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				history := runHistory(t, open(t), seed)
				if !porcupine.CheckOperations(modelOf(step), history) {
					t.Errorf("no order explains the history of %d operations", len(history))
				}
			})
		}
		t.Run("broken models", func(t *testing.T) { brokenModels(t, newCore(t, open(t), wrong())) })
	})
}

// brokenModels shows that the check can fail: rules that differ from the
// product's in one thing do not explain a history in which each of them matters.
func brokenModels(t *testing.T, c *core) {
	t.Helper()
	stream := makeFromJoin(t, c)
	var history []porcupine.Operation
	for n, in := range []wish{ // the seq of each event is beside it
		{op: opAdd, user: "ann"},    // 2
		{op: opPost, user: "ann"},   // 3
		{op: opRead, user: "ann"},   // sees 2 and 3
		{op: opRemove, user: "ann"}, // 4
		{op: opRead, user: "ann"},   // finds nothing
		{op: opAdd, user: "bob"},    // 5
		{op: opPost, user: "bob"},   // 6
		{op: opAdd, user: "ann"},    // 7
		{op: opRead, user: "ann"},   // sees 2, 3 and 7, but neither 5 nor 6
		{op: opPost, user: "bob"},   // 8
		{op: opPost, user: "bob"},   // 9
		{op: opPost, user: "bob"},   // 10
		{op: opRead, user: "bob"},
	} {
		in.text = fmt.Sprint("0-", n)
		out, err := c.ask(t.Context(), stream, in)
		if err != nil {
			t.Fatalf("%+v: %v", in, err)
		}
		history = append(history, porcupine.Operation{Input: in, Call: int64(2 * n), Output: out, Return: int64(2*n + 1)})
	}
	if !porcupine.CheckOperations(modelOf(step), history) {
		t.Fatalf("the product's own rules do not explain %+v", history)
	}
	broken := map[string]func(state, input, output any) (bool, any){
		"a removed reader goes on reading": func(state, input, output any) (bool, any) {
			if in, out := input.(wish), output.(told); in.op == opRead && strings.Contains(state.(string), "+"+in.user+"\n") {
				return !out.hidden, state
			}
			return step(state, input, output)
		},
		"a reader sees what was before him": func(state, input, output any) (bool, any) {
			if in, out := input.(wish), output.(told); in.op == opRead && active(state.(string), in.user) {
				all := visible(strings.ReplaceAll(state.(string), "-"+in.user+"\n", "-nobody\n"), in.user)
				return out.log == all, state
			}
			return step(state, input, output)
		},
		"a seq is skipped now and then": func(state, input, output any) (bool, any) {
			in, out := input.(wish), output.(told)
			if in.op == opPost && !out.hidden && out.seq%10 == 0 {
				out.seq++
			}
			return step(state, in, out)
		},
	}
	for name, rule := range broken {
		if porcupine.CheckOperations(modelOf(rule), history) {
			t.Errorf("a model in which %s explains the history too", name)
		}
	}
}

func makeFromJoin(t *testing.T, c *core) gotong.Stream {
	t.Helper()
	stream := thread.StreamOf("owner", "make")
	if _, err := c.do(t.Context(), stream, "owner", "make", thread.CmdCreate,
		thread.Create{ScopeID: "rt05", Privacy: thread.Private, History: thread.FromJoin}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// gathering is a store that commits nothing before every client of a round has
// called, so that operations overlap however the machine runs them.
type gathering struct {
	store.Whole
	called atomic.Pointer[sync.WaitGroup] // by the clients of this round
}

func (g *gathering) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	if called := g.called.Load(); called != nil {
		called.Wait()
	}
	g.Whole.Submit(ctx, batch, announce, done)
}

// runHistory lets several clients at a thread, one operation of each in a
// round. What they do follows from the seed; how it falls together does not.
// The rounds bound how many orders there are to try.
func runHistory(t *testing.T, s store.Whole, seed uint64) []porcupine.Operation {
	t.Helper()
	together := &gathering{Whole: s}
	c := newCore(t, together, wrong())
	stream := makeFromJoin(t, c)
	const clients, rounds = 6, 60
	var clock atomic.Int64 // which only orders calls and returns
	history := make([]porcupine.Operation, clients*rounds)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for n := range rounds {
		var called, done sync.WaitGroup
		called.Add(clients)
		together.called.Store(&called)
		for id := range clients {
			in := wish{op: rnd.IntN(4), user: [...]string{"ann", "bob", "cat"}[rnd.IntN(3)], text: fmt.Sprintf("%d-%d", id, n)}
			done.Go(func() {
				call := clock.Add(1)
				called.Done()
				out, err := c.ask(t.Context(), stream, in)
				history[n*clients+id] = porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: clock.Add(1)}
				if err != nil {
					t.Errorf("%+v: %v", in, err)
				}
			})
		}
		done.Wait()
	}
	concurrent := slices.ContainsFunc(history, func(a porcupine.Operation) bool {
		return slices.ContainsFunc(history, func(b porcupine.Operation) bool {
			return a.ClientId != b.ClientId && a.Call < b.Return && b.Call < a.Return
		})
	})
	if !concurrent {
		t.Error("no two operations were at work at once: the test shows nothing")
	}
	return history
}

// ask carries out one operation.
func (c *core) ask(ctx context.Context, stream gotong.Stream, in wish) (told, error) {
	id := "do-" + in.text
	var r gotong.Receipt
	var err error
	switch in.op {
	case opPost:
		r, err = c.do(ctx, stream, in.user, id, thread.CmdPost, thread.Post{Body: in.text})
	case opAdd:
		r, err = c.do(ctx, stream, "owner", id, thread.CmdAdd, thread.Add{UserID: in.user})
	case opRemove:
		r, err = c.do(ctx, stream, "owner", id, thread.CmdRemove, thread.Remove{UserID: in.user})
	default:
		var page view.Page
		page, err = c.views.Read(ctx, gotong.Viewer{UserID: in.user, Role: gotong.RoleUser}, view.Query{Stream: stream, Limit: 500})
		if err == nil {
			return told{log: rendered(page.Events)}, nil
		}
	}
	if gotong.CodeOf(err) == gotong.CodeNotFound {
		return told{hidden: true}, nil
	}
	return told{seq: r.First}, err
}

// rendered is what a reader got, in the words of the model.
func rendered(events []view.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%d ", e.Seq)
		switch d := e.Data.(type) {
		case thread.Added:
			b.WriteString("+" + d.UserID)
		case thread.Removed:
			b.WriteString("-" + d.UserID)
		case thread.Posted:
			b.WriteString(e.Actor.UserID + " said " + e.Content.(thread.Text).Body)
		}
		b.WriteString("\n")
	}
	return b.String()
}
