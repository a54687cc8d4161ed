package group_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
)

func pending(w *communitytest.World, userID string) string {
	entry, _ := w.Doc(group.ApplicantKey("ent-rt05", userID)).(gotong.Entry)
	return entry.ID
}

func invitation(w *communitytest.World, userID string) (group.Invitation, bool) {
	i, ok := w.Doc(group.InvitationKey("ent-rt05", userID)).(group.Invitation)
	return i, ok
}

func TestARequestIsPendingUntilItIsAnswered(t *testing.T) {
	w := staffed(t, group.Persetujuan)
	e := w.Do(dewi, rt05, group.Ask{Message: " Saya tetangga "})[0]
	w.Idle(dewi, rt05, group.Ask{Message: "again"})
	id := group.RequestID(e.Seq)
	if r := w.Doc(group.RequestKey("ent-rt05", id)); r != (group.Request{UserID: "dewi", Message: "Saya tetangga", At: e.At}) || pending(w, "dewi") != id {
		t.Fatalf("got %+v", r)
	}
	for a, want := range map[gotong.Actor]bool{ani: true, budi: true, citra: false, dewi: false} {
		if got := w.Access(rt05, gotong.Viewer(a)).Sees(e.Seq, e.Audience); got != want {
			t.Errorf("%s sees the request: %v", a.UserID, got)
		}
	}
	w.Refuse(citra, rt05, group.Approve{RequestID: id}, gotong.CodeForbidden)
	w.Refuse(citra, rt05, group.Reject{RequestID: id}, gotong.CodeForbidden)
	w.Refuse(ani, rt05, group.Withdraw{RequestID: id}, gotong.CodeNotFound)
	w.Refuse(dewi, rt05, group.Approve{RequestID: id}, gotong.CodeForbidden)
	w.Do(budi, rt05, group.Approve{RequestID: id})
	if roleOf(w, "dewi") != "anggota" || pending(w, "dewi") != "" || w.Doc(group.RequestKey("ent-rt05", id)) != nil {
		t.Fatal("not a member, or still pending")
	}
	for _, c := range []any{group.Approve{RequestID: id}, group.Reject{RequestID: id}} {
		w.Refuse(budi, rt05, c, gotong.CodeNotFound)
	}
	w.Refuse(dewi, rt05, group.Ask{}, gotong.CodeConflict)
	w.Do(dewi, rt05, group.Leave{})
	for _, answer := range []func(id string){
		func(id string) { w.Do(ani, rt05, group.Reject{RequestID: id}) },
		func(id string) { w.Do(dewi, rt05, group.Withdraw{RequestID: id}) },
	} {
		answer(group.RequestID(w.Do(dewi, rt05, group.Ask{})[0].Seq))
		if roleOf(w, "dewi") != "" || pending(w, "dewi") != "" || len(w.Keys(group.Requests, "ent-rt05")) != 0 {
			t.Fatal("a member, or still pending")
		}
	}
}

