package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// Submit sends one command to the thread and returns a function that waits for
// its answer. Commands take effect in the order of their Submits, unless the
// server puts one off.
type Submit func(ctx context.Context, typ string, data any, requestID string) (wait Wait, err error)

// Wait returns the answer. putOff reports that the server first answered
// "unknown" (for example because of a rate limit) and that the command was sent
// again.
type Wait func(ctx context.Context) (r gotong.Receipt, putOff bool, err error)

// Upload sends a file of a message, and returns the id under which the message refers
// to it. A file that was sent before, with the same request id, is not sent again.
type Upload func(ctx context.Context, m Medium) (id string, err error)

// Window is the greatest number of commands that are on their way at once.
const Window = 64

// pace decides how many commands may be on their way at once. Commands sent
// after one that the server puts off overtake it. Therefore the first commands
// are sent one by one, until the server has accepted many of them; after the
// first that it puts off, all are sent one by one.
type pace struct {
	accepted int // in a row
	putOff   bool
}

func (p *pace) note(putOff bool) {
	p.accepted++
	p.putOff = p.putOff || putOff
}

func (p *pace) window() int {
	switch {
	case p.putOff || p.accepted < 256:
		return 1
	case p.accepted < 512:
		return 8
	default:
		return Window
	}
}

// Result counts the outcomes of the steps.
type Result struct {
	Done    int `json:"done"`    // steps with an answer: the sum of the next five
	Added   int `json:"added"`   // new events
	Present int `json:"present"` // already there from an earlier run
	Moved   int `json:"moved"`   // already there with another time, which is kept
	Void    int `json:"void"`    // without effect: the removal of a user who was not a member
	Refused int `json:"refused"`
	Loose   int `json:"loose"` // replies and pins whose message is not in the thread: posted as plain messages, or left out

	Media   int     `json:"media"`             // files that were uploaded
	Bytes   int64   `json:"bytes"`             // of these, and of Denied
	Denied  int     `json:"denied"`            // files that the server rejected: the text of their messages names them
	Denials []Fault `json:"denials,omitempty"` // the first MaxFaults of Denied; Why begins with the name

	PutOff   bool    `json:"put_off"`            // the server's rate limit determined the pace
	Refusals []Fault `json:"refusals,omitempty"` // the first MaxFaults of Refused; Why is the server's sentence
}

// Run sends steps as commands and waits for their answers. A step that the
// server rejects because of its content is noted, and Run continues. Run
// returns an error that would affect all steps (no permission, no such thread, no
// connection), an error of steps, and an error of an upload, unless the server rejects
// that one file. It first waits for the commands that were sent. ids are the messages
// in the thread that steps may name, by [Hash] of their request id; Run adds to it. If progress is not nil, it is called after each answer.
//
// After any error, Run may be called again with the same steps.
func Run(ctx context.Context, submit Submit, steps iter.Seq2[Step, error], ids map[uint64]gotong.EventID, progress func(Result),
) (Result, error) {
	next, stop := iter.Pull2(steps)
	defer stop()
	var r Result
	var p pace
	var queue []sent // in order
	var failed error
	if ids == nil {
		ids = map[uint64]gotong.EventID{}
	}
	step, failed, more := next()
	for {
		for more && failed == nil && len(queue) < p.window() && !waits(step, queue) {
			if r.aim(&step, ids) {
				s := sent{step: step}
				if failed = r.attach(ctx, &s); failed == nil {
					failed = s.send(ctx, submit)
				}
				if failed != nil {
					break
				}
				queue = append(queue, s)
			}
			step, failed, more = next()
		}
		if len(queue) == 0 {
			return r, failed
		}
		s := queue[0]
		queue = queue[1:]
		receipt, putOff, err := s.wait(ctx)
		p.note(putOff)
		r.PutOff = p.putOff
		if err == nil && s.step.Named && len(receipt.EventIDs) > 0 {
			ids[Hash(s.step.RequestID)] = receipt.EventIDs[0]
		}
		if err := r.note(s.step, receipt, err); err != nil && failed == nil {
			failed = fmt.Errorf("line %d: %w", s.step.Line, err)
		}
		if progress != nil {
			progress(r)
		}
	}
}

// sent is a step on its way.
type sent struct {
	step  Step
	files []string // ids of uploads
	wait  Wait
}

