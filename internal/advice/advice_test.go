package advice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

// world is a thread and the handler of its advice.
type world struct {
	t     *testing.T
	clock *clocktest.Clock
	db    *memory.Store
	run   func(gotong.Receipt)
	do    func(typ string, data any) gotong.Receipt
	ended map[string]int
}

const s = gotong.Stream("thread/a")

func newWorld(t *testing.T, provider edgepod.Provider) *world {
	t.Helper()
	clk := clocktest.Stopped(gotong.InstantOf(time.Date(2026, 2, 14, 8, 0, 0, 0, time.UTC)))
	db := memory.New("", memory.Options{Now: clk.Now})
	t.Cleanup(func() { _ = db.Close() })
	codec := store.NewCodec([]gotong.Kind{thread.Kind(group.Kind()), group.Kind()})
	e := engine.New(engine.Options{Store: db, Codec: codec, Clock: clk})
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	w := &world{t: t, clock: clk, db: db, ended: map[string]int{}}
	n := 0
	w.do = func(typ string, data any) gotong.Receipt {
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
	h := advice.Handler(advice.Options{
		Boundary: edgepod.New(edgepod.Options{Provider: provider, Clock: clock.System()}), Store: db, Codec: codec, Engine: e, Now: clk.Now,
		Ended: func(outcome string) { w.ended[outcome]++ },
	})
	w.run = func(r gotong.Receipt) {
		t.Helper()
		step, err := advice.Reader(true).Read(nil, []reader.Commit{{Events: w.rows(r.Last-1, r.Last)}})
		if err != nil || len(step.Jobs) != 1 {
			t.Fatalf("%+v, %v", step, err)
		}
		if result, err := h.Run(t.Context(), step.Jobs[0]); err != nil || result != reader.Done {
			t.Fatal(result, err)
		}
	}
	w.do(thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	return w
}

func (w *world) rows(from, to uint64) []store.Event {
	w.t.Helper()
	snap, err := w.db.Load(w.t.Context(), store.Need{Events: []store.EventRange{{Stream: s, From: from, To: to}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return snap.Events[0]
}

// TestMissedIsCountedOnce: a job counts its message once, however often it is run
// and for whichever reason nobody gives advice.
func TestMissedIsCountedOnce(t *testing.T) {
	w := newWorld(t, nil)
	do, run, clk, db, ended := w.do, w.run, w.clock, w.db, w.ended
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

// asked is a provider that proposes to hold each text with "buruk".
type asked struct{ texts, ids []string }

func (*asked) Name() string { return "asked" }
func (*asked) Remote() bool { return false }
func (p *asked) Ask(_ context.Context, _ *edgepod.Contract, body []byte) ([]byte, error) {
	var q struct {
		RequestID string `json:"request_id"`
		ContentID string `json:"content_id"`
		Text      string `json:"text"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	p.texts, p.ids = append(p.texts, q.Text), append(p.ids, q.ContentID)
	output := `{"status":"ok","action":"publish","hold_duration_minutes":0}`
	if strings.Contains(q.Text, "buruk") {
		output = `{"status":"hold","action":"hold","hold_duration_minutes":15}`
	}
	return fmt.Appendf(nil, `{"request_id":%q,"result_version":"v0.2.0","output":%s}`, q.RequestID, output), nil
}

// TestEditsAreAskedAbout: each revision is asked about once, by its own job, while it
// is the newest and no older than 10 minutes.
func TestEditsAreAskedAbout(t *testing.T) {
	p := &asked{}
	w := newWorld(t, p)
	post := w.do(thread.CmdPost, thread.Post{Body: "halo"})
	id := post.EventIDs[0]
	w.run(post)
	w.clock.Pass(9 * time.Minute)
	first := w.do(thread.CmdEdit, thread.Edit{MessageID: id, Body: "kata buruk"})
	w.run(post) // its text was replaced
	w.clock.Pass(5 * time.Minute)
	w.run(first) // the message is 14 minutes old, the text 5
	last := w.do(thread.CmdEdit, thread.Edit{MessageID: id, Body: "kata baik", Revision: 1})
	w.run(first)
	w.clock.Pass(11 * time.Minute)
	w.run(last)
	w.do(thread.CmdDelete, thread.Delete{MessageID: id})
	w.run(last)
	if want := []string{"halo", "kata buruk"}; !slices.Equal(p.texts, want) || !slices.Equal(p.ids, []string{id.String(), id.String()}) {
		t.Errorf("asked about %q of %q, want %q", p.texts, p.ids, want)
	}
	if want := map[string]int{"nothing": 1, "proposed": 1, "late": 1}; !maps.Equal(w.ended, want) {
		t.Errorf("%v, want %v", w.ended, want)
	}
	if got, err := advice.Missed(t.Context(), w.db, "scope/rt05"); err != nil || got != 1 {
		t.Errorf("%d missed, %v", got, err)
	}
	var data []string
	for _, row := range w.rows(0, last.Last+5) {
		if row.Type == thread.EvAdvised {
			data = append(data, string(row.Data))
		}
	}
	if len(data) != 1 || !strings.Contains(data[0], `"revision":1`) || !strings.Contains(data[0], id.String()) {
		t.Errorf("advice: %q", data)
	}
}
