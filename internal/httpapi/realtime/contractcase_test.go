package realtime

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/store"
)

// affair is a case that a test moves on.
type affair struct {
	t *testing.T
	w *world
	s gotong.Stream
}

// timer runs a command of the server's timers, for the gate that opened with this
// seq.
func (a affair) timer(name string, gate uint64, command func(gate uint64, due gotong.Instant) any) {
	a.t.Helper()
	key := cases.GateKey(a.s.ID(), gate)
	row, err := a.w.store.Load(context.Background(), store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		a.t.Fatal(err)
	}
	doc, err := a.w.codec.Document(key.Collection, row.Documents[key])
	g, ok := doc.(cases.Gate)
	if err != nil || !ok {
		a.t.Fatal(err)
	}
	if _, err := a.w.engine.Execute(context.Background(), gotong.Command{
		Stream: a.s, Type: name, Data: command(gate, g.ClosesAt), Actor: gotong.Actor{UserID: "system", Role: gotong.RoleSystem},
		RequestID: fmt.Sprint("timer-", a.w.n.Add(1)), CorrelationID: "c",
	}); err != nil {
		a.t.Fatal(name, err)
	}
}

// close passes the window of a gate and closes it.
func (a affair) close(gate uint64) {
	a.t.Helper()
	a.w.pass(8 * time.Second)
	a.timer(cases.CmdClose, gate, func(gate uint64, due gotong.Instant) any { return cases.Close{Gate: gate, Due: due} })
}

// everyCaseCommand goes through every phase of every gate.
func everyCaseCommand(t *testing.T, w *world, ann, bob *socket) {
	t.Helper()
	boss := w.connect("boss")
	a := affair{t, w, order(ann, cases.Name, cases.CmdCreate, object{"scope_id": "rt05", "track": "kilat", "title": "Selokan", "privacy_level": "public"}).Stream}
	step := func(from, to string, more object) uint64 {
		t.Helper()
		data := object{"from_stage": from, "to_stage": to}
		maps.Copy(data, more)
		return order(ann, a.s, cases.CmdPropose, data).Seq[0]
	}
	on := func(s *socket, name string, gate uint64, more object) receipt {
		t.Helper()
		data := object{"transition": gate}
		maps.Copy(data, more)
		return order(s, a.s, name, data)
	}
	reason := object{"reason": "Belum jelas"}
	order(ann, a.s, cases.CmdSeat, object{"user_id": "bob", "track_roles": list{"participant"}})

	on(ann, cases.CmdWithdraw, step("a", "b", nil), nil)
	g := step("a", "b", nil)
	on(bob, cases.CmdObject, g, reason)
	w.pass(6 * time.Second)
	a.timer(cases.CmdRemind, g, func(gate uint64, due gotong.Instant) any { return cases.Remind{Gate: gate, Due: due} })
	on(bob, cases.CmdVote, g, object{"choice": "no"})
	order(ann, a.s, cases.CmdRemove, object{"user_id": "bob"})
	on(boss, cases.CmdVoid, g, object{"user_id": "bob", "reason": "Bukan warga"})
	a.close(g) // too few took part
	order(ann, a.s, cases.CmdSeat, object{"user_id": "bob", "track_roles": list{"saksi"}})

	for _, choice := range []string{"no", "yes"} { // undone, then ratified
		g = step("a", "b", object{"fast_track": true})
		on(boss, cases.CmdApprove, g, nil)
		on(bob, cases.CmdVote, g, object{"choice": choice})
		a.close(g)
	}
	g = step("b", "c", nil)
	on(bob, cases.CmdVote, g, object{"choice": "yes"})
	a.close(g)
	on(bob, cases.CmdDispute, g, reason)
	on(boss, cases.CmdResolve, g, object{"confirm": true, "reason": "Sudah"})
	erase(t, w, a.s)
	watch := w.sse("bob", "?cursor=start&stream="+string(a.s), "")
	last := order(ann, a.s, cases.CmdSeat, object{"user_id": "bob", "track_roles": list{"pic"}})
	watch.want("subscribed")
	watch.upTo(last)
	watch.close()
	order(bob, a.s, cases.CmdLeave, object{})
}
