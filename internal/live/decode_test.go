package live_test

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/store"
)

// sign is a document of a room that decides what all its viewers may see. It
// counts how often one is decoded.
type sign struct {
	Closed bool `json:"closed"`
}

var signsDecoded atomic.Int64

func (s *sign) UnmarshalJSON(b []byte) error {
	signsDecoded.Add(1)
	type plain sign
	return json.Unmarshal(b, (*plain)(s))
}

// signed is the kinds with a sign in each room, which every text changes or
// leaves as it is.
func signed() []gotong.Kind {
	list := kinds()
	k := &list[0]
	key := func(s gotong.Stream) gotong.Key { return gotong.Key{Collection: "room_signs", Owner: s.ID()} }
	needs, access := k.AccessNeeds, k.Access
	k.Documents = append(k.Documents, gotong.TypeOf[sign]("room_signs"))
	k.AccessNeeds = func(s gotong.State, v gotong.Viewer) []gotong.Ref {
		refs := []gotong.Ref{{Stream: s.Stream, Key: key(s.Stream)}}
		if _, read := gotong.Doc[sign](s, key(s.Stream)); !read {
			return refs // as a thread's members are those of streams that the thread names
		}
		return append(refs, needs(s, v)...)
	}
	k.Access = func(s gotong.State, v gotong.Viewer) gotong.Grant {
		g := access(s, v)
		if is, _ := gotong.Doc[sign](s, key(s.Stream)); is.Closed {
			g.Readable = false
		}
		return g
	}
	k.Project = func(s gotong.State, e gotong.Event) []gotong.Change {
		changes := project(s, e)
		if text, ok := e.Content.(words); ok {
			changes = append(changes, gotong.Change{Key: key(e.Stream), Doc: sign{Closed: text.Text == "closed"}})
		}
		return changes
	}
	return list
}

// Viewers who return one after another are read for one after another, but a
// document that all of them need is decoded once for as long as it stays the
// same. What it says at the moment of each read decides.
func TestReturningViewersShareDecodedDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.codec = store.NewCodec(signed())
		h := w.start()
		users := []string{"ann", "bob", "cem", "dee", "eva", "fay"}
		for _, u := range users {
			w.commit(h, r1, add(u))
		}
		from := w.commit(h, r1, say("open")).Seq
		synctest.Wait()
		var clients []*client
		for _, step := range []struct {
			text    string // said before the viewers return; none if empty
			start   uint64
			decoded int64
			refused bool
		}{
			{"", 0, 1, false},
			{"", from, 0, false},
			{"still open", from, 0, false},
			{"closed", from, 1, true},
		} {
			if step.text != "" {
				w.commit(h, r1, say(step.text))
				synctest.Wait()
			}
			before := signsDecoded.Load()
			for _, u := range users {
				c := open(t, h, u, live.SessionOptions{})
				c.subscribe(r1, at(step.start))
				synctest.Wait() // so that no two share a read
				c.drain()
				if refused := slices.Contains(c.ops, "error not_found"); refused != step.refused {
					t.Errorf("after %q, %s is refused: %v", step.text, u, refused)
				}
				clients = append(clients, c)
			}
			if n := signsDecoded.Load() - before; n != step.decoded {
				t.Errorf("after %q, %d decodings for %d viewers, want %d", step.text, n, len(users), step.decoded)
			}
		}
		clients[0].drain()
		clients[0].sees(r1, seqs(1, from+2)...)
	})
}
