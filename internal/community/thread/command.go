package thread

import "gotong.dev/gotong"

// The names of the commands.
const (
	CmdCreate  = "thread.create"
	CmdJoin    = "thread.join"
	CmdLeave   = "thread.leave"
	CmdHistory = "thread.history"
	CmdUpdate  = "thread.update"
	CmdDirect  = "thread.direct"
	CmdAdd     = "member.add"
	CmdRemove  = "member.remove"
	CmdMute    = "member.mute"
	CmdRole    = "member.role"
	CmdUnban   = "member.unban"
	CmdAppoint = "member.appoint"
	CmdPost    = "message.post"
	CmdEdit    = "message.edit"
	CmdDelete  = "message.delete"
	CmdReact   = "message.react"
	CmdPin     = "message.pin"
	CmdUnpin   = "message.unpin"
	CmdAdvise  = "message.advise"
	CmdReview  = "message.review"
	CmdUnhold  = "message.unhold"
	CmdAppeal  = "message.appeal"
	CmdOpen    = "message.open"
	CmdReport  = "message.report"
)

func commands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Create](CmdCreate), gotong.TypeOf[Join](CmdJoin), gotong.TypeOf[Leave](CmdLeave),
		gotong.TypeOf[SetHistory](CmdHistory), gotong.TypeOf[Update](CmdUpdate),
		gotong.TypeOf[Direct](CmdDirect).OfServer(), gotong.TypeOf[Add](CmdAdd), gotong.TypeOf[Remove](CmdRemove),
		gotong.TypeOf[Mute](CmdMute), gotong.TypeOf[SetRole](CmdRole), gotong.TypeOf[Post](CmdPost),
		gotong.TypeOf[Unban](CmdUnban), gotong.TypeOf[Appoint](CmdAppoint),
		gotong.TypeOf[Edit](CmdEdit), gotong.TypeOf[Delete](CmdDelete), gotong.TypeOf[React](CmdReact),
		gotong.TypeOf[Pin](CmdPin), gotong.TypeOf[Unpin](CmdUnpin),
		gotong.TypeOf[Advise](CmdAdvise).OfServer(), gotong.TypeOf[Review](CmdReview), gotong.TypeOf[Unhold](CmdUnhold).OfServer(),
		gotong.TypeOf[Appeal](CmdAppeal), gotong.TypeOf[Open](CmdOpen).OfServer(), gotong.TypeOf[Report](CmdReport).OfServer(),
	}
}

// Create creates a thread; the actor becomes its owner.
type Create struct {
	ScopeID string  `json:"scope_id"`
	Privacy Privacy `json:"privacy_level"`
	History Policy  `json:"history,omitempty"` // all if absent
	Members Source  `json:"members,omitempty"` // own if absent, home with a lender

	Lender gotong.Stream `json:"lender,omitempty"` // if Members is home, by default the home

	Title
}

// Join makes the actor a member of a public thread.
type Join struct{}

// Leave ends the actor's membership.
type Leave struct{}

// SetHistory changes the history policy of the messages posted from now on.
type SetHistory struct {
	Policy Policy `json:"policy"`
}

// Add makes a user a member; without a role, an ordinary one.
type Add struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role,omitempty"`
	Origin
}

// Remove ends the membership of a user or webhook. With a ban it also keeps the user
// out, whether a member or not; a webhook cannot be banned.
type Remove struct {
	UserID string `json:"user_id"`
	Origin
	gotong.Ban
}

// Removes implements [gotong.Remover].
func (c Remove) Removes() string { return c.UserID }

// Unban lifts a user's ban.
type Unban struct {
	UserID string `json:"user_id"`
}

// Appoint makes a user owner of a thread that has no owner who can act: a
// member or, if no member can act, an outsider. For an outsider, Members names
// all members.
type Appoint struct {
	UserID  string   `json:"user_id"`
	Members []string `json:"members,omitempty"`
}

// Mute keeps a member from sending until a time; 0 lifts the mute.
type Mute struct {
	UserID  string `json:"user_id"`
	UntilMS int64  `json:"until_ms"`
}

// SetRole changes a member's role. An owner hands the thread over by making
// another member owner.
type SetRole struct {
	UserID string `json:"user_id"`
	Role   Role   `json:"role"`
}

// Post posts a message.
type Post struct {
	Body        string         `json:"body"`
	Attachments []string       `json:"attachments,omitempty"` // ids of uploads
	ReplyTo     gotong.EventID `json:"reply_to,omitzero"`
	Siaga       bool           `json:"siaga,omitempty"` // an emergency broadcast; for owners, admins and moderators
	Origin
}

// Origin is the original time and name of something imported from another
// product. Only owners and admins may set it.
type Origin struct {
	SentAtMS int64  `json:"sent_at_ms,omitempty"`
	SentBy   string `json:"sent_by,omitempty"` // a display name
}

// Edit replaces the text of a message that has this revision.
type Edit struct {
	MessageID gotong.EventID `json:"message_id"`
	Revision  uint64         `json:"revision"` // 0 as posted
	Body      string         `json:"body"`
}

// Delete deletes a message that has this revision, or any revision if it is absent.
type Delete struct {
	MessageID gotong.EventID `json:"message_id"`
	Revision  *uint64        `json:"revision,omitempty"`
}

// React puts the actor's emoji on a message or takes it off.
type React struct {
	MessageID gotong.EventID `json:"message_id"`
	Emoji     string         `json:"emoji"`
	On        bool           `json:"on"`
}

// Pin puts a message on the list of pinned messages.
type Pin struct {
	MessageID gotong.EventID `json:"message_id"`
}

// Unpin takes a message off that list.
type Unpin struct {
	MessageID gotong.EventID `json:"message_id"`
}
