package gates

import (
	"fmt"
	"time"

	"gotong.dev/gotong"
)

// Verdict is the judgement of a gate.
type Verdict string

// The verdicts, the worst last.
const (
	Go         Verdict = "go"
	NotChecked Verdict = "not checked"
	Warning    Verdict = "warning"
	NoGo       Verdict = "no-go"
)

func (v Verdict) weight() int {
	switch v {
	case NoGo:
		return 3
	case Warning:
		return 2
	case NotChecked:
		return 1
	default:
		return 0
	}
}

// Finding is one thing that a gate saw.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Seen    string  `json:"seen"`
	Way     string  `json:"way_out,omitempty"` // what to do; empty if all is well
}

// Result is the result of one gate.
type Result struct {
	Gate     string    `json:"gate"`
	Asks     string    `json:"asks"`
	Verdict  Verdict   `json:"verdict"`
	TookMS   int64     `json:"took_ms"`
	Findings []Finding `json:"findings"`
}

// Report is the result of a run.
type Report struct {
	Target  string         `json:"target"` // without user and password
	Server  string         `json:"server"` // the version that it reports
	At      gotong.Instant `json:"at"`
	For     string         `json:"probes_for"`
	Verdict Verdict        `json:"verdict"` // no-go if one gate is, else go
	Gates   []Result       `json:"gates"`
	Left    []string       `json:"left,omitempty"`   // what remains of the scratch, and how to remove it
	Others  []string       `json:"others,omitempty"` // scratches of other runs, and how to remove them
}

func (r *Report) add(result Result) {
	r.Gates = append(r.Gates, result)
	r.Verdict = Go
	for _, g := range r.Gates {
		if g.Verdict == NoGo {
			r.Verdict = NoGo
		}
	}
}

type findings []Finding

func (f *findings) add(v Verdict, way, format string, args []any) {
	*f = append(*f, Finding{Verdict: v, Seen: fmt.Sprintf(format, args...), Way: way})
}

func (f *findings) goodf(format string, args ...any)      { f.add(Go, "", format, args) }
func (f *findings) warnf(way, format string, args ...any) { f.add(Warning, way, format, args) }
func (f *findings) badf(way, format string, args ...any)  { f.add(NoGo, way, format, args) }
func (f *findings) skipf(way, format string, args ...any) { f.add(NotChecked, way, format, args) }

// judgef adds a good finding if ok, else a bad one.
func (f *findings) judgef(ok bool, way, format string, args ...any) {
	if ok {
		f.goodf(format, args...)
	} else {
		f.badf(way, format, args...)
	}
}

func (f *findings) result(g gate, took time.Duration) Result {
	result := Result{Gate: g.name, Asks: g.asks, Verdict: NotChecked, TookMS: took.Milliseconds(), Findings: *f}
	for i, finding := range *f {
		if i == 0 || finding.Verdict.weight() > result.Verdict.weight() {
			result.Verdict = finding.Verdict
		}
	}
	return result
}

// grouped returns a number with commas between thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short returns a duration with about three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
