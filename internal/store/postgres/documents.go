package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
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

// writeDocuments queues the final values of documents, in the order of collections
// and keys.
func writeDocuments(b *pgx.Batch, docs map[gotong.Key][]byte) {
	type rows struct {
		owners, names, bodies, words []string
		events                       []pgtype.UUID
	}
	puts, gone := map[string]*rows{}, map[string]*rows{}
	for key, body := range docs {
		to := puts
		if body == nil {
			to = gone
		}
		r := to[key.Collection]
		if r == nil {
			r = &rows{}
			to[key.Collection] = r
		}
		r.owners, r.names, r.bodies = append(r.owners, key.Owner), append(r.names, key.Name), append(r.bodies, string(body))
		if body != nil && store.OfTexts(key.Collection) {
			t, _ := store.TextOf(body) // its words were checked
			r.words, r.events = append(r.words, t.Words), append(r.events, pgtype.UUID{Bytes: t.ID, Valid: true})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(puts)) {
		r, t := puts[name], "doc_"+name
		if store.OfTexts(name) {
			b.Queue("INSERT INTO "+t+` (owner, name, body, event, words)
				SELECT owner, name, body, event, string_to_array(words, ' ')
				FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[]) k (owner, name, body, event, words)
				ORDER BY owner COLLATE "C", name COLLATE "C" ON CONFLICT (owner, name)
				DO UPDATE SET body = excluded.body, event = excluded.event, words = excluded.words`,
				r.owners, r.names, r.bodies, r.events, r.words)
			continue
		}
		b.Queue("INSERT INTO "+t+` SELECT owner, name, body FROM unnest($1::text[], $2::text[], $3::text[]) k (owner, name, body)
			ORDER BY owner COLLATE "C", name COLLATE "C" ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body`,
			r.owners, r.names, r.bodies)
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		b.Queue("DELETE FROM doc_"+name+" WHERE (owner, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))",
			gone[name].owners, gone[name].names)
	}
}

// readDocuments queues the reads of single documents, one for each collection.
func readDocuments(b *pgx.Batch, keys []gotong.Key, into map[gotong.Key][]byte) {
	owners, names := map[string][]string{}, map[string][]string{}
	for _, key := range keys {
		owners[key.Collection] = append(owners[key.Collection], key.Owner)
		names[key.Collection] = append(names[key.Collection], key.Name)
	}
	for collection := range owners {
		each(b, func(row pgx.Rows) error {
			d, err := scanDocument(row, collection)
			into[d.Key] = d.Body
			return err
		}, "SELECT owner, name, body FROM doc_"+collection+" WHERE (owner, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))",
			owners[collection], names[collection])
	}
}

func scanDocument(row pgx.Rows, collection string) (d store.Document, err error) {
	d.Key.Collection = collection
	err = row.Scan(&d.Key.Owner, &d.Key.Name, &d.Body)
	return d, err
}

func readRange(b *pgx.Batch, of store.KeyRange, into *[]store.Document) {
	order := " ORDER BY name"
	if of.Descending {
		order += " DESC"
	}
	each(b, func(row pgx.Rows) error {
		d, err := scanDocument(row, of.Collection)
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
	if !s.docs[f.Collection] {
		return nil, fmt.Errorf("postgres: no collection %q", f.Collection)
	}
	found, before := store.NewFound(&f), pgtype.UUID{Bytes: f.Before, Valid: !f.Before.IsZero()}
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
	for {
		var rows []store.Document
		args[1] = before
		err := s.read(ctx, func(b *pgx.Batch) {
			rows = nil
			each(b, func(row pgx.Rows) error {
				d, err := scanDocument(row, f.Collection)
				rows = append(rows, d)
				return err
			}, sql.String(), args...)
		})
		if err != nil {
			return nil, err
		}
		var last store.Text
		for _, d := range rows {
			if err := found.Add(d); err != nil {
				return nil, err
			}
			if last, err = store.TextOf(d.Body); err != nil {
				return nil, err
			}
		}
		if len(rows) < store.MaxRead || found.Enough(last.ID.At()) {
			return found.Documents(), nil
		}
		before = pgtype.UUID{Bytes: last.ID, Valid: true}
	}
}
