package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Event is the body of a delivery: a CloudEvent 1.0 in structured mode.
type Event struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"` // the stream, as a reference
	Type        string `json:"type"`   // "gotong." and the type of the event
	Time        string `json:"time"`
	ContentType string `json:"datacontenttype"`
	Replay      bool   `json:"replay,omitempty"`
	Data        any    `json:"data"`
}

// Data is the data of a delivery.
type Data struct {
	Stream        gotong.Stream `json:"stream"`
	Epoch         gotong.Epoch  `json:"epoch"`
	Seq           uint64        `json:"seq"`
	Actor         gotong.Actor  `json:"actor"`
	RequestID     string        `json:"request_id"`
	CorrelationID string        `json:"correlation_id"`
	Data          any           `json:"data"`
	Content       any           `json:"content,omitempty"`
	Erased        bool          `json:"erased,omitempty"`
}

// EpochChanged is the data of gotong.epoch_changed: the history was restored. The
// events that follow continue each stream after the last one that both histories
// share and that this webhook has accepted; those after it, sent before, are gone.
type EpochChanged struct {
	Was gotong.Epoch `json:"was"`
	Is  gotong.Epoch `json:"is"`
}

func newMessage(e Event, stream gotong.Stream, seq uint64) (*message, error) {
	e.SpecVersion, e.ContentType = "1.0", "application/json"
	body, err := json.Marshal(e)
	return &message{
		id: e.ID, stream: stream, seq: seq, body: body,
		header: http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}, "User-Agent": {"gotong-webhook"}},
	}, err
}

// letter returns the message of a visible event, in the form of the profile; nil if
// the profile has none for it.
func (t *turn) letter(ctx context.Context, row *view.Row, sees view.Sight, replay string) (*message, error) {
	e, erased := row.Shown(sees, "")
	if t.hook.Profile == webhook.Markov {
		return t.envelope(ctx, e, sees)
	}
	m, err := newMessage(Event{
		ID: e.ID.String(), Source: "/" + string(e.Stream), Type: "gotong." + e.Type, Time: e.At.String(), Replay: replay != "",
		Data: Data{
			Stream: e.Stream, Epoch: t.epoch, Seq: e.Seq, Actor: e.Actor, RequestID: e.RequestID, CorrelationID: e.CorrelationID,
			Data: e.Data, Content: e.Content, Erased: erased,
		},
	}, e.Stream, e.Seq)
	if err == nil {
		m.replay = replay
	}
	return m, err
}

// epochMessage returns the message that begins a new epoch.
func (t *turn) epochMessage() (*message, error) {
	id := reader128("epoch", t.id, string(t.epoch))
	return newMessage(Event{
		ID: id, Source: "/" + string(gotong.WebhookStream(t.id)), Type: "gotong.epoch_changed", Time: t.now().String(),
		Data: EpochChanged{Was: t.state.Epoch, Is: t.epoch},
	}, "", 0)
}

// reader128 returns 128 bits of a hash as an id.
func reader128(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(append([]byte(p), 0))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// envelope is the form of the reputation engine, for the one type of event whose
// kind exists: a case has changed its stage.
type envelope struct {
	EventID       string     `json:"event_id"`
	EventType     string     `json:"event_type"`
	SchemaVersion string     `json:"schema_version"`
	RequestID     string     `json:"request_id"`
	Platform      string     `json:"source_platform_id"`
	Actor         actor      `json:"actor"`
	Subject       transition `json:"subject"`
	Timestamp     string     `json:"timestamp"`
}

type actor struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
}

type transition struct {
	EntityID string    `json:"entity_id"`
	Track    string    `json:"track"`
	From     string    `json:"from_stage"`
	To       string    `json:"to_stage"`
	Outcome  cases.Why `json:"gate_outcome"`
}

// envelope returns the message for an event that applied a step; nil for any other.
func (t *turn) envelope(ctx context.Context, e gotong.Event, sees view.Sight) (*message, error) {
	d, ok := e.Data.(cases.Outcome)
	if !ok || e.Type != cases.EvApplied {
		return nil, nil
	}
	snap, err := t.opt.Views.Load(ctx, e.Stream, []gotong.Viewer{t.viewer()},
		view.Span{From: d.Gate - 1, To: d.Gate, Limit: 1, Bytes: store.MaxReadBytes}, store.Need{}, nil)
	if err != nil || len(snap.Rows) == 0 {
		return nil, err
	}
	row, err := snap.Row(0)
	if err != nil {
		return nil, err
	}
	p, ok := row.Event.Data.(cases.Proposed)
	if !ok || !sees(row.Stored.Seq, row.Stored.Audience) {
		return nil, nil
	}
	id := "evt_" + reader128(e.ID.String())[:16]
	body, err := json.Marshal(envelope{
		EventID: id, EventType: "track_state_transition", SchemaVersion: "1", RequestID: e.RequestID, Platform: "gotong_royong",
		Actor:   actor{e.Actor.UserID, t.opt.Names(ctx, []string{e.Actor.UserID})[e.Actor.UserID]},
		Subject: transition{e.Stream.ID(), p.Track, p.From, p.To, d.Why}, Timestamp: e.At.String(),
	})
	return &message{id: id, stream: e.Stream, seq: e.Seq, body: body, header: http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"gotong-webhook"}, "X-Request-Id": {e.RequestID},
	}}, err
}
