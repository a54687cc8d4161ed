package groups

import (
	"cmp"
	"context"

	"gotong.dev/gotong"
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

type listOut struct {
	Body List
}

func (g *groups) list(ctx context.Context, in *listIn) (*listOut, error) {
	return g.page(ctx, group.Directory, group.DirectoryOwner, in)
}

func (g *groups) mine(ctx context.Context, in *listIn) (*listOut, error) {
	return g.page(ctx, group.OfUser, httpapi.CallOf(ctx).Principal.UserID, in)
}

// page is a page of one listing, newest first.
func (g *groups) page(ctx context.Context, collection, owner string, in *listIn) (*listOut, error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	all := store.KeyRange{Collection: collection, Owner: owner, From: "0", To: "~", Descending: true, Limit: store.MaxRead}
	from := all
	from.To, from.Limit = cmp.Or(before, all.To), in.Limit+2 // one for the cursor's own, one to know of more
	snap, err := g.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{all, from}})
	if err != nil {
		return nil, err
	}
	out := &listOut{List{Items: []Summary{}, Total: len(snap.Ranges[0])}}
	last := ""
	for _, row := range snap.Ranges[1] {
		if row.Key.Name == before {
			continue
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Cursor = httpapi.ByTime.Cursor(ctx, last)
			break
		}
		entry, _, err := httpapi.Decode[gotong.Entry](g.Codec, row)
		if err != nil {
			return nil, err
		}
		last = row.Key.Name
		l, err := g.load(ctx, gotong.NewStream(group.Name, entry.ID), store.Need{})
		if gotong.CodeOf(err) == gotong.CodeNotFound {
			continue // it changed since the list was read
		}
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, summary(ctx, l))
	}
	return out, nil
}
