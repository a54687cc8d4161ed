package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var textTests = map[string]func(*env){
	"documents/words":         textWords,
	"documents/words changes": textChanges,
	"documents/words clear":   textClear,
	"documents/words order":   textOrder,
	"documents/words bad":     textBad,
	"documents/words random":  textRandom,
}

// notes is a collection of texts.
const notes = store.TextPrefix + "notes"

// textAt is the id of the event of a text: at a microsecond, and the nth then.
func textAt(at int, n uint64) gotong.EventID {
	return gotong.NewEventID(1_764_000_000_000_000+gotong.Instant(at), n)
}

func text(owner, name string, id gotong.EventID, words string) store.Change {
	return store.Change{
		Key:  gotong.Key{Collection: notes, Owner: owner, Name: name},
		Body: fmt.Appendf(nil, `{"id":%q,"words":%q,"n":1}`, id, words),
	}
}

func gone(owner, name string) store.Change {
	return store.Change{Key: gotong.Key{Collection: notes, Owner: owner, Name: name}}
}

// texts writes changes as a reader does.
func (e *env) texts(changes ...store.Change) {
	e.Helper()
	at := e.cursor("texts", 0)
	e.check(e.s.Advance(e.ctx, store.Step{Reader: "texts", From: at, To: at + 1, Changes: changes}))
}

// find returns the owners and names that a finding gives.
func (e *env) find(f store.Finding) string {
	e.Helper()
	f.Collection = notes
	docs, err := e.s.FindTexts(e.ctx, f)
	e.check(err)
	return named(docs)
}

func named(docs []store.Document) string {
	list := make([]string, len(docs))
	for i, d := range docs {
		list[i] = d.Key.Owner + "/" + d.Key.Name
	}
	return strings.Join(list, " ")
}

// textWords: every list of words has one that the text has, and no text of another
// owner is found.
func textWords(e *env) {
	equal(e, "in an empty store", e.find(store.Finding{Owners: []string{"a"}}), "")
	e.texts(
		text("a", "1", textAt(1, 0), "warung kopi"), text("a", "2", textAt(2, 0), "kopi susu 17"),
		text("B-c", "1", textAt(3, 0), "kopi"), text("b-c", "1", textAt(4, 0), "kopi"), text("a", "3", textAt(5, 0), ""),
	)
	a := []string{"a"}
	for _, tt := range []struct {
		owners []string
		words  [][]string
		want   string
	}{
		{a, [][]string{{"kopi"}}, "a/2 a/1"},
		{a, [][]string{{"kopi"}, {"warung"}}, "a/1"},
		{a, [][]string{{"warung", "susu"}}, "a/2 a/1"},
		{a, [][]string{{"warung", "susu"}, {"17", "18"}}, "a/2"},
		{a, [][]string{{"kop"}}, ""},
		{a, [][]string{{"and"}, {"or"}, {"not"}, {"near"}}, ""},
		{a, nil, "a/3 a/2 a/1"},
		{[]string{"B-c"}, [][]string{{"kopi"}}, "B-c/1"},
		{[]string{"b-c", "a", "x"}, [][]string{{"kopi"}}, "b-c/1 a/2 a/1"},
		{[]string{"x"}, [][]string{{"kopi"}}, ""},
		{append(owners(store.MaxOwners-1), "a"), [][]string{{"warung"}}, "a/1"},
	} {
		if got := e.find(store.Finding{Owners: tt.owners, Words: tt.words}); got != tt.want {
			e.Errorf("%v of %v: %q, want %q", tt.words, tt.owners, got, tt.want)
		}
	}
	e.restart()
	equal(e, "there still", e.find(store.Finding{Owners: a, Words: [][]string{{"kopi"}}}), "a/2 a/1")
}

func owners(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%08x-81ff-83c6-9640-cd0f871b8bc1", i))
	}
	return list
}

// textChanges: a text is found by its present words alone, and one that was not
// written is not found.
func textChanges(e *env) {
	kopi, jahe := store.Finding{Owners: []string{"a"}, Words: [][]string{{"kopi"}}}, store.Finding{Owners: []string{"a"}, Words: [][]string{{"jahe"}}}
	e.texts(text("a", "1", textAt(1, 0), "kopi"), text("a", "2", textAt(2, 0), "kopi"))
	err := e.s.Advance(e.ctx, store.Step{Reader: "texts", From: 9, To: 10, Changes: []store.Change{text("a", "1", textAt(1, 0), "jahe"), gone("a", "2")}})
	if !errors.Is(err, store.ErrConflict) {
		e.Errorf("from another position: %v", err)
	}
	equal(e, "before", e.find(kopi)+", "+e.find(jahe), "a/2 a/1, ")
	e.texts(text("a", "1", textAt(1, 0), "jahe"), gone("a", "9"))
	equal(e, "replaced", e.find(kopi)+", "+e.find(jahe), "a/2, a/1")
	e.texts(gone("a", "2"), text("a", "1", textAt(3, 0), "jahe kopi"), text("a", "3", textAt(2, 0), "kopi"))
	equal(e, "removed and moved", e.find(kopi)+", "+e.find(jahe), "a/1 a/3, a/1")
	e.texts(gone("a", "1"), text("a", "1", textAt(1, 0), "kopi"), text("a", "4", textAt(4, 0), "kopi"), gone("a", "4"))
	equal(e, "twice in a step", e.find(kopi)+", "+e.find(jahe), "a/3 a/1, ")
	equal(e, "as a document", len(e.documents(store.KeyRange{Collection: notes, Owner: "a", To: "~"})), 2)
}

