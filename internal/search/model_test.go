package search_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/surreal"
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
	kinds = append(kinds, thread.Rules{Lenders: gotong.LendersOf(kinds), Claim: user.NameClaim}.Kind())
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

// extents are the threads that a user may search.
func (w *world) extents(user gotong.Actor) (list []search.Extent) {
	w.Helper()
	for _, s := range threads {
		snap, err := w.search.Views.Load(w.Context(), s, []gotong.Viewer{gotong.Viewer(user)}, view.Span{}, store.Need{}, nil)
		w.check(err)
		if a := snap.Grants[0].Access; a.Readable {
			list = append(list, search.Extent{Stream: s, Access: a})
		}
	}
	return list
}

// find returns what a query finds for a user, in pages: the texts, newest first.
func (w *world) find(user gotong.Actor, query string, limit int) (texts []string) {
	w.Helper()
	q, err := search.Parse(query)
	w.check(err)
	for before := (gotong.EventID{}); ; {
		extents := w.extents(user)
		page, err := w.search.Find(w.Context(), q, q.From, extents, before, limit)
		w.check(err)
		w.inside(extents)
		for _, h := range page.Hits {
			texts = append(texts, h.Snippet.Text)
			for _, m := range h.Snippet.Marks {
				if word := string([]rune(h.Snippet.Text)[m.From:m.To]); word == "" || strings.HasPrefix(word, " ") {
					w.Errorf("%q marks %q of %q", query, word, h.Snippet.Text)
				}
			}
		}
		if before = page.Next; before.IsZero() {
			return texts
		}
		if len(page.Hits) > limit {
			w.Fatalf("%d hits of at most %d", len(page.Hits), limit)
		}
	}
}

// model is what a user may find, kept apart from the code: who was a member when, and
// what each message said after each step.
type model struct {
	*world
	rand     *rand.Rand
	step     int
	spans    map[gotong.Stream]map[string][][2]int // [from, to); to 0: now
	messages []*message
	log      []string
}

type message struct {
	s             gotong.Stream
	events        []gotong.EventID // the message and its edits
	by            gotong.Actor
	at            gotong.Instant
	step, edited  int
	text          string // empty: deleted or erased
	held, deleted bool
	indexed       string // the text at the last step of the reader
	revision      int    // then
}

// members is the stream that has the members of a thread.
func members(s gotong.Stream) gotong.Stream {
	if s == lent {
		return rt
	}
	return s
}

func (m *model) member(s gotong.Stream, user string, step int) bool {
	return slices.ContainsFunc(m.spans[members(s)][user], func(v [2]int) bool { return v[0] <= step && (v[1] == 0 || step < v[1]) })
}

// want is the plain scan: what the query of these words finds.
func (m *model) want(user gotong.Actor, words []string, phrase bool, from string, link bool) (texts []string) {
	for _, g := range slices.Backward(m.messages) {
		sees := func(step int) bool { return g.s == open || m.member(g.s, user.UserID, step) }
		stale := g.indexed == "" || g.revision != len(g.events)-1 || g.indexed != g.text
		if !m.member(g.s, user.UserID, m.step) || !sees(g.step) || !sees(max(g.step, g.edited)) || stale ||
			g.held && user != g.by || from != "" && from != g.by.UserID || link && !strings.Contains(g.text, "http") {
			continue
		}
		fits := phrase && strings.Contains(" "+g.text+" ", " "+strings.Join(words, " ")+" ")
		if !phrase {
			fits = !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(strings.Fields(g.text), w) })
		}
		if fits {
			texts = append(texts, g.text)
		}
	}
	return texts
}

// The words of messages: no two of them share a form.
var vocabulary = []string{"kopi", "jahe", "rapat", "ronda", "warung", "hujan", "sampah", "beras", "https"}

func (m *model) words(n int) (list []string) {
	for range n {
		list = append(list, vocabulary[m.rand.IntN(len(vocabulary)-1)])
	}
	return list
}

// text returns the text of a new message, with a number that no other has.
func (m *model) text() string {
	text := strings.Join(m.words(1+m.rand.IntN(5)), " ") + fmt.Sprint(" n", m.n)
	if m.rand.IntN(5) == 0 {
		text += " https://rt05.example/"
	}
	return text
}

func (m *model) notef(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *model) change() {
	m.Helper()
	m.step++
	user, s := users[m.rand.IntN(len(users))], threads[m.rand.IntN(len(threads))]
	var g *message
	if len(m.messages) > 0 {
		g = m.messages[max(0, len(m.messages)-1-m.rand.IntN(20))]
	}
	switch n := m.rand.IntN(20); {
	case n < 9 || g == nil:
		if !m.member(s, user.UserID, m.step) {
			return
		}
		text := m.text()
		r := m.do(user, s, thread.CmdPost, thread.Post{Body: text})
		m.messages = append(m.messages, &message{s: s, events: r.EventIDs, by: user, at: r.At, step: m.step, text: text})
		m.notef("%s posts %q in %s", user.UserID, text, s)
	case n < 12 && g.text != "" && !g.held && m.member(g.s, g.by.UserID, m.step) && m.clock.Now().Sub(g.at) < 14*time.Minute:
		g.text, g.edited = m.text(), m.step
		r := m.do(g.by, g.s, thread.CmdEdit, thread.Edit{MessageID: g.events[0], Revision: uint64(len(g.events) - 1), Body: g.text})
		g.events = append(g.events, r.EventIDs...)
		m.notef("edited into %q", g.text)
	case n < 13 && !g.deleted && !g.held && m.member(g.s, users[0].UserID, m.step):
		m.notef("deleted %q", g.text)
		g.text, g.deleted = "", true
		m.do(users[0], g.s, thread.CmdDelete, thread.Delete{MessageID: g.events[0]})
	case n < 14 && !g.deleted && g.text != "" && g.by != users[0]:
		decision := thread.Hold
		if g.held {
			decision = thread.Release
		}
		g.held = !g.held
		m.do(users[0], g.s, thread.CmdReview, thread.Review{MessageID: g.events[0], Decision: decision})
		m.notef("%s %q", decision, g.text)
	case n < 15 && !g.deleted && !g.held && g.text != "":
		m.notef("erased %q", g.text)
		g.text = ""
		m.do(communitytest.Admin("adm"), g.s, gotong.CmdErase, gotong.Erase{Events: g.events, Reason: "by order"})
	case n >= 15 && user != users[0]:
		m.move(user, members(s))
	}
}

