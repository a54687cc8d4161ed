package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/webhook"
)

// TestADeadEndpointIsDisabled: 120 hours after the first failure, not earlier, with
// three warnings that do not go through the endpoint. Enabled again, it goes on where
// it stopped.
func TestADeadEndpointIsDisabled(t *testing.T) {
	w := newWorld(t, rules.Standard)
	w.status = http.StatusServiceUnavailable
	w.say("one")
	if n := len(w.turn()); n != 1 {
		t.Fatalf("%d requests", n)
	}
	began, steps, warned := w.clock.Now(), 0, 0
	for w.hooked().Disabled == "" {
		until := w.state().Until
		if until <= w.clock.Now() {
			t.Fatalf("it does not wait: %v", until)
		}
		w.clock.Pass(until.Sub(w.clock.Now()) - 2*time.Second) // nearer, the job would sleep
		if n := len(w.turn()); n != 0 {
			t.Fatalf("%d requests while it waits", n)
		}
		w.clock.Pass(2 * time.Second)
		if n := len(w.turn()); n != 1 {
			t.Fatalf("%d requests when it is due, want the one that tries", n)
		}
		if n := reached(w.clock.Now().Sub(began)); n > steps {
			steps, warned = n, warned+1
		}
		late := w.clock.Now().Sub(began) >= webhook.DisableAfter
		if disabled := w.hooked().Disabled != ""; disabled != late {
			t.Fatalf("after %v: disabled %v", w.clock.Now().Sub(began), disabled)
		}
	}
	if why := w.hooked().Disabled; why != rules.Failing || w.counted["disabled"] != 1 {
		t.Errorf("disabled as %s, counted %d", why, w.counted["disabled"])
	}
	if len(w.warnings) != warned || w.counted["warned"] != warned || warned == 0 {
		t.Fatalf("warnings %+v, counted %d, want %d", w.warnings, w.counted["warned"], warned)
	}
	for _, got := range w.warnings {
		if got.user != "wati" || got.hook != "whk-1" || got.after+got.left != webhook.DisableAfter {
			t.Errorf("%+v", got)
		}
	}
	for _, r := range w.got {
		if r.header.Get("Webhook-Id") != w.got[0].header.Get("Webhook-Id") {
			t.Errorf("the dead endpoint was sent something else: %s", r.body)
		}
	}

	w.status = http.StatusNoContent
	w.say("two")
	w.clock.Pass(48 * time.Hour)
	if n := len(w.turn()); n != 0 {
		t.Errorf("%d requests while it is disabled", n)
	}
	w.do(wati, hook, rules.CmdEnable, rules.Enable{})
	if got := w.turn(); !slices.Equal(types(got), []string{"gotong.message.posted", "gotong.message.posted"}) ||
		got[0].event.ID != w.got[0].event.ID || len(w.warnings) != warned {
		t.Errorf("after it was enabled: %v, warnings %v", types(got), w.warnings)
	}
}

// reached returns how many of the steps have passed at which an attempt that fails
// warns. The waits are random, so one attempt may pass two steps.
func reached(d time.Duration) (n int) {
	for _, hours := range []int{24, 72, 96} {
		if d >= time.Duration(hours)*time.Hour && d < webhook.DisableAfter {
			n++
		}
	}
	return n
}

// TestASuccessEndsTheFailure: 120 hours count from the last success.
func TestASuccessEndsTheFailure(t *testing.T) {
	w := newWorld(t, rules.Standard)
	for range 3 {
		w.status = http.StatusServiceUnavailable
		w.say("halo")
		w.turn()
		w.clock.Pass(119 * time.Hour)
		w.status = http.StatusNoContent
		if n := len(w.turn()); n != 1 {
			t.Fatalf("%d requests", n)
		}
	}
	if s := w.state(); w.hooked().Disabled != "" || s.FailingSince != 0 || s.Failures != 0 || s.Warned != 0 || s.LastSuccess != w.clock.Now() {
		t.Errorf("disabled %q, state %+v", w.hooked().Disabled, s)
	}
}

// TestAfterACrashARunIsShort: the run that follows a crash ends after one event of each
// lane, so that kills of the process never make a dead job of a busy webhook.
func TestAfterACrashARunIsShort(t *testing.T) {
	w := newWorld(t, rules.Standard)
	for range 5 {
		w.say("halo")
	}
	w.plan()
	result, err := w.sender.Handler().Run(t.Context(), store.Job{Queue: webhook.Queue, ID: hook.ID(), Crashes: 1})
	w.check(err)
	if len(w.got) != 1 || result == reader.Done {
		t.Errorf("%d requests, result %v", len(w.got), result)
	}
	if n := len(w.turn()); n != 4 {
		t.Errorf("%d requests of the next run, want the other 4", n)
	}
}

