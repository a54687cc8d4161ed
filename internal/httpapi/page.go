package httpapi

import (
	"context"
	"encoding/base64"
	"strings"

	"gotong.dev/gotong"
)

// Page is how much of a list is asked for; it is embedded in inputs.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The maximum number of items."`
	Cursor string `query:"cursor" doc:"X-Next-Cursor of the previous page."`
}

// Order is what a list is sorted by. A cursor of one order is none of another.
type Order string

// The orders of lists.
const (
	ByTime Order = "t" // newest first, by [gotong.EntryName]
	ByID   Order = "i"
)

// Cursor is the opaque cursor of a name within a list: epoch:order:name.
func (o Order) Cursor(ctx context.Context, name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(CallOf(ctx).epoch) + ":" + string(o) + ":" + name))
}

// Name is the name that a cursor stands for, empty for no cursor;
// [gotong.CodeCursorInvalid] where no list of this order gave it, and
// [gotong.CodeEpochChanged] where one gave it in another history.
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

// Position reads a position of a stream that a client names, "epoch:seq".
// [gotong.CodeCursorInvalid] where it is none, and [gotong.CodeEpochChanged]
// where it is one of another history: there, the same seq names another event.
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

// names reports whether a list of this order has such names.
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