// textClear: steps that empty a collection leave neither documents nor texts, and it
// can be filled again.
func textClear(e *env) {
	var changes []store.Change
	for i := range 30 {
		changes = append(changes, text("a", fmt.Sprint(i), textAt(i, 0), "kopi"))
	}
	e.texts(changes...)
	at := e.cursor("texts", 0)
	for part := range slices.Chunk(changes, 11) {
		part = slices.Clone(part)
		for i := range part {
			part[i].Body = nil
		}
		e.check(e.s.Advance(e.ctx, store.Step{Reader: "texts", From: at, To: at, Changes: part, Clears: true}))
	}
	f := store.Finding{Owners: []string{"a"}, Words: [][]string{{"kopi"}}}
	equal(e, "cleared", e.find(f), "")
	equal(e, "documents", len(e.documents(store.KeyRange{Collection: notes, Owner: "a", To: "~"})), 0)
	e.texts(changes[3], changes[5])
	equal(e, "filled again", e.find(f), "a/5 a/3")
}

// textOrder: newest first by id, in pages that neither repeat nor omit, also where
// many texts are of one microsecond.
func textOrder(e *env) {
	var changes []store.Change
	var want []string
	for i := range 60 {
		at := i / 20
		if i >= 50 {
			at = -1_800_000_000_000_000 / 2 // long ago
		}
		owner := fmt.Sprint("o", i%3)
		changes = append(changes, text(owner, fmt.Sprint(i), textAt(at, uint64(i*7919%64)<<56), "kopi"))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	e.texts(changes...)
	slices.SortFunc(changes, func(a, b store.Change) int { return idOf(e, b).Compare(idOf(e, a)) })
	for _, ch := range changes {
		want = append(want, ch.Key.Owner+"/"+ch.Key.Name)
	}
	f := store.Finding{Owners: []string{"o0", "o1", "o2"}, Words: [][]string{{"kopi"}}}
	equal(e, "all", e.find(f), strings.Join(want, " "))
	f.Keep = func(t store.Text, d store.Document) bool { return t.Words == "kopi" && d.Key.Name != "7" }
	want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "/7") })
	for _, limit := range []int{1, 7, 60} {
		var got []string
		f.Before = gotong.EventID{}
		for f.Limit = limit; len(got) <= len(want); {
			page := e.find(f)
			if page == "" {
				break
			}
			got = append(got, strings.Fields(page)...)
			last := strings.Split(got[len(got)-1], "/")
			f.Before = idOf(e, changes[slices.IndexFunc(changes, func(ch store.Change) bool { return ch.Key.Name == last[1] })])
		}
		equal(e, fmt.Sprint("in pages of ", limit), got, want)
	}
}

func idOf(e *env, ch store.Change) gotong.EventID {
	t, err := store.TextOf(ch.Body)
	e.check(err)
	return t.ID
}

// textBad: what cannot be found is not written, and a search beyond the bounds finds
// nothing.
func textBad(e *env) {
	for _, words := range []string{"Kopi", `"kopi"`, "ko-pi", "kopi*", "\x00", "é", strings.Repeat("k", 65)} {
		err := e.s.Advance(e.ctx, store.Step{Reader: "texts", To: 1, Changes: []store.Change{text("a", "1", textAt(1, 0), words)}})
		if !errors.Is(err, store.ErrMalformed) {
			e.Errorf("%q: %v", words, err)
		}
	}
	equal(e, "cursor", e.cursor("texts", 0), 0)
	a := []string{"a"}
	for name, f := range map[string]store.Finding{
		"no owner": {}, "many owners": {Owners: owners(store.MaxOwners + 1)}, "no text": {Owners: a, Collection: things},
		"an empty list": {Owners: a, Words: [][]string{{}}}, "no word": {Owners: a, Words: [][]string{{"a b"}}},
		"syntax": {Owners: a, Words: [][]string{{`x") OR ("y`}}}, "many words": {Owners: a, Words: [][]string{slices.Repeat([]string{"a"}, store.MaxWords+1)}},
	} {
		if f.Collection == "" {
			f.Collection = notes
		}
		if docs, err := e.s.FindTexts(e.ctx, f); !errors.Is(err, store.ErrMalformed) || docs != nil {
			e.Errorf("%s: %v %v", name, docs, err)
		}
	}
}

// textRandom: after random changes, a store finds what a look at every document
// finds.
func textRandom(e *env) {
	r := rand.New(rand.NewPCG(3, 4))
	words := func(n int) (list []string) {
		for range n {
			list = append(list, "w"+strings.Repeat("x", r.IntN(9)))
		}
		return list
	}
	kept := map[gotong.Key]store.Change{}
	for range 12 {
		var changes []store.Change
		for range 20 {
			ch := text(fmt.Sprint("o", r.IntN(4)), fmt.Sprint(r.IntN(30)), textAt(r.IntN(40), r.Uint64()), strings.Join(words(r.IntN(6)), " "))
			if r.IntN(4) == 0 {
				ch.Body = nil
			}
			changes, kept[ch.Key] = append(changes, ch), ch
		}
		e.texts(changes...)
		for range 10 {
			f := store.Finding{
				Collection: notes, Owners: []string{"o0", "o2", fmt.Sprint("o", r.IntN(4))}, Limit: 1 + r.IntN(40),
				Before: textAt(r.IntN(41), r.Uint64()), Words: [][]string{words(1 + r.IntN(2)), words(1)},
			}
			if r.IntN(3) == 0 {
				f.Before, f.Words = gotong.EventID{}, f.Words[:1]
			}
			if r.IntN(3) == 0 {
				f.Since = textAt(r.IntN(41), 0).At()
			}
			want := store.NewFound(&f)
			for key, ch := range kept {
				if ch.Body != nil {
					e.check(want.Add(store.Document{Key: key, Body: ch.Body}))
				}
			}
			equal(e, fmt.Sprintf("%+v", f), e.find(f), named(want.Documents()))
		}
	}
}
