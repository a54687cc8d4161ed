package thread_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// come is the command and the event with which somebody comes into a club.
type come struct {
	Role string `json:"role"`
}

type club struct {
	Secret bool `json:"secret"`
}

// KnownToAll implements [gotong.Known].
func (c club) KnownToAll() bool { return !c.Secret }

// clubs is a kind of which the rules of threads know nothing but what it says
// of itself: its members lend themselves to threads, except guests.
func clubs(secret bool) gotong.Kind {
	return gotong.Kind{
		Name:     "club",
		Commands: []gotong.Type{gotong.TypeOf[come]("club.come")},
		Events:   []gotong.EventType{gotong.EventOf[come]("member.came")},
		Documents: []gotong.Type{
			gotong.TypeOf[club]("clubs"), gotong.TypeOf[gotong.Membership]("club_members"),
		},
		Lends: &gotong.Lends{
			Prefix: "club-", OfUser: "user_clubs",
			Roles: map[string]gotong.Standing{"captain": gotong.Leading, "player": gotong.Ordinary},
		},
		Home:  func(cmd gotong.Command) (gotong.Stream, error) { return cmd.Stream, nil },
		Needs: func(gotong.State, gotong.Command) []gotong.Ref { return nil },
		Decide: func(_ gotong.State, cmd gotong.Command) (gotong.Decision, error) {
			return gotong.Accept(gotong.Fact{Type: "member.came", Data: cmd.Data})
		},
		Project: func(_ gotong.State, e gotong.Event) []gotong.Change {
			c, _ := e.Data.(come)
			return []gotong.Change{
				{Key: gotong.StreamKey(e.Stream), Doc: club{secret}},
				{Key: gotong.MemberKey(e.Stream, e.Actor.UserID), Doc: gotong.Membership{}.Join(e, c.Role)},
			}
		},
		AccessNeeds: func(gotong.State, gotong.Viewer) []gotong.Ref { return nil },
		Access:      func(gotong.State, gotong.Viewer) gotong.Grant { return gotong.Grant{} },
		Affects:     func(gotong.Event) gotong.Affected { return gotong.Affected{} },
	}
}

func TestAThreadWorksInAnyKindOfHome(t *testing.T) {
	const chess = gotong.Stream("club/club-chess")
	for name, tc := range map[string]struct {
		secret bool
		join   gotong.Code // of somebody who is not in the club
	}{"open": {false, ""}, "secret": {true, gotong.CodeNotFound}} {
		t.Run(name, func(t *testing.T) {
			kind := clubs(tc.secret)
			w := communitytest.Run(t, thread.Kind(group.Kind(), kind), kind, group.Kind())
			for actor, role := range map[gotong.Actor]string{ani: "captain", budi: "player", citra: "player", dewi: "guest"} {
				w.Do(actor, chess, come{role})
			}
			create := thread.Create{ScopeID: "club-chess", Privacy: thread.Private, Members: thread.Home}
			w.Do(budi, s, create)
			for actor, want := range map[gotong.Actor]string{budi: "owner", ani: "admin", citra: "member", dewi: "", boss: ""} {
				grant, _ := w.Grant(s, viewer(actor))
				if got := append(grant.Roles, "")[0]; got != want || grant.Readable != (want != "") {
					t.Errorf("%s: role %q, readable %v; want %q", actor.UserID, got, grant.Readable, want)
				}
			}
			w.Do(budi, "thread/open", thread.Create{ScopeID: "club-chess", Privacy: thread.Public})
			if tc.join == "" {
				w.Do(boss, "thread/open", thread.Join{})
			} else {
				w.Refuse(boss, "thread/open", thread.Join{}, tc.join)
			}
		})
	}
}
