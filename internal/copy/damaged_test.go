package copy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gotong.dev/gotong"
	logcheck "gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
)

// damaged is a database that somebody changes behind the server's back, on a
// connection of their own.
type damaged struct {
	t      *testing.T
	path   string
	s      *sqlite.Store
	raw    *zombie.Conn
	before storetest.Contents
	tables map[string]*table
}

// table is all rows of a table as they were.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

// newDamaged makes a log of 60 events or more, with a document of each of these
// collections.
func newDamaged(t *testing.T, collections []string) *damaged {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gotong.db")
	d := &damaged{t: t, path: path, s: openSQLite(t, path), tables: map[string]*table{}}
	t.Cleanup(func() { _ = d.s.Close() })
	pick := rand.New(rand.NewPCG(563, 5)) // a short log: each change is looked for in all of it
	v := newVillage(t, d.s, pick.IntN)
	for rounds := 0; d.short(collections) != ""; rounds++ {
		if rounds == 200 {
			t.Fatalf("after %d rounds, the log has %s", rounds, d.short(collections))
		}
		v.live(10)
		for range 5 { // groups are seldom, and have the most collections
			v.gather()
		}
	}
	v.side()
	v.close()
	var err error
	d.before, err = storetest.Read(t.Context(), d.s, 0)
	check(t, err)
	d.raw, err = zombie.OpenConn(path, zombie.OpenReadWrite|zombie.OpenWAL)
	check(t, err)
	t.Cleanup(func() { _ = d.raw.Close() })
	d.exec("PRAGMA synchronous = OFF")
	d.each("SELECT name FROM sqlite_schema WHERE type = 'trigger'", func(row []any) { d.exec("DROP TRIGGER " + row[0].(string)) })
	d.each("SELECT name FROM sqlite_schema WHERE type = 'table'", func(row []any) {
		d.tables[row[0].(string)] = &table{name: row[0].(string)}
	})
	for name, tab := range d.tables {
		d.each("SELECT name FROM pragma_table_info('"+name+"')", func(row []any) { tab.columns = append(tab.columns, row[0].(string)) })
		d.each("SELECT "+strings.Join(tab.columns, ", ")+" FROM "+name, func(row []any) { tab.rows = append(tab.rows, row) })
	}
	return d
}

// short returns what the log lacks: 60 events, or a document of one of these
// collections. It returns "" if the log has both.
func (d *damaged) short(collections []string) string {
	d.t.Helper()
	positions, err := d.s.Positions(d.t.Context())
	check(d.t, err)
	n, lacking := uint64(0), slices.Clone(collections)
	for _, p := range positions {
		n += p
	}
	for after := ""; ; {
		rows, err := d.s.Rows(d.t.Context(), store.AllDocuments, after, 0)
		check(d.t, err)
		for _, doc := range rows.Documents {
			lacking = slices.DeleteFunc(lacking, func(name string) bool { return name == doc.Key.Collection })
		}
		if after = rows.Next; after == "" {
			break
		}
	}
	switch {
	case len(lacking) > 0:
		return fmt.Sprintf("no document of %v", lacking)
	case n < 60:
		return fmt.Sprintf("%d events only", n)
	default:
		return ""
	}
}

func (d *damaged) exec(sql string, args ...any) {
	d.t.Helper()
	check(d.t, sqlitex.Execute(d.raw, sql, &sqlitex.ExecOptions{Args: args}))
}

func (d *damaged) each(sql string, take func(row []any)) {
	d.t.Helper()
	check(d.t, sqlitex.Execute(d.raw, sql, &sqlitex.ExecOptions{ResultFunc: func(stmt *zombie.Stmt) error {
		row := make([]any, stmt.ColumnCount())
		for i := range row {
			switch stmt.ColumnType(i) { //nolint:exhaustive // NULL stays nil, and there are no floats
			case zombie.TypeInteger:
				row[i] = stmt.ColumnInt64(i)
			case zombie.TypeText:
				row[i] = stmt.ColumnText(i)
			case zombie.TypeBlob:
				b := make([]byte, stmt.ColumnLen(i))
				stmt.ColumnBytes(i, b)
				row[i] = b
			}
		}
		take(row)
		return nil
	}}))
}

