package advice_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/advice"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

// TestMissedIsCountedOnce: a job counts its message once, however often it is run
// and for whichever reason nobody gives advice.
func TestMissedIsCountedOnce(t *testing.T) {
	clk := clocktest.Stopped(gotong.InstantOf(time.Date(2026, 2, 14, 8, 0, 0, 0, time.UTC)))
	db := memory.New("", memory.Options{Now: clk.Now})
	t.Cleanup(func() { _ = db.Close() })
	codec := store.NewCodec([]gotong.Kind{thread.Kind(group.Kind()), group.Kind()})
	e := engine.New(engine.Options{Store: db, Codec: codec, Clock: clk})
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	const s = gotong.Stream("thread/a")
	n := 0
	do := func(typ string, data any) gotong.Receipt {
		t.Helper()
		n++
		receipt, err := e.Execute(t.Context(), gotong.Command{
			Stream: s, Type: typ, Data: data, RequestID: fmt.Sprint("r", n), CorrelationID: "c",
			Actor: gotong.Actor{UserID: "ani", Role: gotong.RoleUser},
		})
		if err != nil {
			t.Fatal(typ, err)
		}
		return receipt
	}
	do(thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	ended := map[string]int{}
	h := advice.Handler(advice.Options{
		Boundary: edgepod.New(edgepod.Options{Clock: clock.System()}), Store: db, Codec: codec, Engine: e, Now: clk.Now,
		Ended: func(outcome string) { ended[outcome]++ },
	})
	run := func(r gotong.Receipt) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"stream": s, "seq": r.Last})
		if err != nil {
			t.Fatal(err)
		}
		result, err := h.Run(t.Context(), store.Job{ID: reader.RequestID("advice", r.EventIDs[0].String()), Body: body})
		if err != nil || result != reader.Done {
			t.Fatal(result, err)
		}
	}
	missed := func(want uint64) {
		t.Helper()
		if got, err := advice.Missed(t.Context(), db, "scope/rt05"); err != nil || got != want {
			t.Errorf("%d missed, %v; want %d", got, err, want)
		}
	}
	var posted []gotong.Receipt
	for i := range 120 {
		posted = append(posted, do(thread.CmdPost, thread.Post{Body: fmt.Sprint("halo ", i)}))
	}
	run(posted[0])
	run(posted[0])
	missed(1)
	run(posted[1])
	missed(2)
	clk.Pass(time.Hour)
	run(posted[0]) // now it is late
	missed(2)
	for _, r := range posted[2:] {
		run(r)
	}
	run(posted[119])
	run(posted[60])
	missed(120)
	kept, err := store.ReadRegister(t.Context(), db, gotong.Key{Collection: "advice", Owner: "missed", Name: "scope/rt05"})
	if err != nil || strings.Count(string(kept.Body), "advice") != 100 {
		t.Errorf("not bounded: %s, %v", kept.Body, err)
	}
	if ended["fallback"] != 3 || ended["late"] != 121 {
		t.Errorf("%v", ended)
	}
}