// attach uploads the files of a step. Its text no longer names those that the server took.
func (r *Result) attach(ctx context.Context, s *sent) error {
	for _, m := range s.step.Media {
		id, err := s.step.Upload(ctx, m)
		r.Bytes += m.Size
		switch gotong.CodeOf(err) {
		case "":
			r.Media++
			s.files = append(s.files, id)
			s.step.Text = body(strings.Replace(s.step.Text, m.mark(), "", 1))
		case gotong.CodeInvalid, gotong.CodeTooLarge, gotong.CodeReused:
			if r.Denied++; len(r.Denials) < MaxFaults {
				r.Denials = append(r.Denials, Fault{s.step.Line, m.Name + ": " + reason(err)})
			}
		default:
			return err
		}
	}
	return nil
}

// waits reports whether a step names a message whose post has no answer yet.
func waits(step Step, queue []sent) bool {
	return step.Target != "" && slices.ContainsFunc(queue, func(s sent) bool { return s.step.RequestID == step.Target })
}

// aim sets the message that a step answers or pins. Without one, a reply becomes a
// plain message, and there is nothing to pin: false.
func (r *Result) aim(step *Step, ids map[uint64]gotong.EventID) bool {
	if step.Target == "" {
		return true
	}
	var known bool
	if step.message, known = ids[Hash(step.Target)]; !known {
		r.Loose++
	}
	return known || step.Op != Pin
}

// send sends the command, unless the thread has the message with its files.
func (s *sent) send(ctx context.Context, submit Submit) (err error) {
	if s.step.Filed {
		s.wait = func(context.Context) (gotong.Receipt, bool, error) {
			return gotong.Receipt{First: 1, Replayed: true}, false, nil
		}
		return nil
	}
	d := data(s.step)
	d.Attachments = s.files
	s.wait, err = submit(ctx, commandOf(s.step.Op), d, s.step.RequestID)
	return err
}

// note counts an answer. It returns an error that the other steps would get
// too.
func (r *Result) note(step Step, receipt gotong.Receipt, err error) error {
	switch code := gotong.CodeOf(err); code {
	case "":
		switch {
		case receipt.First == 0:
			r.Void++
		case receipt.Replayed:
			r.Present++
		default:
			r.Added++
		}
	case gotong.CodeReused:
		r.Moved++
	case gotong.CodeInvalid, gotong.CodeConflict, gotong.CodeTooLarge, gotong.CodeBadJSON, gotong.CodeTargetDeleted:
		if r.Refused++; len(r.Refusals) < MaxFaults {
			r.Refusals = append(r.Refusals, Fault{step.Line, reason(err)})
		}
	default:
		return err
	}
	r.Done++
	return nil
}

// reason returns the server's reason.
func reason(err error) string {
	if known, ok := errors.AsType[*gotong.Error](err); ok {
		return known.Detail
	}
	return err.Error()
}

// commandOf returns the thread's command for a step.
func commandOf(op Op) string {
	switch op {
	case Add:
		return "member.add"
	case Remove:
		return "member.remove"
	case Pin:
		return "message.pin"
	case Title:
		return "thread.update"
	default:
		return "message.post"
	}
}

// payload is the data of a command.
type payload struct {
	UserID   string  `json:"user_id,omitempty"`
	Body     *string `json:"body,omitempty"` // may be empty
	SentAtMS int64   `json:"sent_at_ms,omitempty"`
	SentBy   string  `json:"sent_by,omitempty"`

	Attachments []string `json:"attachments,omitempty"`

	Name      string         `json:"name,omitempty"`
	ReplyTo   gotong.EventID `json:"reply_to,omitzero"`
	MessageID gotong.EventID `json:"message_id,omitzero"`
}

func data(s Step) payload {
	d := payload{SentAtMS: s.SentAt.Milli(), SentBy: s.Name}
	switch s.Op {
	case Post:
		d.Body, d.ReplyTo = &s.Text, s.message
	case Pin:
		return payload{MessageID: s.message}
	case Title:
		return payload{Name: s.Text}
	default:
		d.UserID = s.UserID
	}
	return d
}

// ThreadRequestID returns the request id with which the thread of an export is
// created in a scope. It is derived from the first message, so that the same
// export, or a longer one, finds its thread again.
func ThreadRequestID(scope string, f Format, entries []Entry) string {
	var first Entry
	for i, e := range entries {
		if e.Kind == Message || i == 0 {
			first = e
		}
		if e.Kind == Message {
			break
		}
	}
	return "import:" + gotong.DeriveID("thread", scope, string(f)+" "+first.RequestID())
}
