package copy_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	logcheck "gotong.dev/gotong/internal/check"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

// TestDamagedEvents: no change to a row of an event is served: reading it is an
// error, and a check finds it.
func TestDamagedEvents(t *testing.T) {
	d := newDamaged(t)
	tab := d.tables["events"]
	stream, seq := slices.Index(tab.columns, "stream"), slices.Index(tab.columns, "seq")
	if n := len(tab.rows); n < 60 {
		t.Fatalf("%d events", n)
	}
	must := func(what string, rows [][]any) {
		t.Helper()
		f, made := d.changed(tab, what, rows)
		if made && (!f.read || !f.check) {
			t.Errorf("%s: found %+v", what, f)
		}
	}
	for i := range tab.rows {
		if i%stride(tab) > 0 || tab.rows[i][seq] == nil { // a no-op proves nothing
			continue
		}
		for c, name := range tab.columns {
			if slices.Contains(strings.Fields(unproven["events"]), name) {
				continue
			}
			must(fmt.Sprint("row ", i, " ", name), with(tab.rows, i, c, flipped(tab.rows[i][c])))
			if tab.rows[i][c] != nil {
				must(fmt.Sprint("row ", i, " ", name, " NULL"), with(tab.rows, i, c, nil))
			}
		}
		must(fmt.Sprint("row ", i, " gone"), slices.Delete(slices.Clone(tab.rows), i, i+1))
		other := (i + 1) % len(tab.rows)
		if tab.rows[other][seq] != nil {
			swap := with(with(tab.rows, i, stream, tab.rows[other][stream]), other, stream, tab.rows[i][stream])
			swap = with(with(swap, i, seq, tab.rows[other][seq]), other, seq, tab.rows[i][seq])
			must(fmt.Sprint("row ", i, " and the next swapped"), swap)
		}
		for _, by := range [][2]int64{{0, 1000}, {1, 1000}, {500, 0}} { // in its stream, in the next one, in none
			twice := with(tab.rows, i, stream, tab.rows[i][stream].(int64)+by[0])
			twice = with(twice, i, seq, tab.rows[i][seq].(int64)+by[1])
			twice = with(with(twice, i, 0, int64(len(tab.rows)+1)), i, slices.Index(tab.columns, "request_id"), "another")
			must(fmt.Sprint("row ", i, " twice, ", by, " on"), append(slices.Clone(tab.rows), twice[i]))
		}
	}
	first := slices.IndexFunc(tab.rows, func(row []any) bool { return row[seq] != nil })
	erased := slices.Clone(tab.rows[first])
	for c, name := range tab.columns {
		switch name {
		case "content", "content_salt":
			erased[c] = nil
		case "erased":
			erased[c] = int64(1)
		}
	}
	rows := slices.Clone(tab.rows)
	rows[first] = erased
	check(t, d.put(tab, rows))
	faults := d.faults()
	if len(faults) != 1 || faults[0].Sort != logcheck.Event || !strings.Contains(faults[0].Detail, "no later event names it") {
		t.Errorf("an erasure that no event names: %v", faults)
	}
	source, err := logcopy.FromStore(t.Context(), d.s)
	check(t, err)
	if _, err := logcopy.Scan(t.Context(), source, options()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a dry run accepts an erasure that no event names: %v", err)
	}
}

func (d *damaged) faults() (list []*logcheck.Fault) {
	d.t.Helper()
	check(d.t, logcheck.Run(d.t.Context(), d.s, logcheck.Options{
		Codec: options().Codec, Fault: func(f *logcheck.Fault) { list = append(list, f) },
	}))
	return list
}

// TestUnnamedErasureIsNotExported: a log in which an event is marked erased and
// no event names it.
func TestUnnamedErasureIsNotExported(t *testing.T) {
	forge := func(rows []store.Event) []store.Event {
		for i := range rows {
			if e := &rows[i]; e.Content != nil {
				e.Content, e.ContentSalt, e.Erased = nil, gotong.Salt{}, true
				break
			}
		}
		return rows
	}
	source, err := logcopy.FromStore(t.Context(), &twist{Whole: small(t), events: forge})
	check(t, err)
	if _, err := logcopy.Export(t.Context(), source, io.Discard, options()); err == nil || !strings.Contains(err.Error(), "no later event names it") {
		t.Errorf("exported: %v", err)
	}
}

// stride leaves out rows of a table that has more than 16, and all but the first
// in a short run.
func stride(tab *table) int {
	if testing.Short() {
		return 1 + len(tab.rows)
	}
	return 1 + len(tab.rows)/16
}

// unproven is what a change to a column of any row of a table may be without
// being found: nothing in the log says what it was. docs/operate.md says so.
var unproven = map[string]string{
	"events": "key salt fingerprint decided",
	"claims": "space name stream",
}

// TestDamagedRows: a change to a row beside the events is found, unless the log
// does not determine the row.
func TestDamagedRows(t *testing.T) {
	d := newDamaged(t)
	for _, name := range slices.Sorted(maps.Keys(d.tables)) {
		tab := d.tables[name]
		document := strings.HasPrefix(name, "doc_")
		if !document && !slices.Contains([]string{"streams"}, name) {
			continue
		}
		if document && len(tab.rows) == 0 {
			t.Errorf("the log makes no document of %s", name)
		}
		for i := range tab.rows {
			if i%stride(tab) > 0 {
				continue
			}
			for c, column := range tab.columns {
				other := flipped(tab.rows[i][c])
				if slices.Contains(strings.Fields(unproven[name]), column) || column == "home" && sameHome(tab.rows[i][c], other) {
					continue
				}
				what := fmt.Sprint(name, " row ", i, " ", column)
				if f, made := d.changed(tab, what, with(tab.rows, i, c, other)); made && !f.check {
					t.Errorf("%s: not found", what)
				}
			}
			what := fmt.Sprint(name, " row ", i, " gone")
			if f, made := d.changed(tab, what, slices.Delete(slices.Clone(tab.rows), i, i+1)); made && !f.check {
				t.Errorf("%s: not found", what)
			}
			if !document {
				continue
			}
			if testing.Short() {
				continue
			}
			for c := range 2 { // the same document for another owner, or under another name
				forged := with(tab.rows, i, c, tab.rows[i][c].(string)+"x")[i]
				what := fmt.Sprint(name, " row ", i, " again, ", tab.columns[c])
				if f, made := d.changed(tab, what, append(slices.Clone(tab.rows), forged)); made && !f.check {
					t.Errorf("%s: not found", what)
				}
			}
		}
	}
}

// sameHome: another home of the same partition changes nothing that is read.
func sameHome(a, b any) bool {
	return gotong.PartitionOf(gotong.Stream(a.(string))) == gotong.PartitionOf(gotong.Stream(b.(string)))
}

// TestUndamagedLogHasNoFaults: on either store.
func TestUndamagedLogHasNoFaults(t *testing.T) {
	d := newDamaged(t)
	if faults := d.faults(); len(faults) > 0 {
		t.Errorf("faults %v", faults)
	}
}
