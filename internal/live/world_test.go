package live_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two kinds, with just enough rules to try delivery: a room has things said in
// it, and its members are its own or, where its id begins with "c-", those of
// the club it belongs to, or, where it begins with "t-", those of a team of the
// club who are in the club too.
type (
	said   struct{ N int }
	words  struct{ Text string }
	edited struct {
		Seq uint64
		Own bool // only the actor of the event is shown the new text
	}
	member  struct{ User string }
	edition struct {
		By  uint64
		Own bool
	}
)

// withheld is the text of what was edited out of its viewer's sight.
const withheld = "(withheld)"

func kinds() []gotong.Kind { return []gotong.Kind{room(), club(), team()} }

func room() gotong.Kind {
	k := club()
	k.Name, k.Overlays, k.Signals = "room", "room_overlays", []string{"typing", "presence", "read"}
	k.Documents = []gotong.Type{
		gotong.TypeOf[gotong.Membership]("room_members"), gotong.TypeOf[edition]("room_overlays"),
	}
	k.Amends = func(e gotong.Event) bool { return e.Type == "edited" }
	k.About = func(e gotong.Event) []uint64 {
		if d, ok := e.Data.(edited); ok {
			return []uint64{d.Seq}
		}
		return nil
	}
	k.Laid = func(doc any) gotong.Laid {
		d := doc.(edition)
		return gotong.Laid{First: d.By, Last: d.By, Text: d.By, Own: d.Own}
	}
	k.Overlay = func(e gotong.Event, doc any, later gotong.Later) gotong.Event {
		if doc == nil { // erased
			return e
		}
		if e.Content = (words{withheld}); later.Text != nil && (later.Own || !doc.(edition).Own) {
			e.Content = later.Text.Content
		}
		return e
	}
	return k
}

func club() gotong.Kind {
	return gotong.Kind{
		Name: "club",
		Events: []gotong.EventType{
			gotong.EventWith[said, words]("said"), gotong.EventWith[edited, words]("edited"),
			gotong.EventOf[member]("added"), gotong.EventOf[member]("removed"), gotong.EventOf[member]("opened"),
			gotong.EventOf[member]("renewed"),
		},
		Documents: []gotong.Type{gotong.TypeOf[gotong.Membership]("club_members")},
		AccessNeeds: func(s gotong.State, r gotong.Viewer) []gotong.Ref {
			return gotong.ChainRefs(chain(s.Stream), r.UserID)
		},
		Access: func(s gotong.State, r gotong.Viewer) gotong.Grant {
			m := gotong.MembershipOf(s, chain(s.Stream)[0], r.UserID)
			g := gotong.Grant{Readable: true, Roles: []string{m.Role}, Spans: m.Spans(chain(s.Stream)[0])}
			for i, of := range chain(s.Stream) {
				m := gotong.MembershipOf(s, of, r.UserID)
				if g.Readable = g.Readable && m.Active(); i > 0 {
					g.Within = append(g.Within, m.Spans(of))
				}
			}
			return g
		},
		Affects: func(e gotong.Event) gotong.Affected {
			if m, ok := e.Data.(member); ok {
				return gotong.Affected{Users: []string{m.User}, Everyone: e.Type == "opened"}
			}
			return gotong.Affected{}
		},
		Project: project,
	}
}

func team() gotong.Kind {
	k := club()
	k.Name, k.Documents = "team", []gotong.Type{gotong.TypeOf[gotong.Membership]("team_members")}
	return k
}

// chain is the streams of which everybody who may read s is a member.
func chain(s gotong.Stream) []gotong.Stream {
	switch {
	case s.Kind() == "room" && strings.HasPrefix(s.ID(), "t-"):
		return gotong.Chain(gotong.NewStream("team", home(s).ID()), home(s))
	case home(s) != s:
		return []gotong.Stream{home(s)}
	default:
		return []gotong.Stream{s}
	}
}

// governing is the last of the chain of s: where the tests remove its readers.
func governing(s gotong.Stream) gotong.Stream {
	of := chain(s)
	return of[len(of)-1]
}

// home is where a stream lives: rooms c-x-1, t-x-2 … and the team x in the club x.
func home(s gotong.Stream) gotong.Stream {
	switch parts := strings.Split(s.ID(), "-"); {
	case s.Kind() == "room" && (parts[0] == "c" || parts[0] == "t"):
		return gotong.NewStream("club", parts[1])
	case s.Kind() == "team":
		return gotong.NewStream("club", parts[0])
	default:
		return s
	}
}

