package httpapi_test

import (
	"context"
	"fmt"
	"path"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// proof is that of a log without checkpoints, unless the world has another.
func (w *world) proof(ctx context.Context, p gotong.Partition, position uint64, s gotong.Stream, seq uint64) (proof.Event, error) {
	if w.prove != nil {
		return w.prove(ctx, p, position, s, seq)
	}
	return proof.Event{}, gotong.NewError(gotong.CodeNotYet, "No checkpoint covers the event yet.")
}

// TestAProofIsForThoseWhoSeeTheEvent: nothing is proved to others. What changes while
// the proof waits for its checkpoint counts too.
func TestAProofIsForThoseWhoSeeTheEvent(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	th := ani.thread("private")
	ani.do("PUT", th+"/history", map[string]any{"policy": "from_join"}).want(200)
	before := ani.say(th, "before").want(201).num("seq")
	ani.post(th+"/members", map[string]any{"user_id": budi.id}).want(201)
	message := ani.say(th, "after").want(201)
	seq := message.num("seq")
	at := func(seq int64) string {
		return fmt.Sprintf("/v1/streams/thread/%s/events/%d/proof", path.Base(th), seq)
	}
	proved, meanwhile := 0, func() {}
	w.prove = func(_ context.Context, p gotong.Partition, position uint64, s gotong.Stream, seq uint64) (proof.Event, error) {
		proved++
		meanwhile()
		return proof.Event{
			Form: proof.EventForm, Stream: s, Seq: seq, Partition: p, Position: position, Chains: []gotong.Hash{{}},
			Data: []byte("{}"), DataSalt: make([]byte, 16), Content: []byte("after"), ContentSalt: make([]byte, 16),
		}, nil
	}
	content := func(want bool) {
		t.Helper()
		e := budi.get(at(seq)).want(200).object()
		if (e["content"] != nil) != want || (e["content_salt"] != nil) != want {
			t.Errorf("with its content: %t, want %t: %v", !want, want, e)
		}
	}
	budi.get(at(before)).problem(404, gotong.CodeNotFound)
	citra.get(at(seq)).problem(404, gotong.CodeNotFound)
	ani.get(at(seq+1)).problem(404, gotong.CodeNotFound)
	if proved != 0 {
		t.Errorf("%d events were proved to those who do not see them", proved)
	}
	content(true)
	meanwhile = func() {
		ani.do("PATCH", th+"/messages/"+message.str("message_id"), map[string]any{"body": "edited"}, ifMatch(message.header.Get("ETag"))).want(200)
	}
	content(false)
	meanwhile = func() { ani.do("DELETE", th+"/members/"+budi.id, nil).want(200) }
	budi.get(at(seq)).problem(404, gotong.CodeNotFound)
}
