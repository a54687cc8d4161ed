package chat

import (
	"maps"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/view"
)

// ThreadView is a thread as one viewer sees it.
type ThreadView struct {
	ThreadID     string         `json:"thread_id"`
	ScopeID      string         `json:"scope_id"`
	CreatedBy    string         `json:"created_by"`
	Privacy      thread.Privacy `json:"privacy_level" enum:"public,private"`
	History      thread.Policy  `json:"history" enum:"all,from_join" doc:"Which messages members may read: all, or those from their memberships."`
	Members      thread.Source  `json:"members" enum:"own,home" doc:"The members are its own, or those of its lender."`
	Lender       gotong.Stream  `json:"lender,omitempty" doc:"If the members are borrowed: the stream (kind/id) that has them."`
	Name         string         `json:"name,omitempty"`
	Topic        string         `json:"topic,omitempty"`
	Icon         string         `json:"icon,omitempty" doc:"One emoji."`
	With         *Author        `json:"with,omitempty" doc:"Of a direct thread: the other user."`
	MemberCount  int            `json:"member_count"`
	Closed       bool           `json:"closed,omitempty" doc:"True once the last member has left: nobody can join any more."`
	CreatedAtMS  int64          `json:"created_at_ms"`
	UpdatedAtMS  int64          `json:"updated_at_ms"`
	ArchivedAtMS int64          `json:"archived_at_ms,omitempty" doc:"Present while the thread is archived: nobody can write in it."`
	SlowS        int            `json:"slow_mode_s,omitempty" doc:"In slow mode: the seconds that an ordinary member must wait between two messages."`
	Seq          uint64         `json:"seq" doc:"The seq of the newest event."`
	AsOf         string         `json:"as_of" doc:"The cursor of this state: follow the thread from here."`
	HomeAsOf     string         `json:"home_as_of,omitempty" doc:"If the members are borrowed: the cursor of the group, whose events list them."`
	LenderAsOf   string         `json:"lender_as_of,omitempty" doc:"If the lender is not the group: the cursor of the lender."`
	MyRole       thread.Role    `json:"my_role,omitempty" enum:"owner,admin,member" doc:"Absent if you are not a member."`
	Muted        bool           `json:"muted,omitempty" doc:"True while you mute the thread for yourself."`
	MutedUntilMS int64          `json:"muted_until_ms,omitempty" doc:"When your mute of the thread ends, if it does."`
	Unread       *int           `json:"unread,omitempty" minimum:"0" maximum:"999" doc:"For members: unread messages, counted to 999."`
	Mentions     *int           `json:"mentions,omitempty" minimum:"0" maximum:"999" doc:"For members: how many unread messages mention you."`
	Mark         *Mark          `json:"mark,omitempty" doc:"For members: how far you have read."`
	N            *uint64        `json:"n,omitempty" doc:"For members: the ordinal of the newest message."`
}

// MemberView is one member of a thread.
type MemberView struct {
	ThreadID    string      `json:"thread_id"`
	UserID      string      `json:"user_id"`
	Webhook     bool        `json:"webhook,omitempty" doc:"True if the member is a webhook, with its id in user_id."`
	Name        string      `json:"name,omitempty"`
	Username    string      `json:"username,omitempty"`
	Role        thread.Role `json:"role,omitempty" enum:"owner,admin,member" doc:"Absent for a webhook, and for a user who has never been a member."`
	JoinedAtMS  int64       `json:"joined_at_ms"`
	LeftAtMS    int64       `json:"left_at_ms,omitempty" doc:"Absent for an active member."`
	MuteUntilMS int64       `json:"mute_until_ms,omitempty"`
	Banned      bool        `json:"ban,omitempty" doc:"True if banned for ever."`
	BanUntilMS  int64       `json:"ban_until_ms,omitempty" doc:"The end of the ban."`
}

// Author is a user, as other users see them.
type Author struct {
	UserID   string `json:"user_id"`
	Name     string `json:"name"`
	Username string `json:"username,omitempty" doc:"Of the other user in a direct thread."`
}

// Reaction is one emoji on a message, with the users who put it there.
type Reaction struct {
	Emoji   string   `json:"emoji"`
	Count   int      `json:"count"`
	UserIDs []string `json:"user_ids"`
}

// Mention is a place in the text of a message that names users.
type Mention struct {
	UserID string `json:"user_id,omitempty" doc:"The user who is named."`
	Name   string `json:"name,omitempty" doc:"The name of that user now."`
	Group  string `json:"group,omitempty" enum:"here" doc:"here: all members."`
	Role   string `json:"role,omitempty" doc:"The members with this role; if the members are borrowed, of the lender."`
	From   int    `json:"from" doc:"Where the name begins, with its @: the number of code points before it."`
	To     int    `json:"to" doc:"Where it ends: the number of code points before the first one after the name."`
}

