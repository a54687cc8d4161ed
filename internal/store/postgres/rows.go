package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

const addEvents = `INSERT INTO events (partition, stream, position, seq, id, type, at, audience, count, data, content, data_salt,
	content_salt, content_commit, prev, chain, erased, request_id, actor, salt, fingerprint, last, decided)
	SELECT unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::uuid[]),
	unnest($6::text[]), unnest($7::bigint[]), unnest($8::text[]), unnest($9::bigint[]), unnest($10::text[]), unnest($11::text[]),
	unnest($12::bytea[]), unnest($13::bytea[]), unnest($14::bytea[]), unnest($15::bytea[]), unnest($16::bytea[]),
	unnest($17::boolean[]), unnest($18::text[]), unnest($19::text[]), unnest($20::bytea[]), unnest($21::bytea[]),
	unnest($22::bigint[]), unnest($23::bigint[])`

// logRows returns the rows of a commit: one for each event, the first one with the
// request, or one of the request alone.
func logRows(stream int64, c *store.Planned) [][]any {
	rows := make([][]any, max(len(c.Events), 1))
	r := &c.Kept
	for i := range rows {
		rows[i] = make([]any, 23)
		rows[i][0], rows[i][1] = int64(r.Partition), stream
	}
	for i := range c.Events {
		e := &c.Events[i]
		copy(rows[i][2:], []any{
			sqlstore.Number(r.Position), sqlstore.Number(e.Seq), uuid(e.ID), e.Type, int64(e.At), string(e.Audience),
			sqlstore.Number(e.Count), string(e.Data), nil, e.DataSalt[:], e.ContentSalt[:], e.ContentCommit[:], e.Prev[:], e.Chain[:],
			e.Erased,
		})
		if e.Content != nil {
			rows[i][10] = string(e.Content)
		}
		if e.Erased {
			rows[i][12] = nil
		}
	}
	copy(rows[0][17:], []any{r.Request.RequestID, r.Request.Actor, r.Salt, r.Fingerprint, nil, int64(r.At)})
	if r.Last > 0 {
		rows[0][21] = sqlstore.Number(r.Last)
	}
	return rows
}

// columns returns the columns of rows, for unnest. Each is of the type of its first value,
// by which pgx knows the type of a parameter where it prepares nothing.
func columns(rows [][]any) []any {
	all := make([]any, len(rows[0]))
	for i := range all {
		var first any
		for j := 0; j < len(rows) && first == nil; j++ {
			first = rows[j][i]
		}
		switch first.(type) {
		case int64:
			all[i] = column[int64](rows, i)
		case bool:
			all[i] = column[bool](rows, i)
		case []byte:
			all[i] = column[[]byte](rows, i)
		case pgtype.UUID:
			all[i] = column[pgtype.UUID](rows, i)
		default:
			all[i] = column[string](rows, i)
		}
	}
	return all
}

func column[T any](rows [][]any, i int) []*T {
	values, list := make([]T, len(rows)), make([]*T, len(rows))
	for j, row := range rows {
		if value, ok := row[i].(T); ok {
			values[j], list[j] = value, &values[j]
		}
	}
	return list
}

func uuid(id gotong.EventID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// columnsOf returns the columns of the rows of a list that is not empty.
func columnsOf[K any](list []K, row func(K) []any) []any {
	rows := make([][]any, len(list))
	for i, k := range list {
		rows[i] = row(k)
	}
	return columns(rows)
}

const selectRecords = "SELECT " + sqlstore.RecordColumns + `, k.stream FROM unnest($1::text[], $2::text[], $3::text[]) k (stream, actor, id)
	CROSS JOIN LATERAL (SELECT request_id, actor, salt, fingerprint, last, decided, partition, position, seq FROM events
		WHERE request_id = k.id AND actor = k.actor AND request_id IS NOT NULL
		AND stream = (SELECT no FROM streams WHERE name = k.stream) LIMIT 1) e`

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func requestRow(k gotong.RequestKey) []any { return []any{string(k.Stream), k.Actor, k.RequestID} }

func readRecords(b sqlstore.Batch, list []gotong.RequestKey, into map[gotong.RequestKey]store.Record) {
	if len(list) == 0 {
		return
	}
	b.Ask(func(row sqlstore.Row) error {
		var stream gotong.Stream
		r, err := sqlstore.ScanRecord(row, &stream)
		r.Request.Stream = stream
		into[r.Request] = r
		return err
	}, selectRecords, columnsOf(list, requestRow)...)
}

func readPositions(b sqlstore.Batch, into *[gotong.Partitions]uint64) {
	b.Ask(func(row sqlstore.Row) error { return scanPosition(row, into) }, "SELECT no, position FROM partitions")
}

func scanPosition(row sqlstore.Row, into *[gotong.Partitions]uint64) error {
	var no gotong.Partition
	var position uint64
	err := row.Scan(&no, &position)
	into[no%gotong.Partitions] = position
	return err
}

func scanHead(row sqlstore.Row) (r store.StreamRow, no int64, err error) {
	var chain []byte
	h := &r.Head
	err = row.Scan(&r.Stream, &no, &h.Seq, &chain, &h.At, &h.Count, &h.Home)
	copy(h.Chain[:], chain)
	return r, no, err
}
