package surreal

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// filled is a store with two commits in one stream and a claim.
func filled(t *testing.T, cfg surreal.Config) (*Store, *storetest.Maker) {
	t.Helper()
	s := opened(t, cfg, Options{})
	m := storetest.NewMaker(s.Epoch())
	commitOne(t, s, m, storetest.Draft{
		Stream: "thread/a", Home: "group/g", Events: 2, Body: "halo", RequestID: "one",
		Claims:  []gotong.Claim{{Space: "email", Name: "siti@example.org"}},
		Changes: []store.Change{{Key: gotong.Key{Collection: "things", Owner: "o", Name: "n"}, Body: []byte(`{"n":1}`)}},
	})
	commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Home: "group/g", Events: 1, RequestID: "two"})
	return s, m
}

// TestOwnerCannotChangeTheLog: no statement changes or deletes an event or a record,
// not even the owner's; only an erasure does.
func TestOwnerCannotChangeTheLog(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s, m := filled(t, cfg)
		db := operator(t, cfg)
		for _, statement := range []string{
			"UPDATE event:['thread/a', 1] SET data = '{}'",
			"UPDATE event:['thread/a', 1] SET content = 'other'",
			"UPDATE event:['thread/a', 1] SET content = 'other', erased = true",
			"UPDATE event:['thread/a', 1] SET chain = prev, content = NONE, content_salt = NONE, erased = true",
			"UPDATE event:['thread/a', 1] CONTENT {}",
			"UPSERT event:['thread/a', 1] SET position = 9",
			"UPDATE event SET count += 1",
			"INSERT INTO event { id: ['thread/a', 1], data: '{}' } ON DUPLICATE KEY UPDATE data = '{}'",
			"INSERT INTO event { id: ['thread/a', 1], data: '{}' }",
			"DELETE event:['thread/a', 1]", "DELETE event", "DELETE event:['thread/a', 1]..=['thread/a', 9]",
			"DELETE batch", "UPDATE batch SET first = 7",
			"DELETE request", "UPDATE request SET first = 7", "UPDATE request SET salt = <bytes>'x'",
		} {
			if err := db.Exec(t.Context(), statement, nil); err == nil {
				t.Errorf("went through: %s", statement)
			}
		}
		before, err := storetest.Read(t.Context(), s, 0)
		check(t, err)
		if len(before.Records()) != 2 {
			t.Errorf("records %+v", before.Records())
		}
		commitOne(t, s, m, storetest.Draft{Stream: "thread/a", Home: "group/g", Events: 1, Erase: []uint64{1}})
		if err := db.Exec(t.Context(), "UPDATE event:['thread/a', 1] SET content = 'back', erased = NONE", nil); err == nil {
			t.Error("erased content came back")
		}
	})
}

// TestOperatorReadsRowsByHand: the queries that an operator would type return the
// rows.
func TestOperatorReadsRowsByHand(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		filled(t, cfg)
		db := operator(t, cfg)
		for _, tt := range []struct {
			query string
			want  any
		}{
			{"SELECT VALUE record::id(id)[1] FROM event:['thread/a', 1]..=['thread/a', 9]", []any{int64(1), int64(2), int64(3)}},
			{"SELECT VALUE content FROM event:['thread/a', 1]", []any{`{"body":"halo"}`}},
			{"SELECT VALUE [seq, home, partition] FROM head:`thread/a`", []any{[]any{int64(3), "group/g", int64(gotong.PartitionOf("group/g"))}}},
			{"SELECT VALUE [position, first, last] FROM request:['thread/a', 'u1', 'two']", []any{[]any{int64(2), int64(3), int64(3)}}},
			{"SELECT VALUE commits FROM batch WHERE first = 2", []any{[]any{[]any{"thread/a", int64(3), int64(3)}}}},
			{"SELECT VALUE stream FROM claim:['email', 'siti@example.org']", []any{"thread/a"}},
			{"SELECT VALUE body FROM doc_things:['o', 'n']", []any{`{"n":1}`}},
			{"SELECT VALUE position FROM partition WHERE position > 0", []any{int64(2)}},
			{"SELECT VALUE name FROM migration:1", []any{"0001_log.surql"}},
		} {
			var got any
			if err := db.Select(t.Context(), tt.query, nil, &got); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s:\n got %#v %v\nwant %#v", tt.query, got, err, tt.want)
			}
		}
	})
}

