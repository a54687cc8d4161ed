package thread_test

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
)

// agree holds the world's visibility and messages against the model's.
func (t *trial) agree() {
	for _, a := range actors {
		access := t.w.Access(s, viewer(a))
		if access.Readable != (t.m.seats[a.UserID] != "") {
			t.Fatalf("%s: readable is %v", a.UserID, access.Readable)
		}
		for seq := 1; seq <= len(t.m.moments); seq++ {
			var about []uint64
			if at := t.m.moments[seq-1]; at.about > 0 {
				about = []uint64{uint64(at.about)}
			}
			if got := access.Sees(uint64(seq), "", about...); got != t.m.sees(a.UserID, seq) {
				t.Fatalf("%s sees event %d: %v, the model says %v; %+v", a.UserID, seq, got, !got, access)
			}
		}
		t.agreeOnMessages(a)
	}
	if n := t.w.Head(s).Seq; n != uint64(len(t.m.moments)) {
		t.Fatalf("%d events, the model has %d", n, len(t.m.moments))
	}
	if d := docOf(t, t.w); d.Name != t.m.name || d.ArchivedAt != 0 != t.m.archived {
		t.Fatalf("the thread is %+v, the model says %q, archived %v", d, t.m.name, t.m.archived)
	}
	if got := board(t.w, s); !slices.Equal(got, t.m.pins) {
		t.Fatalf("pinned are %v, the model says %v", got, t.m.pins)
	}
	var replies []gotong.Key
	for _, msg := range t.m.messages {
		for _, seq := range msg.replies {
			replies = append(replies, thread.ReplyKey(s.ID(), uint64(msg.seq), uint64(seq)))
		}
	}
	if got := t.w.Keys(thread.Replies, s.ID()); !slices.Equal(got, replies) {
		t.Fatalf("the replies are %v, the model says %v", got, replies)
	}
	for _, msg := range t.m.messages {
		e := t.w.Event(s, uint64(msg.seq))
		text, has := e.Content.(thread.Text)
		if has == msg.deleted || text.Body != map[bool]string{false: msg.body}[msg.deleted] ||
			e.Data.(thread.Posted).Revision != msg.revision {
			t.Fatalf("message %d is %+v %+v, the model says %+v", msg.seq, e.Data, e.Content, msg)
		}
	}
}

// agreeOnMessages holds what a user gets of each message against the model.
func (t *trial) agreeOnMessages(a gotong.Actor) {
	history := map[uint64]gotong.Event{}
	for _, e := range t.w.History(s, viewer(a)) {
		history[e.Seq] = e
	}
	for _, msg := range t.m.messages {
		e, got := history[uint64(msg.seq)]
		if want := t.m.sees(a.UserID, msg.seq); got != want || !got {
			if got != want {
				t.Fatalf("%s gets message %d: %v", a.UserID, msg.seq, got)
			}
			continue
		}
		text, has := e.Content.(thread.Text)
		withheld := msg.edited > 0 && !msg.deleted && !t.m.sees(a.UserID, msg.edited)
		want := map[bool]string{false: msg.body}[msg.deleted || withheld]
		var likes []string
		for user, seq := range msg.reactions {
			if seq > 0 && !msg.deleted && t.m.sees(a.UserID, seq) {
				likes = append(likes, user)
			}
		}
		posted, _ := e.Data.(thread.Posted)
		liked := slices.Clone(posted.Reactions["👍"])
		slices.Sort(likes)
		slices.Sort(liked)
		pinned := msg.pinned > 0 && t.m.sees(a.UserID, msg.pinned)
		if has == (msg.deleted || withheld) || posted.Pinned != pinned || text.Body != want || posted.Withheld != withheld ||
			!slices.Equal(likes, liked) {
			t.Fatalf("%s gets %+v %+v, the model says %+v, liked by %v", a.UserID, posted, e.Content, msg, likes)
		}
	}
}
