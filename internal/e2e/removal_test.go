package e2e_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/store"
)

// chunkEdge is what stands between two chunks of a body (RFC 9112, 7.1).
var chunkEdge = regexp.MustCompile("\r\n[0-9a-f]+\r\n")

// traces finds what tells one event from all others: ids (36 of 0-9a-f-) and
// links (64 of them), wherever they stand, and the words of the posts below.
func traces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); i++ {
			n := i
			for n < len(text) && isTraceByte(text[n]) {
				n++
			}
			if strings.HasPrefix(text[i:], "words ") {
				n = i + max(1, strings.IndexByte(text[i:], '"'))
			} else if n-i != 36 && n-i != 64 {
				i = max(i, n-1)
				continue
			}
			if !yield(text[i:n]) {
				return
			}
			i = n - 1
		}
	}
}

func isTraceByte(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c == '-' }

// scene is a thread with members of its own, one that borrows those of a group,
// one that borrows those of a case in the group, and another in which everybody
// stays. Who follows the third is removed from the group, not from the case.
type scene struct {
	t       *testing.T
	url     string
	owner   *client.Client
	conn    *client.Conn // the owner's
	group   client.Group
	own     client.Thread
	home    client.Thread
	affair  client.Thread
	other   client.Thread
	victims []*victim
	rest    []*follower
	posts   sync.WaitGroup
	calls   sync.Mutex
	said    int
}

func newScene(t *testing.T, url string, removals int) *scene {
	t.Helper()
	s := &scene{t: t, url: url, owner: dial(t, url, "owner")}
	s.conn = connect(t, dial(t, url, "owner", client.WebSocket), client.ConnOptions{MaxPending: 64})
	inOwn, inHome, stay := names("own", removals/2), names("home", removals-removals/2), names("stays", 6)
	s.group = must(s.owner.CreateGroup(t.Context(), client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "undangan"}))(t)
	each(append(append([]string{}, inHome...), stay...), func(user string) {
		must(s.owner.AddGroupMember(t.Context(), s.group.GroupID, user, ""))(t)
	})
	private := client.NewThread{ScopeID: s.group.GroupID, Privacy: "private"}
	s.own, _ = makeThread(t, url, "owner", private, append(append([]string{}, inOwn...), stay...)...)
	s.other, _ = makeThread(t, url, "owner", private, append(append(append([]string{}, inOwn...), inHome...), stay...)...)
	private.Members = "home"
	s.home, _ = makeThread(t, url, "owner", private)
	private.Lender = string(makeCase(t, s.conn, s.group, append(append([]string{}, inHome...), stay...)))
	s.affair, _ = makeThread(t, url, "owner", private)
	ways := []string{overWS, overSSE, overPoll, overWS, restless, overSSE, overPoll, overWS, stalled, overSSE}
	for i := range removals {
		user, target := fmt.Sprintf("own-%03d", i/2), s.own
		if i%2 == 1 {
			user, target = fmt.Sprintf("home-%03d", i/2), []client.Thread{s.home, s.affair}[i/2/len(ways)%2]
		}
		s.victims = append(s.victims, newVictim(t, url, user, ways[i/2%len(ways)], target.Stream(), s.other.Stream()))
	}
	kept := newPool()
	transports := []client.Transport{client.WebSocket, client.SSE, client.Poll}
	for i, user := range stay {
		for _, th := range []client.Thread{s.own, s.home, s.affair} {
			s.rest = append(s.rest, &follower{
				name: user + " in " + th.ThreadID, stream: th.Stream(), pool: kept,
				clients: []*client.Client{dial(t, url, user, transports[i%3])},
				last:    func(e client.Event) bool { return strings.Contains(string(e.Data), lastWords) },
			})
		}
	}
	return s
}

// makeCase makes a case in a group, of conn's user and these participants.
func makeCase(t *testing.T, conn *client.Conn, in client.Group, participants []string) gotong.Stream {
	t.Helper()
	c := cases.Create{ScopeID: in.GroupID, Track: "tuntaskan", Title: "Lampu jalan", Privacy: cases.Private}
	r := must(conn.Command(t.Context(), cases.Name, cases.CmdCreate, c))(t)
	for _, user := range participants {
		seat := cases.Seating{UserID: user, TrackRoles: []cases.Role{cases.Participant}}
		must(conn.Command(t.Context(), r.Stream, cases.CmdSeat, seat))(t)
	}
	return r.Stream
}

