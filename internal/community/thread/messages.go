package thread

import (
	"slices"
	"time"

	"gotong.dev/gotong"
)

// EditWindow is how long after a post its author may edit it.
const EditWindow = 15 * time.Minute

// The limits of reactions to one message.
const (
	MaxEmoji     = 20
	MaxReactions = 1000
)

// maySend rejects the command unless the actor is a member who is not muted.
func (r ruling) maySend() error {
	switch {
	case r.me.role == "":
		return gotong.NewError(gotong.CodeForbidden, "Only members can write in this thread; join it first.")
	case r.me.row.MutedAt(r.cmd.Now):
		return gotong.NewError(gotong.CodeForbidden, "You are muted in this thread.")
	case gotong.Blocks(r.state, r.thread.Other(r.me.userID), r.me.userID):
		return gotong.NewError(gotong.CodeForbidden, "It is not possible to write in this thread.")
	case r.thread.Direct() && r.thread.Roster.Members < len(r.thread.Pair):
		return gotong.NewError(gotong.CodeConflict, "The other user has left this direct thread; only they can return to it.")
	case r.thread.ArchivedAt != 0:
		return gotong.NewError(gotong.CodeArchived, "The thread is archived: it can only be read.")
	default:
		return nil
	}
}

// sentAt returns the time that an event keeps after [ruling.maySend]: 0 if there
// was no mute with which to compare it, and it is the event's At.
func (r ruling) sentAt() gotong.Instant {
	if r.me.row.MuteUntilMS != 0 || r.cmd.Now != r.cmd.At {
		return r.cmd.Now
	}
	return 0
}

// editable reports whether a message may still be edited: the clock must be within
// the window of the clock at the post, in both directions. A message that was
// posted while the clock ran ahead cannot be edited until that time.
func editable(e gotong.Event, now gotong.Instant) bool {
	posted := e.At
	if d, ok := e.Data.(Posted); ok && d.Now != 0 {
		posted = d.Now
	}
	return now <= posted.Add(EditWindow) && posted <= now.Add(EditWindow)
}

// message returns a message of the thread and its overlay; [gotong.CodeNotFound]
// if the actor may not see it. Moderators who are not members act on the whole
// thread.
func (r ruling) message(id gotong.EventID) (gotong.Event, Overlay, error) {
	e, ok := r.state.Event(id)
	if !ok || e.Type != EvPosted || r.me.role != "" && !r.state.Sees(e) {
		return e, Overlay{}, gotong.NewError(gotong.CodeNotFound, "There is no such message in this thread.")
	}
	o, _ := gotong.Doc[Overlay](r.state, OverlayKey(r.state.Stream.ID(), e.Seq))
	return e, o, nil
}

func (r ruling) post(c Post) (gotong.Decision, error) {
	if err := r.maySend(); err != nil {
		return gotong.Decision{}, err
	}
	if err := r.mayClaim(c.Origin); err != nil {
		return gotong.Decision{}, err
	}
	data := Posted{
		N: r.state.Head.Count + 1, ReplyTo: c.ReplyTo, Siaga: c.Siaga, Mentions: r.mentions(), SentAtMS: c.SentAtMS, Now: r.sentAt(),
	}
	data.Lender = r.addressed(data.Mentions)
	if c.Siaga {
		if !r.broadcasts() {
			return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can send an emergency broadcast.")
		}
		data.Lender = r.thread.Lender
	}
	if !c.ReplyTo.IsZero() {
		target, o, err := r.message(c.ReplyTo)
		if err != nil {
			return gotong.Decision{}, err
		}
		if o.Deleted() {
			return gotong.Reject(gotong.CodeTargetDeleted, "The message to reply to was deleted.")
		}
		data.ReplySeq = target.Seq
	}
	files, err := r.attach(c.Attachments)
	if err != nil {
		return gotong.Decision{}, err
	}
	data.Uploads = c.Attachments
	if err := r.tooSoon(); err != nil {
		return gotong.Decision{}, err
	}
	if data.Slow = r.slowed(); data.Slow {
		data.Now = r.cmd.Now
	}
	return r.newcomers(gotong.Event{Seq: r.state.Head.Seq + 1, Count: data.N, Actor: r.cmd.Actor}, gotong.Fact{
		Type:    EvPosted,
		Counted: true,
		Data:    data,
		Content: Text{Body: c.Body, SentBy: c.SentBy, Files: files},
	})
}

