package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// tableOf returns the statements that make the table of a collection. Texts have the
// event that orders them and their words, with an index of the words.
func tableOf(name string) string {
	t, more, index := "doc_"+name, "", ""
	if store.OfTexts(name) {
		more = "event uuid NOT NULL, words text[] NOT NULL, "
		index = "; CREATE INDEX IF NOT EXISTS " + t + "_words ON " + t + " USING gin (words)" +
			"; CREATE INDEX IF NOT EXISTS " + t + "_event ON " + t + " (event)"
	}
	return "CREATE TABLE IF NOT EXISTS " + t + ` (owner text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, body text NOT NULL, ` +
		more + "PRIMARY KEY (owner, name))" + index
}

func project(b sqlstore.Batch, _ []store.Step, docs map[gotong.Key][]byte) error {
	writeDocuments(b, docs)
	return nil
}

// writeDocuments queues the final values of documents, in the order of their keys.
func writeDocuments(b sqlstore.Batch, docs map[gotong.Key][]byte) {
	puts, gone := map[string][][]any{}, map[string][][]any{}
	for _, key := range sorted(docs, keyTexts) {
		body := docs[key]
		if body == nil {
			gone[key.Collection] = append(gone[key.Collection], []any{key.Owner, key.Name})
			continue
		}
		row := []any{key.Owner, key.Name, string(body)}
		if store.OfTexts(key.Collection) {
			t, _ := store.TextOf(body) // its words were checked
			row = append(row, t.ID.String(), t.Words)
		}
		puts[key.Collection] = append(puts[key.Collection], row)
	}
	for _, name := range slices.Sorted(maps.Keys(puts)) {
		more, values, set := "", "", ""
		if store.OfTexts(name) {
			more, values = ", event, words", ", unnest($4::text[])::uuid, string_to_array(unnest($5::text[]), ' ')"
			set = ", event = excluded.event, words = excluded.words"
		}
		b.Write("INSERT INTO doc_"+name+" (owner, name, body"+more+") SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])"+
			values+" ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body"+set, columns(puts[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		b.Write("DELETE FROM doc_"+name+" WHERE (owner, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))", columns(gone[name])...)
	}
}

// FindTexts implements [store.Texts]. The server returns pages of what fits, newest
// first.
func (s *Store) FindTexts(ctx context.Context, f store.Finding) ([]store.Document, error) {
	if err := cmp.Or(f.Check(), s.Knows(&store.Need{Ranges: []store.KeyRange{{Collection: f.Collection}}})); err != nil {
		return nil, err
	}
	return store.FindPages(&f, func(before gotong.EventID) (docs []store.Document, err error) {
		sql, args := "SELECT owner, name, body FROM doc_"+f.Collection+" WHERE owner = ANY ($1)", []any{f.Owners}
		and := func(condition string, value any) {
			args = append(args, value)
			sql += fmt.Sprintf(" AND "+condition, len(args))
		}
		for _, list := range f.Words {
			and("words && $%d::text[]", list)
		}
		if f.Since > 0 {
			and("event >= $%d", uuid(gotong.NewEventID(f.Since, 0)))
		}
		if !before.IsZero() {
			and("event < $%d", uuid(before))
		}
		sql += fmt.Sprintf(" ORDER BY event DESC LIMIT %d", store.MaxRead)
		err = s.read(ctx, func(b sqlstore.Batch) {
			docs = nil
			b.Ask(func(row sqlstore.Row) error {
				d, err := sqlstore.ScanDocument(row, f.Collection)
				docs = append(docs, d)
				return err
			}, sql, args...)
		})
		return docs, err
	})
}
