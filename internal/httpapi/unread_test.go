package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/signal"
	"gotong.dev/gotong/internal/store"
)

// marking is what a test sees of read marks, and does to them.
type marking struct {
	mu      sync.Mutex
	reports []string // what the other devices of users receive
	between func()   // once, before the next mark is written
	reads   int      // of the store, by calls of users
	posts   int
}

// whispers notes what the other devices of a user receive.
type whispers struct {
	*signal.Exchange
	w *world
}

func (h whispers) Whisper(stream gotong.Stream, actor gotong.Actor, data []byte) {
	h.w.marks.mu.Lock()
	h.w.marks.reports = append(h.w.marks.reports, fmt.Sprint(stream, " ", actor.UserID, " ", string(data)))
	h.w.marks.mu.Unlock()
	h.Exchange.Whisper(stream, actor, data)
}

// watched is the store as the routes have it. It counts the reads of calls, and
// lets something happen before the next mark is written.
type watched struct {
	store.Store
	w *world
}

func (r watched) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	if httpapi.CallOf(ctx).Principal.UserID != "" {
		r.w.marks.mu.Lock()
		r.w.marks.reads++
		r.w.marks.mu.Unlock()
	}
	return r.Store.Load(ctx, need)
}

func (r watched) SetRegister(ctx context.Context, key gotong.Key, version uint64, body []byte, expires gotong.Instant) error {
	if key.Collection == "read_marks" {
		r.w.marks.mu.Lock()
		f := r.w.marks.between
		r.w.marks.between = nil
		r.w.marks.mu.Unlock()
		if f != nil {
			f()
		}
	}
	return r.Store.SetRegister(ctx, key, version, body, expires)
}

// many posts messages as the edge does, without the edge.
func (p *person) many(th string, n int) []gotong.EventID {
	p.w.t.Helper()
	var ids []gotong.EventID
	for range n {
		r, err := p.execute(th, thread.CmdPost, thread.Post{Body: "x"})
		if err != nil {
			p.w.t.Fatal(err)
		}
		ids = append(ids, r.EventIDs...)
	}
	return ids
}

// execute runs a command on a thread, without the edge.
func (p *person) execute(th, name string, data any) (gotong.Receipt, error) {
	p.w.marks.posts++
	return p.w.engine.Execute(context.Background(), gotong.Command{
		Stream: gotong.NewStream(thread.Name, strings.TrimPrefix(th, "/v1/chat/threads/")), Type: name,
		Data: data, Actor: gotong.Actor{UserID: p.id, Role: gotong.RoleUser}, RequestID: fmt.Sprint("many-", p.w.marks.posts),
	})
}

// A user's own messages are not unread to them, however many, and posting marks
// nothing as read.
func TestOwnMessagesAreNotUnread(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	for step, want := range []struct {
		who           *person
		n             int
		ofAni, ofBudi int64
	}{
		{ani, 1, 0, 1}, {ani, 33, 0, 34}, {budi, 2, 2, 34}, {ani, 1, 2, 35}, {budi, 1100, 999, 0}, {ani, 5, 995, 5},
	} {
		want.who.many(th, want.n)
		if a, b := ani.unread(th), budi.unread(th); a != want.ofAni || b != want.ofBudi {
			t.Errorf("step %d: ani has %d, budi %d unread; want %d, %d", step, a, b, want.ofAni, want.ofBudi)
		}
	}
	ani.get(th+"/read-cursor").problem(404, gotong.CodeNotFound)
}

// Joining an old thread shows nothing as unread, whatever its policy, also where
// the members are a group's.
func TestMessagesFromBeforeJoiningCountAsRead(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	g := ani.group("terbuka")
	borrowed := ani.post("/v1/chat/threads", map[string]any{
		"scope_id": g[len("/v1/groups/"):], "privacy_level": "public", "members": "home", "history": "all",
	}).want(201).header.Get("Location")
	for base, th := range map[string]string{ani.thread("public"): "", g: borrowed} {
		if th == "" {
			th = base
		}
		for round := range 3 {
			ani.many(th, 1001)
			budi.post(base+"/join", nil).want(200)
			if got := budi.unread(th); got != 0 {
				t.Errorf("round %d: %d unread", round, got)
			}
			ani.many(th, 2)
			if got := budi.unread(th); got != 2 {
				t.Errorf("round %d: %d unread of two", round, got)
			}
			budi.post(base+"/leave", nil).want(200)
		}
	}
}

