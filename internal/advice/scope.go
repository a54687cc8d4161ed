// Package advice asks the Edge-Pod for moderation advice on messages: a reader
// makes a job of each, and the job records what the advice proposes by a command.
// It also decides whether the text of a stream may leave the server.
//
// # Caveats
//
// Advice follows the message and never delays it. What a fallback, or a message
// that is too old, would have missed is only counted.
package advice

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/store"
)

// Scope is what decides who may read the text of a stream.
type Scope struct {
	Home    gotong.Stream // empty if the stream does not exist
	ID      string        // the scope of a thread
	Privacy edgepod.Privacy
	Policy  gotong.Policy // of the home
}

// ScopeOf reads the scope of a stream, as it is now. Streams are of the level L2
// unless their kind and their home are open to everybody.
func ScopeOf(ctx context.Context, from store.Loader, codec *store.Codec, stream gotong.Stream) (Scope, error) {
	var home gotong.Stream
	needs := func(s gotong.State) []gotong.Ref {
		refs := []gotong.Ref{{Stream: stream, Key: gotong.StreamKey(stream)}}
		if home = s.Head.Home; home.HasMembers() && home != stream {
			refs = append(refs, gotong.Ref{Stream: home, Key: gotong.StreamKey(home)})
		}
		return refs
	}
	s, _, err := store.LoadState(ctx, from, codec, stream, needs, nil)
	if err != nil || !s.Head.Exists() {
		return Scope{Privacy: edgepod.L2}, err
	}
	scope := Scope{Home: home, Privacy: edgepod.L2, Policy: gotong.PolicyOf(s, home)}
	known := true
	if home.HasMembers() {
		d, ok := gotong.Doc[gotong.Known](s, gotong.StreamKey(home))
		known = ok && d.KnownToAll()
	}
	t, isThread := gotong.Doc[thread.Thread](s, gotong.StreamKey(stream))
	if scope.ID = t.ScopeID; known && (isThread && t.Privacy == thread.Public || stream == home) {
		scope.Privacy = edgepod.Open
	}
	return scope, nil
}
