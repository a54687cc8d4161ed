package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

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
	puts, gone := map[string][]gotong.Key{}, map[string][]gotong.Key{}
	keys := slices.SortedFunc(maps.Keys(docs), func(a, b gotong.Key) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name))
	})
	for _, key := range keys {
		to := puts
		if docs[key] == nil {
			to = gone
		}
		to[key.Collection] = append(to[key.Collection], key)
	}
	for _, name := range slices.Sorted(maps.Keys(puts)) {
		args := columns(puts[name], func(k gotong.Key) []string { return []string{k.Owner, k.Name, string(docs[k])} })
		more, values, set := "", "", ""
		if store.OfTexts(name) {
			more, values = ", event, words", ", unnest($4::text[])::uuid, string_to_array(unnest($5::text[]), ' ')"
			set = ", event = excluded.event, words = excluded.words"
			args = append(args, columns(puts[name], func(k gotong.Key) []string {
				t, _ := store.TextOf(docs[k]) // its words were checked
				return []string{t.ID.String(), t.Words}
			})...)
		}
		b.Write("INSERT INTO doc_"+name+" (owner, name, body"+more+") SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])"+
			values+" ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body"+set, args...)
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		b.Write("DELETE FROM doc_"+name+" WHERE (owner, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))",
			ownerNames(gone[name])...)
	}
}

func ownerNames(keys []gotong.Key) []any {
	return columns(keys, func(k gotong.Key) []string { return []string{k.Owner, k.Name} })
}

// readDocuments queues the reads of single documents, one for each collection.
func readDocuments(b sqlstore.Batch, keys []gotong.Key, into map[gotong.Key][]byte) {
	byCollection := map[string][]gotong.Key{}
	for _, key := range keys {
		byCollection[key.Collection] = append(byCollection[key.Collection], key)
	}
	for collection, list := range byCollection {
		b.Ask(func(row sqlstore.Row) error {
			d, err := sqlstore.ScanDocument(row, collection)
			into[d.Key] = d.Body
			return err
		}, "SELECT owner, name, body FROM doc_"+collection+" WHERE (owner, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))",
			ownerNames(list)...)
	}
}

func readRange(b sqlstore.Batch, of store.KeyRange, into *[]store.Document) {
	order := " ORDER BY name"
	if of.Descending {
		order += " DESC"
	}
	b.Ask(func(row sqlstore.Row) error {
		d, err := sqlstore.ScanDocument(row, of.Collection)
		*into = append(*into, d)
		return err
	}, "SELECT owner, name, body FROM doc_"+of.Collection+" WHERE owner = $1 AND name BETWEEN $2 AND $3"+order+" LIMIT $4",
		of.Owner, of.From, of.To, store.Bound(of.Limit))
}

// FindTexts implements [store.Texts]. The server returns pages of what fits, newest
// first.
func (s *Store) FindTexts(ctx context.Context, f store.Finding) ([]store.Document, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if !s.Collections[f.Collection] {
		return nil, fmt.Errorf("postgres: no collection %q", f.Collection)
	}
	var since pgtype.UUID
	if f.Since > 0 {
		since = pgtype.UUID{Bytes: gotong.NewEventID(f.Since, 0), Valid: true}
	}
	var sql strings.Builder
	sql.WriteString("SELECT owner, name, body FROM doc_" + f.Collection +
		" WHERE owner = ANY ($1) AND ($2::uuid IS NULL OR event < $2) AND ($3::uuid IS NULL OR event >= $3)")
	args := []any{f.Owners, nil, since}
	for _, list := range f.Words {
		args = append(args, list)
		fmt.Fprintf(&sql, " AND words && $%d::text[]", len(args))
	}
	fmt.Fprintf(&sql, " ORDER BY event DESC LIMIT %d", store.MaxRead)
	return store.FindPages(&f, func(before gotong.EventID) (docs []store.Document, err error) {
		args[1] = pgtype.UUID{Bytes: before, Valid: !before.IsZero()}
		err = s.read(ctx, func(b sqlstore.Batch) {
			docs = nil
			b.Ask(func(row sqlstore.Row) error {
				d, err := sqlstore.ScanDocument(row, f.Collection)
				docs = append(docs, d)
				return err
			}, sql.String(), args...)
		})
		return docs, err
	})
}
