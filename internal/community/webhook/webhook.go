// Package webhook holds the rules of webhooks: who may register one in a group or
// scope, on whose right it rests, and when it ends. Which streams it reads follows
// from [gotong.WithWebhooks].
//
// # Caveats
//
// The URL and the secrets are in a register ([ConfigKey]) and in no event, because a
// URL may hold a secret, and because neither is part of the history of a community.
// The routes that change them check the URL.
package webhook

import (
	"slices"

	"gotong.dev/gotong"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "webhook"

const prefix = "whk-"

// The collections of the kind.
const (
	Hooks   = "webhooks"       // (webhook id, "") → Webhook
	OfScope = "scope_webhooks" // (scope id, gotong.EntryName) → gotong.Entry: those that were not removed
)

// Config is the collection of the registers with URL and secrets.
const Config = "webhook_config"

// Profile is the form of deliveries; a closed set.
type Profile string

// The profiles.
const (
	Standard Profile = "standard" // CloudEvents, signed as Standard Webhooks
	Markov   Profile = "markov"   // the envelope of the reputation engine
)

// Why is the reason that a webhook was disabled or ended; a closed set.
type Why string

// The reasons.
const (
	ByAdmin Why = "admin"   // an admin disabled or removed it
	Failing Why = "failing" // no success for too long
	Gone    Why = "gone"    // the receiver answered 410
	Lapsed  Why = "lapsed"  // its registrant lost the right to keep it
)

// Webhook is the document of one webhook.
type Webhook struct {
	gotong.Registered
	ScopeID   string          `json:"scope_id"`
	Profile   Profile         `json:"profile"`
	Types     []string        `json:"types,omitempty"`   // of the events that it gets; empty: all
	Streams   []gotong.Stream `json:"streams,omitempty"` // whose events it receives; empty: all
	Disabled  Why             `json:"disabled,omitempty"`
	Ended     Why             `json:"ended,omitempty"`
	CreatedAt gotong.Instant  `json:"created_at"`
}

// Wants reports whether the filters let an event of this type and stream pass.
func (w Webhook) Wants(s gotong.Stream, eventType string) bool {
	return (len(w.Types) == 0 || slices.Contains(w.Types, eventType)) && (len(w.Streams) == 0 || slices.Contains(w.Streams, s))
}

// Key returns the key of a webhook's document.
func Key(id string) gotong.Key { return gotong.StreamKey(gotong.WebhookStream(id)) }

// ConfigKey returns the key of the register with a webhook's URL and secrets.
func ConfigKey(id string) gotong.Key { return gotong.Key{Collection: Config, Owner: id} }

// OfScopeKey returns the key of a webhook's line in its scope.
func OfScopeKey(scopeID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfScope, Owner: scopeID, Name: gotong.EntryName(created, id)}
}

// StreamOf returns the stream that this command creates. Its id is derived from the
// request, so that a retry creates no second one.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, prefix+gotong.DeriveID(Name, actor, requestID))
}

// Rules are the rules of webhooks for these accounts. Lenders are the kinds whose
// streams can be the home of a webhook.
type Rules struct {
	Accounts gotong.Accounts
	Lenders  gotong.Lenders
}

// Kind returns the rules as a kind.
func (r Rules) Kind() gotong.Kind {
	return gotong.Kind{
		Name: Name, Commands: commands(), Events: events(),
		Documents: []gotong.Type{gotong.TypeOf[Webhook](Hooks), gotong.TypeOf[gotong.Entry](OfScope)},
		Home:      r.home, Needs: r.needs, Decide: r.decide, Project: project,
		AccessNeeds: accessNeeds, Access: r.access, Affects: func(gotong.Event) gotong.Affected { return gotong.Affected{Everyone: true} },
	}
}

func accessNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	refs := []gotong.Ref{{Stream: s.Stream, Key: Key(s.Stream.ID())}}
	if w, ok := gotong.Doc[Webhook](s, Key(s.Stream.ID())); ok {
		refs = append(refs, gotong.RegistrarRefs(w.Home, v.UserID)...)
	}
	return refs
}

// access allows those who could register the webhook to read it.
func (r Rules) access(s gotong.State, v gotong.Viewer) gotong.Grant {
	w, ok := gotong.Doc[Webhook](s, Key(s.Stream.ID()))
	if !ok || !r.may(s, w.Home, gotong.Actor(v)) {
		return gotong.Grant{}
	}
	return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s.Stream}}}
}

// may reports whether an actor has the right to keep webhooks in a home.
func (r Rules) may(s gotong.State, home gotong.Stream, by gotong.Actor) bool {
	return (home.HasMembers() || by.Role.IsAdmin()) && r.Accounts.MayRegister(s, home, by.UserID)
}
