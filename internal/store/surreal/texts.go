package surreal

import (
	"context"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// indexOf returns the statements that create the index of words of a table: full
// text or, on 2.6, an index of the elements, because transactions that change a full
// text index of 2.6 collide with each other.
func indexOf(v surreal.Version, table string) string {
	if v.Major == 2 {
		return "DEFINE INDEX IF NOT EXISTS words ON " + table + " FIELDS words"
	}
	return "DEFINE ANALYZER IF NOT EXISTS words TOKENIZERS blank; DEFINE INDEX IF NOT EXISTS words ON " + table +
		" FIELDS words FULLTEXT ANALYZER words"
}

// rowOf returns the row of a document.
func rowOf(key gotong.Key, body []byte) documentFields {
	row := documentFields{ID: docID(key), Body: string(body)}
	if store.OfTexts(key.Collection) {
		t, _ := store.TextOf(body) // its words were checked
		row.Event, row.Owner, row.Words = t.ID.String(), key.Owner, strings.Fields(t.Words)
	}
	return row
}

// matching returns the condition by which the index finds the texts with one word
// of each list, or more than those: 3.0 applies only one full text search of a
// query, so the lists are conditions of their own as well.
func matching(v surreal.Version, words [][]string) string {
	var alone []string
	for _, list := range words {
		if len(list) == 1 {
			alone = append(alone, list[0])
		}
	}
	switch {
	case v.Major == 2 || len(words) == 0:
		return ""
	case len(alone) > 0:
		return "words @0@ '" + strings.Join(alone, " ") + "'"
	default:
		return "words @0,OR@ '" + strings.Join(words[0], " ") + "'"
	}
}

// FindTexts implements [store.Texts]. The database returns pages of what may fit,
// newest first.
func (s *Store) FindTexts(ctx context.Context, f store.Finding) ([]store.Document, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if !s.Collections[f.Collection] {
		return nil, fmt.Errorf("surreal: no collection %q", f.Collection)
	}
	return store.FindPages(&f, func(before gotong.EventID) (docs []store.Document, err error) {
		var r reading
		where := []string{"owner IN " + r.param(f.Owners)}
		if m := matching(s.db.Version(), f.Words); m != "" {
			where = append(where, m)
		}
		for _, list := range f.Words {
			where = append(where, "words CONTAINSANY "+r.param(list))
		}
		if f.Since > 0 {
			where = append(where, "event >= "+r.param(gotong.NewEventID(f.Since, 0).String()))
		}
		if !before.IsZero() {
			where = append(where, "event < "+r.param(before.String()))
		}
		part(&r, "SELECT VALUE [record::id(id), body] FROM (SELECT id, body, event FROM doc_"+f.Collection+
			" WHERE "+strings.Join(where, " AND ")+fmt.Sprintf(" ORDER BY event DESC LIMIT %d)", store.MaxRead),
			func(rows []documentRow) error { docs = documentsOf(f.Collection, rows); return nil })
		err = s.read(ctx, &r)
		return docs, err
	})
}
