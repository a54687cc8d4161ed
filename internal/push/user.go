package push

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	settings "gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Payload is the text of a push, as JSON.
type Payload struct {
	V      int           `json:"v"` // 1
	Type   string        `json:"type"`
	Stream gotong.Stream `json:"stream,omitempty"`
	Kind   inbox.Kind    `json:"kind,omitempty"` // of the messages that are announced, the most urgent; of the newest item of the inbox
	Direct bool          `json:"direct,omitempty"`
	Group  string        `json:"group,omitempty"` // its name, if everybody may know of it
	N      uint64        `json:"n"`               // the ordinal of the newest message that was announced
	AtMS   int64         `json:"at_ms"`
	Unread int           `json:"unread"` // in the thread; 0 withdraws the push
	Badge  int           `json:"badge"`  // in all threads
}

// State is the register (stream, user id): what was sent to the user about the thread, or
// about their inbox.
type State struct {
	N     uint64         `json:"n"`               // up to this message, everything was announced,
	Items items          `json:"items,omitempty"` // of an inbox: up to these,
	Sent  gotong.Instant `json:"sent"`            // when,
	Shown int            `json:"shown,omitempty"` // and with which count; 0: the push was withdrawn
	Left  []string       `json:"left,omitempty"`  // the subscriptions that have not accepted it,
	Tries int            `json:"tries,omitempty"` // how often it was tried,
	Retry gotong.Instant `json:"retry,omitempty"` // and when it is tried again
}

// items are the numbers of the newest items of an inbox by partition: an item may still
// come with a number below the newest of another partition.
type items map[gotong.Partition]uint64

// with returns the items after an announcement of these.
func (i items) with(news []message) items {
	all := items{}
	maps.Copy(all, i)
	for _, m := range news {
		all[m.in] = max(all[m.in], m.n)
	}
	return all
}

func stateKey(s gotong.Stream, userID string) gotong.Key {
	return gotong.Key{Collection: "push_states", Owner: string(s), Name: userID}
}

// user is one member of the thread of a turn.
type user struct {
	*turn
	id string
	account
	State
	version uint64    // of the register of the state
	news    []message // what others did, visible now, that was not announced; newest first
	reading func(ctx context.Context) (Reading, error)
}

type message struct {
	n    uint64
	at   gotong.Instant
	kind inbox.Kind
	of   gotong.Stream // this and what follows: of an item of the inbox
	in   gotong.Partition
}

// weight is how urgent a message is.
var weight = map[inbox.Kind]int{inbox.Reply: 1, inbox.Mention: 2, inbox.Siaga: 3}

func (u *user) viewer() gotong.Viewer {
	return gotong.Viewer{UserID: u.id, Role: u.List[len(u.List)-1].Login.Role}
}

// since returns the time from which messages are announced: none from before the first
// subscription, and none that is too old.
func (u *user) since() gotong.Instant {
	first := slices.MinFunc(u.List, func(a, b Subscription) int { return cmp.Compare(a.At, b.At) })
	return max(first.At, u.Clock.Now().Add(-tooOld))
}

// read finds the news of a thread. Messages of an import are not announced.
func (u *user) read(snap *view.Snapshot, grant *view.Grant) error {
	var set settings.Settings
	if body, ok := snap.Store.Documents[gotong.SettingsRef(u.id).Key]; ok {
		if err := json.Unmarshal(body, &set); err != nil {
			return fmt.Errorf("push: settings of %s: %w", u.id, err)
		}
	}
	doc, _ := gotong.Doc[thread.Thread](snap.State, thread.ThreadKey(u.stream.ID()))
	roles := gotong.RolesOf(snap.State, thread.Chain(doc, u.stream)[0], u.id)
	since := u.since()
	for i := range snap.Rows {
		stored := &snap.Rows[i]
		if stored.Type != thread.EvPosted || stored.At <= since || !grant.Sees(stored.Seq, stored.Audience) {
			continue
		}
		row, err := snap.Row(i)
		if err != nil {
			return nil //nolint:nilerr // it hides those before it, as a damaged event does
		}
		e, _ := row.Shown(grant.Sees, u.id)
		d, _ := e.Data.(thread.Posted)
		if e.Actor.UserID == u.id || set.Stops(e.Actor.UserID, d.Siaga, d.Lender) || d.SentAtMS > 0 {
			continue
		}
		m := message{n: d.N, at: e.At, kind: inbox.Concerns(e, u.id, u.answers(snap, d.ReplySeq), roles)}
		if inbox.Alerts(set, u.stream, m.kind, false) {
			u.news = append(u.news, m)
		}
	}
	return nil
}

// answers reports whether the message with this seq, if it is on the page, is the
// user's own.
func (u *user) answers(snap *view.Snapshot, seq uint64) bool {
	for i := range snap.Rows {
		if snap.Rows[i].Seq == seq {
			row, err := snap.Row(i)
			return err == nil && row.Event.Actor.UserID == u.id
		}
	}
	return false
}

// pushed are the kinds of items that the inbox announces.
var pushed = []inbox.Kind{inbox.Added, inbox.Invited, inbox.GateOpened, inbox.GateClosing, inbox.Decided}

// maxItems bounds the unread items of an inbox that are considered.
const maxItems = 50