func TestWhoMayRequestToJoin(t *testing.T) {
	for policy, code := range map[group.JoinPolicy]gotong.Code{
		group.Terbuka: gotong.CodeConflict, group.Persetujuan: "", group.Undangan: gotong.CodeNotFound,
	} {
		w := staffed(t, policy)
		w.Refuse(dewi, rt05, group.Ask{}, code)
		w.Refuse(citra, rt05, group.Ask{}, gotong.CodeConflict)
	}
	w := staffed(t, group.Persetujuan)
	w.Refuse(dewi, rt05, group.Ask{Message: strings.Repeat("a", 513)}, gotong.CodeInvalid)
	w.Do(dewi, rt05, group.Ask{Message: strings.Repeat("é", 512)})
	w.Do(budi, rt05, group.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	if pending(w, "dewi") != "" || len(w.Keys(group.Requests, "ent-rt05")) != 0 {
		t.Error("a banned user has a request")
	}
	w.Refuse(dewi, rt05, group.Ask{}, gotong.CodeForbidden)
	w.Do(communitytest.User("evi"), rt05, group.Ask{})
	policy := group.Undangan
	w.Do(ani, rt05, group.Update{JoinPolicy: &policy})
	w.Refuse(communitytest.User("evi"), rt05, group.Ask{}, gotong.CodeNotFound)
	w.Do(communitytest.User("evi"), rt05, group.Withdraw{RequestID: pending(w, "evi")}) // their own, of a group now hidden
}

func TestAnInvitationIsOpenFor30Days(t *testing.T) {
	for _, policy := range []group.JoinPolicy{group.Terbuka, group.Persetujuan, group.Undangan} {
		t.Run(string(policy), func(t *testing.T) {
			w := staffed(t, policy)
			for _, c := range []any{group.Accept{}, group.Decline{}} {
				w.Refuse(dewi, rt05, c, gotong.CodeNotFound)
			}
			w.Refuse(citra, rt05, group.Invite{UserID: "dewi"}, gotong.CodeForbidden)
			w.Idle(budi, rt05, group.Invite{UserID: "citra"})
			e := w.Do(budi, rt05, group.Invite{UserID: "dewi"})[0]
			w.Idle(ani, rt05, group.Invite{UserID: "dewi"})
			i, _ := invitation(w, "dewi")
			if i.By != "budi" || e.Audience != gotong.ForRole(group.Managing) || len(w.Keys(group.OfInvited, "dewi")) != 1 {
				t.Fatalf("got %+v for %s", i, e.Audience)
			}
			if got := time.Duration(i.UntilMS-i.At.Milli()) * time.Millisecond; got != 30*24*time.Hour {
				t.Fatalf("open for %v", got)
			}
			w.Pass(group.InvitationLife)
			for _, c := range []any{group.Accept{}, group.Decline{}} {
				w.Refuse(dewi, rt05, c, gotong.CodeNotFound)
			}
			w.Idle(ani, rt05, group.WithdrawInvite{UserID: "dewi"})
			w.Do(ani, rt05, group.Invite{UserID: "dewi"}) // anew
			if n := len(w.Keys(group.OfInvited, "dewi")); n != 1 {
				t.Fatalf("%d lines", n)
			}
			w.Pass(group.InvitationLife - time.Second)
			if joined := w.Do(dewi, rt05, group.Accept{})[0].Data.(group.Member); joined.Now == 0 || joined.Role != group.Anggota {
				t.Fatalf("a deadline was compared, and the event does not say when: %+v", joined)
			}
			w.Idle(dewi, rt05, group.Accept{})
			if _, ok := invitation(w, "dewi"); ok || roleOf(w, "dewi") != "anggota" || len(w.Keys(group.OfInvited, "dewi")) != 0 {
				t.Fatal("not a member, or still invited")
			}
		})
	}
}

func TestAnInvitationEndsUnaccepted(t *testing.T) {
	for name, end := range map[string]func(w *communitytest.World){
		"declined":  func(w *communitytest.World) { w.Do(dewi, rt05, group.Decline{}) },
		"withdrawn": func(w *communitytest.World) { w.Do(budi, rt05, group.WithdrawInvite{UserID: "dewi"}) },
		"banned": func(w *communitytest.World) {
			w.Do(budi, rt05, group.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
		},
		"added, and removed": func(w *communitytest.World) {
			w.Do(ani, rt05, group.Add{UserID: "dewi"})
			w.Do(ani, rt05, group.Remove{UserID: "dewi"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := staffed(t, group.Undangan)
			w.Do(ani, rt05, group.Invite{UserID: "dewi"})
			w.Refuse(citra, rt05, group.WithdrawInvite{UserID: "dewi"}, gotong.CodeForbidden)
			w.Refuse(communitytest.User("evi"), rt05, group.WithdrawInvite{UserID: "dewi"}, gotong.CodeNotFound)
			end(w)
			if _, ok := invitation(w, "dewi"); ok || len(w.Keys(group.OfInvited, "dewi")) != 0 {
				t.Fatal("still invited")
			}
			w.Refuse(dewi, rt05, group.Accept{}, gotong.CodeNotFound)
			w.Refuse(dewi, rt05, group.Decline{}, gotong.CodeNotFound)
		})
	}
	w := staffed(t, group.Undangan)
	w.Do(ani, rt05, group.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	w.Refuse(ani, rt05, group.Invite{UserID: "dewi"}, gotong.CodeConflict)
	w = found(t, group.Undangan)
	w.Do(ani, rt05, group.Invite{UserID: "dewi"})
	w.Do(ani, rt05, group.Leave{})
	w.Refuse(dewi, rt05, group.Accept{}, gotong.CodeConflict)
}

func TestOnlyAccountsThatCanActAreInvitedOrApproved(t *testing.T) {
	w := accounts(t, group.Persetujuan)
	w.Refuse(ani, rt05, group.Invite{UserID: "nobody"}, gotong.CodeNotFound)
	id := group.RequestID(w.Do(evi, rt05, group.Ask{})[0].Seq)
	disable(w, evi)
	w.Refuse(ani, rt05, group.Invite{UserID: "evi"}, gotong.CodeNotFound)
	w.Refuse(ani, rt05, group.Approve{RequestID: id}, gotong.CodeNotFound)
	w.Do(ani, rt05, group.Reject{RequestID: id})
}

// The model knows of each user whether they are a member, banned, have a request,
// and until when they are invited.
func TestRequestsAndInvitationsAgreeWithAModel(t *testing.T) {
	type person struct {
		member, banned, asked bool
		until                 gotong.Instant
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := communitytest.Run(rt, group.Kind())
		policy := rapid.SampledFrom([]group.JoinPolicy{group.Terbuka, group.Persetujuan, group.Undangan}).Draw(rt, "policy")
		w.Do(ani, rt05, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: policy})
		people := map[gotong.Actor]*person{dewi: {}, evi: {}}
		one := func(rt *rapid.T) (gotong.Actor, *person) {
			a := rapid.SampledFrom([]gotong.Actor{dewi, evi}).Draw(rt, "user")
			return a, people[a]
		}
		open := func(p *person) bool { return w.Now()+1000 < p.until } // the next command is a millisecond later
		hidden := func(p *person) bool { return policy == group.Undangan && !p.member }
		try := func(rt *rapid.T, a gotong.Actor, c any, codes ...gotong.Code) bool {
			want := gotong.Code("")
			for _, code := range codes {
				if want = code; want != "" {
					break
				}
			}
			events, err := w.Try(a, rt05, c)
			got := gotong.CodeOf(err)
			if err == nil && len(events) == 0 {
				got = "idle"
			}
			if got != want {
				rt.Fatalf("%T by %s: %q (%v), want %q", c, a.UserID, got, err, want)
			}
			return got == ""
		}
		when := func(yes bool, code gotong.Code) gotong.Code {
			if yes {
				return code
			}
			return ""
		}
		become := func(p *person) { *p = person{member: true} }
		rt.Repeat(map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, a, group.Ask{}, when(hidden(p), gotong.CodeNotFound), when(p.member, gotong.CodeConflict), when(p.asked, "idle"),
					when(policy != group.Persetujuan, gotong.CodeConflict), when(p.banned, gotong.CodeForbidden)) {
					p.asked = true
				}
			},
			"answer": func(rt *rapid.T) {
				a, p := one(rt)
				id := pending(w, a.UserID)
				if (id != "") != p.asked {
					rt.Fatalf("%s has the request %q, want one: %v", a.UserID, id, p.asked)
				}
				if id == "" {
					return
				}
				switch rapid.IntRange(0, 2).Draw(rt, "answer") {
				case 0:
					try(rt, ani, group.Approve{RequestID: id})
					become(p)
				case 1:
					try(rt, ani, group.Reject{RequestID: id})
				default:
					try(rt, a, group.Withdraw{RequestID: id})
				}
				p.asked = false
			},
			"invite": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, ani, group.Invite{UserID: a.UserID}, when(p.member || open(p), "idle"), when(p.banned, gotong.CodeConflict)) {
					p.until = gotong.Instant(w.Now().Add(group.InvitationLife).Milli() * 1000)
				}
			},
			"accept": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, a, group.Accept{}, when(p.member, "idle"), when(!open(p), gotong.CodeNotFound)) {
					become(p)
				}
			},
			"decline": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, a, group.Decline{}, when(!open(p), gotong.CodeNotFound)) {
					p.until = 0
				}
			},
			"withdraw": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, ani, group.WithdrawInvite{UserID: a.UserID}, when(!open(p), "idle")) {
					p.until = 0
				}
			},
			"remove": func(rt *rapid.T) {
				a, p := one(rt)
				ban := rapid.Bool().Draw(rt, "ban")
				if try(rt, ani, group.Remove{UserID: a.UserID, Ban: gotong.Ban{Ever: ban}}, when(!p.member && (!ban || p.banned), "idle")) {
					if ban {
						*p = person{banned: true}
					}
					p.member = false
				}
			},
			"unban": func(rt *rapid.T) {
				a, p := one(rt)
				try(rt, ani, group.Unban{UserID: a.UserID}, when(!p.banned, "idle"))
				p.banned = false
			},
			"add": func(rt *rapid.T) {
				a, p := one(rt)
				if try(rt, ani, group.Add{UserID: a.UserID}, when(p.member, "idle"), when(p.banned, gotong.CodeConflict)) {
					become(p)
				}
			},
			"policy": func(rt *rapid.T) {
				next := rapid.SampledFrom([]group.JoinPolicy{group.Terbuka, group.Persetujuan, group.Undangan}).Draw(rt, "policy")
				try(rt, ani, group.Update{JoinPolicy: &next}, when(next == policy, "idle"))
				policy = next
			},
			"pass": func(rt *rapid.T) {
				w.Pass(rapid.SampledFrom([]time.Duration{time.Hour, group.InvitationLife / 2, -time.Hour}).Draw(rt, "time"))
			},
			"": func(rt *rapid.T) {
				for a, p := range people {
					if (roleOf(w, a.UserID) != "") != p.member || len(w.Keys(group.OfInvited, a.UserID)) > 1 {
						rt.Fatalf("%s: role %q, want a member: %v", a.UserID, roleOf(w, a.UserID), p.member)
					}
				}
			},
		})
	})
}

func TestAnInvitationIsOpenBeforeItsEnd(t *testing.T) {
	i := group.Invitation{UntilMS: 5}
	for now, want := range map[gotong.Instant]bool{0: true, 4_999: true, 5_000: false, 5_001: false} {
		if got := i.Open(now); got != want {
			t.Errorf("at %d: %v", now, got)
		}
	}
}