func (r ruling) edit(c Edit) (gotong.Decision, error) {
	if err := r.maySend(); err != nil {
		return gotong.Decision{}, err
	}
	e, o, err := r.message(c.MessageID)
	switch {
	case err != nil:
		return gotong.Decision{}, err
	case e.Actor.UserID != r.me.userID:
		return gotong.Reject(gotong.CodeForbidden, "Only its author can edit a message.")
	case o.Deleted():
		return gotong.Reject(gotong.CodeTargetDeleted, "The message was deleted.")
	case o.Held != 0:
		return gotong.Reject(gotong.CodeConflict, "The message is held for review.")
	case !editable(e, r.cmd.Now):
		return gotong.Reject(gotong.CodeForbidden, "A message can be edited for 15 minutes.")
	case c.Revision != o.Revision:
		return gotong.Reject(gotong.CodeVersion, "The message has another revision.")
	default:
		mentions := r.mentions()
		return r.newcomers(e, gotong.Fact{
			Type: EvEdited,
			Data: Edited{
				MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Revision: o.Revision + 1,
				Mentions: mentions, Lender: r.addressed(mentions), Now: r.cmd.Now,
			},
			Content: NewText{c.Body},
		})
	}
}

// delete does not count as sending: a muted member may delete their own messages.
func (r ruling) delete(c Delete) (gotong.Decision, error) {
	if r.me.role == "" && !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only members can do that; join the thread first.")
	}
	e, o, err := r.message(c.MessageID)
	switch {
	case err != nil:
		return gotong.Decision{}, err
	case e.Actor.UserID != r.me.userID && !r.moderates():
		return gotong.Reject(gotong.CodeForbidden, "Only its author and moderators can delete a message.")
	case o.Deleted():
		return gotong.Accept()
	case c.Revision != nil && *c.Revision != o.Revision:
		return gotong.Reject(gotong.CodeVersion, "The message has another revision.")
	default:
		posted, _ := e.Data.(Posted)
		fact := gotong.Fact{
			Type: EvDeleted,
			Data: Deleted{MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Revision: o.Revision + 1, Uploads: posted.Uploads},
		}
		if o.Moderated { // reasons may quote the text
			m, _ := gotong.Doc[Moderation](r.state, ModerationKey(r.state.Stream.ID(), e.Seq))
			if fact.Erases = slices.Clone(m.Grounds); o.Advice != 0 {
				fact.Erases = append(fact.Erases, o.Advice)
			}
			slices.Sort(fact.Erases)
		}
		return gotong.Accept(fact)
	}
}

func (r ruling) react(c React) (gotong.Decision, error) {
	if err := r.maySend(); err != nil {
		return gotong.Decision{}, err
	}
	e, o, err := r.message(c.MessageID)
	switch {
	case err != nil:
		return gotong.Decision{}, err
	case o.Deleted():
		return gotong.Reject(gotong.CodeTargetDeleted, "The message was deleted.")
	case o.reacted(c.Emoji, r.me.userID) == c.On:
		return gotong.Accept()
	case c.On && o.Reactions[c.Emoji] == nil && len(o.Reactions) >= MaxEmoji:
		return gotong.Reject(gotong.CodeConflict, "The message already has 20 different emoji.")
	case c.On && o.reactions() >= MaxReactions:
		return gotong.Reject(gotong.CodeConflict, "The message already has 1000 reactions.")
	default:
		return gotong.Accept(gotong.Fact{
			Type: EvReacted,
			Data: Reacted{MessageID: e.ID, TargetSeq: e.Seq, N: e.Count, Emoji: c.Emoji, On: c.On, Now: r.sentAt()},
		})
	}
}
