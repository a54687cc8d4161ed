package search_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
	"gotong.dev/gotong/internal/view"
)

const (
	rt   = gotong.Stream("group/ent-rt")
	own  = gotong.Stream("thread/own")  // members read from their join
	open = gotong.Stream("thread/open") // members read everything
	lent = gotong.Stream("thread/lent") // of the members of rt
)

var (
	threads = []gotong.Stream{own, open, lent}
	users   = []gotong.Actor{communitytest.User("ani"), communitytest.User("budi"), communitytest.User("citra"), communitytest.User("dewi")}
)

// world is a store with threads and the index of their messages.
type world struct {
	testing.TB
	clock  *clocktest.Clock
	store  store.Whole
	engine *engine.Engine
	reader reader.Reader
	run    *reader.Runner
	search search.Search
	n      int

	proposed []store.Document // by the index
}

func codec() (*store.Codec, []gotong.Kind) {
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	threads := thread.Rules{Lenders: gotong.LendersOf(kinds), Claim: user.NameClaim}
	kinds = append(kinds, threads.Kind(), upload.Rules{Threads: threads}.Kind())
	return store.NewCodec(kinds), kinds
}

// collections are those that the store of a world has.
func collections() []string {
	codec, kinds := codec()
	return append(store.Collections(kinds), search.Reader(codec).Collections...)
}

func newWorld(tb testing.TB, s store.Whole, clock *clocktest.Clock) *world {
	tb.Helper()
	codec, _ := codec()
	w := &world{TB: tb, clock: clock, store: s, reader: search.Reader(codec)}
	var err error
	w.run, err = reader.New(reader.Options{Store: s, Clock: clock, Log: slog.New(slog.DiscardHandler)}, []reader.Reader{w.reader}, nil)
	w.check(err)
	w.engine = engine.New(engine.Options{Store: s, Codec: codec, Clock: clock})
	w.search = search.Search{Store: w, Views: view.New(view.Options{Store: s, Codec: codec})}
	tb.Cleanup(func() {
		w.check(w.engine.Close(context.Background()))
		w.check(s.Close())
	})
	return w
}

// Load and FindTexts are the store as a search reads it.
func (w *world) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	return w.store.Load(ctx, need)
}

func (w *world) FindTexts(ctx context.Context, f store.Finding) ([]store.Document, error) {
	docs, err := w.store.FindTexts(ctx, f)
	w.proposed = append(w.proposed, docs...)
	return docs, err
}

// inside fails the test if the index proposed what lies outside the extents: it would
// decide how long a page is and where the next begins.
func (w *world) inside(extents []search.Extent) {
	w.Helper()
	for _, d := range w.proposed {
		var row struct {
			Seq uint64 `json:"seq"`
			Rev uint64 `json:"rev_seq"`
		}
		w.check(json.Unmarshal(d.Body, &row))
		if !slices.ContainsFunc(extents, func(e search.Extent) bool {
			return e.Stream.ID() == d.Key.Owner && e.Access.Sees(row.Rev, "", row.Seq)
		}) {
			w.Errorf("the index proposed %s of %s", d.Body, d.Key.Owner)
		}
	}
	w.proposed = nil
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) do(by gotong.Actor, s gotong.Stream, name string, data any) gotong.Receipt {
	w.Helper()
	w.n++
	w.clock.Pass(time.Second)
	raw, err := json.Marshal(data)
	w.check(err)
	id := fmt.Sprint("request-", w.n)
	r, err := w.engine.Execute(w.Context(), gotong.Command{
		Stream: s, Type: name, Actor: by, RequestID: id, CorrelationID: id, Data: data, Raw: raw,
	})
	if err != nil {
		w.Fatalf("%s by %s: %v", name, by.UserID, err)
	}
	return r
}

// begin makes the group and the threads; the first user owns all of them.
func (w *world) begin() {
	w.Helper()
	ani := users[0]
	w.do(ani, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(ani, own, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private, History: thread.FromJoin})
	w.do(ani, open, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private, History: thread.All})
	w.do(ani, lent, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Private, History: thread.FromJoin, Members: thread.Home})
}

// upload has a user upload a file to a thread, and returns its id.
func (w *world) upload(by gotong.Actor, in gotong.Stream, name string) string {
	w.Helper()
	snap, err := w.store.Load(w.Context(), store.Need{Heads: []gotong.Stream{in}})
	w.check(err)
	s := upload.StreamOf(by.UserID, fmt.Sprint("file-", w.n))
	w.do(by, s, upload.CmdStart, upload.Start{Thread: in, Home: snap.Heads[in].Home, Name: name, Size: 3})
	w.do(communitytest.System(), s, upload.CmdStore, upload.Store{Size: 3, Hash: "h", Type: "application/pdf"})
	return s.ID()
}

// extents are the threads that a user may search.
func (w *world) extents(user gotong.Actor) (list []search.Extent) {
	w.Helper()
	for _, s := range threads {
		snap, err := w.search.Views.Load(w.Context(), s, []gotong.Viewer{gotong.Viewer(user)}, view.Span{}, store.Need{}, nil)
		w.check(err)
		if a := snap.Grants[0].Access; a.Readable {
			list = append(list, search.Extent{Stream: s, Partition: snap.Home(), Access: a})
		}
	}
	return list
}

// find returns what a query finds for a user, in pages: the texts with the names of
// files, newest first.
func (w *world) find(user gotong.Actor, query string, limit int) (texts []string) {
	w.Helper()
	q, err := search.Parse(query)
	w.check(err)
	for before := (gotong.EventID{}); ; {
		extents := w.extents(user)
		page, err := w.search.Find(w.Context(), q, q.From, extents, before, limit)
		w.check(err)
		w.inside(extents)
		for _, p := range page.AsOf {
			if !slices.ContainsFunc(extents, func(e search.Extent) bool { return e.Partition == p.Partition }) {
				w.Errorf("the answer says how far partition %d is", p.Partition)
			}
		}
		for _, h := range page.Hits {
			parts := []string{}
			for _, s := range append([]search.Snippet{h.Snippet}, h.Files...) {
				parts = append(parts, s.Text)
				for _, m := range s.Marks {
					if word := string([]rune(s.Text)[m.From:m.To]); word == "" || strings.HasPrefix(word, " ") {
						w.Errorf("%q marks %q of %q", query, word, s.Text)
					}
				}
			}
			texts = append(texts, strings.Join(parts, "/"))
		}
		if before = page.Next; before.IsZero() {
			return texts
		}
		if len(page.Hits) > limit {
			w.Fatalf("%d hits of at most %d", len(page.Hits), limit)
		}
	}
}

// members is the stream that has the members of a thread.
func members(s gotong.Stream) gotong.Stream {
	if s == lent {
		return rt
	}
	return s
}

func TestMain(m *testing.M) {
	defer surrealtest.Stop()
	defer postgrestest.Stop()
	m.Run()
}
