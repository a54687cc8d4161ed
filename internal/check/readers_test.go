package check_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// lasts keeps the position of each stream's last commit.
func lasts(name string) reader.Reader {
	return reader.Reader{
		Name: name, Collections: []string{name},
		Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (s reader.Step, err error) {
			for _, c := range run {
				key := gotong.Key{Collection: name, Owner: c.Events[0].Stream.ID()}
				s.Changes = append(s.Changes, store.Change{Key: key, Body: fmt.Appendf(nil, `{"at":%d}`, c.Position)})
			}
			return s, nil
		},
	}
}

// TestDocumentsOfReadersAreChecked: a round compares the documents of every
// reader, waits after each of its reads, and can begin at any reader.
func TestDocumentsOfReadersAreChecked(t *testing.T) {
	s, readers := filled(t, 40), []reader.Reader{lasts("a"), lasts("b")}
	ends, err := s.Positions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		for p, end := range ends {
			if err := s.Advance(t.Context(), store.Step{Reader: r.Name, Partition: gotong.Partition(p), To: end}); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = reader.Remake(t.Context(), s, readers, reader.Place{}, func(at reader.Place, changes []store.Change) error {
		end := ends[at.Partition]
		return s.Advance(t.Context(), store.Step{Reader: at.Reader, Partition: at.Partition, From: end, To: end, Changes: changes})
	})
	if err != nil {
		t.Fatal(err)
	}
	var marks []check.Mark
	waits := 0
	o := check.Options{
		Readers: readers, MaxBytes: 1 << 20, Pace: func(context.Context) error { waits++; return nil },
		Reached: func(m check.Mark) error { marks = append(marks, m); return nil },
	}
	if list := faults(t, s, o); len(list) > 0 {
		t.Errorf("before: %q", list)
	}
	o.Readers, o.Reached = nil, nil
	with := waits
	faults(t, s, o)
	// For each reader: its rebuild, a list of documents, the cursors of the partitions.
	if least := 2 * (2 + gotong.Partitions); 2*with-waits < least {
		t.Errorf("%d waits with readers, %d without: want %d more", with, waits-with, least)
	}
	o.Readers = readers
	for _, name := range []string{"a", "b"} {
		ch := store.Change{Key: gotong.Key{Collection: name, Owner: "3"}, Body: []byte(`{}`)}
		if err := s.Advance(t.Context(), store.Step{Reader: "other", Changes: []store.Change{ch}}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"document, of reader a, a 3: differs from what the events make",
		"document, of reader b, b 3: differs from what the events make",
	}
	if list := faults(t, s, o); !slices.Equal(list, want) {
		t.Errorf("%q", list)
	}
	o.Begin = marks[len(marks)-3] // the last two are after the second reader, and the end
	if list := faults(t, s, o); !slices.Equal(list, want[1:]) {
		t.Errorf("from %+v: %q", o.Begin, list)
	}
	o.Begin, o.MaxBytes = check.Mark{}, 10
	for _, fault := range faults(t, s, o) {
		if fault[:8] != "unknown," {
			t.Errorf("with a bound of 10 bytes: %s", fault)
		}
	}
}