// TestTablesAndErrorsKeepTheirSecrets: only system users have access to the tables, and
// errors never quote stored values.
func TestTablesAndErrorsKeepTheirSecrets(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s, m := filled(t, cfg)
		var info struct {
			Tables map[string]string `cbor:"tables"`
		}
		check(t, operator(t, cfg).Select(t.Context(), "INFO FOR DB", nil, &info))
		for name, definition := range info.Tables {
			if !strings.Contains(definition, "PERMISSIONS NONE") {
				t.Errorf("%s: %s", name, definition)
			}
		}
		if len(info.Tables) < 11 {
			t.Errorf("tables %v", info.Tables)
		}
		c := m.Next(storetest.Draft{Stream: "thread/a", Events: 1})
		c.Changes = []store.Change{{Key: gotong.Key{Collection: "unheard"}, Body: []byte("secret")}}
		if _, err := store.CommitAll(t.Context(), s, []store.Commit{c}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("committed: %v", err)
		}
	})
}

// TestEraseBlindsTheRequestOfItsOwnBatch: erasing an event of the same batch
// blinds the request that wrote it, not one that lost its seq to it.
func TestEraseBlindsTheRequestOfItsOwnBatch(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		s, m := filled(t, surrealtest.Start(t, e))
		rival := m.Peek(storetest.Draft{Stream: "thread/a", Events: 1, RequestID: "rival"})
		brought := m.Next(storetest.Draft{Stream: "thread/a", Events: 1, RequestID: "brought"})
		eraser := m.Next(storetest.Draft{Stream: "thread/a", Events: 1, RequestID: "eraser", Erase: []uint64{1, 4}})
		out, err := store.CommitAll(t.Context(), s, []store.Commit{brought, rival, eraser})
		if err != nil || out[0].Status != store.Committed || out[1].Status != store.Moved || out[2].Status != store.Committed {
			t.Fatalf("%+v %v", out, err)
		}
		first := gotong.RequestKey{Stream: "thread/a", Actor: "u1", RequestID: "one"}
		need := store.Need{
			Records: []gotong.RequestKey{first, brought.Request, eraser.Request},
			Events:  []store.EventRange{{Stream: "thread/a", To: 9}},
		}
		snap, err := s.Load(t.Context(), need)
		check(t, err)
		for key, blind := range map[gotong.RequestKey]bool{first: true, brought.Request: true, eraser.Request: false} {
			if r := snap.Records[key]; (r.Fingerprint == nil) != blind || (r.Salt == nil) != blind {
				t.Errorf("record %+v", r)
			}
		}
		for _, row := range snap.Events[0] {
			if row.Erased != (row.Seq == 1 || row.Seq == 4) {
				t.Errorf("event %d erased: %v", row.Seq, row.Erased)
			}
		}
	})
}

// TestUnreadableRowIsDamage: a row of another shape is damage, and the read is not
// repeated.
func TestUnreadableRowIsDamage(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		cfg := surrealtest.Start(t, e)
		s, _ := filled(t, cfg)
		db := operator(t, cfg)
		key := gotong.Key{Collection: "things", Owner: "o", Name: "n"}
		for statement, need := range map[string]store.Need{
			"UPDATE head:`thread/a` SET count = -1":     {Heads: []gotong.Stream{"thread/a"}},
			"UPDATE head:`thread/a` SET chain = true":   {Events: []store.EventRange{{Stream: "thread/a", To: 9}}},
			"UPDATE doc_things:['o', 'n'] SET body = 2": {Documents: []gotong.Key{key}},
		} {
			if err := db.Exec(t.Context(), statement, nil); err != nil {
				t.Logf("%s: %v", statement, err) // 2.6 or its schema refuses it
				continue
			}
			if _, err := s.Load(t.Context(), need); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}