// say posts something in a thread without waiting for the answer.
func (s *scene) say(ctx context.Context, th client.Thread, name string) {
	s.calls.Lock()
	s.said++
	body := fmt.Sprintf("words %s %06d", name, s.said)
	s.calls.Unlock()
	call, err := s.conn.Submit(ctx, th.Stream(), "message.post", map[string]string{"body": body})
	if err != nil {
		if ctx.Err() == nil {
			s.t.Error(err)
		}
		return
	}
	s.posts.Go(func() {
		if _, err := call.Wait(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	})
}

// talk posts in the threads, steadily, until ctx ends.
func (s *scene) talk(ctx context.Context) {
	tick := pace(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.say(ctx, s.own, "own")
			s.say(ctx, s.home, "home")
			s.say(ctx, s.affair, "home")
		case <-ctx.Done():
			return
		}
	}
}

// remove removes a victim in the middle of a burst of posts, over either
// transport, and says the marker in the other thread when that has returned.
func (s *scene) remove(ctx context.Context, v *victim, rnd *rand.Rand) {
	if !v.live.within(ctx, s.t, v.user+" never got anything") {
		return
	}
	v.pause.set()
	th, name := s.own, "own"
	for _, lent := range []client.Thread{s.home, s.affair} {
		if v.target == lent.Stream() {
			th, name = lent, "home"
		}
	}
	burst, after := rnd.IntN(8), rnd.IntN(8)
	for range burst {
		s.say(ctx, th, name)
	}
	var around sync.WaitGroup
	around.Go(func() {
		for range after {
			s.say(ctx, th, name)
		}
	})
	if err := s.call(ctx, v, name, rnd.IntN(2) == 0); err != nil {
		s.t.Errorf("removing %s: %v", v.user, err)
	}
	around.Wait()
	s.say(ctx, th, name) // surely after it
	if _, err := s.owner.Send(ctx, s.other.ThreadID, client.NewMessage{Body: v.marker()}); err != nil {
		s.t.Error(err)
	}
	v.resume.set()
	if v.how != stalled {
		v.marked.within(ctx, s.t, v.user+" over "+v.how+" got nothing of the other thread after the removal")
	}
}

func (s *scene) call(ctx context.Context, v *victim, from string, overWS bool) error {
	var err error
	switch {
	case overWS:
		stream := s.own.Stream()
		if from == "home" {
			stream = s.group.Stream()
		}
		_, err = s.conn.Command(ctx, stream, "member.remove", map[string]string{"user_id": v.user})
	case from == "home":
		err = s.owner.RemoveGroupMember(ctx, s.group.GroupID, v.user)
	default:
		_, err = s.owner.RemoveMember(ctx, s.own.ThreadID, v.user)
	}
	return err
}

// TestRemoval removes many users from what they follow, under a steady stream
// of posts, and looks at every byte that they got.
func TestRemoval(t *testing.T) {
	n := startNode(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := newScene(t, n.url, 2*size(100, 25))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	talking, quiet := context.WithCancel(ctx)
	var watching, staying, talk, removing sync.WaitGroup
	for i, f := range s.rest {
		staying.Go(func() {
			if err := f.run(ctx, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
				t.Errorf("%s, after %d events: %v", f.name, len(f.got), err)
			}
		})
	}
	until, stop := context.WithCancel(ctx)
	for _, v := range s.victims {
		watching.Go(func() { v.run(until) })
	}
	talk.Go(func() { s.talk(talking) })
	began := time.Now()
	queue := make(chan *victim)
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(seed, uint64(1000+i)))
		removing.Go(func() {
			for v := range queue {
				s.remove(ctx, v, rnd)
			}
		})
	}
	for _, v := range s.victims {
		queue <- v
	}
	close(queue)
	removing.Wait()
	took := time.Since(began)
	quiet()
	talk.Wait()
	s.posts.Wait()
	for _, th := range []client.Thread{s.own, s.home, s.affair, s.other} {
		must(s.owner.Send(ctx, th.ThreadID, client.NewMessage{Body: lastWords}))(t)
	}
	for _, v := range s.victims {
		select {
		case <-v.ended.c:
		case <-v.gone.c:
		case <-ctx.Done():
			t.Errorf("%s over %s did not hear the last words of the other thread", v.user, v.how)
		}
	}
	staying.Wait()
	stop()
	watching.Wait()
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	s.check(readLog(t, n.dir), took)
}

