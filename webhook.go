package gotong

import "slices"

// RoleWebhook is the role of a viewer that is a webhook, and the role in its
// [Membership]. No token has it.
const RoleWebhook Role = "webhook"

// The command and events with which a webhook becomes a member of a stream and ceases
// to be one. It is removed like any member, see [Remover].
const (
	CmdAddWebhook    = "webhook.add"
	EvWebhookAdded   = "webhook.added"
	EvWebhookRemoved = "webhook.removed"
)

// AddWebhook makes a webhook of the stream's home a member of the stream.
type AddWebhook struct {
	WebhookID string `json:"webhook_id"`
}

// Remover is the data of a command that ends the membership of a user or, if no user
// with this id is a member, of a webhook.
type Remover interface{ Removes() string }

// WebhookMember is the data of webhook.added and webhook.removed.
type WebhookMember struct {
	WebhookID string `json:"webhook_id"`
}

func (c AddWebhook) Validate(check *Check) {
	check.That(ValidID(c.WebhookID), "webhook_id", "must be the id of a webhook")
}

// Registered is a webhook as a principal. Its visible intervals begin with the
// event of its own stream that began its [Membership].
type Registered struct {
	Home       Stream `json:"home"`
	Registrant string `json:"registrant"` // the user on whose right it rests
	Membership
}

// Principal returns the webhook itself, also for a document that embeds it.
func (r Registered) Principal() Registered { return r }

// WebhookStream returns the stream of a webhook.
func WebhookStream(id string) Stream { return NewStream("webhook", id) }

// WebhookKey returns the key of a webhook's membership of a stream. It is apart
// from those of users, so that no user id can stand for a webhook.
func WebhookKey(s Stream, id string) Key { return Key{s.Kind() + "_webhooks", s.ID(), id} }

// RegistrarRefs returns the references that [Accounts.MayRegister] needs.
func RegistrarRefs(home Stream, userID string) []Ref {
	if !home.HasMembers() {
		return []Ref{AccountRef(userID)}
	}
	return []Ref{{Stream: home, Key: StreamKey(home)}, AccountRef(userID)}
}

// MayRegister reports whether a user has the right to keep webhooks in a home: the
// leaders of a home with members, and platform admins in one without. The state
// must hold [RegistrarRefs].
func (a Accounts) MayRegister(s State, home Stream, userID string) bool {
	if !a.CanAct(s, userID) {
		return false
	}
	if home.HasMembers() {
		led, ok := Doc[interface{ Leadership() Roster }](s, StreamKey(home))
		return ok && led.Leadership().Leads(userID)
	}
	account, ok := Doc[interface{ Platform() Role }](s, AccountRef(userID).Key)
	return !ok || account.Platform().IsAdmin() // of an account of others, their token was checked
}

// Webhooks are the rules by which webhooks read the streams of a kind.
type Webhooks struct {
	// Open reports whether every webhook of the home reads the stream, from its
	// document under [StreamKey]. Nil: none does unless it was added.
	Open func(doc any) bool

	// Admits returns an error unless the actor may add webhooks with an [AddWebhook] or
	// remove them with a [Remover]. The state holds what the kind needs for the
	// command. Nil: nobody may.
	Admits func(s State, cmd Command) error
}

// WithWebhooks returns the kind with the access of webhooks and, if its streams
// admit them, the command [AddWebhook] and removal by a [Remover]. A webhook sees
// nothing of a kind without [Kind.Webhooks]. It has no roles, so it sees only events for
// everybody.
func WithWebhooks(k Kind, accounts Accounts) Kind {
	var rules Webhooks
	if k.Webhooks != nil {
		rules = *k.Webhooks
	}
	kind := hooked{k, rules, accounts}
	none := k.Webhooks == nil
	k.AccessNeeds = func(s State, v Viewer) []Ref {
		switch {
		case v.Role != RoleWebhook:
			return kind.AccessNeeds(s, v)
		case none:
			return nil
		}
		return kind.viewerRefs(s, v.UserID)
	}
	k.Access = func(s State, v Viewer) Grant {
		switch {
		case v.Role != RoleWebhook:
			return kind.Access(s, v)
		case none:
			return Grant{}
		}
		return kind.grant(s, v.UserID)
	}
	if rules.Admits == nil {
		return k
	}
	k.Commands = append(slices.Clone(k.Commands), TypeOf[AddWebhook](CmdAddWebhook))
	k.Events = append(slices.Clone(k.Events), EventOf[WebhookMember](EvWebhookAdded), EventOf[WebhookMember](EvWebhookRemoved))
	k.Documents = append(slices.Clone(k.Documents), TypeOf[Membership](k.Name+"_webhooks"))
	k.Needs, k.Decide, k.Project = kind.needs, kind.decide, kind.project
	return k
}

