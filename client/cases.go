package client

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
)

// NewCase describes a case to be created.
type NewCase struct {
	ScopeID     string `json:"scope_id"` // where it belongs: "rt05", or a group's id
	Track       string `json:"track"`    // tuntaskan, wujudkan, telusuri, rayakan, musyawarah, or one of the operator's
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Privacy     string `json:"privacy_level,omitempty"` // public, private; empty is public
}

// Case is a case as the caller may see it.
type Case struct {
	CaseID      string   `json:"case_id"`
	ScopeID     string   `json:"scope_id"`
	Track       string   `json:"track"`
	Stage       string   `json:"active_stage"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Privacy     string   `json:"privacy_level"`
	CreatedBy   string   `json:"created_by"`
	MemberCount int      `json:"member_count"`
	Transition  string   `json:"open_transition_id"` // empty if none is open
	CreatedAtMS int64    `json:"created_at_ms"`
	UpdatedAtMS int64    `json:"updated_at_ms"`
	AsOf        From     `json:"as_of"`          // follow from here
	MyRoles     []string `json:"my_track_roles"` // the caller's roles; empty if they are not a member
}

// Stream returns the case's stream.
func (c Case) Stream() gotong.Stream { return gotong.NewStream("case", c.CaseID) }

// CaseMember is a user's membership of a case.
type CaseMember struct {
	UserID     string   `json:"user_id"`
	Webhook    bool     `json:"webhook"` // UserID is that of a webhook, which has no roles
	Name       string   `json:"name"`
	TrackRoles []string `json:"track_roles"` // author, pic, participant, saksi, bendahara, humas, verifikator
	JoinedAtMS int64    `json:"joined_at_ms"`
}

func casePath(id string, more ...string) string {
	return joined("/v1/cases/", append([]string{id}, more...))
}

// CreateCase creates a case; the caller becomes its author.
func (c *Client) CreateCase(ctx context.Context, in NewCase, opts ...CallOption) (Case, error) {
	return write[Case](ctx, c, http.MethodPost, "/v1/cases", in, opts)
}

// Cases lists cases, newest first: the public ones of a scope or, without one,
// those of the caller.
func (c *Client) Cases(ctx context.Context, scopeID string, page Page) (List[Case], error) {
	q := page.query()
	set(q, "scope_id", scopeID)
	return list[Case](ctx, c, "/v1/cases", q)
}

// Case returns a case.
func (c *Client) Case(ctx context.Context, id string) (Case, error) {
	return read[Case](ctx, c, casePath(id), nil)
}

// CaseMembers lists a case's members by user id.
func (c *Client) CaseMembers(ctx context.Context, id string, page Page) (List[CaseMember], error) {
	return list[CaseMember](ctx, c, casePath(id, "members"), page.query())
}

// SetCaseMember makes a user a member with these roles, or gives a member these
// roles in place of the former ones.
func (c *Client) SetCaseMember(ctx context.Context, id, userID string, roles []string, opts ...CallOption) (CaseMember, error) {
	return write[CaseMember](ctx, c, http.MethodPut, casePath(id, "members", userID), fields{"track_roles": roles}, opts)
}

// RemoveCaseMember ends a user's membership. After it returns, no further event
// of the case is delivered to that user.
func (c *Client) RemoveCaseMember(ctx context.Context, id, userID string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: casePath(id, "members", userID), opts: opts}, nil)
}

// LeaveCase ends the caller's membership. Votes on an open gate still count.
func (c *Client) LeaveCase(ctx context.Context, id string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodPost, path: casePath(id, "leave"), opts: opts}, nil)
}

// Proposal is a step that the caller proposes for a case. The gate follows from
// the case's track; a profile can only make it stricter.
type Proposal struct {
	CaseID    string `json:"entity_id"`
	From      string `json:"from_stage"` // the stage where the case is
	To        string `json:"to_stage"`
	Profile   string `json:"gate_profile,omitempty"`
	Secret    bool   `json:"secret,omitempty"`     // choices stay hidden after the close
	FastTrack bool   `json:"fast_track,omitempty"` // if the step has one
}

// Transition is a step of a case with its gate.
type Transition struct {
	TransitionID string `json:"transition_id"`
	CaseID       string `json:"entity_id"`
	Track        string `json:"track"`
	From         string `json:"from_stage"`
	To           string `json:"to_stage"`
	OccurredAtMS int64  `json:"occurred_at_ms"`
	EventHash    string `json:"event_hash"`
	Gate         Gate   `json:"gate"`
}

// Gate decides whether a step is applied.
type Gate struct {
	Type       string `json:"gate_type"` // none, consent, vote, challenge, fast_track
	Profile    string `json:"gate_profile"`
	Status     string `json:"status"` // open, disputed, applied, rejected, cancelled, undone
	Phase      string `json:"phase"`  // of an open gate: consent, vote, approval, ratification, challenge, dispute
	Why        string `json:"why"`    // what decided the vote or the outcome
	OpensAtMS  int64  `json:"opens_at_ms"`
	ClosesAtMS int64  `json:"closes_at_ms"`
	Voters     int    `json:"voters"`
	TookPart   int    `json:"took_part"`
	Quorum     int    `json:"quorum"`    // people
	Threshold  int    `json:"threshold"` // percentage of yes among yes and no that must be exceeded
	Secret     bool   `json:"secret"`
	MyChoice   string `json:"my_choice"`
	Tally      *Tally `json:"vote_tally"` // once the vote has closed
	AsOf       From   `json:"as_of"`
}

// Tally is the sum of a vote that has closed.
type Tally struct {
	Needed  int      `json:"needed"` // the quorum, in people
	Yes     int      `json:"yes"`
	No      int      `json:"no"`
	Abstain int      `json:"abstain"`
	Votes   []Vote   `json:"votes"` // of up to 200 voters; of more, see [Client.Votes]
	Voided  []uint64 `json:"voided"`
}

// Vote is a vote that counts. Choice is empty if the gate is secret.
type Vote struct {
	UserID string `json:"user_id"`
	Seq    uint64 `json:"seq"`
	Choice string `json:"choice"` // yes, no, abstain
}

func transitionPath(id string, more ...string) string {
	return joined("/v1/transitions/", append([]string{id}, more...))
}

// Propose proposes a step of a case.
func (c *Client) Propose(ctx context.Context, in Proposal, opts ...CallOption) (Transition, error) {
	return write[Transition](ctx, c, http.MethodPost, "/v1/transitions", in, opts)
}

// Transition returns a transition.
func (c *Client) Transition(ctx context.Context, id string) (Transition, error) {
	return read[Transition](ctx, c, transitionPath(id), nil)
}

// Votes lists the votes that count, by user id: until the vote has closed, the
// caller's own alone.
func (c *Client) Votes(ctx context.Context, id string, page Page) (List[Vote], error) {
	return list[Vote](ctx, c, transitionPath(id, "votes"), page.query())
}

func (c *Client) act(ctx context.Context, id, path string, body any, opts []CallOption) (Transition, error) {
	return write[Transition](ctx, c, http.MethodPost, transitionPath(id, path), body, opts)
}

// Object objects to a proposal: a consent becomes a vote.
func (c *Client) Object(ctx context.Context, id, why string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "objections", fields{"reason": why}, opts)
}

// Vote casts the caller's vote, or replaces it: yes, no, abstain.
func (c *Client) Vote(ctx context.Context, id, choice string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "votes", fields{"choice": choice}, opts)
}

// Withdraw ends a proposal without its step.
func (c *Client) Withdraw(ctx context.Context, id string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "withdraw", nil, opts)
}

// Approve applies a step on the fast track, which a vote then ratifies.
func (c *Client) Approve(ctx context.Context, id string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "approve", nil, opts)
}

// Dispute suspends a step whose vote has passed until a moderator decides.
func (c *Client) Dispute(ctx context.Context, id, why string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "disputes", fields{"reason": why}, opts)
}

// Resolve decides a dispute: the step is applied or, without confirm, rejected.
func (c *Client) Resolve(ctx context.Context, id string, confirm bool, why string, opts ...CallOption) (Transition, error) {
	return c.act(ctx, id, "resolution", fields{"confirm": confirm, "reason": why}, opts)
}

// VoidVote removes the vote of a voter who was removed from the case.
func (c *Client) VoidVote(ctx context.Context, id, userID, why string, opts ...CallOption) (Transition, error) {
	return write[Transition](ctx, c, http.MethodPost, transitionPath(id, "votes", userID, "void"), fields{"reason": why}, opts)
}
