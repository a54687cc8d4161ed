package thread_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
)

// dm is the direct thread of citra and dewi.
var dm = thread.DirectOf("dewi", "citra")

// TestADirectThreadExistsOnce: both users are members, also if both start the thread, more than once.
func TestADirectThreadExistsOnce(t *testing.T) {
	w := accounts(t, citra, dewi, budi)
	if dm != thread.DirectOf("citra", "dewi") || dm == thread.DirectOf("citra", "budi") {
		t.Fatal(dm)
	}
	w.Do(dewi, dm, thread.Direct{UserID: "citra"})
	w.Idle(dewi, dm, thread.Direct{UserID: "citra"})
	w.Idle(citra, dm, thread.Direct{UserID: "dewi"})
	d, _ := w.Doc(thread.ThreadKey(dm.ID())).(thread.Thread)
	if !slices.Equal(d.Pair, []string{"citra", "dewi"}) || d.Members != thread.Own || d.Roster.Members != 2 || len(d.Leaders) != 0 ||
		d.Privacy != thread.Private || d.Home != dm || d.Other("dewi") != "citra" || d.Other("citra") != "dewi" {
		t.Fatalf("got %+v", d)
	}
	if w.Access(dm, viewer(budi)).Readable {
		t.Error("somebody else may read it")
	}
	disable(w, budi)
	for name, tc := range map[string]struct {
		by   gotong.Actor
		on   gotong.Stream
		with string
		code gotong.Code
	}{
		"with oneself":         {citra, thread.DirectOf("citra", "citra"), "citra", gotong.CodeInvalid},
		"of two others":        {budi, dm, "citra", gotong.CodeInvalid},
		"another stream":       {citra, s, "dewi", gotong.CodeInvalid},
		"no account":           {citra, thread.DirectOf("citra", "nobody"), "nobody", gotong.CodeNotFound},
		"a disabled account":   {citra, thread.DirectOf("citra", "budi"), "budi", gotong.CodeNotFound},
		"somebody anonymous":   {gotong.Anonymous(), thread.DirectOf("anonymous", "citra"), "citra", gotong.CodeUnauthorized},
		"no user id":           {citra, dm, "a b", gotong.CodeInvalid},
		"a scope of their own": {citra, "thread/x", "", gotong.CodeInvalid},
	} {
		data := any(thread.Direct{UserID: tc.with})
		if tc.with == "" {
			data = thread.Create{ScopeID: thread.DirectScope, Privacy: thread.Private}
		}
		if _, err := w.Try(tc.by, tc.on, data); gotong.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNobodyLeadsADirectThread: no command changes who is in it or how it is, and
// neither user acts on the other, whatever their platform role.
func TestNobodyLeadsADirectThread(t *testing.T) {
	on := thread.DirectOf("mod", "citra")
	w := communitytest.Run(t, thread.Kind(group.Kind()), group.Kind())
	w.Do(citra, on, thread.Direct{UserID: "mod"})
	m := w.Do(citra, on, thread.Post{Body: "Halo"})[0]
	for _, a := range []gotong.Actor{citra, mod} {
		for _, data := range []any{
			thread.Add{UserID: "budi"}, thread.Remove{UserID: "citra"}, thread.Remove{UserID: "mod", Ban: gotong.Ban{Ever: true}},
			thread.Unban{UserID: "citra"}, thread.Mute{UserID: "citra", UntilMS: 4_000_000_000_000}, thread.SetRole{UserID: "citra", Role: thread.Owner},
			thread.SetHistory{Policy: thread.FromJoin}, thread.Update{Name: new("x")}, thread.Update{Archived: new(true)},
			thread.Post{Body: "x", Origin: thread.Origin{SentBy: "Ani"}},
		} {
			w.Refuse(a, on, data, gotong.CodeForbidden)
		}
	}
	w.Refuse(mod, on, thread.Delete{MessageID: m.ID}, gotong.CodeForbidden)
	w.Refuse(mod, on, thread.Review{MessageID: m.ID, Decision: thread.Hold}, gotong.CodeForbidden)
	w.Do(server, on, thread.Report{MessageID: m.ID, Reporters: []thread.Reporter{{UserID: "mod", At: w.Now() + 1}}})
	for _, data := range []any{thread.Review{MessageID: m.ID, Decision: thread.Hold}, thread.Open{MessageID: m.ID}} {
		w.Refuse(mod, on, data, gotong.CodeForbidden) // a report opens it to other moderators
	}
	for _, a := range []gotong.Actor{boss, dewi} {
		w.Refuse(a, on, thread.Appoint{UserID: "boss"}, gotong.CodeNotFound)
		w.Refuse(a, on, thread.Join{}, gotong.CodeNotFound)
		w.Refuse(a, on, thread.Post{Body: "x"}, gotong.CodeNotFound)
	}
	w.Do(citra, on, thread.Delete{MessageID: m.ID})
}

// TestADirectThreadAgreesWithAModel: each of the two is in it or out; only they
// themselves return; nobody writes while one of them is out, and who returns reads all.
func TestADirectThreadAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := communitytest.Run(rt, thread.Kind())
		in, posts := map[string]bool{}, 0
		two := map[string]gotong.Actor{"citra": dewi, "dewi": citra}
		act := func(data any, want func(me, other bool) gotong.Code, did func(me string)) {
			a := rapid.SampledFrom([]gotong.Actor{citra, dewi}).Draw(rt, "actor")
			other := two[a.UserID].UserID
			if _, ok := data.(thread.Direct); ok {
				data = thread.Direct{UserID: other}
			}
			code := want(in[a.UserID], in[other])
			if events, err := w.Try(a, dm, data); gotong.CodeOf(err) != code && (code != idle || err != nil || len(events) > 0) {
				rt.Fatalf("%T by %s: %v, the model says %q; %v", data, a.UserID, err, code, in)
			}
			if code == "" {
				did(a.UserID)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"start": func(*rapid.T) {
				exists := w.Head(dm).Exists()
				act(thread.Direct{}, func(me, _ bool) gotong.Code { return first(when(me, idle)) }, func(me string) {
					if in[me] = true; !exists {
						in[two[me].UserID] = true
					}
				})
			},
			"leave": func(*rapid.T) {
				if w.Head(dm).Exists() {
					act(thread.Leave{}, func(me, _ bool) gotong.Code { return first(when(!me, idle)) }, func(me string) { in[me] = false })
				}
			},
			"post": func(*rapid.T) {
				act(thread.Post{Body: "Halo"}, func(me, other bool) gotong.Code {
					return first(when(!me, gotong.CodeNotFound), when(!other, gotong.CodeConflict))
				}, func(string) { posts++ })
			},
			"pass": func(*rapid.T) { w.Pass(time.Minute) },
			"": func(rt *rapid.T) {
				for user, a := range map[string]gotong.Actor{"citra": citra, "dewi": dewi} {
					n := 0
					for _, e := range w.History(dm, viewer(a)) {
						n += map[string]int{thread.EvPosted: 1}[e.Type]
					}
					if want := map[bool]int{true: posts}[in[user]]; n != want || w.Access(dm, viewer(a)).Readable != in[user] {
						rt.Fatalf("%s reads %d of %d messages; %v", user, n, want, in)
					}
				}
			},
		})
	})
}

