package group_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
)

// The last member who leaves closes the group: nobody can come into one that
// has no admin, and it stands in no list.
func TestAGroupClosesWhenItsLastMemberLeaves(t *testing.T) {
	for policy, code := range map[group.JoinPolicy]gotong.Code{
		group.Terbuka: gotong.CodeConflict, group.Persetujuan: gotong.CodeConflict, group.Undangan: gotong.CodeNotFound,
	} {
		t.Run(string(policy), func(t *testing.T) {
			w := found(t, policy)
			w.Do(ani, rt05, group.Leave{})
			if !docOf(t, w).Closed() || len(w.Keys(group.Directory, group.DirectoryOwner)) != 0 {
				t.Fatalf("still open: %+v", docOf(t, w).Roster)
			}
			for _, a := range []gotong.Actor{ani, dewi} {
				w.Refuse(a, rt05, group.Join{}, code)
			}
			w.Idle(ani, rt05, group.Leave{})
		})
	}
}
