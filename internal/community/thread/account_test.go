package thread_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// Who has a disabled account cannot be added to a thread or a group; whoever is
// a member stays one, and who is known to another issuer needs no account here.
func TestDisabledAccountsCannotBeAdded(t *testing.T) {
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind(), user.Kind())
	w.Do(ani, s, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	w.Do(ani, g, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Persetujuan})
	for _, name := range []string{"citra", "dewi"} {
		w.Do(gotong.Anonymous(), gotong.NewStream("user", name),
			user.Register{Email: name + "@example.org", Username: name, CommunityID: "rt05"})
	}
	adds := map[gotong.Stream]func(string) any{
		s: func(id string) any { return thread.Add{UserID: id} },
		g: func(id string) any { return group.Add{UserID: id} },
	}
	for on, add := range adds {
		w.Do(ani, on, add("citra"))
		w.Do(ani, on, add("of-another-issuer"))
	}
	for _, name := range []gotong.Stream{"user/citra", "user/dewi"} {
		w.Do(boss, name, user.Disable{})
	}
	for on, add := range adds {
		w.Refuse(ani, on, add("dewi"), gotong.CodeNotFound)
		w.Idle(ani, on, add("citra"))
	}
	w.Do(boss, "user/dewi", user.Enable{})
	for on, add := range adds {
		w.Do(ani, on, add("dewi"))
	}
}
