package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// The size of the log on which the queries are measured, and of what they read.
const (
	speedCommits = 10
	speedEvents  = 500 // of each commit
	speedPage    = 50
	speedTrials  = 60
)

// hot is a frequent query of a server, in the form in which the adapter sends it.
type hot struct {
	what string
	text string
	vars surreal.Vars
	rows int // how many it must return, or anyRows
	slow time.Duration
}

// anyRows is for queries of rows that other gates may have written too.
const anyRows = -1

func hotQueries(stream gotong.Stream, document string, last uint64) []hot {
	heads := []surreal.RecordID{surreal.Record("head", string(stream)), surreal.Record("head", "gate/none")}
	requests := []surreal.RecordID{surreal.Record("request", string(stream), probeUser, "seed0")}
	registers := surreal.Vars{"ids": between("register", "gates", "u")}
	named := surreal.Vars{"s": string(stream)}
	p := gotong.PartitionOf(stream)
	const slowRange, slowRecord = 50 * time.Millisecond, 25 * time.Millisecond
	list := []hot{
		{fmt.Sprintf("%d events of a stream of %s", speedPage, grouped(speedCommits*speedEvents)), fmt.Sprintf(
			"SELECT VALUE [seq, data, content, chain] FROM event:[$s, 2001]..=[$s, %d]", 2000+speedPage), named, speedPage, slowRange},
		{"the positions", "SELECT VALUE [record::id(id), position] FROM partition:0..=15", nil, gotong.Partitions, slowRecord},
		{"the commits of a partition", fmt.Sprintf(
			"SELECT VALUE [first, commits] FROM batch:[%d, %d]..=[%d, %d]", p, last, p, last+300), nil, 1, slowRange},
		{"a head", "SELECT VALUE [record::id(id), seq, chain] FROM $ids WHERE seq > 0", surreal.Vars{"ids": heads}, 1, slowRecord},
		{"a request's record", "SELECT VALUE [record::id(id), position] FROM $ids", surreal.Vars{"ids": requests}, 1, slowRecord},
		{"registers of an owner", "SELECT id, version FROM $ids LIMIT 50", registers, anyRows, slowRange},
	}
	if document != "" {
		owner := surreal.Vars{"ids": between(document, "u")}
		list = append(list,
			hot{"documents of an owner", "SELECT id, body FROM $ids LIMIT 50", owner, anyRows, slowRange},
			hot{"documents of an owner, newest first", "SELECT id, body FROM $ids ORDER BY id DESC LIMIT 50", owner, anyRows, slowRange})
	}
	return list
}

func between(table string, owner ...any) surreal.RecordID {
	return surreal.RecordID{Table: table, Key: surreal.Range{
		From: append(slices.Clone(owner), "a"), To: append(slices.Clone(owner), "z"),
	}}
}

func checkSpeed(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	db, err := surreal.Open(ctx, r.store, clientOptions())
	if err != nil {
		return err
	}
	defer db.Close()
	stream := unused()
	if err := r.seed(ctx, s, stream); err != nil {
		return err
	}
	positions, err := s.Positions(ctx)
	if err != nil {
		return err
	}
	document, err := aDocumentTable(ctx, db)
	if err != nil {
		return err
	}
	for _, q := range hotQueries(stream, document, positions[gotong.PartitionOf(stream)]) {
		if err := r.measure(ctx, f, db, q); err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
	}
	return r.measureStore(ctx, f, s, stream)
}

// checkSpeedOfStore measures the adapter alone, on a stream of the same size.
func checkSpeedOfStore(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	stream := unused()
	if err := r.seed(ctx, s, stream); err != nil {
		return err
	}
	return r.measureStore(ctx, f, s, stream)
}

func (r *run) seed(ctx context.Context, s store.Store, stream gotong.Stream) error {
	m := storetest.NewMaker(s.Epoch())
	for n := range speedCommits {
		d := storetest.Draft{Stream: stream, RequestID: fmt.Sprint("seed", n), Events: speedEvents}
		if err := r.write(ctx, s, m, d); err != nil {
			return err
		}
	}
	return nil
}

