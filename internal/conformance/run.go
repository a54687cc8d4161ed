package conformance

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Case is one rule of the protocol, and how the server tries it.
type Case struct {
	ID      string   `json:"id"`
	Rule    string   `json:"rule"`            // what a client must do
	Section string   `json:"section"`         // of docs/protocol.md, as the anchor of its heading
	Server  string   `json:"server"`          // what the server does
	Needs   string   `json:"needs,omitempty"` // what the client's hello must name beside the transport
	Script  []string `json:"script"`

	scale float64 // of the client's own waits
}

// usualScale shortens the client's own waits: 30 s become 0.6 s.
const usualScale = 0.02

// transport returns the transport that a case needs, by the first part of its id.
func (c *Case) transport() string {
	switch first, _, _ := strings.Cut(c.ID, "."); first {
	case sse, poll, rest:
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
	Progress func(r Result, of int) // called after each case, one at a time; may be nil

	patience int // of scripts, in beats; 0 is patience
	parallel int // cases at once; 0 is parallel
}

// parallel is the number of cases that run at once, unless a test says otherwise.
const parallel = 8

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
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(cmp.Or(o.parallel, parallel))
	for i := range cases {
		group.Go(func() error {
			r := Result{ID: cases[i].ID, Outcome: Skip}
			if missing := cases[i].missing(greeting.Can); missing != "" {
				r.Reason = "the client cannot " + missing
			} else {
				r = cases[i].run(ctx, o)
			}
			mu.Lock()
			defer mu.Unlock()
			report.Results[i] = r
			if o.Progress != nil {
				o.Progress(r, len(cases))
			}
			return nil
		})
	}
	_ = group.Wait()
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

// endWithin is the time that an adapter has to end before it is killed.
const endWithin = 500 * time.Millisecond

// hang is the real time after which a case is given up: only an adapter that has
// hung needs so long.
const hang = 5 * time.Minute

// A machine that stalls may make a right client reconnect at a moment at which no
// script expects it. So a failure counts at once only if the adapter has answered
// each sync soon, and otherwise if the case fails again and again.
const (
	soon  = 150 * time.Millisecond
	tries = 5
)

// run runs one case.
func (c *Case) run(ctx context.Context, o Options) Result {
	for n := 1; ; n++ {
		r, slowest := c.once(ctx, o)
		if r.Outcome == Pass || slowest <= soon || n == tries || ctx.Err() != nil {
			return r
		}
	}
}

// once runs one case once. It also returns the time of the slowest answer to a sync.
func (c *Case) once(ctx context.Context, o Options) (r Result, slowest time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	notes := &transcript{began: time.Now()}
	r = Result{ID: c.ID, Outcome: Fail}
	p := &play{ctx: ctx, mail: make(mail, 4*flood), kase: c, patience: cmp.Or(o.patience, patience)}
	var err error
	if p.server, err = serve(ctx, p.mail, notes, c.Script...); err != nil {
		r.Reason = err.Error()
		return r, 0
	}
	p.session, err = open(ctx, o.Start, func(text string, l *line) {
		if l.Event != "synced" {
			notes.notef("adapter → %.300s", text)
		}
		p.mail.put(item{line: l})
	})
	if err == nil {
		r.Reason = p.perform()
		_ = p.session.adapter.In.Close()
		p.server.close()
		late := time.AfterFunc(endWithin, cancel)
		said, failed := p.session.end()
		late.Stop()
		if r.Reason != "" && failed != nil {
			r.Reason = failed.Error()
		}
		if r.Reason != "" && said != "" {
			notes.notef("adapter wrote: %s", said)
		}
	} else {
		p.server.close()
		r.Reason = err.Error()
	}
	r.MS = time.Since(notes.began).Milliseconds()
	if r.Reason == "" {
		r.Outcome = Pass
	} else {
		r.Transcript = notes.all()
	}
	return r, p.slowest
}