// put makes a table hold these rows and no others.
func (d *damaged) put(tab *table, rows [][]any) (err error) {
	defer sqlitex.Save(d.raw)(&err)
	if err := sqlitex.Execute(d.raw, "DELETE FROM "+tab.name, nil); err != nil {
		return err
	}
	insert := "INSERT INTO " + tab.name + " VALUES (?" + strings.Repeat(", ?", len(tab.columns)-1) + ")"
	for _, row := range rows {
		if err := sqlitex.Execute(d.raw, insert, &sqlitex.ExecOptions{Args: row}); err != nil {
			return err
		}
	}
	return nil
}

// found is who finds a change of an event.
type found struct{ read, check bool }

// changed puts changed rows into a table, looks who finds it, and puts back
// what was there. Events that are served must be what they were.
func (d *damaged) changed(tab *table, what string, rows [][]any) (f found, made bool) {
	d.t.Helper()
	if err := d.put(tab, rows); err != nil {
		return f, false // the schema itself refuses it
	}
	defer func() { check(d.t, d.put(tab, tab.rows)) }()
	f.read = d.read(what)
	err := logcheck.Run(d.t.Context(), d.s, logcheck.Options{
		Codec: options().Codec, Fault: func(*logcheck.Fault) { f.check = true },
	})
	if err != nil {
		d.t.Logf("%s: %v", what, err)
	}
	f.check = f.check || err != nil
	return f, true
}

// read reads every event on both ways, to where it is known to end.
func (d *damaged) read(what string) (corrupt bool) {
	d.t.Helper()
	was := map[gotong.Stream][]store.Event{}
	served := func(rows []store.Event, placed bool) {
		for i := range rows {
			e := rows[i]
			if of := was[e.Stream]; !placed && e.Seq > 0 && e.Seq <= uint64(len(of)) {
				e.Position = of[e.Seq-1].Position // which no hash covers; reading the partition finds it
			}
			if of := was[e.Stream]; e.Seq == 0 || e.Seq > uint64(len(of)) || !reflect.DeepEqual(of[e.Seq-1], e) {
				d.t.Errorf("%s: event %d of %s is served altered", what, e.Seq, e.Stream)
			}
		}
	}
	for p := range d.before.Commits {
		for _, e := range d.before.Events(gotong.Partition(p)) {
			was[e.Stream] = append(was[e.Stream], e)
		}
	}
	for stream, rows := range was {
		for next := uint64(0); next < uint64(len(rows)); {
			snap, err := d.s.Load(d.t.Context(), store.Need{Events: []store.EventRange{{Stream: stream, From: next, To: math.MaxInt64}}})
			if err != nil || len(snap.Events[0]) == 0 {
				corrupt = corrupt || errors.Is(err, store.ErrCorrupt)
				break
			}
			served(snap.Events[0], false)
			next = snap.Events[0][len(snap.Events[0])-1].Seq
		}
	}
	for p, all := range d.before.Positions {
		for next := uint64(0); next < all; {
			rows, err := d.s.ReadPartition(d.t.Context(), gotong.Partition(p), next, math.MaxInt64, 0)
			if err != nil || len(rows) == 0 {
				corrupt = corrupt || errors.Is(err, store.ErrCorrupt)
				break
			}
			served(rows, true)
			next = rows[len(rows)-1].Position
		}
	}
	return corrupt
}

// flipped is another value of the same type; JSON stays readable and says
// something else.
func flipped(v any) any {
	switch v := v.(type) {
	case int64:
		return v + 1
	case []byte:
		b := slices.Clone(v)
		if len(b) == 0 {
			return []byte("x")
		}
		b[len(b)-1] ^= 1
		return b
	case string:
		var fields map[string]any
		if json.Unmarshal([]byte(v), &fields) != nil {
			return v + "x"
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			switch of := fields[name].(type) {
			case string:
				fields[name] = "x" + of
			case float64:
				fields[name] = of + 1
			case bool:
				fields[name] = !of
			default:
				continue
			}
			text, _ := json.Marshal(fields)
			return string(text)
		}
		return `"forged"` // a field that no document has would be read as nothing
	default:
		return "x"
	}
}

func with(rows [][]any, row, column int, v any) [][]any {
	rows = slices.Clone(rows)
	rows[row] = slices.Clone(rows[row])
	rows[row][column] = v
	return rows
}
