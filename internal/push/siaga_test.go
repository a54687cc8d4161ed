package push_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// TestAnEmergencyIsPushedAtOnce: without the delay, within the interval after another
// push, and to a user who blocks its sender. Other messages of the sender stay silent.
func TestAnEmergencyIsPushedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	phone, other := w.device("siti"), w.device("joko")
	w.say(wati, "Halo")
	w.pass(delay)
	phone.want(1)
	w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "wati"})
	w.say(wati, "Ronda?")
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.turn()
	phone.want(1, 3)
	other.want(1, 3)
	if got := phone.got[1]; got.Kind != inbox.Siaga {
		t.Errorf("%+v", got)
	}
	w.say(wati, "Sudah surut")
	w.pass(2 * time.Minute)
	phone.want(1, 3)
}

// TestAThreadAndAnInboxOfOneIDHaveStatesOfTheirOwn: what was sent about an inbox does not
// count for the thread whose id is that of the user.
func TestAThreadAndAnInboxOfOneIDHaveStatesOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.device("siti")
	w.say(wati, "Halo")
	w.pass(delay)
	for s, want := range map[gotong.Stream]bool{talk: true, "user/talk": false, "user/siti": false} {
		key := gotong.Key{Collection: "push_states", Owner: string(s), Name: "siti"}
		reg, err := store.ReadRegister(t.Context(), w.store, key)
		if err != nil || (reg.Version > 0) != want {
			t.Errorf("%s: version %d, %v", s, reg.Version, err)
		}
	}
}