// MessageView is a message as it reads now.
type MessageView struct {
	ThreadID      string              `json:"thread_id"`
	MessageID     gotong.EventID      `json:"message_id"`
	Seq           uint64              `json:"seq"`
	N             uint64              `json:"n" doc:"The ordinal among the thread's messages."`
	Author        Author              `json:"author"`
	AuthorID      string              `json:"author_id"`
	Body          string              `json:"body" doc:"Empty if the message was deleted or is held, or its text is withheld or was erased."`
	Erased        bool                `json:"erased,omitempty" doc:"True if a platform admin erased the text."`
	Withheld      bool                `json:"withheld,omitempty" doc:"True if you may not see the newest text; the author withdrew the older one."`
	Held          bool                `json:"held,omitempty" doc:"True while the message is held for review or is rejected: only its author gets the text."`
	Rejected      bool                `json:"rejected,omitempty" doc:"True if a reviewer rejected the message."`
	Warning       string              `json:"warning,omitempty" doc:"The label of the warning with which a reviewer published the message."`
	Attachments   []thread.Attachment `json:"attachments" doc:"Files; each has its link under /v1/chat/attachments."`
	CreatedAtMS   int64               `json:"created_at_ms"`
	At            gotong.Instant      `json:"at" format:"date-time"`
	EditedAtMS    int64               `json:"edited_at_ms,omitempty"`
	DeletedAtMS   int64               `json:"deleted_at_ms,omitempty"`
	Revision      uint64              `json:"revision" doc:"0 as posted; incremented by each edit."`
	ReplyTo       gotong.EventID      `json:"reply_to,omitzero"`
	Siaga         bool                `json:"siaga,omitempty"`
	Mentions      []Mention           `json:"mentions,omitempty" doc:"The places in the body that name users."`
	Reactions     []Reaction          `json:"reactions"`
	Replies       int                 `json:"replies,omitempty" minimum:"0" maximum:"999" doc:"The number of replies that you may see; it stops at 999."`
	Pinned        bool                `json:"pinned,omitempty" doc:"True if the message is on the list of pinned messages."`
	RequestID     string              `json:"request_id"`
	CorrelationID string              `json:"correlation_id"`
	SentAtMS      int64               `json:"sent_at_ms,omitempty" doc:"Of an imported message: its original time."`
	SentBy        string              `json:"sent_by,omitempty" doc:"Of an imported message: its original sender."`
}

// messageOf returns the view of a message.posted event; false for any other event.
func messageOf(e view.Event, names map[string]string) (MessageView, bool) {
	posted, ok := e.Data.(thread.Posted)
	if !ok {
		return MessageView{}, false
	}
	text, _ := e.Content.(thread.Text)
	author := e.Actor.UserID
	return MessageView{
		ThreadID: e.Stream.ID(), MessageID: e.ID, Seq: e.Seq, N: posted.N,
		Author: Author{UserID: author, Name: names[author]}, AuthorID: author,
		Body: text.Body, Attachments: append([]thread.Attachment{}, text.Files...), CreatedAtMS: e.At.Milli(), At: e.At,
		EditedAtMS: posted.EditedAtMS, DeletedAtMS: posted.DeletedAtMS, Revision: posted.Revision,
		ReplyTo: posted.ReplyTo, Siaga: posted.Siaga, Mentions: mentionsOf(posted.Mentions, names),
		Reactions: reactionsOf(posted.Reactions), Pinned: posted.Pinned,
		Withheld: posted.Withheld, Held: posted.Held, Rejected: posted.Rejected, Warning: posted.Warning, Erased: e.Erased,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID, SentAtMS: posted.SentAtMS, SentBy: text.SentBy,
	}, true
}

func mentionsOf(in []thread.Mention, names map[string]string) (list []Mention) {
	for _, m := range in {
		list = append(list, Mention{m.UserID, names[m.UserID], m.Group, m.Role, m.From, m.To})
	}
	return list
}

func reactionsOf(byEmoji map[string][]string) []Reaction {
	list := make([]Reaction, 0, len(byEmoji))
	for _, emoji := range slices.Sorted(maps.Keys(byEmoji)) {
		list = append(list, Reaction{Emoji: emoji, Count: len(byEmoji[emoji]), UserIDs: byEmoji[emoji]})
	}
	return list
}

// Tag returns the ETag of a message: its revision and, if there is more to it than its
// text, a checksum of that. An If-Match compares the revision alone.
func (m MessageView) Tag() string {
	tag := strconv.FormatUint(m.Revision, 10)
	if len(m.Reactions) > 0 || m.Withheld || m.Held || m.Warning != "" || m.Erased || m.Replies > 0 || m.Pinned {
		tag += "." + httpapi.Sum(m.Reactions, m.Withheld, m.Held, m.Rejected, m.Warning, m.Erased, m.Replies, m.Pinned)
	}
	return `"` + tag + `"`
}
