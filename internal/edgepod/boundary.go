package edgepod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gotong.dev/gotong/internal/clock"
)

// Provider answers the requests of the contracts. It is never trusted.
type Provider interface {
	Name() string

	// Remote reports whether text leaves the process.
	Remote() bool

	// Ask returns the response to a valid request, unchecked. Its error may be a
	// [ProviderError]. It must return when ctx ends.
	Ask(ctx context.Context, c *Contract, request []byte) ([]byte, error)
}

// Reason is the reason that the answer is the fallback.
type Reason string

// The reasons.
const (
	Unavailable Reason = "MODEL_UNAVAILABLE"
	Timeout     Reason = "TIMEOUT"
	Violation   Reason = "SCHEMA_VIOLATION"
	Blocked     Reason = "POLICY_BLOCK"
	transient   Reason = "RETRYABLE_TRANSIENT" // of providers only
)

// ProviderError is an error with which a provider says why it has no answer.
type ProviderError struct {
	Reason Reason
	Cause  error // nil if the provider itself reported the reason
}

func (e *ProviderError) Error() string { return fmt.Sprintf("edgepod: %s: %v", e.Reason, e.Cause) }

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Cause }

// Privacy is who a text is for; a greater one is for fewer.
type Privacy int

// The levels of privacy.
const (
	Open  Privacy = iota // public threads
	L1                   // what the caller marked as l1; it is treated as open
	L2                   // private threads, cases, groups by invitation
	Vault                // never leaves the process
)

var levels = []string{"open", "l1", "l2", "vault"}

// ParsePrivacy returns the level with this name, or Open if there is none.
func ParsePrivacy(name string) Privacy { return Privacy(max(0, slices.Index(levels, name))) }

// String returns the name of the level.
func (p Privacy) String() string { return levels[p] }

// Call is one request to the boundary.
type Call struct {
	Contract *Contract
	Request  []byte // accepted by Contract.Request
	Privacy  Privacy
	Released bool // text of the level L2 may leave the process
	Batch    bool // nobody waits for the answer
}

// Answer is a response that the schema of its contract accepts.
type Answer struct {
	RequestID      string          `json:"request_id"`
	ResultVersion  string          `json:"result_version"`
	Output         json.RawMessage `json:"output"`
	Confidence     *float64        `json:"confidence,omitempty"`
	ReasonCode     string          `json:"reason_code,omitempty"`
	ActorContext   *ActorContext   `json:"actor_context,omitempty"`
	ManualRequired *bool           `json:"manual_required,omitempty"`
}

