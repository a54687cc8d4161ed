package gates

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong/internal/surreal"
)

var line = regexp.MustCompile(`(\d+)\.(\d+)\.x`)

// supports reports whether a list such as "2.6.x and 3.0.x" has this version.
func supports(list string, v surreal.Version) bool {
	for _, m := range line.FindAllStringSubmatch(list, -1) {
		if m[1] == strconv.Itoa(v.Major) && m[2] == strconv.Itoa(v.Minor) {
			return true
		}
	}
	return false
}

func (r *run) version() surreal.Version {
	v := r.db.Version()
	if r.o.version != "" {
		v = surreal.Version{Text: r.o.version}
		if m := regexp.MustCompile(`(\d+)\.(\d+)`).FindStringSubmatch(r.o.version); m != nil {
			v.Major, _ = strconv.Atoi(m[1]) // digits, by the form
			v.Minor, _ = strconv.Atoi(m[2])
		}
	}
	return v
}

func checkVersion(_ context.Context, r *run, f *findings) error {
	v, list := r.version(), r.o.Adapter.Supported
	seen := "the server is " + strconv.Quote(v.Text) + "; tested are " + list
	switch {
	case supports(list, v):
		f.goodf("%s", seen)
	case r.o.AllowUntested:
		f.warnf("use it only if every other gate passes; rehearse with a copy of your data, and keep a way back (gotong copy)", "%s", seen)
	default:
		f.badf("use a version of "+list+", or --allow-untested to make this a warning and rely on the other gates alone", "%s", seen)
	}
	return nil
}

// byHand says where to look up what the server does not report.
const byHand = "look at the command line that starts the server, or its log: "

// checkEngine distinguishes the engines by the only difference that the wire shows:
// rocksdb and tikv cannot read the past and say so; mem and surrealkv can, or
// return another error.
func checkEngine(ctx context.Context, r *run, f *findings) error {
	const way = byHand + "it must be rocksdb:// (or tikv://). mem and surrealkv lose acknowledged writes when writers meet"
	results, err := r.db.Query(ctx, "INFO FOR DB VERSION d'2024-01-01T00:00:00Z'", nil)
	if err == nil {
		err = results.Err()
	}
	var e *surreal.Error
	switch {
	case err == nil:
		f.badf(way, "the engine reads the past, as mem and surrealkv do and rocksdb does not")
	case !errors.As(err, &e):
		return err
	case strings.Contains(e.Text, "does not support versioned queries"):
		f.goodf("the engine cannot read the past, like rocksdb and tikv; mem and surrealkv can")
	default:
		f.badf(way, "the engine is unknown: it answers neither like rocksdb nor like mem")
	}
	return r.checkCounter(ctx, f)
}

// Single commits one after the other cannot be faster than the disk syncs.
const (
	syncTrials   = 200
	fastestSyncs = 20_000 // a second; no disk without a cache of its own does more
)

// checkSync cannot judge: the server does not report it, and the speed of single
// commits is only a hint.
func checkSync(ctx context.Context, r *run, f *findings) error {
	if err := r.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS synced SCHEMALESS PERMISSIONS NONE", nil); err != nil {
		return err
	}
	var took []time.Duration
	for i := range syncTrials {
		began := r.o.Now()
		err := r.db.Exec(ctx, "CREATE $id SET n = 1 RETURN NONE", surreal.Vars{"id": surreal.Record("synced", i)})
		if err != nil {
			return err
		}
		took = append(took, r.since(began))
		if r.since(began) > time.Second {
			break
		}
	}
	median := medianOf(took)
	perSecond := int(time.Second / max(median, time.Microsecond))
	way := byHand + "2.6 syncs only with the variable SURREAL_SYNC_DATA=true, 3.x by default, unless its rocksdb:// address says " +
		"sync=never. strace -c -f -e trace=fsync,fdatasync -p PID counts: at least one for each commit"
	hint := "which a disk may do or a cache: it proves nothing"
	if perSecond > fastestSyncs {
		hint = "more than disks sync: commits are probably not synced"
	}
	f.skipf(way, "the server does not report it. A hint: a single commit takes %s (median of %d), %s a second, %s",
		short(median), len(took), grouped(perSecond), hint)
	return nil
}

func medianOf(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// The bounds of the difference of clocks; beyond the second one, the store accepts
// no writes (store.ErrClock).
const (
	clockWarning = 500 * time.Millisecond
	clockLimit   = 2 * time.Second
	clockTrials  = 9
)

// checkClock compares the clocks as NTP does: it uses the trial that was quickest,
// and assumes that the database read its clock in the middle of it.
func checkClock(ctx context.Context, r *run, f *findings) error {
	var offset time.Duration
	best := time.Duration(-1)
	for range clockTrials {
		began := r.o.Now()
		there, err := r.place.now(ctx)
		if err != nil {
			return err
		}
		took := r.since(began)
		if best < 0 || took < best {
			best = took
			offset = there.Sub(began.Add(took / 2).Time())
		}
	}
	judgeClock(f, offset, best)
	return nil
}

func judgeClock(f *findings, offset, trip time.Duration) {
	const way = "configure the same time servers on both machines (chronyc tracking, timedatectl)"
	word := "ahead of"
	if offset < 0 {
		word = "behind"
	}
	seen := "the database's clock is " + short(offset.Abs()) + " " + word + " ours, give or take " + short(trip/2)
	switch {
	case offset.Abs() > clockLimit:
		f.badf(way, "%s; a node accepts no writes beyond %s", seen, clockLimit)
	case offset.Abs() > clockWarning:
		f.warnf(way, "%s; beyond %s, a node accepts no writes", seen, clockLimit)
	default:
		f.goodf("%s", seen)
	}
}
