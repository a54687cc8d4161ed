// Package papantest holds the rules of papan, a notice board: its members post
// notices, its keepers add and remove members. It is a whole kind, and as small
// as a kind with members can be.
package papantest

import "gotong.dev/gotong"

// Name is the kind: the part of a stream's name before the slash.
const Name = "papan"

// The roles of members.
const (
	Keeper = "keeper" // the creator of the board, and members whom a keeper gave this role
	Member = "member"
)

// Create makes a board; the actor becomes its first keeper.
type Create struct {
	Title string `json:"title"`
}

// Post posts a notice.
type Post struct {
	Text string `json:"text"`
}

// Join makes the actor a member.
type Join struct{}

// Leave ends the actor's membership.
type Leave struct{}

// Add makes a user a member.
type Add struct {
	UserID string `json:"user_id"`
}

// Remove ends a user's membership, and with a ban keeps them out.
type Remove struct {
	UserID string `json:"user_id"`
	gotong.Ban
}

// Unban lifts a ban.
type Unban struct {
	UserID string `json:"user_id"`
}

// SetRole changes a member's role.
type SetRole struct {
	UserID string `json:"user_id"`
	Role   string `json:"role"`
}

// Nothing is the data of events that need none.
type Nothing struct{}

// Title is the content of papan.created.
type Title struct {
	Title string `json:"title"`
}

// Text is the content of notice.posted.
type Text struct {
	Text string `json:"text"`
}

// Seated is the data of member.seated.
type Seated struct {
	UserID string         `json:"user_id"`
	Role   string         `json:"role,omitempty"` // empty: no longer a member
	Now    gotong.Instant `json:"now,omitzero"`   // the clock, where the end of a ban was compared with it
	gotong.Ban
}

// Board is the document of one board.
type Board struct {
	Title   string `json:"title"`
	Keepers int    `json:"keepers"`
}

// StreamOf returns the stream that this create command makes. The id is derived
// from the request, so that a retry does not make a second board.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, "papan-"+gotong.DeriveID(Name, actor, requestID))
}

// Kind returns the rules.
func Kind() gotong.Kind {
	return gotong.Kind{
		Name: Name,
		Commands: []gotong.Type{
			gotong.TypeOf[Create]("papan.create"), gotong.TypeOf[Post]("papan.post"),
			gotong.TypeOf[Join]("papan.join"), gotong.TypeOf[Leave]("papan.leave"),
			gotong.TypeOf[Add]("member.add"), gotong.TypeOf[Remove]("member.remove"),
			gotong.TypeOf[Unban]("member.unban"), gotong.TypeOf[SetRole]("member.role"),
		},
		Events: []gotong.EventType{
			gotong.EventWith[Nothing, Title]("papan.created"), gotong.EventWith[Nothing, Text]("notice.posted"),
			gotong.EventOf[Seated]("member.seated"),
		},
		Documents: []gotong.Type{
			gotong.TypeOf[Board]("papans"), gotong.TypeOf[gotong.Membership]("papan_members"),
		},
		Home: home, Needs: needs, Decide: decide, Project: project,
		AccessNeeds: accessNeeds, Access: access, Affects: affects,
	}
}

// home returns the board itself: it is its own home.
func home(cmd gotong.Command) (gotong.Stream, error) {
	if _, ok := cmd.Data.(Create); !ok {
		return "", gotong.NotFound()
	}
	return cmd.Stream, nil
}

// needs names the documents that the rules look at: the board, the actor's
// membership and that of the user whom the command is about.
func needs(_ gotong.State, cmd gotong.Command) []gotong.Ref {
	s := cmd.Stream
	refs := []gotong.Ref{{Stream: s, Key: gotong.StreamKey(s)}, {Stream: s, Key: gotong.MemberKey(s, cmd.Actor.UserID)}}
	if user := target(cmd.Data); user != "" && user != cmd.Actor.UserID {
		refs = append(refs, gotong.Ref{Stream: s, Key: gotong.MemberKey(s, user)})
	}
	return refs
}

func target(data any) string {
	switch c := data.(type) {
	case Add:
		return c.UserID
	case Remove:
		return c.UserID
	case Unban:
		return c.UserID
	case SetRole:
		return c.UserID
	default:
		return ""
	}
}

// decide accepts a command with facts, accepts it without any (nothing changes),
// or rejects it.
func decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	board, ok := gotong.Doc[Board](s, gotong.StreamKey(s.Stream))
	me := membership(s, cmd.Actor.UserID)
	if c, creates := cmd.Data.(Create); creates && !ok {
		return gotong.Accept(gotong.Fact{Type: "papan.created", Data: Nothing{}, Content: Title(c)})
	}
	switch c := cmd.Data.(type) {
	case Create:
		return gotong.Reject(gotong.CodeConflict, "This board exists.")
	case Join:
		if !ok {
			return gotong.Decision{}, gotong.NotFound()
		}
		return seat(s, cmd, board, cmd.Actor.UserID, Member)
	case Leave:
		if !me.Active() {
			return gotong.Accept()
		}
		return seat(s, cmd, board, cmd.Actor.UserID, "")
	case Post:
		if me.Active() {
			return gotong.Accept(gotong.Fact{Type: "notice.posted", Data: Nothing{}, Content: Text(c)})
		}
	default:
		if me.Active() {
			return manage(s, cmd, board, me)
		}
	}
	return gotong.Decision{}, gotong.NotFound() // a board exists for its members alone, until they join
}

