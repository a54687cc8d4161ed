package view

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Look is a stream without its log, as one viewer may see it: the documents that
// decide the access, and what they grant.
type Look struct {
	gotong.State
	Viewer gotong.Viewer
	Grant  gotong.Grant
}

// Look returns streams of one kind, in the order of the list, as a viewer may see
// them. One snapshot holds what decides the access to each, the documents that
// needs names for it, and what more names; both may be nil, and what they name is
// not filtered.
func (v *Views) Look(
	ctx context.Context, viewer gotong.Viewer, streams []gotong.Stream,
	needs func(gotong.State, gotong.Viewer) []gotong.Ref, more func([]gotong.State) store.Need,
) ([]Look, store.Snapshot, error) {
	if len(streams) == 0 {
		return nil, store.Snapshot{}, nil
	}
	kind, err := v.Kind(streams[0])
	if err != nil {
		return nil, store.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.opt.Timeout)
	defer cancel()
	all := func(s gotong.State) []gotong.Ref {
		refs := kind.AccessNeeds(s, viewer)
		if needs != nil {
			refs = append(refs, needs(s, viewer)...)
		}
		return refs
	}
	states, snap, err := store.LoadStates(ctx, v.opt.Store, v.opt.Codec, streams, all,
		func(states []gotong.State, _ store.Snapshot) (need store.Need) {
			if more != nil {
				need = more(states)
			}
			return need
		})
	if err != nil {
		return nil, snap, err
	}
	looks := make([]Look, len(states))
	for i, s := range states {
		looks[i] = Look{s, viewer, grantOf(kind, s, viewer)}
	}
	return looks, snap, nil
}