// world is a store, and everything that was committed to it.
type world struct {
	*memory.Store
	t     tb
	codec *store.Codec

	mu    sync.Mutex
	rows  map[gotong.Stream][]store.Event
	heads map[gotong.Stream]gotong.Head
	at    map[gotong.Partition]uint64
	docs  map[gotong.Key]any
	spans map[gotong.Stream]map[string][]stretch
	edits map[gotong.Stream]map[uint64]uint64 // what each edit is about
	n     uint64
	actor string // of the commits; empty: ann
	views map[*live.Hub]*view.Views
}

// seat adds users to the chain of s, except to its last stream.
func (w *world) seat(h *live.Hub, s gotong.Stream, users ...string) {
	w.t.Helper()
	of := chain(s)
	for _, lender := range of[:len(of)-1] {
		for _, user := range users {
			w.commit(h, lender, add(user))
		}
	}
}

func project(s gotong.State, e gotong.Event) []gotong.Change {
	switch d := e.Data.(type) {
	case edited:
		doc := edition{e.Seq, d.Own}
		return []gotong.Change{{Key: gotong.Key{
			Collection: "room_overlays", Owner: e.Stream.ID(), Name: gotong.SeqName(d.Seq),
		}, Doc: doc}}
	case member:
		key := gotong.MemberKey(e.Stream, d.User)
		m, _ := gotong.Doc[gotong.Membership](s, key)
		switch e.Type {
		case "added":
			return []gotong.Change{{Key: key, Doc: m.Join(e, "member")}}
		case "removed":
			return []gotong.Change{{Key: key, Doc: m.Leave(e)}}
		case "renewed": // sees only what comes from now on
			return []gotong.Change{{Key: key, Doc: gotong.Membership{}.Join(e, "member")}}
		}
	}
	return nil
}

