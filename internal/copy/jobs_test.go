package copy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	logcheck "gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/thread"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal/surrealtest"
	"gotong.dev/gotong/internal/timer"
)

// timed writes a log with every sort of timer. Some timers have ended; the others have
// jobs. It returns the jobs, by their command and stream.
func timed(t *testing.T, s store.Whole) map[string]store.Job {
	t.Helper()
	v := newVillage(t, s, func(int) int { return 1 }) // nobody is a platform admin
	defer v.close()
	must := func(on gotong.Stream, actor, typ string, data any) gotong.Receipt {
		t.Helper()
		r, ok := v.try(on, actor, typ, data)
		if !ok {
			t.Fatalf("%s was rejected", typ)
		}
		return r
	}
	talk := thread.StreamOf("ani", "r1")
	must(talk, "ani", thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	for range 2 {
		posted := must(talk, "ani", thread.CmdPost, thread.Post{Body: "Halo"})
		must(talk, "ani", thread.CmdReview, thread.Review{MessageID: posted.EventIDs[0], Decision: thread.Hold, Auto: true})
	}
	affair := func(id string) (gotong.Stream, uint64) {
		s := cases.StreamOf("ani", id)
		must(s, "ani", cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "tuntaskan", Title: "Selokan", Privacy: cases.Public})
		must(s, "ani", cases.CmdSeat, cases.Seating{UserID: "budi", TrackRoles: []cases.Role{cases.Participant}})
		return s, must(s, "ani", cases.CmdPropose, cases.Propose{From: "keresahan", To: "bahas"}).First
	}
	consent, _ := affair("r8")
	vote, gate := affair("r11")
	must(vote, "budi", cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
	over, _ := affair("r15")

	timers := timer.Reader(app.Kinds())
	ends, err := s.Positions(t.Context())
	check(t, err)
	jobs := map[string]store.Job{}
	for p, end := range ends {
		step := store.Step{Reader: timers.Name, Partition: gotong.Partition(p), To: end}
		commits, err := store.Commits(t.Context(), s, step.Partition, 0, end, 1000)
		check(t, err)
		for _, c := range commits {
			made, err := timers.Read(nil, []reader.Commit{{Partition: step.Partition, Position: c.Record.Position, Events: c.Events}})
			check(t, err)
			for _, job := range made.Jobs {
				if bytes.Contains(job.Body, []byte(over)) { // it has run
					v.now = max(v.now, job.Due)
					result, err := timer.Handler(options().Codec, v.e).Run(t.Context(), job)
					if check(t, err); result != reader.Done {
						t.Fatal("too early")
					}
					continue
				}
				step.Jobs = append(step.Jobs, job)
				for name, on := range map[string][]byte{"hold": []byte(talk), "consent": []byte(consent), "vote": []byte(vote)} {
					if bytes.Contains(job.Body, on) {
						if bytes.Contains(job.Body, []byte(cases.CmdRemind)) {
							name = "reminder"
						}
						jobs[name] = job
					}
				}
			}
		}
		check(t, s.Advance(t.Context(), step))
	}
	if names := slices.Sorted(maps.Keys(jobs)); !slices.Equal(names, []string{"consent", "hold", "reminder", "vote"}) {
		t.Fatalf("%q", names)
	}
	return jobs
}

// faultsOf returns what a check of the whole store reports.
func faultsOf(t *testing.T, s store.Whole) (faults []string) {
	t.Helper()
	check(t, logcheck.Run(t.Context(), s, logcheck.Options{
		Codec: options().Codec, Readers: []reader.Reader{timer.Reader(app.Kinds())},
		Fault: func(f *logcheck.Fault) { faults = append(faults, f.Error()) },
	}))
	return faults
}

// alterations is what can happen to the row of a job, with what is reported.
var alterations = map[string]struct {
	alter func(s store.Whole, job store.Job) error
	want  []string
}{
	"deleted": {func(s store.Whole, job store.Job) error {
		return s.SettleJob(context.Background(), job, nil)
	}, []string{"is missing"}},
	"damaged": {func(s store.Whole, job store.Job) error {
		err := s.SettleJob(context.Background(), job, nil)
		job.Body = bytes.Replace(job.Body, []byte(`"data":{`), []byte(`"data":{ `), 1)
		if err == nil {
			err = s.Advance(context.Background(), store.Step{Reader: "other", Jobs: []store.Job{job}})
		}
		return err
	}, []string{"was altered"}},
	"renamed": {func(s store.Whole, job store.Job) error {
		err := s.SettleJob(context.Background(), job, nil)
		job.ID += "0"
		if err == nil {
			err = s.Advance(context.Background(), store.Step{Reader: "other", Jobs: []store.Job{job}})
		}
		return err
	}, []string{"is missing", "was altered"}},
}

// Each job of an open gate, hold or reminder that is missing or altered is reported,
// on each store, and in a copy too.
func TestJobsAreComparedWithTheLog(t *testing.T) {
	stores := map[string]func() store.Whole{
		"memory": func() store.Whole { return newMemory() },
		"SQLite": func() store.Whole { return newSQLite(t) },
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { jobsAreCompared(t, open()) })
	}
}