func membership(s gotong.State, userID string) gotong.Membership {
	m, _ := gotong.Doc[gotong.Membership](s, gotong.MemberKey(s.Stream, userID))
	return m
}

// manage decides what a keeper does to another user.
func manage(s gotong.State, cmd gotong.Command, board Board, me gotong.Membership) (gotong.Decision, error) {
	if me.Role != Keeper {
		return gotong.Reject(gotong.CodeForbidden, "Only keepers manage the members.")
	}
	switch c := cmd.Data.(type) {
	case Add:
		return seat(s, cmd, board, c.UserID, Member)
	case Remove:
		if err := c.CheckNow(cmd.Now); err != nil {
			return gotong.Decision{}, err
		}
		if c.Set() && membership(s, c.UserID).Ban != c.Ban {
			return seated(s, board, Seated{UserID: c.UserID, Ban: c.Ban, Now: compared(cmd, c.Ban)})
		}
		return seat(s, cmd, board, c.UserID, "")
	case Unban:
		if !membership(s, c.UserID).Set() {
			return gotong.Accept()
		}
		return seated(s, board, Seated{UserID: c.UserID})
	case SetRole:
		if !membership(s, c.UserID).Active() || c.Role != Keeper && c.Role != Member {
			return gotong.Reject(gotong.CodeConflict, "A member becomes keeper or member.")
		}
		return seat(s, cmd, board, c.UserID, c.Role)
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

// seat gives a user a role; an empty one ends the membership.
func seat(s gotong.State, cmd gotong.Command, board Board, userID, role string) (gotong.Decision, error) {
	m := membership(s, userID)
	switch {
	case m.Held() == role, m.Active() && role == Member && target(cmd.Data) == "":
		return gotong.Accept()
	case role != "" && m.Holds(cmd.Now):
		return gotong.Reject(gotong.CodeForbidden, "This user is banned from the board.")
	default:
		return seated(s, board, Seated{UserID: userID, Role: role, Now: compared(cmd, m.Ban)})
	}
}

// compared returns the clock where the decision compared it with the end of a
// ban; the event records it.
func compared(cmd gotong.Command, b gotong.Ban) gotong.Instant {
	if b.UntilMS == 0 {
		return 0
	}
	return cmd.Now
}

func seated(s gotong.State, board Board, d Seated) (gotong.Decision, error) {
	if board.Keepers == 1 && d.Role != Keeper && membership(s, d.UserID).Held() == Keeper {
		return gotong.Reject(gotong.CodeConflict, "The last keeper stays.")
	}
	return gotong.Accept(gotong.Fact{Type: "member.seated", Data: d})
}

// project returns the changes that an event makes; nothing else changes documents.
func project(s gotong.State, e gotong.Event) []gotong.Change {
	key := gotong.StreamKey(e.Stream)
	board, _ := gotong.Doc[Board](s, key)
	user, role, ban := e.Actor.UserID, Keeper, gotong.Ban{}
	switch d := e.Data.(type) {
	case Seated:
		user, role, ban = d.UserID, d.Role, d.Ban
	case gotong.Erased:
		if d.Seq == 1 { // of papan.created
			board.Title = ""
		}
		return []gotong.Change{{Key: key, Doc: board}}
	default:
		title, ok := e.Content.(Title)
		if e.Type != "papan.created" {
			return nil
		}
		if ok { // else it was erased
			board.Title = title.Title
		}
	}
	m := membership(s, user)
	if m.Held() == Keeper {
		board.Keepers--
	}
	if m = m.Seat(e, role); m.Held() == Keeper {
		board.Keepers++
	}
	m.Ban = ban
	return []gotong.Change{{Key: key, Doc: board}, {Key: gotong.MemberKey(e.Stream, user), Doc: m}}
}

// accessNeeds and access say what a viewer may see: members see all of it while
// they are members.
func accessNeeds(s gotong.State, v gotong.Viewer) []gotong.Ref {
	return []gotong.Ref{{Stream: s.Stream, Key: gotong.MemberKey(s.Stream, v.UserID)}}
}

func access(s gotong.State, v gotong.Viewer) gotong.Grant {
	m := membership(s, v.UserID)
	if !m.Active() {
		return gotong.Grant{}
	}
	return gotong.Grant{Readable: true, Roles: []string{m.Role}, Spans: []gotong.Span{{Stream: s.Stream}}}
}

// affects names the users whose access an event may have changed, so that
// delivery to them stops or begins.
func affects(e gotong.Event) gotong.Affected {
	switch d := e.Data.(type) {
	case Seated:
		return gotong.Affected{Users: []string{d.UserID}}
	default:
		return gotong.Affected{Users: []string{e.Actor.UserID}}
	}
}
