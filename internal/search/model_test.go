package search_test

import (
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
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

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
	text          string   // empty: deleted or erased, or nothing but files
	files         []string // their names
	held, deleted bool
	indexed       string // all that it says at the last step of the reader
	revision      int    // then
}

// says is the text with the names of the files; empty if there is neither.
func (g *message) says() string { return strings.Join(append([]string{g.text}, g.files...), "/") }

func (m *model) member(s gotong.Stream, user string, step int) bool {
	return slices.ContainsFunc(m.spans[members(s)][user], func(v [2]int) bool { return v[0] <= step && (v[1] == 0 || step < v[1]) })
}

// want is the plain scan: what the query of these words finds.
func (m *model) want(user gotong.Actor, words []string, phrase bool, from string, link, file bool) (texts []string) {
	for _, g := range slices.Backward(m.messages) {
		sees := func(step int) bool { return g.s == open || m.member(g.s, user.UserID, step) }
		stale := g.indexed == "" || g.revision != len(g.events)-1 || g.indexed != g.says()
		if !m.member(g.s, user.UserID, m.step) || !sees(g.step) || !sees(max(g.step, g.edited)) || stale ||
			g.held && user != g.by || from != "" && from != g.by.UserID || link && !strings.Contains(g.text, "http") ||
			file && len(g.files) == 0 {
			continue
		}
		said := strings.NewReplacer(".", " ", "_", " ").Replace(" " + strings.ReplaceAll(g.says(), "/", " / ") + " ")
		if phrase {
			words = []string{strings.Join(words, " ")}
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(said, " "+w+" ") }) {
			texts = append(texts, g.says())
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
		g = &message{s: s, by: user, step: m.step, text: m.text()}
		post := thread.Post{Body: g.text}
		for range max(0, m.rand.IntN(6)-3) {
			g.files = append(g.files, strings.Join(m.words(1+m.rand.IntN(2)), "_")+".pdf")
			post.Attachments = append(post.Attachments, m.upload(user, s, g.files[len(g.files)-1]))
		}
		if len(g.files) > 0 && m.rand.IntN(3) == 0 {
			g.text, post.Body = "", ""
		}
		r := m.do(user, s, thread.CmdPost, post)
		g.events, g.at = r.EventIDs, r.At
		m.messages = append(m.messages, g)
		m.notef("%s posts %q in %s", user.UserID, g.says(), s)
	case n < 12 && g.says() != "" && !g.held && m.member(g.s, g.by.UserID, m.step) && m.clock.Now().Sub(g.at) < 14*time.Minute:
		g.text, g.edited = m.text(), m.step
		r := m.do(g.by, g.s, thread.CmdEdit, thread.Edit{MessageID: g.events[0], Revision: uint64(len(g.events) - 1), Body: g.text})
		g.events = append(g.events, r.EventIDs...)
		m.notef("edited into %q", g.says())
	case n < 13 && !g.deleted && !g.held && m.member(g.s, users[0].UserID, m.step):
		m.notef("deleted %q", g.says())
		g.text, g.files, g.deleted = "", nil, true
		m.do(users[0], g.s, thread.CmdDelete, thread.Delete{MessageID: g.events[0]})
	case n < 14 && !g.deleted && g.says() != "" && g.by != users[0]:
		decision := thread.Hold
		if g.held {
			decision = thread.Release
		}
		g.held = !g.held
		m.do(users[0], g.s, thread.CmdReview, thread.Review{MessageID: g.events[0], Decision: decision})
		m.notef("%s %q", decision, g.says())
	case n < 15 && !g.deleted && !g.held && g.says() != "":
		m.notef("erased %q", g.says())
		g.text, g.files = "", nil
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
		g.indexed, g.revision = g.says(), len(g.events)-1
	}
}

func (m *model) look() {
	m.Helper()
	for _, user := range users {
		words, phrase := m.words(m.rand.IntN(3)), m.rand.IntN(3) == 0
		query, from, link := strings.Join(words, " "), "", m.rand.IntN(5) == 0
		if phrase = phrase && len(words) > 0; phrase {
			query = `"` + query + `"`
		}
		if len(words) == 0 || m.rand.IntN(4) == 0 {
			from = users[m.rand.IntN(len(users))].UserID
			query = "from:" + from + " " + query
		}
		if link {
			query += " has:link"
		}
		file := m.rand.IntN(3) == 0
		if file {
			query += " has:file"
		}
		want := m.want(user, words, phrase, from, link, file)
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
		return // the stores' own suite compares them with a plain scan
	}
	t.Run("postgres", func(t *testing.T) {
		clock := clocktest.Stopped(begin)
		s, err := postgres.Open(t.Context(), postgrestest.Start(t).Schema(), postgres.Options{Collections: collections(), Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		walk(t, s, clock, 6, 25)
	})
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
