package inbox

import (
	"context"
	"encoding/json"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Shown is an item as its user may see it now. The closed views have less: a removal its
// kind and date; an open invitation the group's name and description, who invited, and
// its end; a decision, once they may no longer read the thread, their own text.
type Shown struct {
	ID     ID
	Kind   Kind
	At     gotong.Instant
	ReadAt gotong.Instant // 0: it is unread
	By     string         // who caused it
	Stream gotong.Stream
	Title  string      // the name of the thread or group, or the title of the case
	Event  *view.Event // what it is about; nil in a closed view

	Decision    string // the type of the event that decides about a message
	Text        string // of the message
	Description string // of the group of an invitation
	UntilMS     int64  // the end of the invitation
}

// show returns an item as the user may see it, or false if they may not.
func (l *look) show(ctx context.Context, i listed) (Shown, bool, error) {
	s := Shown{ID: i.ID, Kind: i.Kind, At: gotong.Instant(i.Number), ReadAt: l.marks.readAt(i.ID)} //nolint:gosec // microseconds
	switch {
	case i.of != nil && (!i.of.at(i.Number) || i.of.at(i.Since...) || slices.Contains(i.Except, l.me.UserID)):
		return s, false, nil
	case i.of != nil && i.By == l.me.UserID, l.off(i.Kind):
		return s, false, nil
	case i.Kind == Removed:
		return s, true, nil
	case l.hidden[i.Stream] && i.Kind != Decided && i.Kind != Invited && i.Kind != Declined:
		return s, false, nil
	case l.quiet[i.Stream] && i.Kind == Message && !i.Siaga:
		return s, false, nil
	case l.set.Blocks(i.By) && !i.Siaga && (i.Kind == Message || i.Kind == Added || i.Kind == Invited):
		return s, false, nil
	case i.Kind == Invited || i.Kind == Declined:
		return l.joining(ctx, s, i)
	}
	ok, err := l.open(ctx, &s, i)
	return s, ok, err
}

func (l *look) off(k Kind) bool { return slices.Contains(l.set.Off, string(k)) }

// joining shows an invitation while it is open, and that a request was declined.
func (l *look) joining(ctx context.Context, s Shown, i listed) (Shown, bool, error) {
	of, mine := group.GroupKey(i.Stream.ID()), group.InvitationKey(i.Stream.ID(), l.me.UserID)
	member := gotong.MemberKey(i.Stream, l.me.UserID)
	snap, err := l.Store.Load(ctx, store.Need{Documents: []gotong.Key{of, mine, member}})
	if err != nil {
		return s, false, err
	}
	g, err := document[group.Group](l.Box, snap, of)
	if err != nil {
		return s, false, err
	}
	open, err := document[group.Invitation](l.Box, snap, mine)
	if err != nil {
		return s, false, err
	}
	m, err := document[gotong.Membership](l.Box, snap, member)
	if i.Kind == Declined {
		if s.Stream = i.Stream; group.MayKnow(g, m) {
			s.Title = g.Name
		} else {
			s.Stream = ""
		}
		return s, err == nil, err
	}
	s.Stream, s.Title, s.Description, s.By, s.UntilMS = i.Stream, g.Name, g.Description, i.By, i.UntilMS
	return s, err == nil && open.Open(l.Now()) && open.UntilMS == i.UntilMS && !g.Closed(), err
}

func document[T any](b *Box, snap store.Snapshot, key gotong.Key) (d T, err error) {
	if body, ok := snap.Documents[key]; ok {
		var doc any
		if doc, err = b.Codec.Document(key.Collection, body); err == nil {
			d, _ = doc.(T)
		}
	}
	return d, err
}

// muteKey is the key of the register that holds a user's mute of a thread.
func muteKey(userID string, s gotong.Stream) gotong.Key {
	return gotong.Key{Collection: "read_marks", Owner: userID, Name: s.ID()}
}

// open shows an item of a stream that the user may read, and a decision on a message of
// theirs in any.
func (l *look) open(ctx context.Context, s *Shown, i listed) (bool, error) {
	mute, of := muteKey(l.me.UserID, i.Stream), group.GroupKey(i.Stream.ID())
	more := store.Need{Registers: []gotong.Key{mute}}
	if i.Stream.Kind() == group.Name {
		more.Documents = []gotong.Key{of}
	}
	page := view.Span{From: i.Seq - 1, To: i.Seq, Limit: 1, Bytes: store.MaxReadBytes}
	snap, err := l.Views.Load(ctx, i.Stream, []gotong.Viewer{l.me}, page, more, nil)
	if view.Spoilt(err) || err == nil && len(snap.Rows) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	access := snap.Grants[0].Access
	row, err := snap.Row(0)
	if err != nil {
		return false, nil //nolint:nilerr // a damaged event is shown nowhere
	}
	sees := view.Sight(access.Sees)
	posted, _ := row.Event.Data.(thread.Posted)
	l.hidden[i.Stream] = !access.Readable
	switch {
	case i.Kind == Decided:
		sees = view.All // it is the user's own
		if row.Event.Actor.UserID != l.me.UserID {
			return false, nil
		}
	case !access.Sees(row.Stored.Seq, row.Stored.Audience, row.About...),
		i.Kind == Message && l.set.Stops(i.By, posted.Siaga, posted.Lender):
		return false, nil
	}
	e, erased := row.Shown(sees, l.me.UserID)
	if text, ok := e.Content.(thread.Text); ok {
		s.Text = text.Body
	}
	s.Decision = i.Decision
	if i.Kind == Decided && !access.Sees(row.Stored.Seq, row.Stored.Audience, row.About...) {
		return true, nil
	}
	s.Event = &view.Event{Event: e, Position: row.Stored.Position, Chain: row.Stored.Chain, Erased: erased, Overlaid: row.Overlaid()}
	s.By, s.Stream = i.By, i.Stream
	if s.Title, err = l.title(snap, of); err != nil || i.Kind != Message {
		return err == nil, err
	}
	s.Kind = kindOf(e, l.withRole(i, snap.State), l.me.UserID)
	return l.alerts(s, snap.Store.Registers[mute]), nil
}

// title returns the name of a thread or group, or the title of a case.
func (l *look) title(snap *view.Snapshot, of gotong.Key) (string, error) {
	id := snap.State.Stream.ID()
	switch snap.State.Stream.Kind() {
	case thread.Name:
		t, _ := gotong.Doc[thread.Thread](snap.State, thread.ThreadKey(id))
		return t.Name, nil
	case cases.Name:
		c, _ := gotong.Doc[cases.Case](snap.State, cases.CaseKey(id))
		return c.Title, nil
	}
	g, err := document[group.Group](l.Box, snap.Store, of)
	return g.Name, err
}

// withRole adds the roles that the user holds now to those that they held then, if one is
// special.
func (l *look) withRole(i listed, state gotong.State) listed {
	t, _ := gotong.Doc[thread.Thread](state, thread.ThreadKey(i.Stream.ID()))
	if roles := gotong.RolesOf(state, thread.Chain(t, i.Stream)[0], l.me.UserID); !ordinary(roles) {
		i.Roles = slices.Concat(i.Roles, roles)
	}
	return i
}

// kindOf returns how a message concerns a user as it reads now; empty if it has no text
// for them.
func kindOf(e gotong.Event, i listed, me string) Kind {
	d, ok := e.Data.(thread.Posted)
	switch {
	case !ok || d.DeletedAtMS != 0 || d.Held || d.Withheld:
		return ""
	case d.Siaga:
		return Siaga
	case slices.ContainsFunc(d.Mentions, func(m thread.Mention) bool {
		common := m.Role != "" && ordinary([]string{m.Role}) && len(i.Roles) == 0
		return m.UserID == me || m.Group != "" || common || slices.Contains(i.Roles, m.Role)
	}):
		return Mention
	case i.Answers:
		return Reply
	default:
		return Message
	}
}

// alerts reports whether a message alerts the user, by what they have set for its thread
// and its kind.
func (l *look) alerts(s *Shown, mute store.Register) bool {
	var m struct {
		Mute int64 `json:"mute"`
	}
	_ = json.Unmarshal(mute.Body, &m) // without a register, nothing is muted
	muted := m.Mute > l.Now().Milli()
	l.quiet[s.Stream] = !Alerts(l.set, s.Stream, Mention, muted) && !slices.Contains(l.set.Off, string(Mention))
	return s.Kind != Message && Alerts(l.set, s.Stream, s.Kind, muted)
}

// Alerts reports whether a message that concerns a user in this way alerts them, by what
// they have set; muted: they mute its thread.
func Alerts(set user.Settings, stream gotong.Stream, k Kind, muted bool) bool {
	level := set.Threads[stream.ID()]
	switch {
	case k == "", slices.Contains(set.Off, string(k)):
		return false
	case k == Siaga:
		return true
	default:
		return !muted && level != user.Nothing && (k != Message || level != user.MentionsOnly)
	}
}

// Concerns returns how a message concerns a user as it reads now; empty if it has no
// text for them. answers: it replies to one of their own; roles are theirs among the
// members of the thread.
func Concerns(e gotong.Event, userID string, answers bool, roles []string) Kind {
	return kindOf(e, listed{Item: Item{Answers: answers, Roles: roles}}, userID)
}
