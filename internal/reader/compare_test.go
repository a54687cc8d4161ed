package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

// texts keeps the content of each event in a document until it is erased, and the
// last seq of each stream.
func texts() *Reader {
	key := func(e *store.Event, seq uint64) gotong.Key {
		return gotong.Key{Collection: "texts", Owner: e.Stream.ID(), Name: fmt.Sprintf("%06d", seq)}
	}
	return &Reader{
		Name: "texts", Collections: []string{"texts"},
		Read: func(_ map[gotong.Key][]byte, run []Commit) (s Step, err error) {
			for _, c := range run {
				for i := range c.Events {
					e := &c.Events[i]
					last := gotong.Key{Collection: "texts", Owner: e.Stream.ID(), Name: "last"}
					s.Changes = append(s.Changes, store.Change{Key: last, Body: fmt.Appendf(nil, `{"seq":%d}`, e.Seq)})
					if e.Content != nil {
						s.Changes = append(s.Changes, store.Change{Key: key(e, e.Seq), Body: e.Content})
					}
					seqs, err := e.Erases()
					if err != nil {
						return s, err
					}
					for _, seq := range seqs {
						s.Changes = append(s.Changes, store.Change{Key: key(e, seq)})
					}
				}
			}
			return s, nil
		},
	}
}

// newest keeps a document for the last seq of each stream, under this seq modulo 3. What
// a run makes and removes again is in none of its changes.
func newest() *Reader {
	key := func(e *store.Event, seq uint64) gotong.Key {
		return gotong.Key{Collection: "texts", Owner: e.Stream.ID(), Name: fmt.Sprint(seq % 3)}
	}
	return &Reader{
		Name: "texts", Collections: []string{"texts"},
		Read: func(_ map[gotong.Key][]byte, run []Commit) (s Step, err error) {
			first, last := map[gotong.Stream]*store.Event{}, map[gotong.Stream]*store.Event{}
			for _, c := range run {
				e := &c.Events[0]
				if first[e.Stream] == nil {
					first[e.Stream] = e
				}
				last[e.Stream] = &c.Events[len(c.Events)-1]
			}
			for stream, e := range last {
				if seq := first[stream].Seq; seq > 1 {
					s.Changes = append(s.Changes, store.Change{Key: key(e, seq-1)})
				}
				s.Changes = append(s.Changes, store.Change{Key: key(e, e.Seq), Body: fmt.Appendf(nil, `{"seq":%d}`, e.Seq)})
			}
			return s, nil
		},
	}
}

// library is a store whose texts a reader keeps. before is called before each read,
// which is of need if it is a load.
type library struct {
	*memory.Store
	t      *testing.T
	m      *storetest.Maker
	reader *Reader
	need   store.Need
	before func()
}

func newLibrary(t *testing.T, r *Reader, streams, events int) *library {
	t.Helper()
	s := memory.New("", memory.Options{})
	t.Cleanup(func() { _ = s.Close() })
	l := &library{Store: s, t: t, m: storetest.NewMaker(s.Epoch()), reader: r, before: func() {}}
	for i := range streams {
		l.commit(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i)), Events: events})
	}
	l.follow()
	return l
}

func (l *library) commit(d storetest.Draft) {
	l.t.Helper()
	out, err := store.CommitAll(context.Background(), l.Store, []store.Commit{l.m.Next(d)})
	if err != nil || out[0].Status != store.Committed {
		l.t.Fatal(out, err)
	}
}

// follow has the reader process what was committed.
func (l *library) follow() {
	l.t.Helper()
	cursors, err := cursorsOf(context.Background(), l.Store, l.reader)
	for p, cursor := range cursors {
		var rows []store.Event
		if err == nil {
			rows, err = l.Store.ReadPartition(context.Background(), gotong.Partition(p), cursor, maxPosition, pageEvents)
		}
		if err != nil || len(rows) == 0 {
			continue
		}
		f := &fold{reader: l.reader, from: l.Store}
		var m made
		if m, err = f.steps(context.Background(), cursor, commitsOf(rows), 0); err == nil {
			err = l.Advance(context.Background(), store.Step{
				Reader: "texts", Partition: gotong.Partition(p), From: cursor, To: m.to, Changes: m.changes,
			})
		}
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *library) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	l.need = need
	l.before()
	l.need = store.Need{}
	return l.Store.Load(ctx, need)
}

func (l *library) Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error) {
	l.before()
	return l.Store.Rows(ctx, section, after, limit)
}

func (l *library) ReadPartition(ctx context.Context, p gotong.Partition, from, to uint64, limit int) ([]store.Event, error) {
	l.before()
	return l.Store.ReadPartition(ctx, p, from, to, limit)
}

// compare returns the differences as lines.
func (l *library) compare(r *Reader, most int) (lines []string) {
	l.t.Helper()
	err := Compare(l.t.Context(), l, r, most, func(d Difference) {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(d.Key.Owner, " ", d.Key.Name, " ", d.Detail)))
		if d.Unknown != strings.Contains(d.Detail, "compare") {
			l.t.Errorf("%+v", d)
		}
	})
	if err != nil {
		l.t.Error(err)
	}
	slices.Sort(lines)
	return lines
}

