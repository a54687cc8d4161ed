package inbox_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/live"
)

// Threads that borrow the members of a case, which is in the group rt.
const (
	affair = gotong.Stream("case/affair")
	talk   = gotong.Stream("thread/talk")
)

// ear is the sessions of a user on both nodes, which follow their account.
type ear [2]*live.Session

// listen runs the delivery of both nodes, which share a bus, and opens the sessions of a
// user. The reader of the inbox is that of the first node.
func (w *world) listen(a gotong.Actor) (e ear) {
	w.Helper()
	net := bustest.NewSwitch()
	for n := range e {
		h := live.New(live.Options{
			Store: w.store, Codec: w.codec, Views: w.boxes[n].Views, Bus: net.Join(), Members: w.boxes[n].Members,
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		w.Cleanup(func() { cancel(); w.check(<-done) })
		s, err := h.Open(viewer(a), live.SessionOptions{})
		w.check(err)
		w.Cleanup(s.Close)
		w.check(s.Subscribe(live.Subscription{ID: "1", Stream: gotong.NewStream(user.Name, a.UserID), Start: live.Now()}))
		if e[n] = s; n == 0 {
			w.signal = h.Signals().Changed
		}
	}
	return e
}

// signals returns how many signals of the inbox each session got since the last call.
func (e ear) signals() (n [2]int) {
	<-time.After(200 * time.Millisecond) // of the bubble
	synctest.Wait()
	for i, s := range e {
		for more := true; more; {
			var frames []live.Frame
			if frames, more = s.Take(nil, 1<<20); len(frames) > 0 {
				s.Written()
			}
			for _, f := range frames {
				if bytes.Contains(f.JSON(), []byte(`"type":"inbox"`)) {
					n[i]++
				}
			}
		}
	}
	return n
}

// TestAFormerMemberGetsNoSignal, on either node, of what happens to a message that named
// them, or to one of theirs, however they were a member and however that ended; but of a
// decision on a message of their own, which a closed view shows.
func TestAFormerMemberGetsNoSignal(t *testing.T) {
	in := func(s gotong.Stream, ends map[string]func(*world)) map[string]func(*world) {
		named := map[string]func(*world){}
		for name, end := range ends {
			named[string(s)+" "+name] = end
		}
		return named
	}
	stays := func(*world) {}
	home := map[string]func(*world){
		"stays":   stays,
		"removed": func(w *world) { w.do(ani, rt, group.CmdRemove, group.Remove{UserID: "budi"}) },
		"left":    func(w *world) { w.do(budi, rt, group.CmdLeave, group.Leave{}) },
		"banned": func(w *world) {
			w.do(ani, rt, group.CmdRemove, group.Remove{UserID: "budi", Ban: gotong.Ban{Ever: true}})
		},
	}
	for s, ends := range map[gotong.Stream]map[string]func(*world){
		own: in(own, map[string]func(*world){
			"stays":   stays,
			"removed": func(w *world) { w.do(ani, own, thread.CmdRemove, thread.Remove{UserID: "budi"}) },
			"left":    func(w *world) { w.do(budi, own, thread.CmdLeave, thread.Leave{}) },
			"banned": func(w *world) {
				w.do(ani, own, thread.CmdRemove, thread.Remove{UserID: "budi", Ban: gotong.Ban{Ever: true}})
			},
		}),
		lent: in(lent, home),
		talk: in(talk, map[string]func(*world){
			"stays":                  stays,
			"removed from the case":  func(w *world) { w.do(ani, affair, cases.CmdRemove, cases.Remove{UserID: "budi"}) },
			"removed from the group": home["removed"], "left the group": home["left"], "banned from the group": home["banned"],
		}),
	} {
		for name, end := range ends {
			for _, narrow := range map[gotong.Stream][]int{own: {200}, lent: {1, 200}, talk: {1}}[s] {
				t.Run(fmt.Sprint(name, " ", narrow), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						defer inbox.SetNarrow(narrow)()
						formerMember(newWorld(t), s, end, name == string(s)+" stays")
					})
				})
			}
		}
	}
}

// formerMember has budi be a member of the stream, then ends that in this way, or not, and
// then does all that changes what budi has in the inbox.
func formerMember(w *world, s gotong.Stream, end func(*world), stays bool) {
	w.Helper()
	w.do(ani, affair, cases.CmdCreate, cases.Create{ScopeID: rt.ID(), Track: "musyawarah", Title: "Pos ronda", Privacy: cases.Private})
	w.do(ani, talk, thread.CmdCreate, thread.Create{ScopeID: rt.ID(), Privacy: thread.Private, Members: thread.Home, Lender: affair})
	for _, a := range []gotong.Actor{budi, citra} {
		w.do(a, rt, group.CmdJoin, group.Join{})
		w.do(ani, own, thread.CmdAdd, thread.Add{UserID: a.UserID})
		w.do(ani, affair, cases.CmdSeat, cases.Seating{UserID: a.UserID, TrackRoles: []cases.Role{cases.Participant}})
	}
	w.do(communitytest.User("dewi"), rt, group.CmdJoin, group.Join{})
	own := w.post(budi, s, "Saya").EventIDs[0]
	var named []gotong.EventID
	for _, text := range []string{"Halo @budi", "Halo @here", "Pagi @budi"} {
		named = append(named, w.post(citra, s, text).EventIDs[0])
	}
	e := w.listen(budi)
	e.signals()
	end(w)
	e.signals()
	hold := func(id gotong.EventID) func() {
		return func() {
			w.do(ani, s, thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Hold, Minutes: 60})
		}
	}
	release := func(id gotong.EventID) func() {
		return func() { w.do(ani, s, thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Release}) }
	}
	acts := []struct {
		name string
		do   func()
		own  bool
	}{
		{"an edit", func() { w.do(citra, s, thread.CmdEdit, thread.Edit{MessageID: named[0], Body: "Halo"}) }, false},
		{"an edit of what names all", func() { w.do(citra, s, thread.CmdEdit, thread.Edit{MessageID: named[1], Body: "Halo"}) }, false},
		{"a hold", hold(named[1]), false},
		{"its end", release(named[1]), false},
		{"a deletion", func() { w.do(citra, s, thread.CmdDelete, thread.Delete{MessageID: named[2]}) }, false},
		{"a reply", func() { w.do(citra, s, thread.CmdPost, thread.Post{Body: "Ya", ReplyTo: own}) }, false},
		{"a message to all", func() { w.post(citra, s, "Halo @here") }, false},
		{"a decision on their own", hold(own), true},
	}
	for _, a := range acts {
		a.do()
		want := [2]int{}
		if stays || a.own {
			want = [2]int{1, 1}
		}
		if got := e.signals(); got != want {
			w.Errorf("%s: %d signals, want %d", a.name, got, want)
		}
	}
}
