package check

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const (
	maxDocuments = 8192
	maxEvents    = 256
)

// Projection makes documents from events, with the rules of their kinds and
// nothing else.
type Projection struct {
	from      store.Committer
	codec     *store.Codec
	whole     bool                        // it began at the first event and keeps all documents
	documents map[gotong.Key]any          // nil: it does not exist
	events    map[gotong.Ref]gotong.Event // by stream and id
}

// NewProjection returns a Projection that continues from the documents of a
// store. It reads those that it does not remember.
func NewProjection(from store.Committer, codec *store.Codec) *Projection {
	return &Projection{from: from, codec: codec, documents: map[gotong.Key]any{}, events: map[gotong.Ref]gotong.Event{}}
}

// Changes returns the changes of documents that these events make, the last
// change of each document. The events must follow all that the store holds.
func (b *Projection) Changes(ctx context.Context, rows []store.Event) ([]store.Change, error) {
	if len(b.documents) > maxDocuments {
		clear(b.documents)
	}
	if len(b.events) > maxEvents { // not while rows are projected: the store does not hold them yet
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

func (b *Projection) project(ctx context.Context, row *store.Event) ([]gotong.Change, error) {
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

// fill reads one document, or one earlier event of the stream.
func (b *Projection) fill(ctx context.Context, state gotong.State, r gotong.Ref, head uint64) error {
	if r.Event.IsZero() {
		doc, err := b.document(ctx, r.Key)
		state.SetDoc(r.Key, doc)
		return err
	}
	event, err := b.event(ctx, state.Stream, r.Event, head)
	state.SetEvent(r.Event, event)
	return err
}

func (b *Projection) event(ctx context.Context, s gotong.Stream, id gotong.EventID, head uint64) (gotong.Event, error) {
	if event, ok := b.events[gotong.Ref{Stream: s, Event: id}]; ok {
		return event, nil
	}
	row, found, err := store.FindEvent(ctx, b.from, s, id, head)
	if err != nil || !found {
		return gotong.Event{}, err
	}
	return b.codec.Event(&row)
}

func (b *Projection) document(ctx context.Context, key gotong.Key) (any, error) {
	if doc, ok := b.documents[key]; ok || b.whole {
		return doc, nil
	}
	snap, err := b.from.Load(ctx, store.Need{Documents: []gotong.Key{key}})
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
