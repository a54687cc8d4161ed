// Package report holds the rules of reports: a member of a thread reports a message
// to those who review it. Each report is a stream of its own, in the home of the
// thread, which no viewer can read, so nobody learns who reported a message.
//
// # Caveats
//
// The rules do not decide whether the reporter may read the messages: [CmdFile] is
// for the server, which reads them as the reporter first.
package report

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "report"

// The names of the command and of the event.
const (
	CmdFile = "report.file"
	EvFiled = "report.filed"
)

// The collections of the kind.
const (
	Reports   = "reports"         // (report id, "") → Report
	OfMessage = "message_reports" // (message key, gotong.EntryName) → gotong.Entry
)

// MaxContext is how many other messages a reporter can open to the reviewers.
const MaxContext = 5

// Reason is why a member reports a message; a closed set.
type Reason string

var reasons = map[Reason]bool{
	"hate": true, "violence": true, "harassment": true, "illegal": true, "misinformation": true, "spam": true,
	"child_safety": true, "other": true,
}

// File reports a message.
type File struct {
	Filed
	Details
}

// Filed is the data of report.filed; the actor is the reporter.
type Filed struct {
	Thread    gotong.Stream  `json:"thread"`
	Home      gotong.Stream  `json:"home"`
	MessageID gotong.EventID `json:"message_id"`
	Seq       uint64         `json:"seq"`               // of the message
	Context   []uint64       `json:"context,omitempty"` // seqs of other messages of the thread
	Reason    Reason         `json:"reason"`
}

// Details is the content of report.filed.
type Details struct {
	Text string `json:"text,omitempty"`
}

// Report is the document of one report.
type Report struct {
	Filed
	ReporterID string         `json:"reporter_id"`
	At         gotong.Instant `json:"at"`
}

// Key is the key of a report's document.
func Key(id string) gotong.Key { return gotong.Key{Collection: Reports, Owner: id} }

// MessageKey owns the list of the reports on a message.
func MessageKey(thread gotong.Stream, id gotong.EventID) string {
	return thread.ID() + ":" + id.String()
}

// StreamOf is the stream of a user's report on a message: there is one for each.
func StreamOf(userID string, thread gotong.Stream, id gotong.EventID) gotong.Stream {
	return gotong.NewStream(Name, gotong.DeriveID(Name, userID, MessageKey(thread, id)))
}

func (c File) Clean() any { c.Text = text.Reason.Clean(c.Text); return c }

func (c File) Validate(check *gotong.Check) {
	for name, s := range map[string]gotong.Stream{"thread": c.Thread, "home": c.Home} {
		_, err := gotong.ParseStream(string(s))
		check.That(err == nil, name, "must be the name of a stream")
	}
	check.That(reasons[c.Reason], "reason", "must be hate, violence, harassment, illegal, misinformation, spam, child_safety or other")
	check.That(len(c.Context) <= MaxContext, "context", "must be at most 5 messages")
	text.Reason.Check(check, "text", c.Text)
}

// Kind returns the rules of reports.
func Kind() gotong.Kind {
	return gotong.Kind{
		Name:      Name,
		Commands:  []gotong.Type{gotong.TypeOf[File](CmdFile).OfServer()},
		Events:    []gotong.EventType{gotong.EventWith[Filed, Details](EvFiled).Of(gotong.Conversation)},
		Documents: []gotong.Type{gotong.TypeOf[Report](Reports), gotong.TypeOf[gotong.Entry](OfMessage)},
		Home: func(cmd gotong.Command) (gotong.Stream, error) {
			if c, ok := cmd.Data.(File); ok {
				return c.Home, nil
			}
			return "", gotong.NotFound()
		},
		Needs: func(s gotong.State, _ gotong.Command) []gotong.Ref {
			return []gotong.Ref{{Stream: s.Stream, Key: Key(s.Stream.ID())}}
		},
		Decide:      decide,
		Project:     project,
		AccessNeeds: func(gotong.State, gotong.Viewer) []gotong.Ref { return nil },
		Access:      func(gotong.State, gotong.Viewer) gotong.Grant { return gotong.Grant{} },
		Affects:     func(gotong.Event) gotong.Affected { return gotong.Affected{} },
	}
}

// decide accepts the first report of a user on a message; another one changes nothing.
func decide(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	c, ok := cmd.Data.(File)
	switch {
	case cmd.Actor.Role == gotong.RoleAnonymous:
		return gotong.Reject(gotong.CodeUnauthorized, "Sign in first.")
	case !ok || s.Stream != StreamOf(cmd.Actor.UserID, c.Thread, c.MessageID):
		return gotong.Decision{}, gotong.NotFound()
	case s.Head.Exists():
		return gotong.Accept()
	}
	return gotong.Accept(gotong.Fact{Type: EvFiled, Data: c.Filed, Content: c.Details})
}

func project(_ gotong.State, e gotong.Event) []gotong.Change {
	d, ok := e.Data.(Filed)
	if !ok {
		return nil
	}
	of := gotong.Key{Collection: OfMessage, Owner: MessageKey(d.Thread, d.MessageID), Name: gotong.EntryName(e.At, e.Stream.ID())}
	return []gotong.Change{
		{Key: Key(e.Stream.ID()), Doc: Report{d, e.Actor.UserID, e.At}},
		gotong.List(of, e.Stream, true),
	}
}