// Deleted messages are read a page at a time.
func TestDeletionsAboveTheMarkDoNotCount(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	ids := ani.many(th, 450)
	budi.post(th+"/read-cursor", map[string]any{"message_id": ids[4].String()}).want(200)
	for _, id := range ids[5:445] {
		ani.do(http.MethodDelete, th+"/messages/"+id.String(), nil).want(200)
	}
	if got := budi.unread(th); got != 5 {
		t.Errorf("%d unread, want 5", got)
	}
}

// Every mark that moves goes to the user's other devices, in order, and a device
// that loses a race gets the present mark.
func TestMarksThatMoveReachEveryDevice(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	ids := ani.many(th, 9)
	mark := func(n int) int64 {
		return budi.post(th+"/read-cursor", map[string]any{"message_id": ids[n-1].String()}).want(200).num("n")
	}
	race := func(mine, other int) int64 {
		w.marks.between = func() { mark(other) }
		return mark(mine)
	}
	if got := []int64{mark(2), mark(1), race(3, 5), race(7, 6), race(8, 8)}; !slices.Equal(got, []int64{2, 2, 5, 7, 8}) {
		t.Errorf("the answers are %v", got)
	}
	var received []string
	for _, m := range w.marks.reports {
		who, rest, _ := strings.Cut(m[strings.IndexByte(m, ' ')+1:], " {\"n\":")
		n, _, _ := strings.Cut(rest, ",")
		if who != budi.id {
			t.Errorf("%s receives a report", who)
		}
		received = append(received, n)
	}
	if want := []string{"2", "5", "6", "7", "8"}; !slices.Equal(received, want) {
		t.Errorf("the other devices receive %v, want %v", received, want)
	}
}

// The ETag of a thread changes with what its reader is shown: how much is
// unread, and their role.
func TestThreadTagCoversUnreadAndRole(t *testing.T) {
	w := newWorld(t)
	ani, budi, dewi := w.signUp("ani"), w.signUp("budi"), w.signUp("dewi")
	g := ani.group("terbuka")
	th := ani.post("/v1/chat/threads", map[string]any{
		"scope_id": g[len("/v1/groups/"):], "privacy_level": "public", "members": "home",
	}).want(201).header.Get("Location")
	budi.post(g+"/join", nil).want(200)
	ids := ani.many(th, 2)
	tag := budi.get(th).want(200).header.Get("ETag")
	same := func(what string, want int) {
		t.Helper()
		a := budi.get(th, ifNoneMatch(tag)).want(want)
		if want == 200 && a.header.Get("ETag") == tag {
			t.Errorf("%s: the tag stays", what)
		}
		tag = a.header.Get("ETag")
	}
	same("nothing", 304)
	budi.post(th+"/read-cursor", map[string]any{"message_id": ids[0].String()}).want(200) // no event of the thread
	same("a mark", 200)
	ani.post(g+"/members/"+budi.id+"/role", map[string]any{"role": "moderator"}).want(200)
	same("a role", 200)
	dewi.post(g+"/join", nil).want(200)
	same("a member", 200)
	same("nothing", 304)
}

// The authors are read as far back as somebody needs them, however little
// others needed before, and whatever came in between.
func TestAuthorsAreReadBackAsFarAsAsked(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	var ids []gotong.EventID
	for _, step := range []struct{ posts, mark int }{{20, 15}, {30, 48}, {3, 49}} {
		ids = append(ids, ani.many(th, step.posts)...)
		budi.post(th+"/read-cursor", map[string]any{"message_id": ids[step.mark-1].String()}).want(200)
		if got, want := budi.unread(th), int64(len(ids)-step.mark); got != want {
			t.Errorf("budi has %d unread, want %d", got, want)
		}
		if step.posts == 20 {
			continue // ani does not look
		}
		if got := ani.unread(th); got != 0 {
			t.Errorf("ani has %d unread of their own", got)
		}
	}
}

