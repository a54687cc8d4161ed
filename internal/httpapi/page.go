package httpapi

import (
	"context"
	"encoding/base64"
	"strings"

	"gotong.dev/gotong"
)

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
// if it is from another history, in which the same seq names another event.
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
