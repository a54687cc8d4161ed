package advice

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// queue is the name of the reader and of its queue, and begins the request ids.
const queue = "advice"

// tooOld is the age from which a text is no longer asked about.
const tooOld = 10 * time.Minute

// order is the body of a job: the text to ask about, a message or an edit of one.
type order struct {
	Stream gotong.Stream `json:"stream"`
	Seq    uint64        `json:"seq"`
}

// Reader returns the reader that makes a job of each posted message and of each edit. With asks
// false, as without a provider, it only follows the log, so that a provider that is
// configured later begins with the newest messages.
func Reader(asks bool) reader.Reader {
	return reader.Reader{Name: queue, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			for i := range c.Events {
				e := &c.Events[i]
				if !asks || e.Type != thread.EvPosted && e.Type != thread.EvEdited || e.Stream.Kind() != thread.Name {
					continue
				}
				body, err := json.Marshal(order{e.Stream, e.Seq})
				if err != nil {
					return step, err
				}
				id := reader.RequestID(queue, string(e.Stream), e.ID.String())
				step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: id, Due: e.At, Body: body})
			}
		}
		return step, nil
	}}
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Store is the store as the handler uses it.
type Store interface {
	store.Loader
	SetRegister(ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant) error
}

// Options are what the handler works with; all are required.
type Options struct {
	Boundary *edgepod.Boundary
	Store    Store
	Codec    *store.Codec
	Engine   Executor
	Now      func() gotong.Instant
	Ended    func(outcome string) // counts: nothing, proposed, fallback, late
}

// Handler returns the handler that asks EP-04 about messages.
func Handler(o Options) reader.Handler {
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		var body order
		if err := json.Unmarshal(job.Body, &body); err != nil {
			return reader.Done, err
		}
		return reader.Done, o.run(ctx, job.ID, body)
	}}
}

func (o Options) run(ctx context.Context, id string, body order) error {
	m, err := o.message(ctx, body)
	if err != nil || m.text == "" {
		return err
	}
	scope, err := ScopeOf(ctx, o.Store, o.Codec, body.Stream)
	if err != nil {
		return err
	}
	if o.Now().Sub(m.at) > tooOld {
		o.Ended("late")
		return o.miss(ctx, scope.Home, id)
	}
	call := edgepod.Call{
		Contract: edgepod.ByID(edgepod.Moderation), Privacy: scope.Privacy, Released: scope.Policy.Outside, Batch: true,
	}
	if call.Request, err = request(id, m, scope.Privacy); err != nil {
		return err
	}
	if err := call.Contract.Request.Validate(call.Request); err != nil {
		return err
	}
	answer := o.Boundary.Ask(ctx, call)
	if ctx.Err() != nil { // the node stops: the job is returned
		return ctx.Err()
	}
	if answer.Fallback() {
		o.Ended("fallback")
		return o.miss(ctx, scope.Home, id)
	}
	return o.propose(ctx, id, body.Stream, m, answer)
}

// message is a text to ask about.
type message struct {
	id       gotong.EventID
	author   string
	revision uint64
	at       gotong.Instant // when the text was sent, also as an import
	text     string
}

// message returns a message as the event of the order has it; without text if the
// text was erased, or if the message was edited since, which has a job of its own,
// or deleted.
func (o Options) message(ctx context.Context, of order) (m message, err error) {
	snap, err := o.Store.Load(ctx, store.Need{Events: []store.EventRange{{Stream: of.Stream, From: of.Seq - 1, To: of.Seq}}})
	if err != nil || len(snap.Events[0]) == 0 {
		return m, errors.Join(err, store.ErrCorrupt)
	}
	e, err := o.Codec.Event(&snap.Events[0][0])
	if err != nil {
		return m, err
	}
	key := thread.OverlayKey(of.Stream.ID(), e.Seq)
	m = message{id: e.ID, author: e.Actor.UserID, at: e.At}
	switch d := e.Data.(type) {
	case thread.Posted:
		if d.SentAtMS > 0 {
			m.at = gotong.InstantOf(time.UnixMilli(d.SentAtMS))
		}
		text, _ := e.Content.(thread.Text)
		m.text = text.Body
	case thread.Edited:
		key = thread.OverlayKey(of.Stream.ID(), d.TargetSeq)
		text, _ := e.Content.(thread.NewText)
		m.id, m.revision, m.text = d.MessageID, d.Revision, text.Body
	}
	if snap, err = o.Store.Load(ctx, store.Need{Documents: []gotong.Key{key}}); err != nil || snap.Documents[key] == nil {
		return m, err
	}
	doc, err := o.Codec.Document(key.Collection, snap.Documents[key])
	if overlay, _ := doc.(thread.Overlay); overlay.Revision != m.revision {
		m.text = ""
	}
	return m, err
}

