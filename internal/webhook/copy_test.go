package webhook_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	rules "gotong.dev/gotong/internal/community/webhook"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/webhook"
)

// TestACopyContinuesWhereItsSourceStopped: a copy has every lane, dead letter, replay
// and secret; the comparison finds a lane that differs; and the sender of the copy sends
// what the source had not sent, and nothing else.
func TestACopyContinuesWhereItsSourceStopped(t *testing.T) {
	const second = gotong.Stream("thread/second")
	w := newWorld(t, rules.Standard)
	w.do(wati, second, thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public})
	w.say("one")
	w.turn()
	w.status = http.StatusUnprocessableEntity
	w.do(wati, second, thread.CmdPost, thread.Post{Body: "rejected"})
	w.turn()
	w.set(webhook.DeadKey(hook.ID(), open, 1), webhook.Dead{Stream: open, Seq: 1, Why: "rejected"})
	w.say("two")
	w.plan()
	w.check(logcopy.Seal(t.Context(), w.store, "copied"))
	source, err := logcopy.FromStore(t.Context(), w.store)
	w.check(err)
	from, to := w.store, memory.New("none", memory.Options{Now: w.clock.Now})
	opt := logcopy.Options{Codec: w.codec, Now: w.clock.Now, Readers: []reader.Reader{webhook.Planner(w.codec)}}
	_, err = logcopy.Run(t.Context(), source, to, opt)
	w.check(err)
	_, err = logcopy.Verify(t.Context(), source, to, opt)
	w.check(err)

	state := w.state()
	lane := func(s gotong.Stream) webhook.Lane {
		l, _, err := webhook.Read[webhook.Lane](t.Context(), w.store, webhook.LaneKey(hook.ID(), s))
		w.check(err)
		return l
	}
	lanes := []webhook.Lane{lane(open), lane(second)}
	w.check(w.engine.Close(t.Context()))
	w.store = to
	w.begin()
	t.Cleanup(func() { w.check(from.Close()) })
	if got := []webhook.Lane{lane(open), lane(second)}; !slices.Equal(got, lanes) || lanes[1].Attempts != 1 || lanes[0].Seq == 0 {
		t.Errorf("the lanes of the copy are %+v, of the source %+v", got, lanes)
	}
	if got := w.state(); !reflect.DeepEqual(got, state) || len(state.Blocked) != 1 {
		t.Errorf("the state of the copy is %+v, of the source %+v", got, state)
	}
	if list, _, err := webhook.DeadLetters(t.Context(), to, hook.ID(), "", 9); err != nil || len(list) != 1 {
		t.Errorf("the dead letters of the copy are %v, %v", list, err)
	}
	w.set(webhook.LaneKey(hook.ID(), second), webhook.Lane{Seq: lanes[1].Seq + 1})
	if _, err := logcopy.Verify(t.Context(), source, to, opt); !errors.Is(err, logcopy.ErrDiffers) {
		t.Errorf("the comparison does not find another lane: %v", err)
	}
	w.set(webhook.LaneKey(hook.ID(), second), lanes[1])

	w.status = http.StatusNoContent
	got := w.turn()
	w.clock.Pass(time.Minute)
	if got = append(got, w.turn()...); len(got) != 2 || !slices.Contains(texts(got), "two") || !slices.Contains(texts(got), "rejected") {
		t.Errorf("the copy sends %v", texts(got))
	}
}