// TestABlockStopsADirectThread: who is blocked can neither start, nor return to, nor
// write in the direct thread; the answer is that for an account that is disabled.
func TestABlockStopsADirectThread(t *testing.T) {
	w := accounts(t, citra, dewi, budi)
	mine := gotong.NewStream(user.Name, "dewi")
	block := func() { w.Do(dewi, mine, user.Block{UserID: "citra"}) }
	block()
	_, blocked := w.Try(citra, dm, thread.Direct{UserID: "dewi"})
	disable(w, budi)
	_, disabled := w.Try(citra, thread.DirectOf("citra", "budi"), thread.Direct{UserID: "budi"})
	if blocked == nil || disabled == nil || blocked.Error() != disabled.Error() {
		t.Errorf("%v, but for a disabled account %v", blocked, disabled)
	}
	w.Do(dewi, dm, thread.Direct{UserID: "citra"}) // in the other direction it is possible
	w.Do(dewi, dm, thread.Post{Body: "Halo"})
	if _, err := w.Try(citra, dm, thread.Post{Body: "x"}); gotong.CodeOf(err) != gotong.CodeForbidden {
		t.Error(err)
	}
	w.Do(citra, dm, thread.Leave{})
	if _, err := w.Try(citra, dm, thread.Direct{UserID: "dewi"}); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Error(err)
	}
	w.Do(dewi, mine, user.Unblock{UserID: "citra"})
	w.Do(citra, dm, thread.Direct{UserID: "dewi"})
	w.Do(citra, dm, thread.Post{Body: "Halo juga"})
}
