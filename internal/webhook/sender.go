package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Store is the store as the sender uses it.
type Store interface {
	store.Loader
	store.Registers
	Epoch() gotong.Epoch
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Options are what a sender is made of. Those without a default are required.
type Options struct {
	Store    Store
	Codec    *store.Codec
	Views    *view.Views
	Engine   Executor
	Clock    clock.Clock
	Guard    *outbound.Guard
	Accounts gotong.Accounts
	Names    func(ctx context.Context, ids []string) map[string]string
	Log      *slog.Logger
	Observer Observer

	Waits   []time.Duration // before the attempts that follow the first; nil: those of the contract
	Timeout time.Duration   // of one attempt; 0: 15 s

	// Warn informs the registrant in their own stream that a webhook fails and when it
	// will be disabled.
	Warn func(ctx context.Context, userID, webhookID string, since, disabledAt gotong.Instant) error
}

// Observer is called for what happens; nil functions are not.
type Observer struct {
	Attempted func(outcome string, d time.Duration)
	Warned    func()
	Disabled  func()
}

// Waits are the waits of the contract; after the last one, it is repeated.
var Waits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour,
	24 * time.Hour,
}

// DisableAfter is how long a webhook may accept nothing before it is disabled.
const DisableAfter = 120 * time.Hour

// The bounds of delivery to one webhook. The times are relative to the longest
// wait, so that a test can scale all of them at once.
const (
	inFlight     = 4    // requests at once
	perRound     = 64   // marks that a round serves
	perLane      = 100  // events of a stream in a round
	perSave      = 25   // events after which a lane writes how far it has got
	maxBlocked   = 1000 // lanes that wait for the receiver to accept an event
	webhooks     = 4096 // that a node serves at once
	disableAfter = 5    // longest waits without a success: 120 h
)

var warnAfter = []int{1, 3, 4} // longest waits: 24, 72 and 96 h

// Sender sends to all webhooks. It is safe for concurrent use.
type Sender struct {
	opt    Options
	client *http.Client
}

// New returns a sender.
func New(opt Options) *Sender {
	if opt.Waits == nil {
		opt.Waits = Waits
	}
	if opt.Timeout == 0 {
		opt.Timeout = 15 * time.Second
	}
	return &Sender{opt, opt.Guard.Client()}
}

// Handler returns the handler of the senders' jobs. Each webhook has a job of its
// own, with its own requests in flight, so none waits for another.
func (s *Sender) Handler() reader.Handler {
	return reader.Handler{Queue: Queue, Parallel: webhooks, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		t := &turn{Sender: s, id: job.ID, epoch: s.opt.Store.Epoch(), crashed: job.Crashes > 0}
		for {
			next, err := t.round(ctx)
			if ctx.Err() != nil || errors.Is(err, store.ErrConflict) { // the node ends, or another one serves this webhook too
				next, err = 1, nil
			}
			switch wait := next.Sub(s.opt.Clock.Now()); {
			case err != nil:
				return reader.Done, err
			case next == 1:
				return reader.TooEarly(next), nil
			case next == 0:
				return reader.Done, nil
			case t.crashed: // the end of a run shows that it did not crash its process
				return reader.TooEarly(next), nil
			case wait > shortest:
				return reader.TooEarly(next), nil
			default: // sooner than a job can be due again
				if !clock.Pause(ctx, wait) {
					return reader.TooEarly(1), nil
				}
			}
		}
	}}
}

// shortest is the least time after which a job can be due again.
const shortest = time.Second

// turn is one run of the job of one webhook.
type turn struct {
	*Sender
	id      string
	epoch   gotong.Epoch
	crashed bool // the run before this one did not end, so this one is short
	hook    webhook.Webhook
	config  Config
	state   State
	version uint64 // of the register of the state
}

func (t *turn) now() gotong.Instant { return t.opt.Clock.Now() }

func (t *turn) viewer() gotong.Viewer {
	return gotong.Viewer{UserID: t.id, Role: gotong.RoleWebhook}
}

// open reads the webhook as it is now. It returns false if nothing is to be sent.
func (t *turn) open(ctx context.Context) (bool, error) {
	own := gotong.WebhookStream(t.id)
	state, snap, err := store.LoadState(ctx, t.opt.Store, t.opt.Codec, own, func(s gotong.State) []gotong.Ref {
		refs := []gotong.Ref{{Stream: own, Key: webhook.Key(t.id)}}
		if w, ok := gotong.Doc[webhook.Webhook](s, webhook.Key(t.id)); ok {
			refs = append(refs, gotong.RegistrarRefs(w.Home, w.Registrant)...)
		}
		return refs
	}, func(gotong.State, store.Snapshot) store.Need {
		return store.Need{Registers: []gotong.Key{stateKey(t.id), webhook.ConfigKey(t.id)}}
	})
	if err != nil {
		return false, err
	}
	t.hook, _ = gotong.Doc[webhook.Webhook](state, webhook.Key(t.id))
	t.state, t.config = State{Epoch: t.epoch}, Config{}
	if r, ok := snap.Registers[webhook.ConfigKey(t.id)]; ok {
		err = json.Unmarshal(r.Body, &t.config)
	}
	r, ok := snap.Registers[stateKey(t.id)]
	if t.version = r.Version; ok {
		err = errors.Join(err, json.Unmarshal(r.Body, &t.state))
	}
	if err != nil {
		return false, err
	}
	if !t.hook.Active() {
		return false, nil
	}
	if !t.opt.Accounts.MayRegister(state, t.hook.Home, t.hook.Registrant) {
		return false, t.command(ctx, webhook.CmdEnd, webhook.End{Why: webhook.Lapsed}, t.hook.Registrant, state.Head.Chain.String())
	}
	if t.hook.Disabled != "" {
		if t.state.FailingSince == 0 && t.state.Until == 0 {
			return false, nil
		}
		t.recovered(false)
		return false, t.save(ctx)
	}
	return true, nil
}

