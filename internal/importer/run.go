package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"gotong.dev/gotong"
)

// Submit sends one command to the thread and returns without waiting for its
// answer; wait does that. Commands take effect in the order of their Submits,
// unless the server puts one off.
type Submit func(ctx context.Context, typ string, data any, requestID string) (wait Wait, err error)

// Wait waits for an answer. PutOff says that the server did not take the
// command at once (a rate limit, say) and that it was sent again.
type Wait func(ctx context.Context) (r gotong.Receipt, putOff bool, err error)

// Window is how many commands are on their way at once at most.
const Window = 64

// pace is how many commands may be on their way at once. What a server puts
// off is overtaken by what was sent behind it, so the first commands go one by
// one, until it is known that this server takes many; one that puts a command
// off gets them one by one to the end.
type pace struct {
	taken  int // in a row
	putOff bool
}

func (p *pace) note(putOff bool) {
	p.taken++
	p.putOff = p.putOff || putOff
}

func (p *pace) window() int {
	switch {
	case p.putOff || p.taken < 256:
		return 1
	case p.taken < 512:
		return 8
	default:
		return Window
	}
}

// Result is what became of the steps.
type Result struct {
	Done    int `json:"done"`    // steps with an answer: the sum of the next five
	Added   int `json:"added"`   // new events
	Present int `json:"present"` // were there already, from an earlier run
	Moved   int `json:"moved"`   // were there already with another time: the first one stays
	Void    int `json:"void"`    // changed nothing: a removal of who was no member
	Refused int `json:"refused"`

	PutOff   bool    `json:"put_off"`            // the server's rate limit set the pace
	Refusals []Fault `json:"refusals,omitempty"` // the first MaxFaults of Refused; Why is the server's sentence
}

// Run sends steps as commands and waits for their answers. A step that the
// server refuses for what it says is noted and the rest goes on. What is wrong
// with all of them (no permission, no such thread, no connection) is the
// error, and so is that of the steps; what is already on its way is waited
// for. Progress, if not nil, is called after each answer.
//
// Running again with the same steps after whatever went wrong is right.
func Run(ctx context.Context, submit Submit, steps iter.Seq2[Step, error], progress func(Result)) (Result, error) {
	next, stop := iter.Pull2(steps)
	defer stop()
	var r Result
	var p pace
	var queue []sent // in order
	var failed error
	more := true
	for {
		for more && failed == nil && len(queue) < p.window() {
			var s sent
			if s, more, failed = send(ctx, submit, next); more && failed == nil {
				queue = append(queue, s)
			}
		}
		if len(queue) == 0 {
			return r, failed
		}
		s := queue[0]
		queue = queue[1:]
		receipt, putOff, err := s.wait(ctx)
		p.note(putOff)
		r.PutOff = p.putOff
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
	step Step
	wait Wait
}

// send sends the next step; false at the end of them.
func send(ctx context.Context, submit Submit, next func() (Step, error, bool)) (sent, bool, error) {
	step, err, more := next()
	if !more || err != nil {
		return sent{}, more, err
	}
	wait, err := submit(ctx, commandOf(step.Op), data(step), step.RequestID)
	return sent{step, wait}, true, err
}

// note counts an answer; the error is one that the other steps would get too.
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
	case gotong.CodeInvalid, gotong.CodeConflict, gotong.CodeTooLarge, gotong.CodeBadJSON:
		if r.Refused++; len(r.Refusals) < MaxFaults {
			r.Refusals = append(r.Refusals, Fault{step.Line, sentence(err)})
		}
	default:
		return err
	}
	r.Done++
	return nil
}

// sentence is what the server said to it.
func sentence(err error) string {
	if known, ok := errors.AsType[*gotong.Error](err); ok {
		return known.Detail
	}
	return err.Error()
}

// commandOf is the command of a thread that a step is.
func commandOf(op Op) string {
	switch op {
	case Add:
		return "member.add"
	case Remove:
		return "member.remove"
	default:
		return "message.post"
	}
}

// said is the data of each of the commands.
type said struct {
	UserID   string `json:"user_id,omitempty"`
	Body     string `json:"body,omitempty"`
	SentAtMS int64  `json:"sent_at_ms,omitempty"`
	SentBy   string `json:"sent_by"`
}

func data(s Step) said {
	d := said{SentAtMS: s.SentAt.Milli(), SentBy: s.Name}
	if s.Op == Post {
		d.Body = s.Text
	} else {
		d.UserID = s.UserID
	}
	return d
}

// ThreadRequestID is the request id of creating the thread of an export in a
// scope. It derives from the first message, so that the same export, or a
// longer one, finds its thread again.
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