// ActorContext says whether an answer is the fallback.
type ActorContext struct {
	Fallback bool   `json:"fallback"`
	Reason   string `json:"reason,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// Fallback reports whether the answer is the fallback: of this server, or of a
// provider that says so.
func (a Answer) Fallback() bool { return a.ActorContext != nil && a.ActorContext.Fallback }

// Options are what a boundary is made of.
type Options struct {
	Provider Provider // nil: none, every answer is the fallback
	Clock    clock.Clock

	// Called is called for each call, with "ok" or the reason in lower case as the
	// outcome. Nil: nobody counts.
	Called func(c *Contract, provider, version, outcome string, took time.Duration)
}

// Boundary asks the provider. It is safe for concurrent use.
type Boundary struct {
	opt      Options
	breakers map[string]*breaker // by contract
	versions versions
}

// New returns a boundary.
func New(opt Options) *Boundary {
	b := &Boundary{opt: opt, breakers: map[string]*breaker{}}
	failure.compiled()
	for i := range Contracts {
		c := &Contracts[i]
		c.Request.compiled()
		c.Response.compiled()
		b.breakers[c.ID] = &breaker{}
	}
	return b
}

// Asks reports whether there is a provider at all.
func (b *Boundary) Asks() bool { return b.opt.Provider != nil }

// Provider returns the name of the provider.
func (b *Boundary) Provider() string {
	if b.opt.Provider == nil {
		return "none"
	}
	return b.opt.Provider.Name()
}

// The bounds of one call, with all its attempts.
const (
	interactive = 2500 * time.Millisecond
	batch       = 10 * time.Second
	attempts    = 3
	firstPause  = 100 * time.Millisecond // between two attempts, then doubled
)

// Ask returns the provider's answer, or the fallback. It returns within 2.5 s, or
// 10 s for a batch, and never fails.
func (b *Boundary) Ask(ctx context.Context, call Call) Answer {
	began := b.opt.Clock.Mono()
	limit := interactive
	if call.Batch {
		limit = batch
	}
	asked, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, reason := b.ask(asked, call)
	outcome, version := "ok", answer.ResultVersion
	switch {
	case reason != "":
		answer, outcome, version = fallback(call, reason), string(reason), ResultVersion
	case answer.Fallback():
		outcome = "PROVIDER_FALLBACK"
	}
	if b.opt.Called != nil {
		b.opt.Called(call.Contract, b.Provider(), b.versions.label(version), outcome, b.opt.Clock.Mono().Sub(began))
	}
	return answer
}

func (b *Boundary) ask(ctx context.Context, call Call) (Answer, Reason) {
	p := b.opt.Provider
	switch {
	case p == nil:
		return Answer{}, Unavailable
	case p.Remote() && (call.Privacy == Vault || call.Privacy == L2 && !call.Released):
		return Answer{}, Blocked
	case !p.Remote():
		return once(ctx, p, call)
	}
	k := b.breakers[call.Contract.ID]
	if !k.enter(b.opt.Clock.Mono()) {
		return Answer{}, Unavailable
	}
	answer, reason := Answer{}, Reason("")
	pause := firstPause
	for i := range attempts {
		if i > 0 {
			if !clock.Pause(ctx, pause) {
				break
			}
			pause *= 2
		}
		answer, reason = once(ctx, p, call)
		if reason != transient && reason != Timeout || ctx.Err() != nil {
			break
		}
	}
	left := errors.Is(ctx.Err(), context.Canceled) // the caller left: no fault of the provider
	k.leave(b.opt.Clock.Mono(), reason != "" && reason != Blocked, left)
	if reason == transient {
		reason = Unavailable
	}
	return answer, reason
}

// once asks once, and validates the response before anything reads it.
func once(ctx context.Context, p Provider, call Call) (answer Answer, reason Reason) {
	defer func() {
		if recover() != nil {
			answer, reason = Answer{}, Unavailable
		}
	}()
	response, err := p.Ask(ctx, call.Contract, call.Request)
	var fault *ProviderError
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Answer{}, Timeout
	case errors.As(err, &fault):
		return Answer{}, fault.Reason
	default:
		return Answer{}, Unavailable
	}
	if call.Contract.Response.Validate(response) != nil {
		return Answer{}, Violation
	}
	if json.Unmarshal(response, &answer) != nil || !fits(call, answer) {
		return Answer{}, Violation
	}
	return answer, ""
}

// listed names, for the contracts whose answers name what the request names, the
// list of the output and the field of an item that holds the id.
var listed = map[string][2]string{Duplicates: {"matches", "seed_id"}, Gaming: {"flags", "user_id"}, Media: {"scans", "media_url"}}

// fits reports whether an answer is one to this request: it has its id, and names
// nothing that the request does not name.
func fits(call Call, a Answer) bool {
	var q input
	if json.Unmarshal(call.Request, &q) != nil || a.RequestID != q.RequestID {
		return false
	}
	where, ok := listed[call.Contract.ID]
	if !ok {
		return true
	}
	var out map[string]any
	if json.Unmarshal(a.Output, &out) != nil {
		return false
	}
	named := map[any]bool{nil: true, "": true} // without a top match
	for _, id := range slices.Concat(q.Users, q.URLs) {
		named[id] = true
	}
	for _, c := range q.Options.Candidates {
		named[c.ID] = true
	}
	items, _ := out[where[0]].([]any)
	return named[out["top_match"]] && !slices.ContainsFunc(items, func(item any) bool {
		fields, _ := item.(map[string]any)
		id, _ := fields[where[1]].(string)
		return id == "" || !named[id]
	})
}