// command issues a command of the server on the webhook's stream; its request id
// follows from the parts.
func (t *turn) command(ctx context.Context, name string, data any, parts ...string) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	id := reader.RequestID(Queue, append([]string{t.id, name}, parts...)...)
	_, err = t.opt.Engine.Execute(ctx, gotong.Command{
		Stream: gotong.WebhookStream(t.id), Type: name, Actor: reader.System(), RequestID: id, CorrelationID: id, Data: data, Raw: raw,
	})
	return err
}

func (t *turn) save(ctx context.Context) error {
	t.state.Log = t.state.Log[max(0, len(t.state.Log)-maxLog):]
	body, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	if err := t.opt.Store.SetRegister(ctx, stateKey(t.id), t.version, body, 0); err != nil {
		return err
	}
	t.version++
	return nil
}

// recovered notes that the receiver responds, and whether it accepted something.
func (t *turn) recovered(success bool) {
	t.state.Failures, t.state.Until = 0, 0
	if success {
		t.state.LastSuccess = t.now()
	}
	if success || t.hook.Disabled != "" {
		t.state.FailingSince, t.state.Warned = 0, 0
	}
}

// wait returns a wait of the table, at random 20 % shorter or longer.
func (s *Sender) wait(failures int) time.Duration {
	d := s.opt.Waits[min(failures, len(s.opt.Waits))-1]
	return d*4/5 + rand.N(d*2/5+1) //nolint:gosec // spreads load, guards nothing
}

func (s *Sender) longest() time.Duration { return s.opt.Waits[len(s.opt.Waits)-1] }

// failure notes that the receiver as a whole does not respond. It returns when to
// try again.
func (t *turn) failure(ctx context.Context, a answer) (gotong.Instant, error) {
	if a.outcome == gone {
		return 0, t.disable(ctx, webhook.Gone)
	}
	if t.state.Failures++; t.state.FailingSince == 0 { // another request of the round was accepted since
		t.state.FailingSince = t.now()
	}
	planned := t.wait(t.state.Failures)
	t.state.Until = t.now().Add(max(planned, min(a.after, 2*planned)))
	if stop, err := t.judge(ctx); stop || err != nil {
		return 0, err
	}
	return t.state.Until, t.save(ctx)
}

// judge disables a webhook that has accepted nothing for too long, or warns of that.
// It returns true if the webhook is disabled.
func (t *turn) judge(ctx context.Context) (bool, error) {
	if t.now().Sub(t.state.FailingSince) >= disableAfter*t.longest() {
		return true, t.disable(ctx, webhook.Failing)
	}
	return false, t.warn(ctx)
}

// warn warns the registrant once for each of the steps that the failures have
// reached: in the log, in the metric, and in their own stream.
func (t *turn) warn(ctx context.Context) error {
	reached := 0
	for _, n := range warnAfter {
		if t.now().Sub(t.state.FailingSince) >= time.Duration(n)*t.longest() {
			reached++
		}
	}
	if reached <= t.state.Warned {
		return nil
	}
	t.state.Warned = reached
	at := t.state.FailingSince.Add(disableAfter * t.longest())
	t.opt.Log.WarnContext(ctx, "a webhook accepts nothing and will be disabled unless an attempt succeeds",
		"webhook", t.id, "since", t.state.FailingSince, "at", at)
	if t.opt.Observer.Warned != nil {
		t.opt.Observer.Warned()
	}
	err := t.opt.Warn(ctx, t.hook.Registrant, t.id, t.state.FailingSince, at)
	if gotong.CodeOf(err) == gotong.CodeNotFound { // an account of others
		return nil
	}
	return err
}

func (t *turn) disable(ctx context.Context, why webhook.Why) error {
	if err := t.save(ctx); err != nil {
		return err
	}
	t.opt.Log.WarnContext(ctx, "a webhook was disabled", "webhook", t.id, "why", why)
	if t.opt.Observer.Disabled != nil {
		t.opt.Observer.Disabled()
	}
	return t.command(ctx, webhook.CmdDisable, webhook.Disable{Why: why}, t.state.FailingSince.String())
}

// setBlocked notes until when a lane waits; 0: it does not.
func (t *turn) setBlocked(s gotong.Stream, until gotong.Instant) {
	t.state.Blocked = slices.DeleteFunc(t.state.Blocked, func(b Blocked) bool { return b.Stream == s })
	if until > 0 {
		t.state.Blocked = append(t.state.Blocked, Blocked{s, until})
	}
}
