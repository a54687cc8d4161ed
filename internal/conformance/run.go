package conformance

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Case is one rule of the protocol, and how the server tries it.
type Case struct {
	ID      string `json:"id"`
	Rule    string `json:"rule"`            // what a client must do
	Section string `json:"section"`         // of docs/protocol.md, as the anchor of its heading
	Server  string `json:"server"`          // what the server does
	Needs   string `json:"needs,omitempty"` // what the client's hello must name beside the transport

	scale float64 // of the client's own waits; 0 is usualScale
	play  func(*play)
}

// usualScale shortens the client's own waits: 30 s become 0.6 s.
const usualScale = 0.02

// transport returns the transport that a case needs, by the first part of its id.
func (c *Case) transport() string {
	switch first, _, _ := strings.Cut(c.ID, "."); first {
	case sse, poll:
		return first
	default:
		return ws
	}
}

// The outcomes of a case.
const (
	Pass = "pass"
	Fail = "fail"
	Skip = "skip" // the client's hello does not name what the case needs
)

// Result is the outcome of one case.
type Result struct {
	ID         string   `json:"id"`
	Outcome    string   `json:"outcome"`
	Reason     string   `json:"reason,omitempty"`
	MS         int64    `json:"ms"`
	Transcript []string `json:"transcript,omitempty"` // of a case that failed
}

// Report is the outcome of a run.
type Report struct {
	Client  string   `json:"client"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Results []Result `json:"results"`
}

// Options configure a run.
type Options struct {
	Start    Start
	Cases    []string               // patterns of ids, as of path.Match; nil is all
	Parallel int                    // cases at once; 0 is 8
	Progress func(r Result, of int) // called after each case, one at a time; may be nil
}

// ErrNoCase is returned if no case has an id that matches.
var ErrNoCase = errors.New("no case matches")

// Select returns the cases whose ids match one of the patterns.
func Select(patterns []string) ([]Case, error) {
	list := Cases()
	if len(patterns) == 0 {
		return list, nil
	}
	list = slices.DeleteFunc(list, func(c Case) bool {
		return !slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, err := path.Match(pattern, c.ID)
			return ok && err == nil
		})
	})
	if len(list) == 0 {
		return nil, ErrNoCase
	}
	return list, nil
}

// Run runs the cases against a client. An error means that there is no verdict.
func Run(ctx context.Context, o Options) (Report, error) {
	cases, err := Select(o.Cases)
	if err != nil {
		return Report{}, err
	}
	greeting, err := hello(ctx, o.Start)
	if err != nil {
		return Report{}, err
	}
	report := Report{Client: greeting.Client, Results: make([]Result, len(cases))}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	slots := make(chan struct{}, o.Parallel)
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range cases {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := Result{ID: cases[i].ID, Outcome: Skip, Reason: "the client cannot " + cases[i].missing(greeting.Can)}
			if cases[i].missing(greeting.Can) == "" {
				r = cases[i].run(ctx, o.Start)
			}
			mu.Lock()
			defer mu.Unlock()
			report.Results[i] = r
			if o.Progress != nil {
				o.Progress(r, len(cases))
			}
		})
	}
	group.Wait()
	for _, r := range report.Results {
		switch r.Outcome {
		case Pass:
			report.Passed++
		case Fail:
			report.Failed++
		default:
			report.Skipped++
		}
	}
	return report, ctx.Err()
}

// missing returns the first ability that a case needs and the client lacks.
func (c *Case) missing(can []string) string {
	for _, need := range append(strings.Fields(c.Needs), c.transport()) {
		if !slices.Contains(can, need) {
			return need
		}
	}
	return ""
}

// hang is the real time after which a case is given up: only an adapter that has
// hung needs so long.
const hang = 2 * time.Minute

// run runs one case.
func (c *Case) run(ctx context.Context, start Start) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	notes := &transcript{began: time.Now()}
	r = Result{ID: c.ID, Outcome: Fail}
	p := &play{ctx: ctx, mail: make(chan item, 1024), scale: c.scale}
	if p.scale == 0 {
		p.scale = usualScale
	}
	var err error
	if p.server, err = serve(ctx, p.mail, notes); err != nil {
		r.Reason = err.Error()
		return r
	}
	p.session, err = open(ctx, start, func(text string, l *line) {
		if l.Event != "synced" {
			notes.add("adapter → %.300s", text)
		}
		p.server.deliver(item{line: l})
	})
	if err == nil {
		r.Reason = p.perform(c)
		cancel() // the script is over: nothing reads the mail any more
		said, failed := p.session.end()
		if r.Reason != "" && failed != nil {
			r.Reason = failed.Error()
		}
		if r.Reason != "" && said != "" {
			notes.add("adapter wrote: %s", said)
		}
	} else {
		r.Reason = err.Error()
	}
	p.server.close()
	r.MS = time.Since(notes.began).Milliseconds()
	if r.Reason == "" {
		r.Outcome = Pass
		return r
	}
	r.Transcript = notes.all()
	return r
}

// perform plays the script. It returns why the client failed, or "".
func (p *play) perform(c *Case) (reason string) {
	defer func() {
		if fault := recover(); fault != nil {
			f, ok := fault.(failure)
			if !ok {
				panic(fault)
			}
			reason = string(f)
		}
	}()
	c.play(p)
	p.leftovers()
	return ""
}
