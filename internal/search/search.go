package search

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Store is the store as a search reads it.
type Store interface {
	store.Loader
	FindTexts(ctx context.Context, f store.Finding) ([]store.Document, error)
}

// Search finds messages. Both fields are required.
type Search struct {
	Store Store
	Views *view.Views
}

// Extent is a stream that a viewer searches, and what they may see of it.
type Extent struct {
	Stream    gotong.Stream
	Partition gotong.Partition // that the stream is in
	Access    gotong.Access
}

// Hit is a message that fits, as the viewer sees it now.
type Hit struct {
	Event   view.Event // of type message.posted
	Snippet Snippet
	Files   []Snippet // the names of its files
}

// Page is what a search found, newest first.
type Page struct {
	Hits []Hit
	Next gotong.EventID // the next page is before this message; zero: there is none
	AsOf []Position     // of the extents' partitions
}

// Position is how far the index had read a partition when the search began.
type Position struct {
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
}

// Patience is how long an answer may take: reading what the viewer may see, the
// search, and showing what it found, for which [Search.Find] leaves the last part.
const (
	Patience = 5 * time.Second
	showing  = time.Second
)

// The bounds of one search: how often it asks the index again because too few of the
// proposed messages are shown, and how many are proposed at once for a query with a
// phrase, because the index knows only its words.
const (
	maxRounds = 5
	phrased   = 200
)

// Late returns the error of a part of an answer: if the deadline of ctx has passed, one
// with [gotong.CodeBusy] that says so.
func Late(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return gotong.NewError(gotong.CodeBusy, "The search took too long; add a word, in:, from: or a date.")
	}
	return err
}

// candidate is a message that the index proposes.
type candidate struct {
	row
	stream gotong.Stream
}

// Find returns the newest messages that fit the query, at most limit, of those before
// the message before, unless that is zero. author is the id of the user whom
// [Query.From] names. All extents are of one viewer. A search that the deadline of ctx
// ends returns what it found or, if that is nothing, the error of [Late].
func (s Search) Find(
	ctx context.Context, q Query, author string, extents []Extent, before gotong.EventID, limit int,
) (page Page, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-showing))
		defer cancel()
	}
	if page.AsOf, err = s.asOf(ctx, extents); err != nil || len(extents) == 0 {
		return page, Late(ctx, err)
	}
	f := store.Finding{Collection: Messages, Words: q.lists(author), Before: before, Since: q.After, Limit: limit + 1}
	if end := gotong.NewEventID(q.Before, 0); q.Before > 0 && (before.IsZero() || end.Compare(before) < 0) {
		f.Before = end
	}
	if slices.ContainsFunc(q.terms, func(t term) bool { return t.phrase }) {
		f.Limit = phrased
	}
	for range maxRounds {
		list, err := s.candidates(ctx, f, extents)
		for i := 0; i < len(list) && err == nil && len(page.Hits) <= limit; i++ {
			var hit *Hit
			if hit, err = s.shown(ctx, q, author, &list[i], extents[0].Access.Viewer); err == nil {
				f.Before = list[i].ID
			}
			if hit != nil {
				page.Hits = append(page.Hits, *hit)
			}
		}
		switch {
		case len(page.Hits) > limit:
			page.Hits = page.Hits[:limit]
			page.Next = page.Hits[limit-1].Event.ID
			return page, nil
		case err != nil && (ctx.Err() == nil || len(page.Hits) == 0):
			return page, Late(ctx, err)
		case err == nil && len(list) < f.Limit:
			return page, nil
		case err != nil:
			page.Next = f.Before
			return page, nil
		}
	}
	page.Next = f.Before
	return page, nil
}

// candidates returns the newest messages that the index proposes of the extents, a
// part of the extents at a time.
func (s Search) candidates(ctx context.Context, f store.Finding, extents []Extent) (list []candidate, err error) {
	for part := range slices.Chunk(extents, store.MaxOwners) {
		access := make(map[string]*gotong.Access, len(part))
		f.Owners = nil
		for i := range part {
			id := part[i].Stream.ID()
			f.Owners, access[id] = append(f.Owners, id), &part[i].Access
		}
		f.Keep = func(_ store.Text, d store.Document) bool {
			var r row
			a := access[d.Key.Owner]
			return json.Unmarshal(d.Body, &r) == nil && a != nil && a.Sees(r.Rev, r.Audience, r.Seq)
		}
		docs, err := s.Store.FindTexts(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			c := candidate{stream: gotong.NewStream(thread.Name, d.Key.Owner)}
			if err := json.Unmarshal(d.Body, &c.row); err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return b.ID.Compare(a.ID) })
	return list[:min(len(list), f.Limit)], nil
}

// shown returns a message as the viewer sees it now; nil if they do not see it, if
// it was changed since the index was written, or if it does not fit the query.
func (s Search) shown(ctx context.Context, q Query, author string, c *candidate, viewer gotong.Viewer) (*Hit, error) {
	page, err := s.Views.Read(ctx, viewer, view.Query{Stream: c.stream, From: c.Seq - 1, To: c.Seq, Limit: 1})
	gone := []gotong.Code{gotong.CodeNotFound, gotong.CodeCorruptEvent, gotong.CodeUnreadable}
	switch {
	case err != nil && slices.Contains(gone, gotong.CodeOf(err)):
		return nil, nil //nolint:nilnil // there is nothing to show
	case err != nil:
		return nil, errors.Join(err, ctx.Err())
	case len(page.Events) == 0:
		return nil, nil //nolint:nilnil // as above
	}
	e := page.Events[0]
	posted, ok := e.Data.(thread.Posted)
	text, _ := e.Content.(thread.Text) // what is deleted, erased, withheld or held from the viewer has none, and no files
	if !ok || e.ID != c.ID || posted.Revision != c.Revision || text.Body == "" && len(text.Files) == 0 ||
		author != "" && e.Actor.UserID != author {
		return nil, nil //nolint:nilnil // as above
	}
	texts := []string{text.Body}
	for _, f := range text.Files {
		texts = append(texts, f.Name)
	}
	marks, fits := q.Match(texts...)
	if !fits || slices.Contains(q.has, hasLink) && !linked(text.Body) || slices.Contains(q.has, hasFile) && len(text.Files) == 0 {
		return nil, nil //nolint:nilnil // as above
	}
	hit := &Hit{Event: e, Snippet: SnippetOf(text.Body, marks[0])}
	for i, f := range text.Files {
		hit.Files = append(hit.Files, SnippetOf(f.Name, marks[i+1]))
	}
	return hit, nil
}

// asOf returns how far the index has read the partitions of the extents: those of
// others would show that somebody is active there.
func (s Search) asOf(ctx context.Context, extents []Extent) ([]Position, error) {
	list, need := []Position{}, store.Need{}
	for p := range gotong.Partition(gotong.Partitions) {
		if slices.ContainsFunc(extents, func(e Extent) bool { return e.Partition == p }) {
			need.Cursors = append(need.Cursors, store.CursorKey{Reader: Name, Partition: p})
		}
	}
	snap, err := s.Store.Load(ctx, need)
	for _, key := range need.Cursors {
		list = append(list, Position{key.Partition, snap.Cursors[key]})
	}
	return list, err
}