// check compares what everybody got with the log.
func (s *scene) check(log *logbook, took time.Duration) {
	s.t.Helper()
	of := map[string]*store.Event{} // by trace
	for _, th := range []client.Thread{s.own, s.home, s.affair} {
		for i := range log.streams[th.Stream()] {
			e := &log.streams[th.Stream()][i]
			of[e.ID.String()], of[e.Chain.String()] = e, e
			if e.Type == "message.posted" {
				of[payloadBody(s.t, e)] = e
			}
		}
	}
	removed := map[string]uint64{}
	for _, stream := range []gotong.Stream{s.own.Stream(), s.group.Stream()} {
		for i := range log.streams[stream] {
			if e := &log.streams[stream][i]; e.Type == "member.removed" {
				removed[userIn(s.t, e)] = e.Position
			}
		}
	}
	if len(removed) != len(s.victims) {
		s.t.Errorf("%d of %d were removed", len(removed), len(s.victims))
	}
	bytes, seen := 0, 0
	for _, v := range s.victims {
		b, n := s.checkVictim(v, of, removed[v.user])
		bytes += b
		seen += n
	}
	for _, f := range s.rest {
		f.check(s.t, log.streams[f.stream])
		if len(f.got) != len(log.streams[f.stream]) {
			s.t.Errorf("%s, who stayed, got %d of %d events", f.name, len(f.got), len(log.streams[f.stream]))
		}
	}
	s.t.Logf("%d removals in %.1f s, %d posts around them; %d bytes to those who were removed, with %d traces of events before",
		len(s.victims), took.Seconds(), s.said, bytes, seen)
}

// checkVictim looks for whatever is of the target at or beyond the removal.
func (s *scene) checkVictim(v *victim, of map[string]*store.Event, removed uint64) (bytes, seen int) {
	s.t.Helper()
	heard := v.heard()
	for trace := range traces(heard) {
		switch e, ok := of[trace]; {
		case !ok:
		case e.Stream != v.target, e.Position >= removed:
			s.t.Errorf("%s over %s, removed at %d, got %q of %s at %d", v.user, v.how, removed, trace, e.Stream, e.Position)
			return len(heard), seen
		default:
			seen++
		}
	}
	if seen == 0 {
		s.t.Errorf("%s over %s got no event before the removal: it shows nothing", v.user, v.how)
	}
	_, after, marked := strings.Cut(heard, v.marker())
	told := strings.Count(heard, "access_revoked")
	switch v.how {
	case stalled:
		if told > 1 {
			s.t.Errorf("%s over %s was told %d times", v.user, v.how, told)
		}
		return len(heard), seen
	case restless: // between two subscriptions there is nothing to revoke
		if told > 1 {
			s.t.Errorf("%s over %s was told %d times", v.user, v.how, told)
		}
	default:
		if told != 1 {
			s.t.Errorf("%s over %s was told %d times", v.user, v.how, told)
		}
		if strings.Contains(after, string(v.target)) {
			s.t.Errorf("%s over %s still heard of the thread after the removal had returned", v.user, v.how)
		}
	}
	if !marked || !strings.Contains(after, lastWords) {
		s.t.Errorf("%s over %s: the other subscription did not go on", v.user, v.how)
	}
	return len(heard), seen
}

func userIn(tb testing.TB, e *store.Event) string {
	tb.Helper()
	var d struct {
		UserID string `json:"user_id"`
	}
	if err := unmarshal(payload(tb, e), &d); err != nil {
		tb.Fatal(err)
	}
	return d.UserID
}
