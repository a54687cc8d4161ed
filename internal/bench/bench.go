package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options configure a run.
type Options struct {
	URL   string // the http or https address of the server
	Users Users
	Only  []string      // scenarios, in this order; see [Names]
	For   time.Duration // how long a rate is measured, at most [MaxFor]
	Warm  time.Duration // the time of posts before the measurement; 0 is a fifth of For

	Clients    int // connections of everyday, idle and storm; 0 is their own number
	Handshakes int // connections that are opened at once; 0 is 100

	Dial     Dialer                // nil dials the network
	Meter    func() (Usage, error) // returns what the server has used; nil if unknown
	Progress func(Progress)        // called at intervals, never concurrently; nil is not called
}

// MaxFor is the longest time of one measurement.
const MaxFor = 10 * time.Minute

// Usage is what the server's process has used since it started.
type Usage struct {
	CPU      time.Duration // user and system
	Written  uint64        // bytes that it caused to be written to disk
	Reads    uint64        // system calls that read
	Writes   uint64        // system calls that write
	Mallocs  uint64        // heap objects allocated
	Resident int64         // bytes, now
	Peak     int64         // bytes, the most so far
}

// Progress describes how far a run has come.
type Progress struct {
	Scenario   string
	Number, Of int    // of the scenario
	Step       string // connect, prepare, warm up, measure, settle, verify
	Done, All  int    // of the step, where it is counted
}

// Report is the result of a run.
type Report struct {
	URL     string    `json:"url"`
	Began   time.Time `json:"began"`
	Results []*Result `json:"results"`
}

// Result is the result of one scenario. Fields that were not measured are
// absent.
type Result struct {
	Scenario    string  `json:"scenario"`
	About       string  `json:"about"`
	Connections int     `json:"connections"`
	Threads     int     `json:"threads"`
	Schedule    string  `json:"schedule"` // open, closed, or empty if nothing is posted
	Rate        float64 `json:"posts_per_second_planned,omitempty"`
	InFlight    int     `json:"in_flight,omitempty"` // posts per poster
	Seconds     float64 `json:"seconds"`             // of the measurement

	Posts               uint64     `json:"posts"` // acknowledged within it
	PostsPerSecond      float64    `json:"posts_per_second"`
	Deliveries          uint64     `json:"deliveries"`
	DeliveriesPerSecond float64    `json:"deliveries_per_second"`
	Ack                 *Quantiles `json:"ack,omitempty"`      // from when a post was due to its acknowledgement
	Delivery            *Quantiles `json:"delivery,omitempty"` // from when a post was due to its receipt
	Connect             *Quantiles `json:"connect,omitempty"`  // from the handshake's begin to the welcome
	ConnectsPerSecond   float64    `json:"connects_per_second,omitempty"`
	Return              *Quantiles `json:"return,omitempty"` // from the return to the last missed event

	Lost        uint64 `json:"lost"`
	Doubled     uint64 `json:"doubled"`
	OutOfOrder  uint64 `json:"out_of_order"`
	Unanswered  uint64 `json:"unanswered"`   // posts without an answer at the end
	RateLimited uint64 `json:"rate_limited"` // answers 429, also while preparing
	Refused     uint64 `json:"refused"`      // posts refused for another reason
	Broken      uint64 `json:"broken"`       // connections that the server or the network ended

	Server *Server `json:"server,omitempty"`
	Error  string  `json:"error,omitempty"` // why the scenario did not finish
}

// Faulty reports whether the server broke a promise or a connection.
func (r *Result) Faulty() bool {
	return r.Lost+r.Doubled+r.OutOfOrder+r.Unanswered+r.Broken > 0 || r.Error != ""
}

// Server is what the server's process used during a scenario.
type Server struct {
	CPUSeconds       float64 `json:"cpu_seconds"`
	CPUPerPost       float64 `json:"cpu_us_per_post,omitempty"`
	CPUPerMillion    float64 `json:"cpu_seconds_per_million_deliveries,omitempty"`
	CPUPerConnect    float64 `json:"cpu_ms_per_connect,omitempty"`
	KBWrittenPerPost float64 `json:"kb_written_per_post,omitempty"`
	WritesPerPost    float64 `json:"write_calls_per_post,omitempty"`
	ReadsPerPost     float64 `json:"read_calls_per_post,omitempty"`
	AllocsPerPost    float64 `json:"allocations_per_post,omitempty"`
	KBPerConnection  float64 `json:"kb_resident_per_connection,omitempty"` // with what the server keeps of its user and their thread
	ResidentMB       float64 `json:"resident_mb,omitempty"`
	PeakMB           float64 `json:"peak_mb,omitempty"`
}

// Check returns what is wrong with the options.
func (o *Options) Check() error {
	var faults []error
	if _, err := newTarget(o.URL, nil); err != nil {
		faults = append(faults, err)
	}
	if o.For <= 0 || o.For > MaxFor || o.Warm < 0 || o.Warm > MaxFor {
		faults = append(faults, fmt.Errorf("bench: the time of a measurement must be above 0 and at most %s", MaxFor))
	}
	if o.Clients < 0 || o.Clients > maxUsers {
		faults = append(faults, fmt.Errorf("bench: at most %d clients", maxUsers))
	}
	if o.Handshakes < 0 || o.Handshakes > 1000 {
		faults = append(faults, errors.New("bench: at most 1000 handshakes at once"))
	}
	list, err := o.scenarios()
	faults = append(faults, err)
	for _, s := range list {
		if n := s.Connections(); o.Users == nil || n > o.Users.Count() {
			faults = append(faults, &TooFewUsers{Scenario: s.Name, Needs: n})
		}
	}
	return errors.Join(faults...)
}

// TooFewUsers is the error of a scenario with more connections than there are
// users.
type TooFewUsers struct { //nolint:errname // what is wrong, in words
	Scenario string
	Needs    int
}

// Error implements error.
func (e *TooFewUsers) Error() string {
	return fmt.Sprintf("bench: scenario %s needs %d users", e.Scenario, e.Needs)
}

func (o *Options) scenarios() ([]Scenario, error) {
	list := make([]Scenario, 0, len(o.Only))
	for _, name := range o.Only {
		i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("bench: unknown scenario %q; the scenarios are %s", name, strings.Join(Names(), ", "))
		}
		s := Scenarios[i]
		if s.Clients > 0 && o.Clients > 0 {
			s.Clients = o.Clients
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, errors.New("bench: no scenario is named")
	}
	return list, nil
}

// Run runs the scenarios one after the other. If ctx ends, it returns ctx's
// error with the results so far.
func Run(ctx context.Context, o Options) (Report, error) {
	report := Report{URL: o.URL, Began: time.Now().UTC(), Results: []*Result{}}
	if err := o.Check(); err != nil {
		return report, err
	}
	o.fill()
	server, err := newTarget(o.URL, o.Dial)
	if err != nil {
		return report, err
	}
	list, err := o.scenarios()
	if err != nil {
		return report, err
	}
	for i, s := range list {
		t := newTrial(&o, server, s, Progress{Scenario: s.Name, Number: i + 1, Of: len(list)})
		err := t.run(ctx)
		report.Results = append(report.Results, t.result)
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		if err != nil {
			t.result.Error = err.Error()
		}
	}
	return report, nil
}

func (o *Options) fill() {
	if o.Warm == 0 {
		o.Warm = o.For / 5
	}
	if o.Handshakes == 0 {
		o.Handshakes = 100
	}
	if issuer, ok := o.Users.(*Issuer); ok && issuer.Prefix == "" {
		issuer.Prefix = runName()
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}