// tb is what tests, benchmarks and random histories have in common.
type tb interface {
	Helper()
	Cleanup(f func())
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newWorld(t tb) *world {
	s := memory.New("test", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return &world{
		Store: s, t: t, codec: store.NewCodec(kinds()),
		rows: map[gotong.Stream][]store.Event{}, heads: map[gotong.Stream]gotong.Head{},
		at: map[gotong.Partition]uint64{}, docs: map[gotong.Key]any{},
		spans: map[gotong.Stream]map[string][]stretch{}, edits: map[gotong.Stream]map[uint64]uint64{},
		views: map[*live.Hub]*view.Views{},
	}
}

func now() gotong.Instant { return gotong.InstantOf(time.Now()) }

// commit writes one commit and hands it to the hubs, as the engine does.
func (w *world) commit(to *live.Hub, s gotong.Stream, facts ...gotong.Fact) store.Event {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.build(s, facts)
	outcomes, err := store.CommitAll(context.Background(), w, []store.Commit{c})
	if err != nil || outcomes[0].Status != store.Committed {
		w.t.Fatalf("commit to %s: %v %v", s, outcomes, err)
	}
	w.heads[s] = c.Head()
	for i := range c.Events {
		c.Events[i].Partition, c.Events[i].Position = outcomes[0].Record.Partition, outcomes[0].Record.Position
		w.note(&c.Events[i], facts[i])
	}
	w.rows[s] = append(w.rows[s], c.Events...)
	if to != nil {
		to.Offer(context.Background(), c.Events)
	}
	return c.Events[len(c.Events)-1]
}

func (w *world) build(s gotong.Stream, facts []gotong.Fact) store.Commit {
	w.n++
	actor := gotong.Actor{UserID: cmp.Or(w.actor, "ann"), Role: gotong.RoleUser}
	cmd := gotong.Command{Stream: s, Actor: actor, RequestID: fmt.Sprint("r", w.n)}
	c := store.Commit{Request: cmd.Key(), Home: home(s), Prev: w.heads[s], At: now()}
	kind, err := w.codec.Kind(s)
	if err != nil {
		w.t.Fatal(err)
	}
	state := gotong.NewState(s, w.heads[s])
	for k, d := range w.docs {
		state.SetDoc(k, d)
	}
	for i := range facts {
		head := c.Head()
		at := gotong.NextInstant(now(), head.At)
		e := store.Event{
			Stream: s, Seq: head.Seq + 1, Partition: c.Partition(), ID: gotong.NewEventID(at, w.n), Type: facts[i].Type, At: at,
			Audience: facts[i].Audience, Count: head.Count, Prev: head.Chain,
		}
		if facts[i].Counted {
			e.Count++
		}
		if e.Data, e.Content, err = store.EncodeFact(&cmd, &facts[i]); err != nil {
			w.t.Fatal(err)
		}
		e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
		e.Chain = e.Header(w.Epoch()).Chain()
		c.Events, c.Erase = append(c.Events, e), append(c.Erase, facts[i].Erases...)
		event, err := w.codec.Event(&e)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, ch := range kind.Project(state, event) {
			row, err := store.EncodeChange(ch)
			if err != nil {
				w.t.Fatal(err)
			}
			c.Changes = append(c.Changes, row)
			state.SetDoc(ch.Key, ch.Doc)
			w.docs[ch.Key] = ch.Doc
		}
	}
	return c
}

// note keeps the visible stretches as the model sees them, apart from the
// rules: positions at which somebody came and went.
func (w *world) note(e *store.Event, f gotong.Fact) {
	if d, ok := f.Data.(edited); ok {
		if w.edits[e.Stream] == nil {
			w.edits[e.Stream] = map[uint64]uint64{}
		}
		w.edits[e.Stream][e.Seq] = d.Seq
	}
	m, ok := f.Data.(member)
	if !ok {
		return
	}
	if w.spans[e.Stream] == nil {
		w.spans[e.Stream] = map[string][]stretch{}
	}
	list := w.spans[e.Stream][m.User]
	switch e.Type {
	case "added":
		list = append(list, stretch{from: e.Position})
	case "removed":
		if n := len(list); n > 0 {
			list[n-1].to = e.Position
		}
	}
	w.spans[e.Stream][m.User] = list
}

// visible is what the model says a user who may read now sees of a stream: what
// lies in their stretches, and of the edits those of what does.
func (w *world) visible(user string, s gotong.Stream) []uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := func(seq uint64) bool {
		e := &w.rows[s][seq-1]
		return !slices.ContainsFunc(chain(s), func(of gotong.Stream) bool {
			return !slices.ContainsFunc(w.spans[of][user], func(v stretch) bool {
				return v.from <= e.Position && (v.to == 0 || e.Position < v.to)
			})
		})
	}
	var seqs []uint64
	for i := range w.rows[s] {
		e := &w.rows[s][i]
		target := w.edits[s][e.Seq]
		if in(e.Seq) && (target == 0 || in(target)) && (e.Audience == "" || e.Audience == gotong.ForUser(user)) {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// stretch is a time of being a member, in positions.
type stretch struct{ from, to uint64 }

func (w *world) position(s gotong.Stream, seq uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows[s][seq-1].Position
}

func say(text string) gotong.Fact {
	return gotong.Fact{Type: "said", Data: said{len(text)}, Content: words{text}, Counted: true}
}

func whisper(to, text string) gotong.Fact {
	f := say(text)
	f.Audience = gotong.ForUser(to)
	return f
}

func edit(seq uint64, text string) gotong.Fact {
	return gotong.Fact{Type: "edited", Data: edited{Seq: seq}, Content: words{text}}
}

func erase(seq uint64) gotong.Fact {
	return gotong.Fact{Type: gotong.EvErased, Data: gotong.Erased{Seq: seq}, Content: gotong.Why{Reason: "by order"}, Erases: []uint64{seq}}
}

func add(user string) gotong.Fact    { return gotong.Fact{Type: "added", Data: member{user}} }
func remove(user string) gotong.Fact { return gotong.Fact{Type: "removed", Data: member{user}} }
func opened() gotong.Fact            { return gotong.Fact{Type: "opened", Data: member{}} }

func reader(user string) gotong.Viewer { return gotong.Viewer{UserID: user, Role: gotong.RoleUser} }

// start runs a hub on the world until the test ends.
func (w *world) start(change ...func(*live.Options)) *live.Hub {
	opt := live.Options{Store: w, Codec: w.codec}
	for _, f := range change {
		f(&opt)
	}
	var h *live.Hub
	opt.Views = view.New(view.Options{
		Store: opt.Store.(view.Source), Codec: opt.Codec,
		Arrival: func(s gotong.Stream, in gotong.Partition, seq uint64) (<-chan struct{}, func()) {
			return h.Arrival(s, in, seq)
		},
	})
	h = live.New(opt)
	w.mu.Lock()
	w.views[h] = opt.Views
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return h
}

// view is how the node of a hub reads.
func (w *world) view(h *live.Hub) *view.Views {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.views[h]
}

func on(b bus.Bus) func(*live.Options) { return func(o *live.Options) { o.Bus = b } }

func at(seq uint64) live.Start { return live.At(gotong.Cursor{Epoch: "test", Seq: seq}) }

func seqs(from, to uint64) []uint64 {
	var list []uint64
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// pass lets time pass in a synctest bubble, where it costs none.
func pass(d time.Duration) { <-time.After(d) }
