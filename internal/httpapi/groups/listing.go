package groups

import (
	"context"

	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

type listIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Cursor string `query:"cursor" doc:"The cursor of the previous page."`
}

// List is a page of groups.
type List struct {
	Items  []Summary `json:"items"`
	Total  int       `json:"total" doc:"The number of groups, counted to 1000."`
	Cursor string    `json:"cursor,omitempty" doc:"The cursor of the next page; absent on the last page."`
}

func (g *groups) list(ctx context.Context, in *listIn) (*httpapi.Out[List], error) {
	return g.page(ctx, group.Directory, group.DirectoryOwner, in)
}

func (g *groups) mine(ctx context.Context, in *listIn) (*httpapi.Out[List], error) {
	return g.page(ctx, group.OfUser, viewer(ctx).UserID, in)
}

// page returns a page of one listing, newest first.
func (g *groups) page(ctx context.Context, collection, owner string, in *listIn) (*httpapi.Out[List], error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	all := httpapi.Newest(collection, owner, "", store.MaxRead)
	some := httpapi.Newest(collection, owner, before, in.Limit+2) // one for the cursor's own, one to know of more
	snap, err := g.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{all, some}})
	if err != nil {
		return nil, err
	}
	lines, more := httpapi.Cut(httpapi.Lines(snap.Ranges[1], before), in.Limit)
	page, err := httpapi.List(ctx, lines, more, g.summaries)
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(List{Items: page.Body, Total: len(snap.Ranges[0]), Cursor: page.NextCursor}, nil)
}