func request(id string, m message, privacy edgepod.Privacy) ([]byte, error) {
	return json.Marshal(map[string]any{
		"request_id": "req_" + id, "correlation_id": id, "trigger": "async_batch", "payload_version": edgepod.PayloadVersion,
		"actor":         map[string]string{"user_id": "system", "platform_user_id": "system", "role": "system"},
		"privacy_level": privacy.String(), "content_id": m.id.String(), "text": m.text, "author_id": m.author,
	})
}

// propose records advice that proposes something, by a command.
func (o Options) propose(ctx context.Context, id string, stream gotong.Stream, m message, answer edgepod.Answer) error {
	var out struct {
		Status     string   `json:"status"`
		Action     string   `json:"action"`
		Minutes    int      `json:"hold_duration_minutes"`
		Auto       bool     `json:"auto_release_if_no_action"`
		Reasoning  string   `json:"reasoning"`
		Violations []string `json:"violations"`
	}
	if err := json.Unmarshal(answer.Output, &out); err != nil {
		return err
	}
	if out.Action == "publish" {
		o.Ended("nothing")
		return nil
	}
	data := thread.Advise{
		MessageID: m.id, Revision: m.revision, Action: out.Action, Status: out.Status, Minutes: out.Minutes, Auto: out.Auto,
		Provider: o.Boundary.Provider(), Version: answer.ResultVersion, Prompt: edgepod.ByID(edgepod.Moderation).Prompt,
		Reasoning: out.Reasoning, Violations: out.Violations,
	}
	_, err := o.Engine.Execute(ctx, gotong.Command{
		Stream: stream, Type: thread.CmdAdvise, Actor: reader.System(), RequestID: id, CorrelationID: id, Data: data,
	})
	if err == nil {
		o.Ended("proposed")
	}
	return err
}

// missedKey is the register that counts the messages of a home that no advice was
// given on.
func missedKey(home gotong.Stream) gotong.Key {
	return gotong.Key{Collection: queue, Owner: "missed", Name: string(home)}
}

type missed struct {
	Missed uint64   `json:"missed"`
	Recent []string `json:"recent"` // the jobs counted last, oldest first
}

const maxRecent = 100

// Missed returns how many messages of a home no provider gave advice on, because
// there was none in time.
func Missed(ctx context.Context, from store.Loader, home gotong.Stream) (uint64, error) {
	count, _, err := readMissed(ctx, from, home)
	return count.Missed, err
}

func readMissed(ctx context.Context, from store.Loader, home gotong.Stream) (count missed, version uint64, err error) {
	r, err := store.ReadRegister(ctx, from, missedKey(home))
	if err == nil && r.Version > 0 {
		err = json.Unmarshal(r.Body, &count)
	}
	return count, r.Version, err
}

// miss counts the message of a job, once however often the job is run, unless
// [maxRecent] others were counted since.
func (o Options) miss(ctx context.Context, home gotong.Stream, job string) error {
	for {
		count, version, err := readMissed(ctx, o.Store, home)
		if err != nil || slices.Contains(count.Recent, job) {
			return err
		}
		count.Missed++
		count.Recent = append(count.Recent[max(0, len(count.Recent)-maxRecent+1):], job)
		body, err := json.Marshal(count)
		if err != nil {
			return err
		}
		if err = o.Store.SetRegister(ctx, missedKey(home), version, body, 0); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