func TestJobsAreComparedOnSurreal(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		jobsAreCompared(t, onSurreal(t, e).Whole)
	})
}

func jobsAreCompared(t *testing.T, s store.Whole) {
	t.Helper()
	jobs := timed(t, s)
	if faults := faultsOf(t, s); len(faults) > 0 {
		t.Fatalf("%q", faults)
	}
	for name, job := range jobs {
		for how, c := range alterations {
			check(t, c.alter(s, job))
			faults := faultsOf(t, s)
			if slices.Sort(faults); len(faults) != len(c.want) {
				t.Fatalf("%s %s: %q", name, how, faults)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, "job of ") && strings.Contains(f, want) }) {
					t.Errorf("%s %s: %q", name, how, faults)
				}
			}
			again, err := reader.Jobs(t.Context(), s, false, 0)
			check(t, err)
			for _, row := range again { // as it was
				if strings.HasPrefix(row.ID, job.ID) {
					check(t, s.SettleJob(t.Context(), row, nil))
				}
			}
			check(t, s.Advance(t.Context(), store.Step{Reader: "other", Jobs: []store.Job{job}}))
		}
	}
	check(t, s.SettleJob(t.Context(), jobs["hold"], nil))
	check(t, logcopy.Seal(t.Context(), s, "copied"))
	source, err := logcopy.FromStore(t.Context(), s)
	check(t, err)
	o := options()
	o.Readers = app.Readers()
	if _, err := logcopy.Run(t.Context(), source, newMemory(), o); err == nil || !strings.Contains(err.Error(), "job of thread/") {
		t.Errorf("a copy without the job: %v", err)
	}
}

// A job that no event made is reported.
func TestInventedJobsAreFound(t *testing.T) {
	s := newMemory()
	job := timed(t, s)["consent"]
	var o struct {
		Stream string          `json:"stream"`
		Type   string          `json:"type"`
		Data   json.RawMessage `json:"data"`
	}
	job.Body = bytes.Replace(job.Body, []byte(`"transition":`), []byte(`"transition":9`), 1)
	check(t, json.Unmarshal(job.Body, &o))
	job.ID = reader.RequestID("timer", o.Stream, o.Type, string(o.Data))
	check(t, s.Advance(t.Context(), store.Step{Reader: "other", Jobs: []store.Job{job}}))
	if faults := faultsOf(t, s); len(faults) != 1 || !strings.Contains(faults[0], "exists, although no event made it") {
		t.Errorf("%q", faults)
	}
}

// An export of a log in use: a gate that closes while the file is written is open in
// the file, with its job.
func TestExportKeepsTheJobsOfItsGates(t *testing.T) {
	s := newMemory()
	jobs := timed(t, s)
	source, err := logcopy.FromStore(t.Context(), s)
	check(t, err)
	for _, job := range jobs { // their gates have closed meanwhile
		check(t, s.SettleJob(t.Context(), job, nil))
	}
	check(t, s.Advance(t.Context(), store.Step{Reader: "other", To: 7}))
	path := filepath.Join(t.TempDir(), "log.ndjson")
	file, err := os.Create(path)
	check(t, err)
	o := options()
	o.Readers = app.Readers()
	_, err = logcopy.Export(t.Context(), source, file, o)
	check(t, err)
	check(t, file.Close())
	from, err := logcopy.OpenFile(t.Context(), path, o)
	check(t, err)
	to := newMemory()
	_, err = logcopy.Run(t.Context(), from, to, o)
	check(t, err)
	got, err := reader.Jobs(t.Context(), to, false, 0)
	check(t, err)
	if len(got) < len(jobs) {
		t.Errorf("%d jobs, not %d", len(got), len(jobs))
	}
}
