// Package reader runs the readers and the jobs of a node. A [Reader] follows
// every partition of the log with stored cursors; it keeps documents of its own
// and makes jobs, and never changes anything else. A [Handler] runs the jobs of
// one queue when they are due; only a job issues commands.
//
// DESIGN.md shows how a reader is added, and why each step and each job has its
// effect exactly once.
//
// # Caveats
//
// The documents of readers follow the log with a delay. No permission check may
// use them.
package reader

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Commit is what one position of a partition holds: the events of one commit,
// in order of seq. They must not be changed.
type Commit struct {
	Partition gotong.Partition
	Position  uint64
	Events    []store.Event
}

// Reader follows every partition, each on its own: it sees every commit of a
// partition once, in order of position.
//
// Needs and Read are pure functions of their arguments, because a step that was
// not written is made again, and a rebuild makes all of them again. Content may
// be absent from an event that was erased since, and present in one that a later
// event erases; Read removes from its documents what an event erases.
type Reader struct {
	Name string // 1 to 32 of a-z0-9_; the name of its cursors

	// Collections are those of its documents, which belong to this reader alone;
	// 1 to 48 of a-z0-9_ each. Each document belongs to one partition:
	// its key must say to which.
	Collections []string

	// Every: Read fails if it has not seen every commit before, so no operator can
	// have the reader pass one.
	Every bool

	// Needs names the documents of the reader that Read uses for this commit. Nil:
	// it uses none.
	Needs func(c Commit) []gotong.Key

	// Read returns what a run of commits causes: those of successive positions of
	// one partition, at least one. docs holds the documents that Needs named for
	// them, as the commits before left them; one that does not exist is absent. How
	// commits are divided into runs must not matter. If Read returns an error or
	// panics for a commit alone, the reader stops before its position of this
	// partition, and the others continue.
	Read func(docs map[gotong.Key][]byte, run []Commit) (Step, error)

	// Ran returns the request whose record shows that a job of the reader has had its
	// effect, or false if a job of this id has another body. The queue of these jobs
	// has the name of the reader. With Ran, [Compare] compares the jobs with the
	// events, and a rebuild makes again those that are missing. Read may then use no
	// documents.
	Ran func(job store.Job) (gotong.RequestKey, bool)
}

// Step is what a run of commits causes for one reader. It is written once,
// together with the reader's cursor.
type Step struct {
	// Changes puts documents, or deletes them if Body is nil; a body is a JSON
	// object. Of several changes of one document, the last one counts. A document
	// that the run itself makes and removes again need not be named.
	Changes []store.Change

	// Jobs are made unless a job with the same queue and id exists. Queue, ID, Due
	// and Body are used. The id must follow from the events alone; derive it from
	// what the job is about, such as the gate that it closes.
	Jobs []store.Job
}

// Handler runs the jobs of one queue. A job may run more than once, also at two
// nodes at once: its effect must be a command with a request id that is the
// same each time (see [RequestID]), or harmless when it is repeated.
type Handler struct {
	Queue    string // 1 to 32 of a-z0-9_
	Parallel int    // how many jobs a node runs at once; 0 is 4

	// Run runs one job. Its error, or a panic, is a failure: the job is due again
	// after a back-off and, after too many failures, dead. If ctx ends, the job
	// must end soon; if it then returns an error, it is due again at once and did
	// not fail.
	Run func(ctx context.Context, job store.Job) (Result, error)
}

// Result is how a job ended without a failure.
type Result struct{ again gotong.Instant }

// Done is the result of a job that has had its effect, or no longer needs one.
var Done = Result{}

// TooEarly is the result of a job whose rule does not accept it yet: it is due
// again at this instant, and not before a second from now.
func TooEarly(next gotong.Instant) Result { return Result{again: max(next, 1)} }

// System is the actor of the commands that jobs issue.
func System() gotong.Actor { return gotong.Actor{UserID: "system", Role: gotong.RoleSystem} }

// maxPrefix leaves 64 characters for prefix, hyphen and hash.
const maxPrefix = 23

// RequestID returns the request id of a job's command: the prefix, a hyphen and
// a hash of the parts, at most 64 characters. It panics if the prefix is not 1 to
// 23 of a-z0-9.
func RequestID(prefix string, parts ...string) string {
	if !name.MatchString(prefix) || len(prefix) > maxPrefix {
		panic(fmt.Sprintf("reader: %q cannot begin a request id", prefix))
	}
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // parts are short
		_, _ = h.Write([]byte(part))
	}
	return prefix + "-" + hex.EncodeToString(h.Sum(nil)[:20])
}

var name = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

func check(readers []Reader, handlers []Handler) error {
	names, collections, queues := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range readers {
		r := &readers[i]
		if !name.MatchString(r.Name) || names[r.Name] || r.Read == nil {
			return fmt.Errorf("reader: reader %q needs a name of its own and a function Read", r.Name)
		}
		names[r.Name] = true
		for _, c := range r.Collections {
			if collections[c] {
				return fmt.Errorf("reader: two readers have the collection %q", c)
			}
			collections[c] = true
		}
	}
	for _, h := range handlers {
		if !name.MatchString(h.Queue) || queues[h.Queue] || h.Run == nil {
			return errors.New("reader: a handler needs a queue of its own and a function Run")
		}
		queues[h.Queue] = true
	}
	return nil
}

// Collections returns every collection of the readers, for opening a store.
func Collections(readers []Reader) (names []string) {
	for i := range readers {
		names = append(names, readers[i].Collections...)
	}
	return names
}