// aDocumentTable returns one of the tables of documents; "" if there is none.
func aDocumentTable(ctx context.Context, db *surreal.Client) (string, error) {
	found, err := schemaOf(ctx, db)
	var tables []string
	for name := range found.tables {
		if strings.HasPrefix(name, "doc_") {
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	return strings.Join(tables[:min(1, len(tables))], ""), err
}

// measure reads the plan of a query, and runs the query many times.
func (r *run) measure(ctx context.Context, f *findings, db *surreal.Client, q hot) error {
	var plan any
	if err := db.Select(ctx, q.text+" EXPLAIN", q.vars, &plan); err != nil {
		return err
	}
	steps := stepsOf(plan)
	var took []time.Duration
	for range speedTrials {
		var rows []surreal.Raw
		began := r.o.Now()
		if err := db.Select(ctx, q.text, q.vars, &rows); err != nil {
			return err
		}
		took = append(took, r.since(began))
		if q.rows != anyRows && len(rows) != q.rows {
			return fmt.Errorf("%d rows where %d were written", len(rows), q.rows)
		}
	}
	median := medianOf(took)
	seen := fmt.Sprintf("%s: %s (median of %d); plan %s", q.what, short(median), len(took), strings.Join(steps, ", "))
	switch {
	case len(steps) == 0:
		f.warnf("look at EXPLAIN by hand", "%s: the plan cannot be read", seen)
	case scans(steps):
		f.badf("do not use this version: the query reads the whole table, and gets slower with each event", "%s", seen)
	case median > q.slow:
		f.warnf(slowWay, "%s; %s would be slow", seen, q.slow)
	default:
		f.goodf("%s", seen)
	}
	return nil
}

const slowWay = "look at the load of the server, its disk and the network between"

// stepsOf returns the names of the steps of a plan: "operator" in 3.x and
// "operation" in 2.6, at any depth.
func stepsOf(plan any) (names []string) {
	switch p := plan.(type) {
	case []any:
		for _, part := range p {
			names = append(names, stepsOf(part)...)
		}
	case map[string]any:
		for _, key := range []string{"operator", "operation"} {
			if name, ok := p[key].(string); ok {
				names = append(names, name)
			}
		}
		names = append(names, stepsOf(p["children"])...)
	}
	return slices.Compact(names)
}

// scans reports whether a step reads a whole table.
func scans(steps []string) bool {
	return slices.ContainsFunc(steps, func(name string) bool {
		return name == "TableScan" || strings.HasPrefix(name, "Iterate Table")
	})
}

// measureStore measures the adapter itself: one commit, one page, one page of
// the partition.
func (r *run) measureStore(ctx context.Context, f *findings, s store.Store, stream gotong.Stream) error {
	p := gotong.PartitionOf(stream)
	for _, work := range []struct {
		what string
		slow time.Duration
		do   func(n int) error
	}{
		{"store: a commit of one event", 250 * time.Millisecond, func(int) error {
			return r.write(ctx, s, storetest.NewMaker(s.Epoch()), storetest.Draft{Stream: unused(), Events: 1})
		}},
		{"store: a page of 50 events", 100 * time.Millisecond, func(n int) error {
			from := uint64(n) * speedPage //nolint:gosec // below the trials
			_, err := s.Load(ctx, store.Need{
				Heads:  []gotong.Stream{stream},
				Events: []store.EventRange{{Stream: stream, From: from, To: from + speedPage}},
			})
			return err
		}},
		{"store: what is new in a partition", 100 * time.Millisecond, func(int) error {
			positions, err := s.Positions(ctx)
			if err != nil {
				return err
			}
			_, err = s.ReadPartition(ctx, p, positions[p]-1, positions[p], speedPage)
			return err
		}},
	} {
		var took []time.Duration
		for n := range speedTrials {
			began := r.o.Now()
			if err := work.do(n); err != nil {
				return err
			}
			took = append(took, r.since(began))
		}
		if median := medianOf(took); median > work.slow {
			f.warnf(slowWay, "%s: %s (median of %d); %s would be slow", work.what, short(median), len(took), work.slow)
		} else {
			f.goodf("%s: %s (median of %d)", work.what, short(median), len(took))
		}
	}
	return nil
}