func TestComparisonNamesEachDifference(t *testing.T) {
	text := func(owner, name, body string) store.Change {
		ch := store.Change{Key: gotong.Key{Collection: "texts", Owner: owner, Name: name}}
		if body != "" {
			ch.Body = []byte(body)
		}
		return ch
	}
	for want, change := range map[string]store.Change{
		"": {Key: gotong.Key{Collection: "others", Owner: "3"}, Body: []byte(`{}`)},
		"3 000002 differs from what the events make":       text("3", "000002", `{"a":1}`),
		"3 000002 is missing":                              text("3", "000002", ""),
		"3 000009 exists, although no event made it":       text("3", "000009", `{}`),
		"0 000002 exists, although the log has removed it": text("0", "000002", `{"text":"erased"}`),
	} {
		l := newLibrary(t, texts(), 40, 4)
		l.commit(storetest.Draft{Stream: "thread/0", Events: 1, Erase: []uint64{2}})
		l.follow()
		if err := l.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{change}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(l.compare(texts(), 0), "\n"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a run made and removed again is a difference if the store still has it.
func TestComparisonNamesWhatNoRunNames(t *testing.T) {
	l := newLibrary(t, newest(), 1, 1)
	for range 4 {
		l.commit(storetest.Draft{Stream: "thread/0", Events: 1})
		l.follow()
	}
	change := store.Change{Key: gotong.Key{Collection: "texts", Owner: "0", Name: "1"}, Body: []byte(`{"seq":4}`)}
	if err := l.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{change}}); err != nil {
		t.Fatal(err)
	}
	if got := l.compare(newest(), 1000); !slices.Equal(got, []string{"0 1 exists, although the log has removed it"}) {
		t.Errorf("%q", got)
	}
}

// What cannot be compared is reported once, and hides no difference elsewhere.
func TestComparisonNamesWhatItCannotCompare(t *testing.T) {
	l := newLibrary(t, texts(), 40, 4)
	if got := l.compare(texts(), 1000); len(got) != 1 || got[0] != errTooMany.Error() {
		t.Errorf("a bound of 1,000 bytes: %q", got)
	}
	if got := l.compare(texts(), 1<<20); len(got) != 0 {
		t.Errorf("a bound of 1 MiB: %q", got)
	}
	failing, other := texts(), gotong.PartitionOf("thread/3")
	read := failing.Read
	failing.Read = func(docs map[gotong.Key][]byte, run []Commit) (Step, error) {
		if run[0].Partition != other {
			return Step{}, errBroken
		}
		return read(docs, run)
	}
	change := store.Change{Key: gotong.Key{Collection: "texts", Owner: "3", Name: "000001"}}
	if err := l.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{change}}); err != nil {
		t.Fatal(err)
	}
	got := l.compare(failing, 0)
	if n := len(got); n < 2 || got[0] != "3 000001 is missing" || !strings.HasPrefix(got[1], "documents cannot be made again: ") {
		t.Errorf("%q", got)
	}
}

// Commits, erasures that the reader has not processed yet, its steps, and a rebuild
// at any moment are no differences.
func TestComparisonBesideWrites(t *testing.T) {
	erase := func(l *library) {
		for i := range 8 {
			l.commit(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i)), Events: 1, Erase: []uint64{1}})
		}
	}
	rebuild := func(l *library) {
		if err := Rebuild(context.Background(), l.Store, []Reader{*l.reader}, "texts"); err != nil {
			t.Error(err)
		}
	}
	step := func(l *library) {
		for i := range 20 {
			l.commit(storetest.Draft{Stream: gotong.Stream(fmt.Sprint("thread/", i)), Events: 1})
		}
		l.follow()
	}
	for _, r := range []*Reader{texts(), newest()} {
		quiet := newLibrary(t, r, 8, 3)
		reads := 0
		quiet.before = func() { reads++ }
		quiet.compare(r, 0)
		for n := range reads + 1 {
			for name, write := range map[string]func(l *library, calls int){
				"an erasure": func(l *library, calls int) {
					if calls == n {
						erase(l)
					}
				},
				"an erasure that is processed": func(l *library, calls int) {
					if calls == n {
						erase(l)
						l.follow()
					}
				},
				"a step": func(l *library, calls int) {
					if calls == n {
						step(l)
					}
				},
				"a step, and two more before the second look": func(l *library, calls int) {
					if calls == n {
						step(l)
					}
					if len(l.need.Documents) > 0 && len(l.need.Cursors) == 0 {
						step(l)
						step(l)
					}
				},
				"a rebuild": func(l *library, calls int) {
					if calls == n {
						rebuild(l)
					}
				},
				"a whole rebuild": func(l *library, calls int) {
					if calls == n {
						rebuild(l)
						l.follow()
					}
				},
			} {
				l, calls := newLibrary(t, r, 8, 3), 0
				l.before = func() {
					calls++
					write(l, calls)
				}
				if got := l.compare(r, 0); len(got) > 0 {
					t.Errorf("%s, before read %d: %q", name, n, got)
				}
			}
		}
	}
}
