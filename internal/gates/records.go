package gates

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"gotong.dev/gotong/internal/surreal"
)

// behaviour is one thing that the store relies on, tried on bare records.
type behaviour struct {
	what  string
	check func(ctx context.Context, db *surreal.Client) (seen string, ok bool, err error)
}

func behaviours() []behaviour {
	return []behaviour{
		{"closed ranges", closedRanges},
		{"CREATE of what exists", createExisting},
		{"INSERT of what exists", insertExisting},
		{"THROW", throwUndoes},
		{"+= in UPSERT", upsertCounts},
		{"bytes, big numbers and NONE", valuesKept},
		{"comparison of lists", listsCompared},
	}
}

func checkRecords(ctx context.Context, r *run, f *findings) error {
	const way = "do not use this version with this program: the store relies on it; report it with this table"
	if err := r.db.Exec(ctx, "DEFINE TABLE IF NOT EXISTS rec SCHEMALESS PERMISSIONS NONE; "+
		"DEFINE TABLE IF NOT EXISTS tally SCHEMALESS PERMISSIONS NONE", nil); err != nil {
		return err
	}
	for _, b := range behaviours() {
		seen, ok, err := b.check(ctx, r.db)
		if err != nil {
			return fmt.Errorf("%s: %w", b.what, err)
		}
		f.judgef(ok, way, "%s: %s", b.what, seen)
	}
	return r.coalesceTrap(ctx, f)
}

// rangeKeys are the numbers of the range probe: over the places where text or
// bytes would sort otherwise than numbers, and beyond what a float tells apart.
func rangeKeys() []uint64 {
	var keys []uint64
	for n := range uint64(600) {
		keys = append(keys, n)
	}
	return append(keys, 1<<31, 1<<32, 1<<53, 1<<53+1, 1<<53+2, 1<<62, 1<<63-1)
}

func closedRanges(ctx context.Context, db *surreal.Client) (string, bool, error) {
	keys := rangeKeys()
	var rows []map[string]any
	for _, owner := range []string{"r", "s", "s0", "t"} {
		for i := range keys { // not in order
			n := keys[(i*389)%len(keys)]
			rows = append(rows, map[string]any{"id": surreal.Record("rec", owner, n), "n": n})
		}
	}
	if err := db.Exec(ctx, "INSERT INTO rec $rows RETURN NONE", surreal.Vars{"rows": rows}); err != nil {
		return "", false, err
	}
	tried := 0
	for _, ends := range [][2]uint64{
		{0, 1<<63 - 1}, {9, 10}, {10, 300}, {99, 101}, {255, 257}, {600, 1 << 31}, {1<<53 + 1, 1<<53 + 1}, {700, 800},
	} {
		var got []uint64
		ids := surreal.RecordID{Table: "rec", Key: surreal.Range{From: []any{"s", ends[0]}, To: []any{"s", ends[1]}}}
		if err := db.Select(ctx, "SELECT VALUE n FROM $ids", surreal.Vars{"ids": ids}, &got); err != nil {
			return "", false, err
		}
		want := slices.DeleteFunc(slices.Clone(keys), func(n uint64) bool { return n < ends[0] || n > ends[1] })
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			return fmt.Sprintf("[s, %d] to [s, %d] gave %d rows where there are %d, or not in order",
				ends[0], ends[1], len(got), len(want)), false, nil
		}
		tried++
	}
	return fmt.Sprintf("%d ranges over %d rows of 4 owners: complete, in order of number, ends included", tried, len(rows)), true, nil
}

// createExisting also looks whether what came before and after it in the
// transaction is undone.
func createExisting(ctx context.Context, db *surreal.Client) (string, bool, error) {
	if err := db.Exec(ctx, "CREATE rec:['c', 1] SET n = 1 RETURN NONE", nil); err != nil {
		return "", false, err
	}
	_, err := db.Transact(ctx, []string{
		"CREATE rec:['c', 2] SET n = 2 RETURN NONE", "CREATE rec:['c', 1] SET n = 9 RETURN NONE",
		"CREATE rec:['c', 3] SET n = 3 RETURN NONE",
	}, nil)
	return refusedWhole(ctx, db, err, surreal.Exists(err), "c")
}

func throwUndoes(ctx context.Context, db *surreal.Client) (string, bool, error) {
	_, err := db.Transact(ctx, []string{
		"CREATE rec:['e', 1] SET n = 1 RETURN NONE", "IF true { THROW 'gotong: moved' }", "CREATE rec:['e', 2] SET n = 2 RETURN NONE",
	}, nil)
	text, thrown := surreal.Thrown(err)
	seen, ok, err := refusedWhole(ctx, db, err, thrown && text == "gotong: moved", "e")
	return seen, ok, err
}

// refusedWhole says whether a transaction failed as it should and left of its
// owner's records none, or the one that was there before.
func refusedWhole(ctx context.Context, db *surreal.Client, failed error, asMeant bool, owner string) (string, bool, error) {
	if failed != nil && surreal.Unknown(failed) {
		return "", false, failed
	}
	var left []uint64
	ids := surreal.RecordID{Table: "rec", Key: surreal.Range{From: []any{owner, 0}, To: []any{owner, 99}}}
	if err := db.Select(ctx, "SELECT VALUE n FROM $ids", surreal.Vars{"ids": ids}, &left); err != nil {
		return "", false, err
	}
	switch {
	case failed == nil:
		return "the transaction was committed", false, nil
	case !asMeant:
		return "failed in words that the client does not know: " + failed.Error(), false, nil
	case len(left) > 1 || len(left) == 1 && (owner != "c" || left[0] != 1):
		return fmt.Sprintf("the transaction failed and left %d records", len(left)), false, nil
	default:
		return "fails, and undoes the whole transaction", true, nil
	}
}

