package audit

import (
	"fmt"
	"strings"

	"gotong.dev/gotong"
)

// Code is the exit code of a verification.
type Code int

// The codes of the contract.
const (
	Verified     Code = 0
	Altered      Code = 10 // an event or a commit is not the one that was signed
	Truncated    Code = 11 // the log ends before a checkpoint
	Forked       Code = 12 // two histories were signed
	Unverifiable Code = 13 // there is nothing to compare with, or no valid signature
)

// Finding is what is wrong with a log: of each partition, the first.
type Finding struct {
	Code      Code             `json:"code"`
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position,omitempty"` // 0: unknown
	Stream    gotong.Stream    `json:"stream,omitempty"`   // empty: the log no longer shows it
	Seq       uint64           `json:"seq,omitempty"`
	Detail    string           `json:"detail"`

	says bool // the event is whole, but contradicts those before it
}

// String returns the finding as a line of text.
func (f Finding) String() string {
	var at []string
	if f.Stream != "" {
		at = append(at, fmt.Sprintf("%s, event %d", f.Stream, f.Seq))
	}
	if f.Position > 0 {
		at = append(at, fmt.Sprintf("position %d of partition %d", f.Position, f.Partition))
	}
	if len(at) == 0 && f.Code != Unverifiable {
		at = append(at, fmt.Sprintf("partition %d", f.Partition))
	}
	if len(at) == 0 {
		return f.Detail
	}
	return strings.Join(at, ", ") + ": " + f.Detail
}

// Report is the result of a verification.
type Report struct {
	Code        Code      `json:"code"`
	Commits     uint64    `json:"commits"`
	Events      uint64    `json:"events"`
	Findings    []Finding `json:"findings"`
	Checkpoints []string  `json:"checkpoints"` // the notes with which the log was compared
}

// codeOf returns the gravest code: a fork is not reported as a mere alteration if
// nothing was altered.
func codeOf(findings []Finding) Code {
	for _, c := range []Code{Altered, Forked, Truncated, Unverifiable} {
		for _, f := range findings {
			if f.Code == c {
				return c
			}
		}
	}
	return Verified
}
