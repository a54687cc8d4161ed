package realtime

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
)

// wanderer follows streams over changing transports with one set of cursors,
// and is cut at random.
type wanderer struct {
	t       *testing.T
	w       *world
	rnd     *rand.Rand
	streams []gotong.Stream
	cursor  map[gotong.Stream]uint64
	got     map[gotong.Stream][]uint64
	used    map[string]int
}

// take handles a frame as a client does; it keeps the cursor only of what it
// has handled.
func (c *wanderer) take(f frame) {
	c.t.Helper()
	if f.Op != "events" {
		return
	}
	if f.From != c.cursor[f.Stream] {
		c.t.Fatalf("a frame from %d to %d at cursor %d", f.From, f.To, c.cursor[f.Stream])
	}
	for _, e := range f.Events {
		c.got[f.Stream] = append(c.got[f.Stream], e.Seq)
	}
	c.cursor[f.Stream] = f.To
}

func (c *wanderer) cursors() string {
	var l []gotong.StreamCursor
	for _, s := range c.streams {
		l = append(l, gotong.StreamCursor{Stream: s, Cursor: gotong.Cursor{Epoch: "test", Seq: c.cursor[s]}})
	}
	return gotong.FormatCursors(l)
}

// leg follows for some frames over one transport.
func (c *wanderer) leg(want map[gotong.Stream]uint64) {
	n := 1 + c.rnd.IntN(12)
	switch c.rnd.IntN(3) {
	case 0:
		c.used["ws"]++
		s := c.w.connect("bob")
		for _, stream := range c.streams {
			s.subscribeQuietly(c, stream, fmt.Sprint("test:", c.cursor[stream]))
		}
		for ; n > 0 && !c.done(want); n-- {
			c.take(s.next())
		}
		if c.rnd.IntN(2) == 0 {
			_ = s.ws.CloseNow()
		} else {
			go func() { _ = s.ws.Close(1000, "") }()
		}
	case 1:
		c.used["sse"]++
		query, last := "?cursor="+c.cursors(), ""
		if c.rnd.IntN(2) == 0 {
			query, last = "?"+streams(c.streams...)[1:], c.cursors()
		}
		e := c.w.sse("bob", query, last)
		for ; n > 0 && !c.done(want); n-- {
			f := e.next()
			c.take(f.frame)
			if f.Op == "events" && f.id != c.cursors() && !c.lagging(f.id) {
				c.t.Fatalf("the id %q is not where the client is, %q", f.id, c.cursors())
			}
		}
		e.close()
	default:
		c.used["poll"]++
		wait := []string{"0", "20ms", "50s"}[c.rnd.IntN(3)]
		if c.done(want) {
			wait = "0"
		}
		a := c.w.poll("bob", "?wait="+wait+"&cursor="+c.cursors())
		for _, f := range a.frames {
			c.take(f)
		}
		if a.Cursor != c.cursors() {
			c.t.Fatalf("the cursor %q is not where the client is, %q", a.Cursor, c.cursors())
		}
	}
}

// lagging reports an id that is behind the client in places, never ahead: one
// of two frames of one Take has none of its own.
func (c *wanderer) lagging(id string) bool {
	list, err := gotong.ParseCursors(id)
	return err == nil && !slices.ContainsFunc(list, func(s gotong.StreamCursor) bool { return s.Cursor.Seq > c.cursor[s.Stream] })
}

func (c *wanderer) done(want map[gotong.Stream]uint64) bool {
	for s, seq := range want {
		if c.cursor[s] < seq {
			return false
		}
	}
	return true
}

// subscribeQuietly takes what comes between as well.
func (s *socket) subscribeQuietly(c *wanderer, stream gotong.Stream, cursor string) {
	s.t.Helper()
	s.send("op", "subscribe", "stream", stream, "cursor", cursor)
	for {
		f := s.next()
		if f.Op == "subscribed" && f.Stream == stream {
			return
		}
		c.take(f)
	}
}

