package surreal_test

import (
	"testing"

	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func TestQueryTransact(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		c := surrealtest.Open(t, e)
		ctx := t.Context()
		if err := c.Exec(ctx, "DEFINE TABLE event; DEFINE TABLE head", nil); err != nil {
			t.Fatal(err)
		}
		rs, err := c.Transact(ctx, []string{
			"CREATE $id SET body = $body",
			"LET $h = (UPSERT ONLY head:a SET n += 1)",
			"RETURN $h.n",
		}, surreal.Vars{"id": surreal.Record("event", "s", 7), "body": []byte{1, 2, 3}})
		t.Log(rs, err)
		for i := range 2 {
			rs, err = c.Transact(ctx, []string{
				"UPSERT ONLY head:a SET n += 1",
				"CREATE $id SET body = $body",
				"RETURN 5",
				"RETURN 6",
			}[i:], surreal.Vars{"id": surreal.Record("event", "s", 7), "body": []byte{1, 2, 3}})
			t.Log(rs, err, surreal.Exists(err))
		}
		rs, err = c.Transact(ctx, []string{"UPSERT ONLY head:a SET n += 1", "IF true { THROW 'stop' }", "RETURN 3"}, nil)
		t.Log(rs, err)
		t.Log(surreal.Thrown(err))
		var rows []struct {
			ID   surreal.RecordID `cbor:"id"`
			Body []byte           `cbor:"body"`
		}
		if err := c.Select(ctx, "SELECT * FROM $r", surreal.Vars{"r": surreal.Record("event", "s", 7)}, &rows); err != nil {
			t.Fatal(err)
		}
		t.Log(rows)
		rows = nil
		err = c.Select(ctx, "SELECT * FROM $r", surreal.Vars{"r": surreal.Record("event", surreal.Range{From: []any{"s", 1}, To: []any{"s", 9}})}, &rows)
		t.Log(rows, err)
		err = c.Select(ctx, "SELECT * FROM event:['s',$a]..=['s',$b]", surreal.Vars{"a": 1, "b": 9}, &rows)
		t.Log(rows, err)
		t.Log(c.Version(), c.Ready())
	})
}
