package httpapi

import (
	"encoding/base64"

	"gotong.dev/gotong"
)

// Page is how much of a list is asked for; it is embedded in inputs.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" doc:"X-Next-Cursor of the page before."`
}

// After is the name that the cursor stands for; empty for the first page.
func (p Page) After() (string, error) { return ReadPageCursor(p.Cursor) }

// PageCursor is the opaque cursor of a name within a list.
func PageCursor(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// ReadPageCursor is the name that a cursor stands for.
func ReadPageCursor(cursor string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", gotong.NewError(gotong.CodeCursorInvalid, "The cursor cannot be read.")
	}
	return string(b), nil
}
