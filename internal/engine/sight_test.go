package engine_test

import (
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
)

// neighbours is a group and a thread that borrows its members, or has its own.
type neighbours struct {
	*engine.Engine
	t      *testing.T
	thread gotong.Stream
	join   func(user string)
	leave  func(user string)
	n      int
}

const lent = gotong.Stream("group/ent-x")

func newNeighbours(t *testing.T, members thread.Source) *neighbours {
	t.Helper()
	n := &neighbours{t: t, thread: "thread/t"}
	n.Engine = engine.New(engine.Options{
		Store: newMemory(t), Clock: clocktest.Showing(clock()),
		Codec: store.NewCodec([]gotong.Kind{thread.Kind(group.Kind()), group.Kind()}),
	})
	t.Cleanup(func() { _ = n.Close(t.Context()) })
	n.do("ani", lent, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
	n.do("ani", n.thread, thread.Create{ScopeID: "ent-x", Privacy: thread.Private, History: thread.FromJoin, Members: members})
	n.join = func(user string) { n.do("ani", n.thread, thread.Add{UserID: user}) }
	n.leave = func(user string) { n.do("ani", n.thread, thread.Remove{UserID: user}) }
	if members == thread.Home {
		n.join = func(user string) { n.do("ani", lent, group.Add{UserID: user, Role: group.Anggota}) }
		n.leave = func(user string) { n.do("ani", lent, group.Remove{UserID: user}) }
	}
	return n
}

func (n *neighbours) try(actor string, s gotong.Stream, data any) (gotong.Receipt, error) {
	n.n++
	return n.Execute(n.t.Context(), command(s, actor, fmt.Sprint("r", n.n), data))
}

func (n *neighbours) do(actor string, s gotong.Stream, data any) gotong.Receipt {
	n.t.Helper()
	r, err := n.try(actor, s, data)
	if err != nil {
		n.t.Fatalf("%T by %s: %v", data, actor, err)
	}
	return r
}

// A rule sees of the events that it names those that its actor sees, on the
// warm state of a lane too, where the command before was another user's.
func TestSight(t *testing.T) {
	for _, members := range []thread.Source{thread.Own, thread.Home} {
		t.Run(string(members), func(t *testing.T) {
			n := newNeighbours(t, members)
			before := n.do("ani", n.thread, thread.Post{Body: "before"}).EventIDs[0]
			n.join("budi")
			seen := n.do("ani", n.thread, thread.Post{Body: "seen"}).EventIDs[0]
			n.leave("budi")
			between := n.do("ani", n.thread, thread.Post{Body: "between"}).EventIDs[0]
			n.join("budi")
			for range 2 {
				for id, visible := range map[gotong.EventID]bool{before: false, seen: true, between: false} {
					n.do("ani", n.thread, thread.Post{Body: "x", ReplyTo: id})
					want := gotong.CodeNotFound
					if visible {
						want = ""
					}
					for _, data := range []any{
						thread.Post{Body: "x", ReplyTo: id}, thread.React{MessageID: id, Emoji: "👍", On: true},
						thread.React{MessageID: id, Emoji: "👍"},
					} {
						if _, err := n.try("budi", n.thread, data); gotong.CodeOf(err) != want {
							t.Errorf("%+v: got %v, want %q", data, err, want)
						}
					}
				}
			}
			again := command(n.thread, "budi", "again", thread.React{MessageID: seen, Emoji: "🎉", On: true})
			first, err := n.Execute(t.Context(), again)
			if err != nil {
				t.Fatal(err)
			}
			n.leave("budi") // who sees nothing now gets the answer of then
			if got, err := n.Execute(t.Context(), again); err != nil || got.First != first.First || !got.Replayed {
				t.Errorf("repeated: %+v %v", got, err)
			}
		})
	}
}
