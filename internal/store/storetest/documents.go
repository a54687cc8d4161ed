package storetest

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var documentTests = map[string]func(*env){
	"documents/changes": documentChanges,
	"documents/ranges":  documentRanges,
	"documents/order":   documentOrder,
	"documents/limits":  documentLimits,
	"documents/all":     allDocuments,
}

// documentChanges: a put replaces, a delete removes, in the order of the
// commit; each collection and owner has its own names.
func documentChanges(e *env) {
	change := func(changes ...store.Change) {
		e.Helper()
		e.next(Draft{Stream: "thread/a", Events: 1, Changes: changes})
	}
	elsewhere := gotong.Key{Collection: others, Owner: "owner", Name: "x"}
	stranger := gotong.Key{Collection: things, Owner: "stranger", Name: "x"}
	change(put("x", `{"n":1}`), store.Change{Key: elsewhere, Body: []byte(`{"e":1}`)})
	change(put("x", `{"n":2}`), put("x", `{"n":3}`), put("y", `{}`), store.Change{Key: stranger, Body: []byte(`{"s":1}`)})
	change(store.Change{Key: key("y")}, store.Change{Key: key("never")}, put("z", `{}`), store.Change{Key: key("z")}, put("z", `{"z":2}`))
	want := map[gotong.Key][]byte{
		key("x"): []byte(`{"n":3}`), key("z"): []byte(`{"z":2}`), elsewhere: []byte(`{"e":1}`), stranger: []byte(`{"s":1}`),
	}
	got := e.load(store.Need{Documents: []gotong.Key{key("x"), key("y"), key("z"), key("never"), elsewhere, stranger, key("x")}})
	equal(e, "documents", got.Documents, want)
}

// allDocuments: every document comes once, whatever the size of a page.
func allDocuments(e *env) {
	want := map[gotong.Key]string{}
	var changes []store.Change
	for i := range 23 {
		at := gotong.Key{Collection: things, Owner: fmt.Sprint("o", i%5), Name: fmt.Sprint("n/", i)}
		if i%3 == 0 {
			at.Collection = others
		}
		want[at] = fmt.Sprintf(`{"n":%d}`, i)
		changes = append(changes, store.Change{Key: at, Body: []byte(want[at])})
	}
	e.next(Draft{Stream: "thread/a", Events: 1, Changes: changes})
	for _, limit := range []int{1, 2, 4, 8, 23, 0} {
		got := map[gotong.Key]string{}
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			rows, err := e.s.Rows(e.ctx, store.AllDocuments, after, limit)
			e.check(err)
			for _, d := range rows.Documents {
				if _, twice := got[d.Key]; twice {
					e.Errorf("pages of %d: %v twice", limit, d.Key)
				}
				got[d.Key] = string(d.Body)
			}
			if after = rows.Next; pages > 60 {
				e.Fatalf("pages of %d do not end", limit)
			}
		}
		equal(e, fmt.Sprint("documents in pages of ", limit), got, want)
	}
}

// names puts a document under each name and returns a function that reads them.
func (e *env) names(owner string, names ...string) {
	e.Helper()
	var changes []store.Change
	for _, n := range names {
		k := gotong.Key{Collection: things, Owner: owner, Name: n}
		changes = append(changes, store.Change{Key: k, Body: fmt.Appendf(nil, `{"name":%q}`, n)})
	}
	e.next(Draft{Stream: "thread/a", Events: 1, Changes: changes})
}

func (e *env) found(r store.KeyRange) (names []string) {
	e.Helper()
	for _, d := range e.documents(r) {
		if d.Key.Collection != r.Collection || d.Key.Owner != r.Owner || string(d.Body) != fmt.Sprintf(`{"name":%q}`, d.Key.Name) {
			e.Errorf("document %+v: %s", d.Key, d.Body)
		}
		names = append(names, d.Key.Name)
	}
	return names
}

func documentRanges(e *env) {
	e.names("a", "0")
	e.names("b", "3", "1", "5", "2", "4")
	e.names("c", "9")
	for _, tt := range []struct {
		from, to   string
		limit      int
		descending bool
		want       string
	}{
		{"1", "5", 0, false, "[1 2 3 4 5]"},
		{"1", "5", 0, true, "[5 4 3 2 1]"},
		{"2", "4", 0, false, "[2 3 4]"},
		{"2", "4", 0, true, "[4 3 2]"},
		{"2", "4", 2, false, "[2 3]"},
		{"2", "4", 2, true, "[4 3]"},
		{"3", "3", 0, false, "[3]"},
		{"", "~", 0, false, "[1 2 3 4 5]"},
		{"", "", 0, false, "[]"},
		{"31", "39", 0, false, "[]"},
		{"4", "2", 0, false, "[]"},
		{"0", "9", 1, true, "[5]"},
	} {
		got := e.found(store.KeyRange{
			Collection: things, Owner: "b", From: tt.from, To: tt.to, Limit: tt.limit, Descending: tt.descending,
		})
		if fmt.Sprint(got) != tt.want {
			e.Errorf("%+v: got %v", tt, got)
		}
	}
	if got := e.found(store.KeyRange{Collection: things, Owner: "none", To: "~"}); len(got) != 0 {
		e.Errorf("documents of nobody: %v", got)
	}
}

// documentOrder: names sort as bytes, whatever the language, the case or the
// length.
func documentOrder(e *env) {
	want := []string{"", "-", "0", "00", "1", "10", "2", "A", "Z", "_", "a", "aa", "ab", "b", "z", "~", "ä", "é", "日本", "🧹"}
	e.names("o", want[9], want[3], want[17], want[0], want[12], want[5], want[19], want[1], want[14], want[7])
	e.names("o", want...)
	r := store.KeyRange{Collection: things, Owner: "o", To: "\U0010ffff"}
	equal(e, "ascending", e.found(r), want)
	r.Descending = true
	got := e.found(r)
	for i := range want {
		if got[i] != want[len(want)-1-i] {
			e.Fatalf("descending: %q", got)
		}
	}
}

// documentLimits: dense numbered lists page in closed ranges, at most 1,000 at
// a time.
func documentLimits(e *env) {
	const n = 1100
	names := make([]string, n)
	for i := range names {
		names[i] = gotong.SeqName(uint64(i + 1))
	}
	e.names("list", names...)
	all := store.KeyRange{Collection: things, Owner: "list", From: gotong.SeqName(1), To: gotong.SeqName(n)}
	for _, limit := range []int{0, 1000, 1001, -1} {
		all.Limit = limit
		equal(e, fmt.Sprint("rows at limit ", limit), len(e.documents(all)), store.MaxRead)
	}
	var got []string
	for last := uint64(n); last > 0; last -= 100 {
		got = append(got, e.found(store.KeyRange{
			Collection: things, Owner: "list", From: gotong.SeqName(last - 99), To: gotong.SeqName(last), Descending: true,
		})...)
	}
	if len(got) != n || got[0] != names[n-1] || got[n-1] != names[0] {
		e.Errorf("%d rows in pages", len(got))
	}
}