// TestALaneThatWaitedGoesOn: after the receiver accepts the event that it rejected, the
// events behind it follow, also if a failure or the end of a short run comes between.
func TestALaneThatWaitedGoesOn(t *testing.T) {
	for name, resume := range map[string]func(w *world){
		"at once": func(*world) {},
		"after a short run": func(w *world) {
			_, err := w.sender.Handler().Run(w.Context(), store.Job{Queue: webhook.Queue, ID: hook.ID(), Crashes: 1})
			w.check(err)
		},
		"after a failure": func(w *world) {
			w.statuses = []int{http.StatusNoContent, http.StatusServiceUnavailable}
			w.turn()
			w.clock.Pass(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, rules.Standard)
			w.status = http.StatusUnprocessableEntity
			want := make([]string, 103) // more than a lane sends in a round
			for i := range want {
				want[i] = strconv.Itoa(i)
				w.say(want[i])
			}
			w.turn()
			w.status = http.StatusNoContent
			w.clock.Pass(time.Minute)
			before := len(w.got)
			resume(w)
			w.turn()
			got := texts(w.got[before:])
			if got = slices.Compact(got); !slices.Equal(got, want) || len(w.state().Blocked) != 0 {
				t.Errorf("%d events, want %d; state %+v", len(got), len(want), w.state().Blocked)
			}
		})
	}
}

// TestANewEpoch: a history that was restored begins with one message, and each lane
// goes on after what the restored history knows to be accepted.
func TestANewEpoch(t *testing.T) {
	w := newWorld(t, rules.Standard)
	w.say("one")
	first := w.turn()
	key := webhook.LaneKey(hook.ID(), open)
	backup, _, err := webhook.Read[webhook.Lane](t.Context(), w.store, key)
	w.check(err)
	before := w.state()
	w.say("two")
	second := w.turn()
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("%v, %v", types(first), types(second))
	}

	w.set(key, backup)
	w.set(gotong.Key{Collection: "webhook_states", Owner: hook.ID()}, before)
	w.check(w.store.Renew(t.Context(), "m4g8"))
	w.check(w.engine.Close(t.Context()))
	w.engine = engine.New(engine.Options{Store: w.store, Codec: w.codec, Clock: w.clock}) // as after a start
	w.status = http.StatusServiceUnavailable
	if got := w.turn(); !slices.Equal(types(got), []string{"gotong.epoch_changed"}) {
		t.Fatalf("while the receiver fails: %v", types(got))
	}
	w.clock.Pass(time.Minute)
	w.status = http.StatusNoContent
	w.say("three")
	got := w.turn()
	if want := []string{"gotong.epoch_changed", "gotong.message.posted", "gotong.message.posted"}; !slices.Equal(types(got), want) {
		t.Fatalf("got %v, want %v", types(got), want)
	}
	if got[1].event.ID != second[0].event.ID || got[1].event.Data.(*webhook.Data).Epoch != "m4g8" {
		t.Errorf("the lane goes on with %s", got[1].body)
	}
	var change struct {
		Data webhook.EpochChanged `json:"data"`
	}
	w.check(json.Unmarshal(got[0].body, &change))
	if failed := w.got[len(w.got)-4]; change.Data.Was != "k3f9" || change.Data.Is != "m4g8" || got[0].event.ID != failed.event.ID {
		t.Errorf("%s, before that %s", got[0].body, failed.body)
	}
	w.say("four")
	if got := w.turn(); !slices.Equal(types(got), []string{"gotong.message.posted"}) {
		t.Errorf("afterwards: %v", types(got))
	}
}

// TestTheRegistrantGoes: the webhook of a registrant who lost the right ends and sends
// nothing of what follows, until another admin takes it over.
func TestTheRegistrantGoes(t *testing.T) {
	for name, early := range map[string]bool{"taken over before": true, "taken over afterwards": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, rules.Standard)
			w.do(wati, rt, group.CmdRole, group.SetRole{UserID: "siti", Role: group.Admin})
			w.turn()
			if early {
				w.do(siti, hook, rules.CmdTakeOver, rules.TakeOver{})
			}
			w.do(siti, rt, group.CmdRole, group.SetRole{UserID: "wati", Role: group.Anggota})
			if n := len(w.turn()); n == 0 == early {
				t.Errorf("%d requests when the registrant has gone", n)
			}
			w.say("between")
			if n := len(w.turn()); n == 0 == early {
				t.Errorf("%d requests", n)
			}
			if ended := w.hooked().Ended; (ended == rules.Lapsed) == early {
				t.Errorf("ended as %q", ended)
			}
			w.do(siti, hook, rules.CmdTakeOver, rules.TakeOver{})
			w.say("after")
			got := w.turn()
			posted := slices.DeleteFunc(types(got), func(name string) bool { return name != "gotong.message.posted" })
			if len(posted) != 1 || w.hooked().Registrant != "siti" || w.hooked().Ended != "" {
				t.Errorf("after it was taken over: %v, %+v", types(got), w.hooked())
			}
		})
	}
}

