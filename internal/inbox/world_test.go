package inbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/view"
)

const (
	rt   = gotong.Stream("group/ent-rt")
	own  = gotong.Stream("thread/own")  // private, with its own members, who read from their join
	lent = gotong.Stream("thread/lent") // of the members of rt
)

var (
	ani, budi, citra, dewi = communitytest.User("ani"), communitytest.User("budi"), communitytest.User("citra"), communitytest.User("dewi")
	all                    = []gotong.Actor{ani, budi, citra, dewi}

	dm = thread.DirectOf("budi", "citra")
)

// world is two nodes on one store. Its clock stands, and the reader moves to the end of
// the log after each command.
type world struct {
	testing.TB
	clock   *clocktest.Clock
	store   store.Whole
	codec   *store.Codec
	reader  reader.Reader
	run     *reader.Runner
	engines [2]*engine.Engine
	boxes   [2]*inbox.Box
	n       int
	changed map[string]bool // whose list or mark changed since it was last emptied
	kinds   []gotong.Kind
	open    func(now func() gotong.Instant, collections []string) (store.Whole, error)
	signal  func(of gotong.Stream, users ...string)
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return newWorldOn(tb, func(now func() gotong.Instant, _ []string) (store.Whole, error) {
		return memory.New("k3f9", memory.Options{Now: now}), nil
	})
}

// onSQLite opens a store of the test's own.
func onSQLite(tb testing.TB) func(now func() gotong.Instant, collections []string) (store.Whole, error) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "inbox.db")
	return func(now func() gotong.Instant, collections []string) (store.Whole, error) {
		return sqlite.Open(tb.Context(), file, sqlite.Options{Collections: collections, Now: now})
	}
}

func newWorldOn(tb testing.TB, open func(now func() gotong.Instant, collections []string) (store.Whole, error)) *world {
	tb.Helper()
	w := &world{TB: tb, clock: clocktest.Stopped(1_795_968_000_000_000), changed: map[string]bool{}, open: open}
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	kinds = append(kinds, cases.Rules{Lenders: gotong.LendersOf(kinds), Tracks: cases.BuiltIn()}.Kind()) //nolint:gocritic // the next lists this one
	kinds = append(kinds, thread.Rules{Lenders: gotong.LendersOf(kinds), Claim: user.NameClaim}.Kind())
	w.kinds, w.codec = kinds, store.NewCodec(kinds)
	w.openStore()
	tb.Cleanup(func() { w.check(w.store.Close()) })
	w.start()
	tb.Cleanup(func() { w.stop() })
	for _, a := range all {
		w.do(gotong.Anonymous(), gotong.NewStream(user.Name, a.UserID), user.CmdRegister,
			user.Register{Email: a.UserID + "@rt05.example", Username: a.UserID, CommunityID: "rt05"})
	}
	w.do(ani, rt, group.CmdCreate, group.Create{Name: "RT", Description: "Warga", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(ani, own, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private, History: thread.FromJoin, Title: thread.Title{Name: "Arisan"}})
	w.do(ani, lent, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public, Members: thread.Home, Title: thread.Title{Name: "Ronda"}})
	return w
}

// restart ends both nodes and starts them again. Between, it closes and opens the store,
// if that keeps its log in a file.
func (w *world) restart() {
	w.Helper()
	w.stop()
	if _, ok := w.store.(*memory.Store); !ok {
		w.check(w.store.Close())
		w.openStore()
	}
	w.start()
}

func (w *world) openStore() {
	w.Helper()
	w.reader = inbox.Reader(w.kinds)
	var err error
	w.store, err = w.open(w.clock.Now, append(store.Collections(w.kinds), w.reader.Collections...))
	w.check(err)
}

func (w *world) stop() {
	for _, e := range w.engines {
		w.check(e.Close(context.Background()))
	}
}

// start starts both nodes on what the store holds.
func (w *world) start() {
	w.Helper()
	var err error
	w.run, err = reader.New(reader.Options{
		Store: w.store, Clock: w.clock, Log: slog.New(slog.DiscardHandler),
		Observer: reader.Observer{Advanced: func(changes []store.Change) {
			for of, users := range inbox.Changed(changes) {
				if w.signal != nil {
					w.signal(of, users...)
				}
				if users == nil {
					w.changed[of.ID()] = true
					users = []string{"ani", "budi", "citra", "dewi"}
				}
				if of.Kind() == user.Name {
					continue
				}
				members, err := w.boxes[0].Members(context.Background(), of, users)
				w.check(err)
				for _, id := range members {
					w.changed[id] = true
				}
			}
		}},
	}, []reader.Reader{w.reader}, nil)
	w.check(err)
	for i := range w.engines {
		w.engines[i] = engine.New(engine.Options{Store: w.store, Codec: w.codec, Clock: w.clock})
		w.boxes[i] = &inbox.Box{Options: inbox.Options{
			Store: w.store, Views: view.New(view.Options{Store: w.store, Codec: w.codec}), Codec: w.codec, Now: w.clock.Now,
			Changed: func(id string) { w.changed[id] = true },
		}}
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// do executes a command, at the two nodes in turn, and has the reader process it.
func (w *world) do(by gotong.Actor, s gotong.Stream, name string, data any) gotong.Receipt {
	w.Helper()
	w.n++
	w.clock.Pass(time.Second)
	id := fmt.Sprint("request-", w.n)
	raw, err := json.Marshal(data)
	w.check(err)
	r, err := w.engines[w.n%2].Execute(w.Context(), gotong.Command{
		Stream: s, Type: name, Actor: by, RequestID: id, CorrelationID: id, Data: data, Raw: raw,
	})
	if err != nil {
		w.Fatalf("%s by %s: %v", name, by.UserID, err)
	}
	w.check(w.run.CatchUp(w.Context()))
	return r
}

func (w *world) post(by gotong.Actor, s gotong.Stream, body string) gotong.Receipt {
	w.Helper()
	return w.do(by, s, thread.CmdPost, thread.Post{Body: body})
}

func viewer(a gotong.Actor) gotong.Viewer { return gotong.Viewer(a) }

// list returns all items of a user, at a node, in pages.
func (w *world) list(node int, a gotong.Actor, unread bool) (items []inbox.Shown) {
	w.Helper()
	q := inbox.Query{Limit: 4, Unread: unread}
	for {
		page, err := w.boxes[node].List(w.Context(), viewer(a), q)
		w.check(err)
		if len(page.Items) < q.Limit && page.Next != (inbox.ID{}) {
			w.Fatalf("a page of %d items is not the last one", len(page.Items))
		}
		if items = append(items, page.Items...); page.Next == (inbox.ID{}) {
			return items
		}
		q.Before = page.Next
	}
}

// rebuilt fails the test unless the documents are, byte for byte, what a rebuild makes.
func (w *world) rebuilt() {
	w.Helper()
	w.check(reader.Compare(w.Context(), w.store, &w.reader, 0, func(d reader.Difference) { w.Errorf("a rebuild differs: %+v", d) }))
}
