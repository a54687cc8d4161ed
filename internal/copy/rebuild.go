package copy

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The bounds of what a rebuild remembers.
const (
	maxDocuments = 8192
	maxEvents    = 4096
)

// rebuild makes documents anew from events, with the rules of their kinds and
// nothing else. It reads from the target what it does not remember.
type rebuild struct {
	to        store.Committer
	codec     *store.Codec
	documents map[gotong.Key]any          // nil: there is none
	events    map[gotong.Ref]gotong.Event // by stream and id
}

func newRebuild(to store.Committer, codec *store.Codec) *rebuild {
	return &rebuild{to: to, codec: codec, documents: map[gotong.Key]any{}, events: map[gotong.Ref]gotong.Event{}}
}

// changes is what these events, which follow all that the target holds, do to
// documents; the last change of each.
func (b *rebuild) changes(ctx context.Context, rows []store.Event) ([]store.Change, error) {
	if len(b.documents) > maxDocuments {
		clear(b.documents)
	}
	if len(b.events) > maxEvents {
		clear(b.events)
	}
	at := map[gotong.Key]int{}
	var list []store.Change
	for i := range rows {
		changes, err := b.project(ctx, &rows[i])
		if err != nil {
			return nil, fmt.Errorf("documents of %s, event %d: %w", rows[i].Stream, rows[i].Seq, err)
		}
		for _, ch := range changes {
			change, err := store.EncodeChange(ch)
			if err != nil {
				return nil, err
			}
			b.documents[ch.Key] = ch.Doc
			if n, ok := at[ch.Key]; ok {
				list[n] = change
				continue
			}
			at[ch.Key] = len(list)
			list = append(list, change)
		}
	}
	return slices.Clip(list), nil
}

func (b *rebuild) project(ctx context.Context, row *store.Event) ([]gotong.Change, error) {
	kind, err := b.codec.Kind(row.Stream)
	if err != nil {
		return nil, fmt.Errorf("no kind knows a %s", row.Stream.Kind())
	}
	event, err := b.codec.Event(row)
	if err != nil {
		return nil, err
	}
	state := gotong.NewState(row.Stream, gotong.Head{Seq: row.Seq - 1, Chain: row.Prev})
	state = state.OnMiss(func(r gotong.Ref) {
		if err == nil {
			err = b.fill(ctx, state, r, row.Seq-1)
		}
	})
	changes := kind.Project(state, event)
	b.events[gotong.Ref{Stream: event.Stream, Event: event.ID}] = event
	return changes, err
}

// fill looks up one document, or one earlier event of the stream.
func (b *rebuild) fill(ctx context.Context, state gotong.State, r gotong.Ref, head uint64) error {
	if r.Event.IsZero() {
		doc, err := b.document(ctx, r.Key)
		state.SetDoc(r.Key, doc)
		return err
	}
	event, err := b.event(ctx, state.Stream, r.Event, head)
	state.SetEvent(r.Event, event)
	return err
}

func (b *rebuild) event(ctx context.Context, s gotong.Stream, id gotong.EventID, head uint64) (gotong.Event, error) {
	if event, ok := b.events[gotong.Ref{Stream: s, Event: id}]; ok {
		return event, nil
	}
	row, found, err := store.FindEvent(ctx, b.to, s, id, head)
	if err != nil || !found {
		return gotong.Event{}, err
	}
	return b.codec.Event(&row)
}

func (b *rebuild) document(ctx context.Context, key gotong.Key) (any, error) {
	if doc, ok := b.documents[key]; ok {
		return doc, nil
	}
	snap, err := b.to.Load(ctx, store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		return nil, err
	}
	var doc any
	if body, found := snap.Documents[key]; found {
		if doc, err = b.codec.Document(key.Collection, body); err != nil {
			return nil, err
		}
	}
	b.documents[key] = doc
	return doc, nil
}
