package advice

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/view"
)

// Text is a message as a viewer sees it.
type Text struct {
	ID, Author, Body string
	At               gotong.Instant
}

// Texts returns the messages among events that have a text, in their order.
func Texts(events []view.Event) (list []Text) {
	for _, e := range events {
		if t, ok := e.Content.(thread.Text); ok && t.Body != "" {
			list = append(list, Text{e.ID.String(), e.Actor.UserID, t.Body, e.At})
		}
	}
	return list
}