// TestAHeldTextIsNotSent: also where the registrant wrote it, who gets it themselves. Nor
// is what the reviewer wrote about it.
func TestAHeldTextIsNotSent(t *testing.T) {
	w := newWorld(t, rules.Standard)
	seq := w.do(wati, open, thread.CmdPost, thread.Post{Body: "held"})
	posted, err := w.store.Load(t.Context(), store.Need{Events: []store.EventRange{{Stream: open, From: seq - 1, To: seq, Limit: 1}}})
	w.check(err)
	w.do(wati, open, thread.CmdReview, thread.Review{
		MessageID: posted.Events[0][0].ID, Decision: thread.Hold, Grounds: thread.Grounds{Reasoning: "why"},
	})
	got := w.turn()
	if want := []string{"gotong.message.posted", "gotong.message.held"}; !slices.Equal(types(got), want) || !slices.Equal(texts(got), []string{"", ""}) {
		t.Errorf("sent %v with the texts %q, want %v without", types(got), texts(got), want)
	}
}

// TestMarkov: a step of a case that was applied is the reputation engine's envelope,
// signed over its body; nothing else is sent.
func TestMarkov(t *testing.T) {
	w := newWorld(t, rules.Markov)
	const s = gotong.Stream("case/case-1")
	w.do(wati, s, cases.CmdCreate, cases.Create{ScopeID: "ent-rt", Track: "tuntaskan", Title: "Jembatan", Privacy: cases.Public})
	w.do(wati, s, gotong.CmdAddWebhook, gotong.AddWebhook{WebhookID: "whk-1"})
	w.say("nothing of the reputation engine")
	seq := w.do(wati, s, cases.CmdPropose, cases.Propose{From: read[cases.Case](w, s, cases.CaseKey("case-1")).Stage, To: "bahas"})
	if n := len(w.turn()); n != 0 {
		t.Errorf("%d requests before a step was applied", n)
	}
	gate := read[cases.Gate](w, s, cases.GateKey("case-1", seq))
	w.clock.Pass(gate.ClosesAt.Sub(w.clock.Now()))
	w.do(communitytest.System(), s, cases.CmdClose, cases.Close{Gate: seq, Due: gate.ClosesAt})
	got := w.turn()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	r := got[0]
	cfg, _, err := webhook.ReadConfig(t.Context(), w.store, "whk-1")
	w.check(err)
	mac := hmac.New(sha256.New, []byte(cfg.Secrets[0].Key))
	_, _ = mac.Write(r.body)
	var sent struct {
		EventID   string            `json:"event_id"`
		EventType string            `json:"event_type"`
		RequestID string            `json:"request_id"`
		Platform  string            `json:"source_platform_id"`
		Actor     map[string]string `json:"actor"`
		Subject   map[string]string `json:"subject"`
	}
	w.check(json.Unmarshal(r.body, &sent))
	want := map[string]string{
		"X-Gr-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-Gr-Timestamp": strconv.FormatInt(w.clock.Now().Time().Unix(), 10), "X-Gr-Event-Id": sent.EventID,
		"X-Request-Id": sent.RequestID, "Webhook-Signature": "",
	}
	for name, value := range want {
		if got := r.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if sent.EventType != "track_state_transition" || sent.Platform != "gotong_royong" || len(sent.RequestID) == 0 ||
		sent.Subject["entity_id"] != "case-1" || sent.Subject["track"] != "tuntaskan" || sent.Subject["to_stage"] != "bahas" {
		t.Errorf("sent %s", r.body)
	}
}

// TestARunLeavesWhatItsCommitsLeave: however many commits the planner reads at once, it
// leaves the same documents, and it writes each of them once.
func TestARunLeavesWhatItsCommitsLeave(t *testing.T) {
	w := newWorld(t, rules.Standard)
	w.do(wati, "webhook/whk-2", rules.CmdRegister, rules.Register{ScopeID: "ent-rt", Types: []string{thread.EvPosted}})
	for i := range 12 {
		w.say("halo")
		if i == 5 {
			w.do(wati, "thread/second", thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Private})
			w.do(wati, "webhook/whk-2", rules.CmdEnd, rules.End{})
		}
	}
	var all []reader.Commit
	for p := range gotong.Partition(gotong.Partitions) {
		all = append(all, w.commits(p, 0)...)
	}
	planner := webhook.Planner(w.codec)
	plan := func(size int) map[gotong.Key]string {
		docs := map[gotong.Key][]byte{}
		for run := range slices.Chunk(all, size) {
			step, err := planner.Read(maps.Clone(docs), run)
			w.check(err)
			written := map[gotong.Key]bool{}
			for _, c := range step.Changes {
				if _, there := docs[c.Key]; written[c.Key] || c.Body == nil && !there {
					t.Errorf("runs of %d: %v is written twice, or removed where it is not", size, c.Key)
				}
				if written[c.Key], docs[c.Key] = true, c.Body; c.Body == nil {
					delete(docs, c.Key)
				}
			}
		}
		left := map[gotong.Key]string{}
		for key, body := range docs {
			left[key] = string(body)
		}
		return left
	}
	want := plan(1)
	for _, size := range []int{2, 3, len(all)} {
		if got := plan(size); !maps.Equal(got, want) {
			t.Errorf("runs of %d leave\n%v\nwant\n%v", size, got, want)
		}
	}
	if marks := len(want); marks < 6 {
		t.Errorf("only %d documents: %v", marks, want)
	}
}
