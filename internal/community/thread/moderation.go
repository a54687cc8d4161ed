package thread

import (
	"slices"

	"gotong.dev/gotong"
)

// The collections of moderation.
const (
	Reviews     = "thread_reviews"     // (thread id, gotong.SeqName(seq of the message)) → Pending
	Queue       = "thread_queue"       // (QueueOwner, gotong.EntryName(since, thread id)) → Queued
	Moderations = "thread_moderations" // (thread id, gotong.SeqName(seq of the message)) → Moderation
)

// QueueOwner owns the one queue of the messages that wait for a reviewer.
const QueueOwner = "all"

// Pending is a message that waits for a reviewer: held, reported, or with a proposal
// to hold it.
type Pending struct {
	Seq     uint64         `json:"seq"`                // of the message
	TextSeq uint64         `json:"text_seq"`           // of the event with its newest text, when it was held
	Advice  uint64         `json:"advice,omitempty"`   // the event that proposes
	Held    uint64         `json:"held,omitempty"`     // the event that holds; 0: only proposed or reported
	By      string         `json:"by,omitempty"`       // why it is held
	UntilMS int64          `json:"until_ms,omitempty"` // the end of the hold
	Auto    bool           `json:"auto_release,omitempty"`
	Reports int            `json:"reports,omitempty"` // since the last decision
	Flagged bool           `json:"flagged,omitempty"`
	Context []uint64       `json:"context,omitempty"` // seqs of the messages that the reports opened
	Since   gotong.Instant `json:"since"`
}

// Queued is one line of the queue.
type Queued struct {
	Seq uint64 `json:"seq"` // of the message
}

// Moderation is what was decided about a message, the newest decision flattened.
type Moderation struct {
	AuthorID    string         `json:"author_id"`
	Status      Status         `json:"status"`
	Action      Action         `json:"action"`
	By          string         `json:"by,omitempty"` // of a hold
	Code        string         `json:"reason_code,omitempty"`
	At          gotong.Instant `json:"at"`
	UntilMS     int64          `json:"until_ms,omitempty"`
	Auto        bool           `json:"auto_release,omitempty"`
	AppealMS    int64          `json:"appeal_until_ms,omitempty"`
	Appealed    bool           `json:"appealed,omitempty"`
	PublishedAt gotong.Instant `json:"published_at,omitempty"`
	Settled     gotong.Instant `json:"settled,omitempty"` // when, by the clock, a reviewer other than its author published or rejected it: older reports do not count

	// The events with the text that such a reviewer published, and that reports hid. It
	// is not hidden again; the text of a later edit is new.
	ClearedText uint64 `json:"cleared_text,omitempty"`
	HiddenText  uint64 `json:"hidden_text,omitempty"`

	// Seqs of events, oldest first: of the decisions (held, released, blocked), of
	// those that hold grounds or an appeal, and of the newest looks.
	Decided []uint64 `json:"decided,omitempty"`
	Grounds []uint64 `json:"grounds,omitempty"`
	Looks   []uint64 `json:"looks,omitempty"`
}

// textSeq returns the event with the newest text of the message with this seq.
func textSeq(seq uint64, o Overlay) uint64 { return max(seq, o.EditSeq) }

const (
	maxOpened = 20 // messages that the reports on one message open
	maxLooks  = 50
)

// PendingKey is the key of what waits for a message.
func PendingKey(id string, seq uint64) gotong.Key {
	return gotong.Key{Collection: Reviews, Owner: id, Name: gotong.SeqName(seq)}
}

// ModerationKey is the key of what was decided about a message.
func ModerationKey(id string, seq uint64) gotong.Key {
	return gotong.Key{Collection: Moderations, Owner: id, Name: gotong.SeqName(seq)}
}

// ModerationRefs returns the documents that say what waits for a message and what was
// decided about it.
func ModerationRefs(s gotong.Stream, seq uint64) []gotong.Ref {
	return []gotong.Ref{
		{Stream: s, Key: OverlayKey(s.ID(), seq)}, {Stream: s, Key: PendingKey(s.ID(), seq)}, {Stream: s, Key: ModerationKey(s.ID(), seq)},
	}
}

// docket is the documents of one message in moderation while an event changes them.
type docket struct {
	id      string
	seq     uint64
	overlay Overlay
	pending Pending
	record  Moderation
}

func docketOf(s gotong.State, e gotong.Event, seq uint64) docket {
	d := docket{id: e.Stream.ID(), seq: seq}
	d.overlay, _ = gotong.Doc[Overlay](s, OverlayKey(d.id, seq))
	d.pending, _ = gotong.Doc[Pending](s, PendingKey(d.id, seq))
	d.record, _ = gotong.Doc[Moderation](s, ModerationKey(d.id, seq))
	return d
}

// decide sets the newest decision.
func (d *docket) decide(e gotong.Event, status Status, action Action, authorID, code string) {
	r := &d.record
	r.AuthorID, r.Status, r.Action, r.Code, r.At = authorID, status, action, code, e.At
	r.By, r.UntilMS, r.Auto = "", 0, false
	r.Decided = append(slices.Clone(r.Decided), e.Seq)
}

// waiting puts the message into the queue unless it is there.
func (d *docket) waiting(e gotong.Event) []gotong.Change {
	p := &d.pending
	p.Seq = d.seq
	if p.Since != 0 {
		return []gotong.Change{{Key: PendingKey(d.id, d.seq), Doc: *p}}
	}
	p.Since = e.At
	return []gotong.Change{{Key: PendingKey(d.id, d.seq), Doc: *p}, {Key: queueKey(p.Since, d.id), Doc: Queued{d.seq}}}
}