// hooked is a kind and the rules of webhooks in it.
type hooked struct {
	Kind
	rules    Webhooks
	accounts Accounts
}

// principalRefs names the webhook and, once it is known, what its right rests on.
func principalRefs(s State, id string) []Ref {
	of := WebhookStream(id)
	refs := []Ref{{Stream: of, Key: StreamKey(of)}}
	if w, ok := principal(s, id); ok {
		refs = append(refs, RegistrarRefs(w.Home, w.Registrant)...)
	}
	return refs
}

func principal(s State, id string) (Registered, bool) {
	w, ok := Doc[interface{ Principal() Registered }](s, StreamKey(WebhookStream(id)))
	if !ok {
		return Registered{}, false
	}
	return w.Principal(), true
}

func (k hooked) viewerRefs(s State, id string) []Ref {
	refs := append(principalRefs(s, id), Ref{Stream: s.Stream, Key: StreamKey(s.Stream)})
	if k.rules.Admits != nil {
		refs = append(refs, Ref{Stream: s.Stream, Key: WebhookKey(s.Stream, id)})
	}
	return refs
}

// here returns the webhook if it is one of the stream's home and still has a
// registrant with the right to keep it.
func (k hooked) here(s State, home Stream, id string) (Registered, bool) {
	w, ok := principal(s, id)
	return w, ok && w.Active() && w.Home == home && k.accounts.MayRegister(s, home, w.Registrant)
}

// grant is the one place that decides what a webhook may read.
func (k hooked) grant(s State, id string) Grant {
	w, ok := k.here(s, s.Head.Home, id)
	if !ok {
		return Grant{}
	}
	spans := w.Spans(WebhookStream(id))
	if doc, ok := Doc[any](s, StreamKey(s.Stream)); ok && k.rules.Open != nil && k.rules.Open(doc) {
		return Grant{Readable: true, Spans: spans}
	}
	if k.rules.Admits == nil {
		return Grant{}
	}
	m, _ := Doc[Membership](s, WebhookKey(s.Stream, id))
	if !m.Active() {
		return Grant{}
	}
	return Grant{Readable: true, Spans: m.Spans(s.Stream), Within: [][]Span{spans}}
}

func webhookOf(data any) string {
	switch c := data.(type) {
	case AddWebhook:
		return c.WebhookID
	case Remover:
		return c.Removes()
	default:
		return ""
	}
}

func (k hooked) needs(s State, cmd Command) []Ref {
	refs, id := k.Needs(s, cmd), webhookOf(cmd.Data)
	if id == "" {
		return refs
	}
	refs = append(slices.Clone(refs), Ref{Stream: cmd.Stream, Key: WebhookKey(cmd.Stream, id)})
	if _, adds := cmd.Data.(AddWebhook); adds {
		refs = append(refs, principalRefs(s, id)...)
	}
	return refs
}

func (k hooked) decide(s State, cmd Command) (Decision, error) {
	id := webhookOf(cmd.Data)
	if id == "" {
		return k.Decide(s, cmd)
	}
	m, _ := Doc[Membership](s, WebhookKey(s.Stream, id))
	_, adds := cmd.Data.(AddWebhook)
	if !adds && (!m.Active() || MembershipOf(s, s.Stream, id).Active()) {
		return k.Decide(s, cmd)
	}
	if err := k.rules.Admits(s, cmd); err != nil {
		return Decision{}, err
	}
	if !adds {
		return Accept(Fact{Type: EvWebhookRemoved, Data: WebhookMember{id}})
	}
	switch _, ok := k.here(s, s.Head.Home, id); {
	case !ok:
		return Reject(CodeNotFound, "The group or scope of the stream has no such webhook.")
	case m.Active():
		return Accept()
	}
	return Accept(Fact{Type: EvWebhookAdded, Data: WebhookMember{id}})
}

func (k hooked) project(s State, e Event) []Change {
	d, ok := e.Data.(WebhookMember)
	if !ok {
		return k.Project(s, e)
	}
	key := WebhookKey(s.Stream, d.WebhookID)
	m, _ := Doc[Membership](s, key)
	if e.Type == EvWebhookAdded {
		return []Change{{Key: key, Doc: m.Join(e, string(RoleWebhook))}}
	}
	return []Change{{Key: key, Doc: m.Leave(e)}}
}
