package httpapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Next is the cursor of the next page of a list; it is embedded in outputs.
type Next struct {
	HasMore    bool   `header:"X-Has-More"`
	NextCursor string `header:"X-Next-Cursor"`
}

// NextPage implements [Paged].
func (n Next) NextPage() (parameter, value string) { return "cursor", n.NextCursor }

// Paged is an answer, or the body of one, that may have a next page: NextPage returns the
// query parameter with which to ask for it. The value is empty if there is none.
type Paged interface {
	NextPage() (parameter, value string)
}

// positions are the parameters that say where a page begins.
var positions = [...]string{"cursor", "after_seq", "before_seq", "since_created_at_ms", "since_message_id"}

// linkNext sets the header Link (RFC 8288) of an answer with a next page.
func (c *Call) linkNext(out any) {
	paged, ok := out.(Paged)
	if !ok || c.url == nil {
		return
	}
	parameter, value := paged.NextPage()
	if value == "" {
		return
	}
	query := c.url.Query()
	for _, name := range positions {
		query.Del(name)
	}
	query.Set(parameter, value)
	c.header.Add("Link", "<"+c.url.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
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

// Page selects a part of a list; it is embedded in inputs.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The maximum number of items."`
	Cursor string `query:"cursor" doc:"X-Next-Cursor of the previous page."`
}

// Order is the order of a list. A cursor is valid for one order only.
type Order string

// The orders of lists.
const (
	ByTime Order = "t" // newest first, by [gotong.EntryName]
	ByID   Order = "i"
	Oldest Order = "o" // oldest first, by [gotong.EntryName]
)

// Cursor returns the opaque cursor of a name in a list: epoch:order:name.
func (o Order) Cursor(ctx context.Context, name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(CallOf(ctx).epoch) + ":" + string(o) + ":" + name))
}

// Name returns the name that a cursor stands for, or "" for no cursor. The
// error has [gotong.CodeCursorInvalid] if the cursor is not one of this order,
// and [gotong.CodeEpochChanged] if it is from another history.
func (o Order) Name(ctx context.Context, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	epoch, rest, _ := strings.Cut(string(b), ":")
	order, name, _ := strings.Cut(rest, ":")
	if err != nil || order != string(o) || !o.names(name) {
		return "", cursorInvalid()
	}
	return name, CallOf(ctx).checkEpoch(epoch)
}

// Position parses a position in a stream, "epoch:seq". The error has
// [gotong.CodeCursorInvalid] if it is malformed, and [gotong.CodeEpochChanged]
// if it is from another history, where the same seq names another event.
func Position(ctx context.Context, text string) (seq uint64, err error) {
	c, err := gotong.ParseCursor(text)
	if err != nil {
		return 0, err
	}
	return c.Seq, CallOf(ctx).checkEpoch(string(c.Epoch))
}

func (c *Call) checkEpoch(epoch string) error {
	return gotong.Cursor{Epoch: gotong.Epoch(epoch)}.Check(c.epoch, 0)
}

// names reports whether a name has the form of this order's names.
func (o Order) names(name string) bool {
	if o == ByID {
		return gotong.ValidID(name)
	}
	at, id, _ := strings.Cut(name, "/")
	return len(at) == 20 && strings.Trim(at, "0123456789") == "" && gotong.ValidID(id)
}

func cursorInvalid() error {
	return gotong.NewError(gotong.CodeCursorInvalid, "The cursor is malformed; leave it out for the first page.")
}
