package chat

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

type listIn struct {
	httpapi.Page
	ScopeID string `query:"scope_id" maxLength:"128"`
}

type threadsOut struct {
	HasMore    bool   `header:"X-Has-More"`
	NextCursor string `header:"X-Next-Cursor"`
	Body       []ThreadView
}

func (c *chat) list(ctx context.Context, in *listIn) (*threadsOut, error) {
	lines, more, err := c.lines(ctx, in.Page, in.ScopeID)
	if err != nil {
		return nil, err
	}
	out := &threadsOut{HasMore: more, Body: []ThreadView{}}
	for _, line := range lines {
		out.NextCursor = httpapi.ByTime.Cursor(ctx, line.name)
		view, err := c.view(ctx, gotong.NewStream(thread.Name, line.id))
		switch {
		case gotong.CodeOf(err) == gotong.CodeNotFound || in.ScopeID != "" && err == nil && view.ScopeID != in.ScopeID:
			continue // it changed since the list was read
		case err != nil:
			return nil, err
		default:
			out.Body = append(out.Body, view)
		}
	}
	if !more {
		out.NextCursor = ""
	}
	return out, nil
}

// line is one thread of a listing; names order by time of creation.
type line struct{ name, id string }

// lines is a page of the listings that the caller's threads stand in, and,
// with a scope, of its public ones; newest first, each thread once.
func (c *chat) lines(ctx context.Context, page httpapi.Page, scope string) ([]line, bool, error) {
	before, err := httpapi.ByTime.Name(ctx, page.Cursor)
	if err != nil {
		return nil, false, err
	}
	ranges, err := c.listings(ctx, before, scope)
	if err != nil {
		return nil, false, err
	}
	var lines []line
	for _, r := range ranges {
		found, err := c.read(ctx, r, page.Limit+1, before, scope)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, found...)
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(b.name, a.name) })
	lines = slices.Compact(lines)
	if len(lines) > page.Limit {
		return lines[:page.Limit], true, nil
	}
	return lines, false, nil
}

const (
	nameMin = "0"
	nameMax = "~" // after every digit
)

// listings names where to look: the caller's own threads, those of their homes
// that borrow their members, and the public ones of a scope, unless that is a
// home of which they may not know: even that there is more would tell them.
func (c *chat) listings(ctx context.Context, before, scope string) ([]store.KeyRange, error) {
	me := reader(ctx).UserID
	within := func(collection, owner, to string) store.KeyRange {
		return store.KeyRange{Collection: collection, Owner: owner, From: nameMin, To: to, Descending: true}
	}
	to := cmp.Or(before, nameMax)
	need := store.Need{}
	for i := range c.Rules.Homes {
		need.Ranges = append(need.Ranges, within(c.Rules.Homes[i].Lends.OfUser, me, nameMax))
	}
	home, isHome := c.Rules.Homes.Of(scope)
	if isHome {
		need.Documents = []gotong.Key{gotong.StreamKey(home), gotong.MemberKey(home, me)}
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	ranges := []store.KeyRange{within(thread.OfUser, me, to)}
	known, err := c.known(snap, home, me)
	if err != nil {
		return nil, err
	}
	if scope != "" && (!isHome || known) {
		ranges = append(ranges, within(thread.OfScope, scope, to))
	}
	for _, row := range slices.Concat(snap.Ranges...) {
		entry, _, err := httpapi.Decode[gotong.Entry](c.Codec, row)
		if err != nil {
			return nil, err
		}
		if scope == "" || scope == entry.ID {
			ranges = append(ranges, within(thread.OfHome, entry.ID, to))
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
func (c *chat) read(ctx context.Context, r store.KeyRange, enough int, before, scope string) ([]line, error) {
	filter := scope != "" && r.Collection == thread.OfUser
	r.Limit = min(store.MaxRead, enough+1)
	if filter {
		r.Limit = store.MaxRead
	}
	var lines []line
	for {
		snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{r}})
		if err != nil {
			return nil, err
		}
		rows := snap.Ranges[0]
		for _, row := range rows {
			id := row.Key.Name[strings.IndexByte(row.Key.Name, '/')+1:]
			if row.Key.Name != before {
				lines = append(lines, line{row.Key.Name, id})
			}
		}
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
func (c *chat) inScope(ctx context.Context, lines []line, scope string) ([]line, error) {
	var need store.Need
	for _, l := range lines {
		need.Documents = append(need.Documents, thread.ThreadKey(l.id))
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	var kept []line
	for _, l := range lines {
		t, ok, err := httpapi.Document[thread.Thread](c.Codec, snap, thread.ThreadKey(l.id))
		if err != nil {
			return nil, err
		}
		if ok && t.ScopeID == scope {
			kept = append(kept, l)
		}
	}
	return kept, nil
}
