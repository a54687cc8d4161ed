package members

import (
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// Led describes a kind whose streams have leaders, among their members. A
// stream's document is a [Roster]; the command that appoints a leader is
// member.appoint.
type Led struct {
	Kind     string
	OfUser   string        // the listing of a user's streams
	Imported string        // prefix of the user ids that a roster does not count; empty if it counts all
	Op       httpapi.Route // the appointment's ID, Path and Summary

	Appoint func(userID string, members []string) any
}

// Roster is the document of a stream with leaders. One that has a title too
// implements [Titled].
type Roster interface{ Leadership() gotong.Roster }

// Titled is the document of a stream that has a title.
type Titled interface{ Title() string }

// Counts reports whether the roster of a stream counts this member.
func (l Led) Counts(userID string, row Row) bool {
	return row.Base().Active() && (l.Imported == "" || !strings.HasPrefix(userID, l.Imported))
}