// readInbox finds the news of the user's inbox: the items that the thread of a message
// does not announce.
func (u *user) readInbox(ctx context.Context) error {
	page, err := u.Box.Find(ctx, u.viewer(), inbox.Query{Limit: maxItems, Unread: true})
	since, unread := u.since(), 0
	for _, i := range page.Items {
		direct := i.Kind == inbox.Added && i.Event != nil && i.Event.Type == thread.EvCreated
		if !slices.Contains(pushed, i.Kind) {
			continue
		}
		if unread++; i.At > since && !direct {
			u.news = append(u.news, message{i.ID.Number, i.At, i.Kind, i.Stream, i.ID.Partition})
		}
	}
	u.reading = func(context.Context) (Reading, error) { return Reading{Readable: true, Unread: unread}, nil }
	return err
}

// action is what is sent to a user.
type action int

const (
	nothing  action = iota
	announce        // to all subscriptions
	repeat          // to those that have not accepted the last push
	retract         // the count 0
)

// lookAgain is the time after which the server decides again about a user who looks at
// a thread without reading its messages.
const lookAgain = 30 * time.Second

// decide returns what to send to the user now and, if that is nothing, when to decide
// again.
func (u *user) decide(r Reading) (action, gotong.Instant) {
	past := func(m message) bool {
		if u.stream.Kind() == thread.Name {
			return m.n <= max(r.Floor, u.N)
		}
		return m.n <= u.Items[m.in]
	}
	now, unread, waits := u.Clock.Now(), r.Readable && r.Unread > 0, len(u.Left) > 0
	u.news = slices.DeleteFunc(u.news, func(m message) bool { return past(m) || r.Muted && m.kind != inbox.Siaga })
	due, retry := gotong.Instant(math.MaxInt64), gotong.Instant(math.MaxInt64)
	if waits {
		retry = u.Retry
	}
	if unread && len(u.news) > 0 {
		if due = u.news[len(u.news)-1].at.Add(u.Delay); u.Sent > 0 && u.Sent <= now {
			due = max(due, u.Sent.Add(u.Interval))
		}
		if slices.ContainsFunc(u.news, func(m message) bool { return m.kind == inbox.Siaga }) {
			due = now // an emergency does not wait
		}
	}
	switch next := min(due, retry); {
	case unread && r.Muted && len(u.news) == 0:
		return nothing, 0
	case unread && (len(u.news) > 0 || waits) && u.Looks(u.id, u.stream): // perhaps they read it soon
		return nothing, now.Add(lookAgain)
	case due <= now:
		return announce, 0
	case waits && retry > now: // perhaps another node sends just now
		return nothing, next
	case !unread && u.Shown > 0:
		return retract, 0
	case waits:
		return repeat, 0
	case next < math.MaxInt64:
		return nothing, next
	}
	return nothing, 0
}

// serve decides for the user and sends, and then looks whether it was read meanwhile.
func (u *user) serve(ctx context.Context) error {
	for len(u.news) > 0 || u.Shown > 0 || len(u.Left) > 0 {
		r, err := u.reading(ctx)
		if err != nil {
			return err
		}
		act, next := u.decide(r)
		u.again(u.id, next)
		if act == nothing {
			return nil
		}
		if err := u.act(ctx, act, r); err != nil {
			if errors.Is(err, store.ErrConflict) || errors.Is(err, errNobody) { // or another node sends
				return nil
			}
			return err
		}
	}
	return nil
}

var errNobody = errors.New("push: no subscription is left")

// act sends to the subscriptions that an action concerns. The state shows them as left
// until they have accepted it: if this node crashes, another one repeats it.
func (u *user) act(ctx context.Context, act action, r Reading) error {
	list, err := u.alive(ctx)
	if err != nil || len(list) == 0 {
		return cmp.Or(err, errNobody)
	}
	list = slices.DeleteFunc(list, func(s Subscription) bool {
		return act == retract && !s.Withdraw || act == repeat && !slices.Contains(u.Left, s.ID)
	})
	text := u.about
	if text.Badge, err = u.Badge(ctx, u.viewer()); err != nil {
		return err
	}
	s := State{N: u.N, Items: u.Items, Sent: u.Sent, Tries: 1, Retry: u.Clock.Now().Add(time.Minute)}
	if act == announce {
		s.N, s.Sent = max(u.N, u.news[0].n), u.Clock.Now()
		text.Kind = slices.MaxFunc(u.news, func(a, b message) int { return cmp.Compare(weight[a.kind], weight[b.kind]) }).kind
		if u.news[0].of != "" {
			text.Stream, text.Kind = u.news[0].of, u.news[0].kind
		}
		if u.stream.Kind() != thread.Name {
			s.Items = u.Items.with(u.news)
		}
	}
	if act == repeat {
		s.Tries = u.Tries + 1
	}
	if r.Readable {
		s.Shown = r.Unread
	}
	text.N, text.AtMS, text.Unread = s.N, s.Sent.Milli(), s.Shown
	for i := range list {
		s.Left = append(s.Left, list[i].ID)
	}
	if err := u.save(ctx, s); err != nil || len(list) == 0 {
		return err
	}
	s.Left, s.Retry = u.send(ctx, list, text)
	return u.save(context.WithoutCancel(ctx), s)
}

// save writes the state unless another node has written it.
func (u *user) save(ctx context.Context, s State) error {
	if len(s.Left) == 0 || s.Tries >= maxTries {
		s.Left, s.Tries, s.Retry = nil, 0, 0
	}
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = u.Store.SetRegister(ctx, stateKey(u.stream, u.id), u.version, body, u.Clock.Now().Add(7*tooOld))
	if err == nil {
		u.State, u.version = s, u.version+1
	}
	return err
}
