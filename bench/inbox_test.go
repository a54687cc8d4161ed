package bench

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/view"
)

// alley is a thread in SQLite and the inboxes of its members. The reader follows only
// when it is asked to.
type alley struct {
	b       *testing.B
	store   *sqlite.Store
	engine  *engine.Engine
	run     *reader.Runner
	box     inbox.Box
	n       int
	rows    int // that the reader has written
	written int // their bytes
}

const owner = "owner"

func neighbour(i int) string { return fmt.Sprint("tetangga", i) }

func viewerOf(id string) gotong.Viewer { return gotong.Viewer{UserID: id, Role: gotong.RoleUser} }

// newAlley returns a thread with an owner and other members, the first of whom has an
// account, so that texts can mention them.
func newAlley(b *testing.B, members int) *alley {
	b.Helper()
	codec, follows := store.NewCodec(app.Kinds()), inbox.Reader(app.Kinds())
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{
		Collections: append(store.Collections(app.Kinds()), follows.Collections...), Now: clock.System().Now,
	})
	must(b, err)
	a := &alley{b: b, store: s, engine: engine.New(engine.Options{Store: s, Codec: codec}), box: inbox.Box{Options: inbox.Options{
		Store: s, Views: view.New(view.Options{Store: s, Codec: codec}), Codec: codec, Now: clock.System().Now, Changed: func(string) {},
	}}}
	b.Cleanup(func() {
		must(b, a.engine.Close(context.Background()))
		must(b, s.Close())
	})
	a.run, err = reader.New(reader.Options{
		Store: s, Clock: clock.System(), Log: slog.New(slog.DiscardHandler), Observer: reader.Observer{Advanced: func(changes []store.Change) {
			for _, c := range changes {
				a.rows, a.written = a.rows+1, a.written+len(c.Key.Owner)+len(c.Key.Name)+len(c.Body)
			}
		}},
	}, []reader.Reader{follows}, nil)
	must(b, err)
	first := neighbour(0)
	a.do(gotong.Anonymous(), gotong.NewStream(user.Name, first), user.CmdRegister,
		user.Register{Email: first + "@rt05.example", Username: first, CommunityID: "rt05"})
	a.say(thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public, History: thread.All})
	for i := range members - 1 {
		a.say(thread.CmdAdd, thread.Add{UserID: neighbour(i)})
	}
	must(b, a.run.CatchUp(b.Context()))
	return a
}

func (a *alley) do(by gotong.Actor, s gotong.Stream, name string, data any) {
	a.b.Helper()
	a.n++
	id := fmt.Sprint("r", a.n)
	_, err := a.engine.Execute(a.b.Context(), gotong.Command{
		Stream: s, Type: name, Actor: by, RequestID: id, CorrelationID: id, Data: data, Raw: []byte(id), At: clock.System().Now(),
	})
	must(a.b, err)
}

// say runs a command of the owner on the thread.
func (a *alley) say(name string, data any) {
	a.b.Helper()
	a.do(gotong.Actor{UserID: owner, Role: gotong.RoleUser}, "thread/gang", name, data)
}

// BenchmarkInbox measures the inbox of a user with 10,000 unread items: its first page of
// 50, one in the middle, the count, and marking all as read.
func BenchmarkInbox(b *testing.B) {
	a := newAlley(b, 20)
	for i := range 10_000 {
		a.say(thread.CmdPost, thread.Post{Body: fmt.Sprintf("@%s, pompa kedua bisa dipindah sore ini, nomor %d", neighbour(0), i)})
	}
	must(b, a.run.CatchUp(b.Context()))
	me, middle := viewerOf(neighbour(0)), inbox.ID{}
	for range 100 {
		page, err := a.box.List(b.Context(), me, inbox.Query{Before: middle, Limit: 50})
		must(b, err)
		if middle = page.Next; len(page.Items) != 50 {
			b.Fatalf("a page has %d items", len(page.Items))
		}
	}
	page := func(before inbox.ID) {
		page, err := a.box.List(b.Context(), me, inbox.Query{Before: before, Limit: 50})
		if must(b, err); len(page.Items) != 50 {
			b.Fatalf("a page has %d items", len(page.Items))
		}
	}
	marks := gotong.Key{Collection: "inbox_marks", Owner: me.UserID}
	for _, m := range []struct {
		name        string
		before, run func()
	}{
		{"page=newest", nil, func() { page(inbox.ID{}) }},
		{"page=middle", nil, func() { page(middle) }},
		{"count", nil, func() {
			n, err := a.box.Unread(b.Context(), me)
			if must(b, err); n != inbox.MaxUnread {
				b.Fatalf("%d items are unread", n)
			}
		}},
		{"read-all", func() {
			r, err := store.ReadRegister(b.Context(), a.store, marks)
			must(b, err)
			must(b, a.store.SetRegister(b.Context(), marks, r.Version, []byte("{}"), 0))
		}, func() { must(b, a.box.ReadAll(b.Context(), me, inbox.ID{})) }},
	} {
		b.Run(m.name, func(b *testing.B) { timed(b, m.before, m.run) })
	}
}

// timed measures how long calls take, each after another one that does not count.
func timed(b *testing.B, before, run func()) {
	b.Helper()
	took := make([]time.Duration, b.N)
	for i := range took {
		if before != nil {
			before()
		}
		began := time.Now()
		run()
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkInboxItemForAll measures an item for all members of a thread: what the reader
// takes and writes for it, and the first page of one member, whose inbox has all items
// so far. With 200 members, each has an item; with 5,000, it is stored once and merged in.
func BenchmarkInboxItemForAll(b *testing.B) {
	for _, members := range []int{200, 5000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			a := newAlley(b, members)
			b.Run("write", func(b *testing.B) {
				a.rows, a.written = 0, 0
				timed(b, func() { a.say(thread.CmdPost, thread.Post{Body: "@here, air naik di gang tiga"}) },
					func() { must(b, a.run.CatchUp(b.Context())) })
				b.ReportMetric(float64(a.rows)/float64(b.N), "rows/item")
				b.ReportMetric(float64(a.written)/float64(b.N), "B/item")
			})
			b.Run("page", func(b *testing.B) {
				timed(b, nil, func() {
					page, err := a.box.List(b.Context(), viewerOf(neighbour(1)), inbox.Query{Limit: 50})
					if must(b, err); len(page.Items) == 0 {
						b.Fatal("the inbox is empty")
					}
				})
			})
		})
	}
}