// settled takes the message out of the queue.
func (d *docket) settled() []gotong.Change {
	if d.pending.Since == 0 {
		return nil
	}
	return []gotong.Change{{Key: PendingKey(d.id, d.seq)}, {Key: queueKey(d.pending.Since, d.id)}}
}

func queueKey(since gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: Queue, Owner: QueueOwner, Name: gotong.EntryName(since, id)}
}

// laid returns the changes of the overlay and of the record.
func (d *docket) laid() []gotong.Change {
	d.overlay.Moderated = true
	return []gotong.Change{
		{Key: OverlayKey(d.id, d.seq), Doc: d.overlay}, {Key: ModerationKey(d.id, d.seq), Doc: d.record},
	}
}

// hide leaves the text of the message out, also where an edit holds it, and the
// message out of the counts.
func (d *docket) hide(e gotong.Event, n uint64) []gotong.Change {
	d.overlay.N, d.overlay.Held, d.overlay.Warning = n, e.Seq, ""
	return append(superseded(e, d.overlay.MessageID, d.overlay), gotong.Change{Key: DeletedKey(d.id, n), Doc: gotong.Entry{}})
}

// advised marks the message, and puts it into the queue.
func advised(s gotong.State, e gotong.Event, a Advised) []gotong.Change {
	d := docketOf(s, e, a.TargetSeq)
	d.overlay.MessageID, d.overlay.N, d.overlay.Advice, d.overlay.Moderated = a.MessageID, a.N, e.Seq, true
	d.pending.Advice = e.Seq
	return append(d.waiting(e), gotong.Change{Key: OverlayKey(d.id, d.seq), Doc: d.overlay})
}

func heldBack(s gotong.State, e gotong.Event, h Held) []gotong.Change {
	d := docket{id: e.Stream.ID(), seq: h.TargetSeq}
	if !h.With { // else nothing can be known of it yet, and a post need not look
		d = docketOf(s, e, h.TargetSeq)
	}
	changes := d.hide(e, h.N)
	d.overlay.Rejected = false
	d.decide(e, UnderReview, Hold, h.AuthorID, h.Code)
	r, p := &d.record, &d.pending
	r.By, r.UntilMS, r.Auto, r.AppealMS = h.By, h.UntilMS, h.Auto, h.AppealMS
	r.Appealed = r.Appealed || h.By == ByAppeal
	p.TextSeq, p.Held, p.By, p.UntilMS, p.Auto = textSeq(d.seq, d.overlay), e.Seq, h.By, h.UntilMS, h.Auto
	if h.By == ByReports {
		r.HiddenText = p.TextSeq
	}
	return append(append(changes, d.waiting(e)...), d.laid()...)
}

func blocked(s gotong.State, e gotong.Event, b Blocked) []gotong.Change {
	d := docketOf(s, e, b.TargetSeq)
	changes := d.hide(e, b.N)
	if d.overlay.Rejected = true; d.overlay.Pinned != 0 { // it would keep a place among the pinned
		d.overlay.Pinned = 0
		changes = append(changes, repinned(s, d.id, d.seq, false))
	}
	d.decide(e, Rejected, Block, b.AuthorID, b.Code)
	d.record.AppealMS = b.AppealMS
	return append(append(changes, d.settled()...), d.laid()...)
}

func released(s gotong.State, e gotong.Event, f Released) []gotong.Change {
	d := docketOf(s, e, f.TargetSeq)
	was := d.overlay.Held != 0
	action := Release
	if f.Warning != "" {
		action = Warn
	}
	d.overlay.N, d.overlay.Held, d.overlay.Rejected, d.overlay.Warning = f.N, 0, false, f.Warning
	d.decide(e, Published, action, f.AuthorID, f.Code)
	d.record.PublishedAt = e.At
	changes := d.laid()
	if p := &d.pending; f.Auto && p.Reports > 0 { // nobody has decided about the reports
		p.Held, p.By, p.UntilMS, p.Auto = 0, "", 0, false
		changes = append(changes, gotong.Change{Key: PendingKey(d.id, d.seq), Doc: *p})
	} else {
		changes = append(changes, d.settled()...)
	}
	if was {
		changes = append(changes, gotong.Change{Key: DeletedKey(d.id, f.N)})
	}
	if was && d.overlay.EditSeq != 0 {
		changes = append(changes, gotong.Change{Key: OverlayKey(d.id, d.overlay.EditSeq)})
	}
	return changes
}

func counted(s gotong.State, e gotong.Event, f Reported) []gotong.Change {
	d := docketOf(s, e, f.TargetSeq)
	p := &d.pending
	p.Reports, p.Flagged, p.Context = f.Count, p.Flagged || f.Flagged, f.Context
	d.overlay.MessageID, d.overlay.N, d.overlay.Moderated = f.MessageID, f.N, true
	return append(d.waiting(e), gotong.Change{Key: OverlayKey(d.id, d.seq), Doc: d.overlay})
}

// noted keeps the seq of an event that no viewer sees.
func noted(s gotong.State, e gotong.Event, target uint64) []gotong.Change {
	key := ModerationKey(e.Stream.ID(), target)
	r, _ := gotong.Doc[Moderation](s, key)
	if d, ok := e.Data.(Decided); ok && !d.Own && d.Action != Hold {
		if r.Settled = d.Now; d.Action.Status() == Published {
			o, _ := gotong.Doc[Overlay](s, OverlayKey(e.Stream.ID(), target))
			r.ClearedText = textSeq(target, o)
		}
	}
	if e.Type == EvOpened {
		r.Looks = append(slices.Clone(r.Looks[max(0, len(r.Looks)-maxLooks+1):]), e.Seq)
	} else {
		r.Grounds = append(slices.Clone(r.Grounds), e.Seq)
	}
	return []gotong.Change{{Key: key, Doc: r}}
}
