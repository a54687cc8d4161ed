package chat

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

type listIn struct {
	httpapi.Page
	ScopeID string `query:"scope_id" maxLength:"128"`
}

func (c *chat) list(ctx context.Context, in *listIn) (*httpapi.Listed[ThreadView], error) {
	lines, more, err := c.lines(ctx, in.Page, in.ScopeID)
	if err != nil {
		return nil, err
	}
	return httpapi.List(ctx, lines, more, func(ctx context.Context, id string) (ThreadView, error) {
		view, err := c.view(ctx, gotong.NewStream(thread.Name, id))
		if in.ScopeID != "" && err == nil && view.ScopeID != in.ScopeID {
			err = gotong.NotFound()
		}
		return view, err
	})
}

// lines is a page of the listings that the caller's threads stand in, and,
// with a scope, of its public ones; newest first, each thread once.
func (c *chat) lines(ctx context.Context, page httpapi.Page, scope string) ([]httpapi.Line, bool, error) {
	before, err := httpapi.ByTime.Name(ctx, page.Cursor)
	if err != nil {
		return nil, false, err
	}
	ranges, err := c.listings(ctx, before, scope)
	if err != nil {
		return nil, false, err
	}
	var lines []httpapi.Line
	for _, r := range ranges {
		found, err := c.read(ctx, r, page.Limit+1, before, scope)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, found...)
	}
	slices.SortFunc(lines, func(a, b httpapi.Line) int { return cmp.Compare(b.Name, a.Name) })
	lines, more := httpapi.Cut(slices.Compact(lines), page.Limit)
	return lines, more, nil
}

// listings names where to look: the caller's own threads, those of their homes
// that borrow their members, and the public ones of a scope, unless that is a
// home of which they may not know: even that there is more would tell them.
func (c *chat) listings(ctx context.Context, before, scope string) ([]store.KeyRange, error) {
	me := reader(ctx).UserID
	need := store.Need{}
	for i := range c.Rules.Homes {
		need.Ranges = append(need.Ranges, httpapi.Newest(c.Rules.Homes[i].Lends.OfUser, me, "", 0))
	}
	home, isHome := c.Rules.Homes.Of(scope)
	if isHome {
		need.Documents = []gotong.Key{gotong.StreamKey(home), gotong.MemberKey(home, me)}
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	ranges := []store.KeyRange{httpapi.Newest(thread.OfUser, me, before, 0)}
	known, err := c.known(snap, home, me)
	if err != nil {
		return nil, err
	}
	if scope != "" && (!isHome || known) {
		ranges = append(ranges, httpapi.Newest(thread.OfScope, scope, before, 0))
	}
	for _, line := range httpapi.Lines(slices.Concat(snap.Ranges...), "") {
		if scope == "" || scope == line.ID {
			ranges = append(ranges, httpapi.Newest(thread.OfHome, line.ID, before, 0))
		}
	}
	return ranges, nil
}

// known reports whether the user may know of a home that the snapshot holds.
func (c *chat) known(snap store.Snapshot, home gotong.Stream, userID string) (bool, error) {
	doc, ok, err := httpapi.Document[gotong.Known](c.Codec, snap, gotong.StreamKey(home))
	m, _, errOfMember := httpapi.Document[gotong.Membership](c.Codec, snap, gotong.MemberKey(home, userID))
	return ok && doc.KnownToAll() || m.Active(), errors.Join(err, errOfMember)
}

// read reads lines of one listing until there are enough. Of the caller's own
// threads, which may lie in any scope, only those of the scope asked for count.
func (c *chat) read(ctx context.Context, r store.KeyRange, enough int, before, scope string) ([]httpapi.Line, error) {
	filter := scope != "" && r.Collection == thread.OfUser
	r.Limit = min(store.MaxRead, enough+1)
	if filter {
		r.Limit = store.MaxRead
	}
	var lines []httpapi.Line
	for {
		snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{r}})
		if err != nil {
			return nil, err
		}
		rows := snap.Ranges[0]
		lines = append(lines, httpapi.Lines(rows, before)...)
		if filter {
			if lines, err = c.inScope(ctx, lines, scope); err != nil {
				return nil, err
			}
		}
		if len(rows) < r.Limit || len(lines) >= enough {
			return lines, nil
		}
		before = rows[len(rows)-1].Key.Name
		r.To = before
	}
}

// inScope keeps the threads of a scope.
func (c *chat) inScope(ctx context.Context, lines []httpapi.Line, scope string) ([]httpapi.Line, error) {
	var need store.Need
	for _, l := range lines {
		need.Documents = append(need.Documents, thread.ThreadKey(l.ID))
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	var kept []httpapi.Line
	for _, l := range lines {
		t, ok, err := httpapi.Document[thread.Thread](c.Codec, snap, thread.ThreadKey(l.ID))
		if err != nil {
			return nil, err
		}
		if ok && t.ScopeID == scope {
			kept = append(kept, l)
		}
	}
	return kept, nil
}
