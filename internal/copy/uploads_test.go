package copy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/community/user"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

// settle has a user block somebody and set preferences, and unblocks half of the time.
func (v *village) settle(on gotong.Stream) {
	me, other := on.ID(), v.person()
	v.try(on, me, user.CmdBlock, user.Block{UserID: other})
	v.try(on, me, user.CmdPrefer, user.Prefer{
		Kinds:   map[string]bool{user.Optional()[v.pick(2)]: v.pick(2) == 0},
		Threads: map[string]user.Level{"t1": []user.Level{user.Everything, user.MentionsOnly, user.Nothing}[v.pick(3)]},
	})
	if v.pick(2) == 0 {
		v.try(on, me, user.CmdUnblock, user.Unblock{UserID: other})
	}
}

// upload sends a file to a thread. It is attached to a message, which stays or is
// deleted, or its owner discards it, or nobody needs it.
func (v *village) upload(on gotong.Stream, me string) {
	snap, err := v.s.Load(context.Background(), store.Need{Documents: []gotong.Key{thread.ThreadKey(on.ID())}})
	check(v.t, err)
	var t thread.Thread
	check(v.t, json.Unmarshal(snap.Documents[thread.ThreadKey(on.ID())], &t))
	s := thread.UploadStream(fmt.Sprint("u", v.serial))
	if _, ok := v.try(s, me, upload.CmdStart, upload.Start{Thread: on, Home: t.Home, Name: "foto.png", Size: 10}); !ok {
		return
	}
	if v.pick(4) == 0 {
		v.unused = append(v.unused, s)
		return
	}
	_, err = v.server(s, upload.CmdStore, upload.Store{Size: 3, Hash: "h", Type: "image/png", Width: 2, Height: 1, Thumb: "t", ThumbSize: 4})
	check(v.t, err)
	if v.pick(4) == 0 {
		v.try(s, me, upload.CmdCollect, upload.Collect{})
		return
	}
	posted, ok := v.try(on, me, thread.CmdPost, thread.Post{Attachments: []string{s.ID()}})
	if !ok { // too soon, in slow mode
		v.unused = append(v.unused, s)
		return
	}
	if v.pick(2) > 0 {
		v.posts[on] = append(v.posts[on], posted.EventIDs[0])
		return
	}
	if _, ok := v.try(on, me, thread.CmdDelete, thread.Delete{MessageID: posted.EventIDs[0]}); ok {
		_, err := v.server(s, upload.CmdErase, upload.Erase{})
		check(v.t, err)
	}
}

// collect ends the uploads that are in no message, after a day.
func (v *village) collect() {
	if len(v.unused) == 0 {
		return
	}
	v.now = v.now.Add(upload.Lifetime)
	for _, s := range v.unused {
		_, err := v.server(s, upload.CmdCollect, upload.Collect{})
		check(v.t, err)
	}
	v.unused = nil
}

// TestWhatLiesBesideTheLogMovesBeforeItIsReleased: every event is seen once, and a target
// without the bytes that the log names stays unfinished.
func TestWhatLiesBesideTheLogMovesBeforeItIsReleased(t *testing.T) {
	v := newVillage(t, newMemory(), rand.New(rand.NewPCG(3, 4)).IntN)
	defer v.close()
	v.live(60)
	check(t, logcopy.Seal(t.Context(), v.s, "moved"))
	from, err := logcopy.FromStore(t.Context(), v.s)
	check(t, err)
	to, broken := newMemory(), errors.New("no answer")
	defer to.Close() //nolint:errcheck // of a test
	o, seen := options(), uint64(0)
	o.See = func(*store.Event) error { seen++; return nil }
	for _, fails := range []error{broken, broken, nil, nil} {
		seen = 0
		o.Beside = func(ctx context.Context) error {
			if state, err := to.State(ctx); err != nil || fails != nil && state.Progress == "" {
				t.Errorf("the target is released: %+v, %v", state, err)
			}
			return fails
		}
		sum, err := logcopy.Run(t.Context(), from, to, o)
		if !errors.Is(err, fails) || seen == 0 || seen != sum.Rows[logcopy.Events] {
			t.Fatalf("%d events of %d were seen: %v", seen, sum.Rows[logcopy.Events], err)
		}
		if state, err := to.State(t.Context()); err != nil || (state.Progress == "") != (fails == nil) {
			t.Errorf("after %v: %+v, %v", fails, state, err)
		}
	}
	seen = 0
	if rows, err := logcopy.Scan(t.Context(), from, o); err != nil || seen != rows[logcopy.Events] {
		t.Errorf("scanned: %d of %d, %v", seen, rows[logcopy.Events], err)
	}
	o.See = func(*store.Event) error { return broken }
	if _, err := logcopy.Verify(t.Context(), from, to, o); !errors.Is(err, broken) {
		t.Errorf("compared: %v", err)
	}
}
