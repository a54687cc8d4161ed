package chat

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

type listIn struct {
	httpapi.Page
	ScopeID  string `query:"scope_id" maxLength:"128"`
	Archived bool   `query:"archived" doc:"The archived threads instead of the others."`
}

// list returns the first page, of a bounded number, that has a thread.
func (c *chat) list(ctx context.Context, in *listIn) (*httpapi.Listed[ThreadView], error) {
	for range maxEmpty {
		page, err := c.page(ctx, in)
		if err != nil || len(page.Body) > 0 || !page.HasMore {
			return page, err
		}
		in.Cursor = page.NextCursor
	}
	return c.page(ctx, in)
}

// maxEmpty bounds the pages that are passed over because none of their threads is
// to be listed.
const maxEmpty = 10

func (c *chat) page(ctx context.Context, in *listIn) (*httpapi.Listed[ThreadView], error) {
	lines, more, err := c.lines(ctx, in.Page, in.ScopeID)
	if err != nil {
		return nil, err
	}
	return httpapi.List(ctx, lines, more, func(ctx context.Context, ids []string) (map[string]ThreadView, error) {
		views, err := c.views(ctx, ids)
		maps.DeleteFunc(views, func(_ string, v ThreadView) bool {
			return in.ScopeID != "" && v.ScopeID != in.ScopeID || in.Archived != (v.ArchivedAtMS != 0)
		})
		return views, err
	})
}

// lines returns a page of the caller's threads and, with a scope, of its public
// ones: newest first, each thread once.
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
	for part := range slices.Chunk(ranges, maxListings) {
		for i := range part {
			part[i].Limit = page.Limit + 2 // one for the cursor's own, one to know of more
		}
		snap, err := c.Store.Load(ctx, store.Need{Ranges: part})
		if err != nil {
			return nil, false, err
		}
		for _, rows := range snap.Ranges {
			lines = append(lines, httpapi.Lines(rows, before)...)
		}
	}
	if scope != "" {
		own, err := c.ownIn(ctx, scope, before, page.Limit+1)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, own...)
	}
	slices.SortFunc(lines, func(a, b httpapi.Line) int { return cmp.Compare(b.Name, a.Name) })
	lines, more := httpapi.Cut(slices.Compact(lines), page.Limit)
	return lines, more, nil
}

// maxListings bounds the listings that are read at once.
const maxListings = 100

// listings returns the listings to read: the threads that borrow the members of
// streams of which the caller is a member, and either the caller's own threads or,
// with a scope, its public ones. It leaves those out if the scope is a home of
// which the caller may not know, because even X-Has-More would reveal that it has
// threads.
func (c *chat) listings(ctx context.Context, before, scope string) ([]store.KeyRange, error) {
	me, home := viewer(ctx).UserID, c.Rules.Lenders.HomeOf(scope)
	need := store.Need{Documents: []gotong.Key{gotong.StreamKey(home), gotong.MemberKey(home, me)}}
	if !home.HasMembers() {
		need.Documents = nil
	}
	for i := range c.Rules.Lenders {
		need.Ranges = append(need.Ranges, httpapi.Newest(c.Rules.Lenders[i].Lends.OfUser, me, "", 0))
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	known, err := c.knownHome(snap, home, me)
	if err != nil {
		return nil, err
	}
	var ranges []store.KeyRange
	switch {
	case scope == "":
		ranges = append(ranges, httpapi.Newest(thread.OfUser, me, before, 0))
	case !home.HasMembers() || known:
		ranges = append(ranges, httpapi.Newest(thread.OfScope, scope, before, 0))
	}
	for i, rows := range snap.Ranges {
		lenders, err := c.lenders(ctx, &c.Rules.Lenders[i], httpapi.Lines(rows, ""), scope)
		if err != nil {
			return nil, err
		}
		for _, lender := range lenders {
			ranges = append(ranges, httpapi.Newest(thread.OfLender, string(lender), before, 0))
		}
	}
	return ranges, nil
}

// lenders returns, of the caller's streams of a kind, those that have the home of
// the scope, if one is given. One that has another home than itself counts only
// if the caller may read it: its listing does not know who has left the home.
func (c *chat) lenders(ctx context.Context, kind *gotong.Kind, lines []httpapi.Line, scope string) ([]gotong.Stream, error) {
	var list []gotong.Stream
	for part := range slices.Chunk(lines, maxListings) {
		streams := make([]gotong.Stream, len(part))
		for i, line := range part {
			streams[i] = gotong.NewStream(kind.Name, line.ID)
		}
		if kind.Lends.Prefix != "" {
			list = append(list, slices.DeleteFunc(streams, func(s gotong.Stream) bool { return scope != "" && scope != s.ID() })...)
			continue
		}
		looks, _, err := c.Views.Look(ctx, viewer(ctx), streams, nil, nil)
		if err != nil {
			return nil, err
		}
		for _, l := range looks {
			if l.Grant.Readable && (scope == "" || l.Head.Home == c.Rules.Lenders.HomeOf(scope)) {
				list = append(list, l.Stream)
			}
		}
	}
	return list, nil
}

// knownHome reports whether the user may know of a home that the snapshot holds.
func (c *chat) knownHome(snap store.Snapshot, home gotong.Stream, userID string) (bool, error) {
	doc, ok, err := httpapi.Document[gotong.Known](c.Codec, snap, gotong.StreamKey(home))
	m, _, errOfMember := httpapi.Document[gotong.Membership](c.Codec, snap, gotong.MemberKey(home, userID))
	return ok && doc.KnownToAll() || m.Active(), errors.Join(err, errOfMember)
}

// ownIn returns the newest of the caller's own threads that lie in a scope, until
// there are enough.
func (c *chat) ownIn(ctx context.Context, scope, before string, enough int) ([]httpapi.Line, error) {
	r := httpapi.Newest(thread.OfUser, viewer(ctx).UserID, before, store.MaxRead)
	var lines []httpapi.Line
	for {
		snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{r}})
		if err != nil {
			return nil, err
		}
		rows := snap.Ranges[0]
		found, err := c.inScope(ctx, httpapi.Lines(rows, before), scope)
		if err != nil {
			return nil, err
		}
		if lines = append(lines, found...); len(rows) < r.Limit || len(lines) >= enough {
			return lines, nil
		}
		before = rows[len(rows)-1].Key.Name
		r.To = before
	}
}

// inScope returns those of the lines whose threads lie in the scope.
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