func insertExisting(ctx context.Context, db *surreal.Client) (string, bool, error) {
	if err := db.Exec(ctx, "INSERT INTO rec [{ id: rec:['i', 1], n: 1 }, { id: rec:['i', 2], n: 2 }] RETURN NONE", nil); err != nil {
		return "", false, err
	}
	failed := db.Exec(ctx, "INSERT INTO rec [{ id: rec:['i', 3], n: 3 }, { id: rec:['i', 1], n: 9 }] RETURN NONE", nil)
	if surreal.Unknown(failed) {
		return "", false, failed
	}
	var made, now []uint64
	const again = "SELECT VALUE n FROM (INSERT IGNORE INTO rec [{ id: rec:['i', 2], n: 9 }, { id: rec:['i', 4], n: 4 }])"
	if err := db.Select(ctx, again, nil, &made); err != nil {
		return "", false, err
	}
	if err := db.Select(ctx, "SELECT VALUE n FROM rec:['i', 0]..=['i', 9]", nil, &now); err != nil {
		return "", false, err
	}
	ok := surreal.Exists(failed) && slices.Equal(made, []uint64{4}) && slices.Equal(now, []uint64{1, 2, 4})
	return fmt.Sprintf("fails: %t; INSERT IGNORE made %d of 2; %d records in the end, 3 were meant",
		surreal.Exists(failed), len(made), len(now)), ok, nil
}

func upsertCounts(ctx context.Context, db *surreal.Client) (string, bool, error) {
	for range 3 {
		if err := db.Exec(ctx, "UPSERT tally:plus SET n += 1 RETURN NONE", nil); err != nil {
			return "", false, err
		}
	}
	var n []int
	if err := db.Select(ctx, "SELECT VALUE n FROM tally:plus", nil, &n); err != nil {
		return "", false, err
	}
	return fmt.Sprintf("three of them count to %v", n), slices.Equal(n, []int{3}), nil
}

func valuesKept(ctx context.Context, db *surreal.Client) (string, bool, error) {
	type row struct {
		_     struct{} `cbor:",toarray"`
		Bytes []byte
		Big   int64
		Text  string
		Gone  string
	}
	want := row{Bytes: []byte{0, 1, 254, 255}, Big: 1<<63 - 1, Text: "it's \"so\" `é` 🙂", Gone: ""}
	err := db.Exec(ctx, "CREATE rec:['v', 1] SET b = $b, i = $i, t = $t, g = 'x' RETURN NONE; UPDATE rec:['v', 1] SET g = NONE RETURN NONE",
		surreal.Vars{"b": want.Bytes, "i": want.Big, "t": want.Text})
	if err != nil {
		return "", false, err
	}
	var got []row
	if err := db.Select(ctx, "SELECT VALUE [b, i, t, g] FROM rec:['v', 1]", nil, &got); err != nil {
		return "", false, err
	}
	ok := len(got) == 1 && reflect.DeepEqual(got[0], want)
	return fmt.Sprintf("come back as they went: %t", ok), ok, nil
}

// listsCompared tries the form with which each commit checks what it rests on.
func listsCompared(ctx context.Context, db *surreal.Client) (string, bool, error) {
	err := db.Exec(ctx, "CREATE rec:['l', 1] SET n = 1, h = $h RETURN NONE", surreal.Vars{"h": []byte{1, 2}})
	if err != nil {
		return "", false, err
	}
	ask := func(n int, h []byte) (same bool, err error) {
		ids := []surreal.RecordID{surreal.Record("rec", "l", 1), surreal.Record("rec", "l", 2)}
		want := []any{[]any{}, []any{[]any{n, h}}}
		const text = "RETURN [(SELECT VALUE id FROM $none WHERE n != NONE), (SELECT VALUE [n, h] FROM $ids WHERE n > 0)] = $want"
		none := []surreal.RecordID{surreal.Record("rec", "l", 9)}
		err = db.Select(ctx, text, surreal.Vars{"none": none, "ids": ids, "want": want}, &same)
		return same, err
	}
	same, err := ask(1, []byte{1, 2})
	if err != nil {
		return "", false, err
	}
	number, err := ask(2, []byte{1, 2})
	if err != nil {
		return "", false, err
	}
	hash, err := ask(1, []byte{1, 3})
	ok := same && !number && !hash
	return fmt.Sprintf("tells what is as expected from what is not: %t", ok), ok, err
}

// coalesceTrap only notes how the version behaves: the store never writes so.
func (r *run) coalesceTrap(ctx context.Context, f *findings) error {
	const statement = "UPSERT tally:trap SET n = (n ?? 0) + 1 RETURN NONE"
	if err := r.db.Exec(ctx, statement+"; "+statement, nil); err != nil {
		return err
	}
	var n []int
	if err := r.db.Select(ctx, "SELECT VALUE n FROM tally:trap", nil, &n); err != nil {
		return err
	}
	if slices.Equal(n, []int{2}) {
		f.goodf("?? in UPSERT sees the row that is there (two of them count to 2)")
	} else {
		f.goodf("?? in UPSERT does not see the row that is there (two of them count to %v): a trap for queries of your own; "+
			"the store uses +=", n)
	}
	return nil
}
