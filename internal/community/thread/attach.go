package thread

import (
	"slices"

	"gotong.dev/gotong"
)

// MaxAttachments bounds the attachments of one message.
const MaxAttachments = 20

// Uploads is the collection of what was attached: (thread id, upload id) →
// Attached. A document stays when its message is deleted, so that an upload is
// attached once.
const Uploads = "thread_uploads"

// Attached is the message to which an upload is attached.
type Attached struct {
	MessageID gotong.EventID `json:"message_id"`
	Seq       uint64         `json:"seq"`
}

// AttachedKey is the key of what an upload is attached to.
func AttachedKey(id, uploadID string) gotong.Key {
	return gotong.Key{Collection: Uploads, Owner: id, Name: uploadID}
}

// Attachment is a file as the message shows it.
type Attachment struct {
	ID     string `json:"attachment_id"` // of the upload
	Name   string `json:"file_name"`
	Type   string `json:"mime_type"`
	Size   int64  `json:"size_bytes"`
	Width  int    `json:"width,omitempty"` // of a picture
	Height int    `json:"height,omitempty"`
	Thumb  bool   `json:"thumbnail,omitempty"`
}

// Attachable is the document of an upload, which another kind keeps. Attach returns
// the upload as a message shows it, and false unless the user may attach it in the
// thread now.
type Attachable interface {
	Attach(thread gotong.Stream, userID, id string) (Attachment, bool)
}

// UploadStream is the stream of an upload.
func UploadStream(id string) gotong.Stream { return gotong.NewStream("upload", id) }

// uploadRefs names the uploads of a post, and what they are attached to. The commit
// then expects their heads, so an upload that is collected meanwhile is not attached.
func uploadRefs(cmd gotong.Command) (refs []gotong.Ref) {
	c, _ := cmd.Data.(Post)
	for _, id := range c.Attachments {
		u := UploadStream(id)
		refs = append(refs, gotong.Ref{Stream: u, Key: gotong.StreamKey(u)},
			gotong.Ref{Stream: cmd.Stream, Key: AttachedKey(cmd.Stream.ID(), id)})
	}
	return refs
}

// attach returns the attachments of a post. Whatever prevents it, the error is the
// same, so that nobody learns anything about the uploads of others.
func (r ruling) attach(ids []string) (list []Attachment, err error) {
	for _, id := range ids {
		u, _ := gotong.Doc[Attachable](r.state, gotong.StreamKey(UploadStream(id)))
		_, used := gotong.Doc[Attached](r.state, AttachedKey(r.state.Stream.ID(), id))
		var a Attachment
		ok := u != nil && !used
		if ok {
			a, ok = u.Attach(r.state.Stream, r.me.userID, id)
		}
		if !ok {
			return nil, gotong.Invalid("attachments", "must name finished uploads of yours to this thread that are in no message")
		}
		list = append(list, a)
	}
	return list, nil
}

func posted(e gotong.Event, d Posted) (changes []gotong.Change) {
	for _, id := range d.Uploads {
		changes = append(changes, gotong.Change{Key: AttachedKey(e.Stream.ID(), id), Doc: Attached{MessageID: e.ID, Seq: e.Seq}})
	}
	if d.ReplySeq > 0 {
		changes = append(changes, gotong.Change{Key: ReplyKey(e.Stream.ID(), d.ReplySeq, e.Seq), Doc: gotong.Entry{}})
	}
	return changes
}

// MayPost returns an error unless the actor of the command may post in the thread of
// the state, which must hold what [Rules.KnowNeeds] names.
func (r Rules) MayPost(s gotong.State, cmd gotong.Command) error {
	t, ok := gotong.Doc[Thread](s, ThreadKey(s.Stream.ID()))
	on := ruling{r, s, t, cmd, r.standingOf(s, t, cmd.Actor.UserID)}
	if !ok || !mayKnow(s, t, on.me) {
		return gotong.NotFound()
	}
	return on.maySend()
}

// Gone reports whether a message was deleted or its content erased. The state must
// hold the event and [OverlayKey].
func Gone(s gotong.State, thread gotong.Stream, a Attached) bool {
	e, ok := s.Event(a.MessageID)
	o, _ := gotong.Doc[Overlay](s, OverlayKey(thread.ID(), a.Seq))
	return ok && (e.Content == nil || o.Deleted())
}

func checkUploads(check *gotong.Check, ids []string) {
	check.That(len(ids) <= MaxAttachments, "attachments", "must be at most 20")
	for i, id := range ids {
		check.That(gotong.ValidID(id) && !slices.Contains(ids[:i], id), "attachments", "must be ids of uploads, each once")
	}
}
