package push_test

import (
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
)

// TestAnEmergencyIsPushedAtOnce: without the delay, and within the interval after another
// push.
func TestAnEmergencyIsPushedAtOnce(t *testing.T) {
	w := newWorld(t)
	phone, other := w.device("siti"), w.device("joko")
	w.say(wati, "Halo")
	w.pass(delay)
	phone.want(1)
	w.say(wati, "Ronda?")
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.turn()
	phone.want(1, 3)
	other.want(1, 3)
	if got := phone.got[1]; got.Kind != inbox.Siaga {
		t.Errorf("%+v", got)
	}
}

// TestABlockSilencesNoEmergencyOfAGroup: a block silences other messages of the sender,
// and the emergencies of a thread with members of its own.
func TestABlockSilencesNoEmergencyOfAGroup(t *testing.T) {
	w := newWorld(t)
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	const rt, lent = gotong.Stream("group/ent-rt"), gotong.Stream("thread/lent")
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	w.do(siti, rt, group.CmdJoin, group.Join{})
	w.do(wati, lent, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public, Members: thread.Home})
	w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "wati"})
	phone, other := w.device("siti"), w.device("joko")
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Ronda?"})
	w.pass(2 * time.Minute)
	other.want(1)
	phone.want()
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
	w.turn()
	phone.want(2)
	if got := phone.got[0]; got.Stream != lent || got.Kind != inbox.Siaga {
		t.Errorf("%+v", got)
	}
	w.do(wati, lent, thread.CmdPost, thread.Post{Body: "Sudah surut"})
	w.pass(2 * time.Minute)
	phone.want(2)
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
