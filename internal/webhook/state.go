package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/store"
)

// The collections of registers; the owner of each is a webhook.
const (
	states  = "webhook_states"  // (id, "") → State
	lanes   = "webhook_lanes"   // (id, stream) → Lane
	replays = "webhook_replays" // (id, replay id) → Replay
	dead    = "webhook_dead"    // (id, stream "/" gotong.SeqName) → Dead
)

// Config is where a webhook sends, and with which secrets.
type Config struct {
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Secrets     []Secret `json:"secrets"` // the newest first
}

// Secret is one secret of a webhook. While it is rotated, there are several.
type Secret struct {
	Key   string         `json:"key"`
	Until gotong.Instant `json:"until,omitzero"` // 0: it is the newest
	Of    string         `json:"of"`             // names the request that created it, whose repetitions alone show it
}

// secretBytes is the length of a new secret.
const secretBytes = 32

// NewSecret returns a random secret of a request, in the form of Standard Webhooks.
// It has more than the 32 characters that the profile markov needs.
func NewSecret(of string) Secret {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return Secret{Key: "whsec_" + base64.StdEncoding.EncodeToString(b), Of: of}
}

// Rotated returns the configuration with a new secret; the present one stays valid
// until an instant.
func (c Config) Rotated(secret Secret, until, now gotong.Instant) Config {
	list := []Secret{secret}
	for _, s := range c.Secrets {
		if s.Until == 0 {
			s.Until = until
		}
		if s.Until > now && len(list) < maxSecrets {
			list = append(list, s)
		}
	}
	c.Secrets = list
	return c
}

const maxSecrets = 4

// State is the state of delivery to one webhook.
type State struct {
	Epoch   gotong.Epoch `json:"epoch"`
	Done    uint64       `json:"done"`              // all marks up to this position were served, except those of Blocked
	Blocked []Blocked    `json:"blocked,omitempty"` // the lanes whose next event the receiver rejects, and those that catch up after that

	Failures     int            `json:"failures,omitempty"`       // in a row, of the receiver as a whole
	Until        gotong.Instant `json:"until,omitzero"`           // nothing is sent before it
	FailingSince gotong.Instant `json:"failing_since,omitzero"`   // the first attempt since the last success
	LastSuccess  gotong.Instant `json:"last_success_at,omitzero"` //
	Warned       int            `json:"warned,omitempty"`         // how many warnings were given since then
	Log          []Attempt      `json:"log,omitempty"`            // the newest attempts
}

// Blocked is a lane that waits.
type Blocked struct {
	Stream gotong.Stream  `json:"stream"`
	Due    gotong.Instant `json:"due"`
}

// Attempt is one line of the log of deliveries.
type Attempt struct {
	At        gotong.Instant `json:"at"`
	WebhookID string         `json:"webhook_message_id"`
	Stream    gotong.Stream  `json:"stream,omitempty"`
	Seq       uint64         `json:"seq,omitempty"`
	Status    int            `json:"status,omitempty"` // 0: no response
	Error     string         `json:"error,omitempty"`
	MS        int64          `json:"duration_ms"`
	Replay    string         `json:"replay_id,omitempty"`
}

// maxLog is how many attempts the log keeps.
const maxLog = 100

// Lane is how far one webhook has got in one stream.
type Lane struct {
	Seq      uint64 `json:"seq"`                // the last event that was accepted, is dead, or is not for the webhook
	Attempts int    `json:"attempts,omitempty"` // that the receiver rejected the next one
	Next     uint64 `json:"next,omitempty"`     // the event that it rejected
}

// Replay is what to send again: the events of a stream, or of all its streams, from
// From to To or since an instant; or its dead letters. It is a lane with an end.
type Replay struct {
	Stream gotong.Stream  `json:"stream,omitempty"`
	From   uint64         `json:"from,omitempty"`
	To     uint64         `json:"to,omitempty"`
	Since  gotong.Instant `json:"since,omitzero"`
	Dead   bool           `json:"dead,omitempty"`

	// How far it has got: the position of a mark or the name of a dead letter, and the
	// seq in the stream.
	After string `json:"after,omitempty"`
	Seq   uint64 `json:"seq,omitempty"`
}

// Dead refers to an event that the receiver did not accept.
type Dead struct {
	Stream   gotong.Stream  `json:"stream"`
	Seq      uint64         `json:"seq"`
	EventID  string         `json:"event_id,omitempty"`
	At       gotong.Instant `json:"at"`
	Attempts int            `json:"attempts"`
	Status   int            `json:"status,omitempty"`
	Why      string         `json:"why"` // rejected, skipped or unreadable
}

func stateKey(id string) gotong.Key { return gotong.Key{Collection: states, Owner: id} }

// LaneKey returns the key of the register of a lane.
func LaneKey(id string, s gotong.Stream) gotong.Key {
	return gotong.Key{Collection: lanes, Owner: id, Name: string(s)}
}

// ReplayKey returns the key of the register of a replay.
func ReplayKey(id, replay string) gotong.Key {
	return gotong.Key{Collection: replays, Owner: id, Name: replay}
}

// DeadKey returns the key of the register of a dead letter.
func DeadKey(id string, s gotong.Stream, seq uint64) gotong.Key {
	return gotong.Key{Collection: dead, Owner: id, Name: string(s) + "/" + gotong.SeqName(seq)}
}

// Everything names all registers of one of these collections that a webhook has,
// after a name.
func everything(collection, id, after string, limit int) store.KeyRange {
	return store.KeyRange{Collection: collection, Owner: id, From: after + "\x01", To: "~", Limit: limit}
}

// DeadLetters returns a page of the dead letters of a webhook, after a name.
func DeadLetters(ctx context.Context, from store.Registers, id, after string, limit int) ([]Dead, string, error) {
	rows, err := from.FindRegisters(ctx, everything(dead, id, after, limit))
	list := make([]Dead, len(rows))
	for i, row := range rows {
		err = errors.Join(err, json.Unmarshal(row.Body, &list[i]))
		after = row.Key.Name
	}
	return list, after, err
}

// Registers is the part of the store that keeps the state of delivery.
type Registers interface {
	store.Loader
	store.Registers
}

// Read returns a register as its type and its version; 0 if there is none.
func Read[T any](ctx context.Context, from store.Loader, key gotong.Key) (v T, version uint64, err error) {
	r, err := store.ReadRegister(ctx, from, key)
	if err == nil && r.Version > 0 {
		err = json.Unmarshal(r.Body, &v)
	}
	return v, r.Version, err
}

// ReadState returns the state of delivery to a webhook.
func ReadState(ctx context.Context, from store.Loader, id string) (State, error) {
	s, _, err := Read[State](ctx, from, stateKey(id))
	return s, err
}

// ReadConfig returns the configuration of a webhook and the version of its register.
func ReadConfig(ctx context.Context, from store.Loader, id string) (Config, uint64, error) {
	return Read[Config](ctx, from, webhook.ConfigKey(id))
}
