package group

import (
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// InvitationLife is how long an invitation is open.
const InvitationLife = 30 * 24 * time.Hour

const requestPrefix = "req-"

// Managing is the role that admins and moderators hold beside their own: the
// audience of events about requests and invitations.
const Managing = "managing"

// The collections of requests and invitations. Both end when the user becomes a
// member or is banned.
const (
	Requests    = "group_requests"    // (group id, request id) → Request: the pending ones
	Applicants  = "group_applicants"  // (group id, user id) → gotong.Entry: the user's pending request
	Invitations = "group_invitations" // (group id, user id) → Invitation: open, or expired
	OfInvited   = "user_invitations"  // (user id, gotong.EntryName) → gotong.Entry: groups, by the time of the invitation
)

// Request is the document of a pending request to join.
type Request struct {
	UserID  string         `json:"user_id"`
	Message string         `json:"message,omitempty"`
	At      gotong.Instant `json:"at"`
}

// Invitation is the document of an invitation.
type Invitation struct {
	By      string         `json:"by"`
	At      gotong.Instant `json:"at"` // by the clock
	UntilMS int64          `json:"until_ms"`
}

// Open reports whether the user can still accept the invitation.
func (i Invitation) Open(now gotong.Instant) bool { return now.Milli() < i.UntilMS }

// RequestID returns the id of the request that an event of the group made.
func RequestID(seq uint64) string { return requestPrefix + gotong.SeqName(seq) }

// RequestKey is the key of a request's document.
func RequestKey(id, requestID string) gotong.Key {
	return gotong.Key{Collection: Requests, Owner: id, Name: requestID}
}

// ApplicantKey is the key of the document that names a user's request.
func ApplicantKey(id, userID string) gotong.Key {
	return gotong.Key{Collection: Applicants, Owner: id, Name: userID}
}

// InvitationKey is the key of a user's invitation.
func InvitationKey(id, userID string) gotong.Key {
	return gotong.Key{Collection: Invitations, Owner: id, Name: userID}
}

// OfInvitedKey is the key of an invitation's line among those of the user.
func OfInvitedKey(userID string, at gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfInvited, Owner: userID, Name: gotong.EntryName(at, id)}
}

// The names of the commands about requests and invitations.
const (
	CmdAsk                = "request.make"
	CmdApprove            = "request.approve"
	CmdReject             = "request.reject"
	CmdWithdraw           = "request.withdraw"
	CmdInvite             = "invitation.send"
	CmdAccept             = "invitation.accept"
	CmdDecline            = "invitation.decline"
	CmdWithdrawInvite     = "invitation.withdraw"
	EvAsked               = "request.made"
	EvRejected            = "request.rejected"
	EvWithdrawn           = "request.withdrawn"
	EvInvited             = "invitation.sent"
	EvDeclined            = "invitation.declined"
	EvInvitationWithdrawn = "invitation.withdrawn"
)

func joiningCommands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Ask](CmdAsk), gotong.TypeOf[Approve](CmdApprove), gotong.TypeOf[Reject](CmdReject),
		gotong.TypeOf[Withdraw](CmdWithdraw), gotong.TypeOf[Invite](CmdInvite), gotong.TypeOf[Accept](CmdAccept),
		gotong.TypeOf[Decline](CmdDecline), gotong.TypeOf[WithdrawInvite](CmdWithdrawInvite),
	}
}

func joiningEvents() []gotong.EventType {
	return []gotong.EventType{
		gotong.EventWith[Asked, Note](EvAsked), gotong.EventOf[Answered](EvRejected), gotong.EventOf[Answered](EvWithdrawn),
		gotong.EventOf[Invited](EvInvited), gotong.EventOf[Uninvited](EvDeclined), gotong.EventOf[Uninvited](EvInvitationWithdrawn),
	}
}

func joiningDocuments() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Request](Requests), gotong.TypeOf[gotong.Entry](Applicants),
		gotong.TypeOf[Invitation](Invitations), gotong.TypeOf[gotong.Entry](OfInvited),
	}
}

// Ask requests to become a member of a group that approves its members.
type Ask struct {
	Message string `json:"message,omitempty"`
}

// Approve makes the user who made a request a member.
type Approve struct {
	RequestID string `json:"request_id"`
}

// Reject ends a request without making its user a member.
type Reject struct {
	RequestID string `json:"request_id"`
}

// Withdraw ends the actor's own request.
type Withdraw struct {
	RequestID string `json:"request_id"`
}

// Invite invites a user, who becomes a member by accepting.
type Invite struct {
	UserID string `json:"user_id"`
}

// Accept makes the actor, who was invited, a member.
type Accept struct{}

// Decline ends the actor's invitation.
type Decline struct{}

// WithdrawInvite ends a user's invitation.
type WithdrawInvite struct {
	UserID string `json:"user_id"`
}

// Asked is the data of request.made. The id of the request is that of [RequestID].
type Asked struct {
	Now gotong.Instant `json:"now,omitzero"` // the clock, where a ban was over by then
}

// Note is the content of request.made.
type Note struct {
	Message string `json:"message,omitempty"`
}

// Answered is the data of request.rejected and request.withdrawn.
type Answered struct {
	RequestID string `json:"request_id"`
	UserID    string `json:"user_id"`
}

// Invited is the data of invitation.sent.
type Invited struct {
	UserID  string         `json:"user_id"`
	UntilMS int64          `json:"until_ms"`
	Now     gotong.Instant `json:"now"`
}

// Uninvited is the data of invitation.declined and invitation.withdrawn.
type Uninvited struct {
	UserID string         `json:"user_id"`
	Now    gotong.Instant `json:"now"`
}

func (c Ask) Clean() any { c.Message = text.Note.Clean(c.Message); return c }

func (c Ask) Validate(check *gotong.Check) { text.Note.Check(check, "message", c.Message) }

func (c Approve) Validate(check *gotong.Check) { checkRequest(check, c.RequestID) }

func (c Reject) Validate(check *gotong.Check) { checkRequest(check, c.RequestID) }

func (c Withdraw) Validate(check *gotong.Check) { checkRequest(check, c.RequestID) }

func (c Invite) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c WithdrawInvite) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func checkRequest(check *gotong.Check, id string) {
	check.That(gotong.ValidID(id), "request_id", "must be the id of a request, req-…")
}
