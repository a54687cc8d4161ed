package httpapi

import (
	"cmp"
	"context"
	"strings"

	"gotong.dev/gotong/internal/store"
)

// Next is the cursor of the next page of a list; it is embedded in outputs.
type Next struct {
	HasMore    bool   `header:"X-Has-More"`
	NextCursor string `header:"X-Next-Cursor"`
}

// Listed is a page of a list.
type Listed[T any] struct {
	Next
	Body []T
}

// Line is one row of a listing: its name, which is a [gotong.EntryName], and
// the id in it.
type Line struct{ Name, ID string }

// Lines returns the lines of the rows that come after the row before.
func Lines(rows []store.Document, before string) []Line {
	lines := make([]Line, 0, len(rows))
	for _, row := range rows {
		if row.Key.Name != before {
			_, id, _ := strings.Cut(row.Key.Name, "/")
			lines = append(lines, Line{row.Key.Name, id})
		}
	}
	return lines
}

// Newest returns the range of the newest rows of a listing or, if before is not
// empty, of the row of that name and the next older ones.
func Newest(collection, owner, before string, limit int) store.KeyRange {
	// "~" comes after every digit.
	return store.KeyRange{Collection: collection, Owner: owner, From: "0", To: cmp.Or(before, "~"), Descending: true, Limit: limit}
}

// Cut returns the first lines, at most limit, and whether there are more.
func Cut(lines []Line, limit int) ([]Line, bool) {
	return lines[:min(len(lines), limit)], len(lines) > limit
}

// List returns a page with what show returns for the ids of its lines, by id. It
// leaves out a line for which show returns nothing: what the caller may know has
// changed since the lines were read.
func List[T any](
	ctx context.Context, lines []Line, more bool, show func(ctx context.Context, ids []string) (map[string]T, error),
) (*Listed[T], error) {
	ids := make([]string, len(lines))
	for i, line := range lines {
		ids[i] = line.ID
	}
	views, err := show(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := &Listed[T]{Body: []T{}}
	for _, id := range ids {
		if view, ok := views[id]; ok {
			out.Body = append(out.Body, view)
		}
	}
	if more {
		out.Next = Next{true, ByTime.Cursor(ctx, lines[len(lines)-1].Name)}
	}
	return out, nil
}