// TestFollowerGetsTheVisibleLogAcrossTransports: over any sequence of
// transports and cuts, a follower ends with exactly the visible log.
func TestFollowerGetsTheVisibleLogAcrossTransports(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, func(s *setting) { s.limits.PageEvents, s.limits.RingFrames = 9, 16 })
			c := &wanderer{
				t: t, w: w, rnd: rand.New(rand.NewPCG(seed, 7)), cursor: map[gotong.Stream]uint64{},
				got: map[gotong.Stream][]uint64{}, used: map[string]int{},
			}
			for range 3 {
				c.streams = append(c.streams, w.thread("ann", "bob"))
			}
			// In one of them bob sees only messages posted while he is a member.
			hidden := c.streams[2]
			w.do("ann", hidden, thread.CmdHistory, thread.SetHistory{Policy: thread.FromJoin})
			w.remove("ann", hidden, "bob")
			for range 5 {
				w.post("ann", hidden, "not for bob")
			}
			w.do("ann", hidden, thread.CmdAdd, thread.Add{UserID: "bob"})
			posted := make(chan map[gotong.Stream]uint64, 1)
			go func() {
				rnd := rand.New(rand.NewPCG(seed, 8))
				last := map[gotong.Stream]uint64{}
				for i := range 150 {
					s := c.streams[rnd.IntN(3)]
					r, err := w.try("ann", s, thread.CmdPost, thread.Post{Body: fmt.Sprint(i)})
					if err != nil {
						t.Error(err)
					}
					last[s] = r.Last
					if rnd.IntN(3) == 0 {
						<-time.After(time.Duration(rnd.IntN(3)) * time.Millisecond) // uneven load, nothing depends on it
					}
				}
				posted <- last
			}()
			want := map[gotong.Stream]uint64{}
			for range 15 {
				c.leg(nil)
			}
			maps.Copy(want, <-posted)
			for rounds := 0; !c.done(want); rounds++ {
				if rounds > 500 {
					t.Fatalf("stuck at %v of %v", c.cursor, want)
				}
				c.leg(want)
			}
			for _, s := range c.streams {
				if visible := w.visible(s, "bob"); !slices.Equal(c.got[s], visible) {
					t.Errorf("%s: got %v, want %v", s, c.got[s], visible)
				}
			}
		})
	}
}

// TestAReactionFromAGapIsNotShown: a reader gets a message without the reactions that were
// added while they were no member.
func TestAReactionFromAGapIsNotShown(t *testing.T) {
	w := newWorld(t)
	s := w.thread("ann", "bob")
	w.do("ann", s, thread.CmdHistory, thread.SetHistory{Policy: thread.FromJoin})
	post := w.do("bob", s, thread.CmdPost, thread.Post{Body: "Halo"})
	w.remove("ann", s, "bob")
	w.do("ann", s, thread.CmdReact, thread.React{MessageID: post.EventIDs[0], Emoji: "👍", On: true})
	w.do("ann", s, thread.CmdAdd, thread.Add{UserID: "bob"})
	for user, shown := range map[string]bool{"ann": true, "bob": false} {
		watch := w.sse(user, "?cursor=start&stream="+string(s), "")
		watch.want("subscribed")
		if f := watch.want("events"); !strings.Contains(f.raw, "Halo") || strings.Contains(f.raw, "👍") != shown {
			t.Errorf("%s gets %s", user, f.raw)
		}
		watch.close()
	}
}

// visible is what a user sees of a stream as a fresh reader finds it, apart
// from delivery's own ways: his memberships decide it where the policy says so.
func (w *world) visible(s gotong.Stream, id string) []uint64 {
	w.t.Helper()
	var seqs []uint64
	member, policy := false, thread.All
	for _, row := range w.rows(s) {
		e, err := w.codec.Event(&row)
		if err != nil {
			w.t.Fatal(err)
		}
		switch d := e.Data.(type) {
		case thread.Added:
			member = member || d.UserID == id
		case thread.Removed:
			member = member && d.UserID != id
		}
		if policy == thread.All || member {
			seqs = append(seqs, e.Seq)
		}
		if d, ok := e.Data.(thread.HistoryChanged); ok {
			policy = d.Policy
		}
	}
	return seqs
}
