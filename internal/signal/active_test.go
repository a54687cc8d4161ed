package signal_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/bustest"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/signal"
)

// A look holds for a minute on every node, is of one session and one stream, and
// ends when that session looks elsewhere.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewSwitch()
		a, b := start(t, "a", net.Join(), clock.System()), start(t, "b", net.Join(), clock.System())
		want := func(what, user string, stream gotong.Stream, looks bool) {
			t.Helper()
			synctest.Wait()
			for _, n := range []*node{a, b} {
				if n.Looks(user, stream) != looks {
					t.Errorf("%s: %s looks at %s: %v", what, user, stream, !looks)
				}
			}
		}
		want("at first", "ann", r1, false)
		a.Look("ann", "s1", r1)
		want("after a report", "ann", r1, true)
		want("after a report", "ann", "room/2", false)
		want("after a report", "bob", r1, false)
		b.Look("ann", "s2", r1)
		a.Look("ann", "s1", "room/2")
		want("one session moved on", "ann", r1, true)
		want("one session moved on", "ann", "room/2", true)
		b.Look("ann", "s2", "")
		want("the other is away", "ann", r1, false)
		pass(59 * second)
		want("after 59 s", "ann", "room/2", true)
		pass(2 * second)
		want("after 61 s", "ann", "room/2", false)
		for i := range 40 {
			a.Look("ann", fmt.Sprint("many-", i), gotong.Stream(fmt.Sprint("room/", i)))
		}
		want("of many sessions, the oldest", "ann", "room/3", false)
		want("of many sessions, the newest", "ann", "room/39", true)
		if got := append(a.saw(), b.saw()...); len(got) > 0 {
			t.Errorf("sessions were shown %q", got)
		}
	})
}

// What another node sends must be in order to count, and clients cannot send it as a
// signal.
func TestLooksOfOthers(t *testing.T) {
	n := start(t, "a", bustest.NewSwitch().Join(), clock.System())
	ann := gotong.Actor{UserID: "ann"}
	for _, data := range []string{``, `{`, `[]`, `{"session":"` + string(make([]byte, 2000)) + `"}`} {
		n.Hear(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: signal.Active, Actor: ann, Data: json.RawMessage(data)}})
	}
	n.Hear(bus.Message{Node: "evil", Signal: &bus.Signal{Stream: r1, Type: signal.Active, Data: json.RawMessage(`{"session":"s"}`)}})
	if n.Looks("ann", r1) || n.Looks("", r1) {
		t.Error("what is malformed counts")
	}
	if err := n.Send(r1, signal.Active, ann); gotong.CodeOf(err) != gotong.CodeInvalid {
		t.Errorf("a client sends it as a signal: %v", err)
	}
}