// Of more authors than are kept, the oldest are dropped.
func TestAuthorsOfTheNewestMessagesAreKept(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	th := ani.thread("public")
	budi.post(th+"/join", nil).want(200)
	budi.many(th, 1100)
	for _, want := range []int64{0, 5, 10} {
		if got := budi.unread(th); got != want {
			t.Errorf("budi has %d unread, want %d", got, want)
		}
		ani.many(th, 5)
	}
}

// reads returns how often the store is read for a list of n items.
func (p *person) reads(list string, n int) int {
	p.w.t.Helper()
	p.w.marks.reads = 0
	if got := len(p.get(list + "?limit=100").want(200).list()); got != n {
		p.w.t.Fatalf("%s: %d items, want %d", list, got, n)
	}
	return p.w.marks.reads
}

// A list takes the same reads of the store for 100 threads as for 4, with members
// of their own and of a group: for the names of the lists, for the lists, two for
// the documents (the second for the groups), and for what is unread.
func TestListOfThreadsTakesTheSameReadsHoweverLong(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	g := ani.group("terbuka")
	budi.post(g+"/join", nil).want(200)
	cold, lists := []int{}, []string{"/v1/chat/threads", "/v1/chat/unread"}
	for made := 0; made < 100; {
		for range []int{4, 96}[min(made, 1)] / 2 {
			own := ani.thread("public")
			budi.post(own+"/join", nil).want(200)
			borrowed := ani.post("/v1/chat/threads", map[string]any{
				"scope_id": id(g), "privacy_level": "private", "members": "home", "history": "from_join",
			}).want(201).header.Get("Location")
			ani.many(own, 2)
			ani.many(borrowed, 2)
			made += 2
		}
		cold = append(cold, budi.reads(lists[0], made))
		for _, list := range lists {
			if got := budi.reads(list, made); got > 5 {
				t.Errorf("%s: %d reads for %d threads, want 5", list, got, made)
			}
		}
		for _, v := range budi.get(lists[1] + "?limit=100").want(200).list() {
			if v["unread"] != 2.0 {
				t.Errorf("unread: %v, want 2", v)
			}
		}
	}
	if cold[1] > cold[0] {
		t.Errorf("%d reads for 100 threads that were not counted before, %d for 4", cold[1], cold[0])
	}
}

// TestABlockStopsMentions, and not the count of unread messages, at once and on each node.
func TestABlockStopsMentions(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	group := ani.group("terbuka")
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": id(group), "members": "home", "privacy_level": "public"}).want(201).header.Get("Location")
	for _, p := range []*person{budi, citra} {
		p.post(group+"/join", nil).want(200)
	}
	first := w.server
	post := func(p *person, body map[string]any) *answer {
		return p.post(th+"/messages/send", body).want(http.StatusCreated)
	}
	post(ani, map[string]any{"body": "Halo @citra"})
	post(ani, map[string]any{"body": "Banjir @citra", "siaga": true})
	post(budi, map[string]any{"body": "Halo @citra"})
	edited := post(budi, map[string]any{"body": "Halo"})
	budi.do(http.MethodPatch, th+"/messages/"+edited.str("message_id"), map[string]any{"body": "Halo @citra", "revision": 0}).want(200)
	nodes := []*httpapi.Server{w.node(), w.node()}
	want := func(mentions int) {
		t.Helper()
		for _, node := range nodes {
			w.server = node
			var list []counted
			citra.get("/v1/chat/unread").want(200).into(&list)
			var all counted
			citra.get("/v1/chat/unread/total").want(200).into(&all)
			if c := (counted{4, mentions}); !slices.Equal(list, []counted{c}) || all != c {
				t.Errorf("%v and %v are unread, want %v", list, all, c)
			}
		}
		w.server = first
	}
	block := func(other *person, name string, data any) {
		t.Helper()
		_, err := w.engine.Execute(t.Context(), gotong.Command{
			Stream: gotong.NewStream(user.Name, citra.id), Type: name, Data: data, RequestID: name + other.id,
			Actor: gotong.Actor{UserID: citra.id, Role: gotong.RoleUser},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want(4)
	block(budi, user.CmdBlock, user.Block{UserID: budi.id})
	want(2)
	block(ani, user.CmdBlock, user.Block{UserID: ani.id}) // their emergency broadcast passes it
	want(1)
	block(budi, user.CmdUnblock, user.Unblock{UserID: budi.id})
	want(3)
}
