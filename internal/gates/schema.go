package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gotong.dev/gotong/internal/surreal"
)

// step is one row of the ledger of the schema.
type step struct {
	_        struct{} `cbor:",toarray"`
	Number   int
	Name     string
	Checksum string
}

type table struct {
	definition string
	parts      map[string]string // fields, events and indexes, by kind and name
	readable   bool              // by record users or guests
}

type schema struct {
	ledger   []step
	tables   map[string]table
	accesses []string // DEFINE ACCESS … TYPE RECORD
	users    []string // with their roles
}

const ledgerTable = "migration"

var role = regexp.MustCompile(`\b(OWNER|EDITOR|VIEWER)\b`)

func schemaOf(ctx context.Context, db *surreal.Client) (schema, error) {
	var info struct {
		Tables   map[string]string `cbor:"tables"`
		Accesses map[string]string `cbor:"accesses"`
		Users    map[string]string `cbor:"users"`
	}
	if err := db.Select(ctx, "INFO FOR DB", nil, &info); err != nil {
		return schema{}, err
	}
	found := schema{tables: map[string]table{}}
	for name, text := range info.Accesses {
		if strings.Contains(text, "TYPE RECORD") {
			found.accesses = append(found.accesses, name)
		}
	}
	for name, text := range info.Users { // which holds a hash of the password
		found.users = append(found.users, name+" ("+strings.Join(role.FindAllString(text, -1), ", ")+")")
	}
	slices.Sort(found.accesses)
	slices.Sort(found.users)
	for name, definition := range info.Tables {
		t, err := tableOf(ctx, db, name, definition)
		if err != nil {
			return schema{}, err
		}
		found.tables[name] = t
	}
	if _, ok := info.Tables[ledgerTable]; !ok {
		return found, nil
	}
	err := db.Select(ctx, "SELECT VALUE [record::id(id), name, checksum] FROM migration:1..=9999", nil, &found.ledger)
	return found, err
}

func tableOf(ctx context.Context, db *surreal.Client, name, definition string) (table, error) {
	t := table{definition: definition, parts: map[string]string{}, readable: readable(definition)}
	var info struct {
		Fields  map[string]string `cbor:"fields"`
		Events  map[string]string `cbor:"events"`
		Indexes map[string]string `cbor:"indexes"`
	}
	err := db.Select(ctx, "INFO FOR TABLE `"+strings.ReplaceAll(name, "`", "")+"`", nil, &info)
	for kind, parts := range map[string]map[string]string{"field": info.Fields, "event": info.Events, "index": info.Indexes} {
		for part, text := range parts {
			t.parts[kind+" "+part] = text
		}
	}
	return t, err
}

// readable reports whether users other than system users may select from a table
// or change it: if none may, its definition ends in PERMISSIONS NONE.
func readable(definition string) bool {
	_, permissions, ok := strings.Cut(definition, " PERMISSIONS ")
	return !ok || strings.TrimSpace(permissions) != "NONE"
}

// expected returns the schema that this program creates, read from the scratch.
func (r *run) expected(ctx context.Context) (schema, error) {
	s, err := r.openStore(ctx)
	if err != nil {
		return schema{}, err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	db, err := surreal.Open(ctx, r.store, clientOptions())
	if err != nil {
		return schema{}, err
	}
	defer db.Close()
	return schemaOf(ctx, db)
}

// yours returns the schema of the operator's database; an empty one if it does not
// exist.
func (r *run) yours(ctx context.Context) (schema, error) {
	if !r.scratch.there {
		return schema{}, nil
	}
	db, err := r.live(ctx)
	if err != nil {
		return schema{}, err
	}
	defer db.Close()
	return schemaOf(ctx, db)
}

func checkSchema(ctx context.Context, r *run, f *findings) error {
	want, err := r.expected(ctx)
	if err != nil {
		return err
	}
	if len(want.ledger) == 0 {
		return errors.New("this program made no ledger in the scratch")
	}
	have, err := r.yours(ctx)
	if err != nil {
		return err
	}
	compareSchemas(f, want, have)
	return nil
}

// restore is the advice if a database differs from what the program created.
const restore = "find out who changed it; restore a backup, or gotong copy the log into an empty database"

func compareSchemas(f *findings, want, have schema) {
	ours, others := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(have.tables)) {
		if _, ok := want.tables[name]; ok || strings.HasPrefix(name, "doc_") {
			ours++
		} else {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		f.warnf("give this program a database of its own",
			"the database has tables that are not of this program: %s", strings.Join(others, ", "))
	}
	switch {
	case ours == 0 && len(have.ledger) == 0:
		f.goodf("the database has none of this program's tables: the first start will make them (%s of the schema)",
			count(len(want.ledger), "step"))
		return
	case len(have.ledger) == 0:
		f.badf(restore, "the database has %s of this program and no ledger of the schema", count(ours, "table"))
		return
	}
	if compareLedgers(f, want.ledger, have.ledger) {
		compareTables(f, want, have)
	}
}

func compareLedgers(f *findings, want, have []step) bool {
	for i, s := range have {
		switch {
		case i >= len(want):
			f.badf("start the version that made it, or restore a copy from before",
				"the schema is newer than this program: it has %s, known are %d", count(len(have), "step"), len(want))
			return false
		case s.Number != want[i].Number || s.Checksum != want[i].Checksum:
			f.badf(restore, "step %d of the ledger (%s) is not the one of this program: its checksum differs", s.Number, s.Name)
			return false
		}
	}
	if len(have) < len(want) {
		f.badf("back up (gotong copy), then start the new version once: it brings the schema up to date; then run the gates again",
			"the schema is stale: it has %d of %s, %s is missing", len(have), count(len(want), "step"), want[len(have)].Name)
		return false
	}
	f.goodf("the ledger has the %s of this program, with their checksums", count(len(want), "step"))
	return true
}

// compareTables compares the definitions, both as the same server describes them.
// The gate access judges who may read the tables.
func compareTables(f *findings, want, have schema) {
	missing, changed := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(want.tables)) {
		t, ok := have.tables[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		if withoutPermissions(t.definition) != withoutPermissions(want.tables[name].definition) {
			changed = append(changed, name)
		}
		for _, part := range slices.Sorted(maps.Keys(want.tables[name].parts)) {
			if t.parts[part] != want.tables[name].parts[part] {
				changed = append(changed, part+" of "+name)
			}
		}
		for _, part := range slices.Sorted(maps.Keys(t.parts)) {
			if _, ok := want.tables[name].parts[part]; !ok {
				changed = append(changed, part+" of "+name+" (added)")
			}
		}
	}
	for _, name := range missing {
		if strings.HasPrefix(name, "doc_") {
			f.warnf("if a new version brings it, the next start makes it; if it was lost, rebuild the documents (gotong copy)",
				"the table %s is missing", name)
			continue
		}
		f.badf(restore, "the table %s is missing", name)
	}
	if len(changed) > 0 {
		f.badf(restore, "changed since this program made it: %s", strings.Join(changed, ", "))
	}
	if len(missing)+len(changed) == 0 {
		f.goodf("%s with all their parts are as this program makes them", count(len(want.tables), "table"))
	}
}

func withoutPermissions(definition string) string {
	text, _, _ := strings.Cut(definition, " PERMISSIONS ")
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(grouped(n), " ", what)
}