// move adds a user to a stream, or removes them.
func (m *model) move(user gotong.Actor, s gotong.Stream) {
	m.Helper()
	spans := m.spans[s][user.UserID]
	in := len(spans) > 0 && spans[len(spans)-1][1] == 0
	switch {
	case in && s == rt:
		m.do(users[0], s, group.CmdRemove, group.Remove{UserID: user.UserID})
	case in:
		m.do(users[0], s, thread.CmdRemove, thread.Remove{UserID: user.UserID})
	case s == rt:
		m.do(user, s, group.CmdJoin, group.Join{})
	default:
		m.do(users[0], s, thread.CmdAdd, thread.Add{UserID: user.UserID})
	}
	if in {
		spans[len(spans)-1][1] = m.step
	} else {
		m.spans[s][user.UserID] = append(spans, [2]int{m.step, 0})
	}
	m.notef("%s of %s: %v", user.UserID, s, !in)
}

// follow has the reader read all that was committed.
func (m *model) follow() {
	m.Helper()
	m.check(m.run.CatchUp(m.Context()))
	for _, g := range m.messages {
		g.indexed, g.revision = g.text, len(g.events)-1
	}
}

func (m *model) look() {
	m.Helper()
	for _, user := range users {
		words, phrase := m.words(1+m.rand.IntN(2)), m.rand.IntN(3) == 0
		query, from, link := strings.Join(words, " "), "", m.rand.IntN(5) == 0
		if phrase {
			query = `"` + query + `"`
		}
		if m.rand.IntN(4) == 0 {
			from = users[m.rand.IntN(len(users))].UserID
			query = "from:" + from + " " + query
		}
		if link {
			query += " has:link"
		}
		want := m.want(user, words, phrase, from, link)
		if got := m.find(user, query, 1+m.rand.IntN(6)); !slices.Equal(got, want) {
			m.Fatalf("%s finds by %s:\n%q\nwant\n%q\nafter:\n%s", user.UserID, query, got, want, strings.Join(m.log[max(0, len(m.log)-40):], "\n"))
		}
	}
}

// TestFindsWhatAPlainScanFinds: over random histories of joins, removals, edits,
// deletions, holds and erasures, each user finds what a plain scan of the texts that
// they may see finds, in order and in pages, but for what changed since the reader
// read it; and the index is what a rebuild makes.
func TestFindsWhatAPlainScanFinds(t *testing.T) {
	steps := 120
	if testing.Short() {
		steps = 40
	}
	walk := func(t *testing.T, s store.Whole, clock *clocktest.Clock, seed uint64, steps int) {
		t.Helper()
		m := &model{
			world: newWorld(t, s, clock), rand: rand.New(rand.NewPCG(seed, 1)),
			spans: map[gotong.Stream]map[string][][2]int{rt: {"ani": {{0, 0}}}, own: {"ani": {{0, 0}}}, open: {"ani": {{0, 0}}}},
		}
		m.begin()
		for range steps {
			for range 1 + m.rand.IntN(4) {
				m.change()
			}
			if m.rand.IntN(3) > 0 {
				m.follow()
			}
			m.look()
		}
		m.follow()
		m.look()
		m.check(reader.Compare(t.Context(), s, &m.reader, 0, func(d reader.Difference) { t.Errorf("a rebuild differs: %+v", d) }))
		m.check(reader.Rebuild(t.Context(), s, []reader.Reader{m.reader}, search.Name))
		if got := m.find(users[0], "kopi", 9); len(got) > 0 {
			t.Errorf("while it is being rebuilt, the index proposes %q", got)
		}
		var err error
		m.run, err = reader.New(reader.Options{Store: s, Clock: clock, Log: slog.New(slog.DiscardHandler)}, []reader.Reader{m.reader}, nil)
		m.check(err)
		m.follow()
		m.look()
	}
	begin := gotong.Instant(1_795_968_000_000_000)
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("memory/", seed), func(t *testing.T) {
			clock := clocktest.Stopped(begin)
			walk(t, memory.New("k3f9", memory.Options{Now: clock.Now}), clock, seed, steps)
		})
	}
	t.Run("sqlite", func(t *testing.T) {
		clock := clocktest.Stopped(begin)
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Collections: collections(), Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		walk(t, s, clock, 4, steps)
	})
	if testing.Short() {
		return // the store's own suite compares SurrealDB with a plain scan
	}
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		clock := clocktest.Stopped(gotong.InstantOf(time.Now()))
		s, err := surreal.Open(t.Context(), surrealtest.Start(t, e), surreal.Options{Collections: collections()})
		if err != nil {
			t.Fatal(err)
		}
		walk(t, s, clock, 5, 25)
	})
}

func TestMain(m *testing.M) {
	defer surrealtest.Stop()
	m.Run()
}
