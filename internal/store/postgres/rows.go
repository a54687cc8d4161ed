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

// logRow is a row of the log: an event, the request of a commit, or both, which the
// first event of a commit has.
type logRow struct {
	stream int64
	commit *store.Record
	event  *store.Event
	first  bool
}

// logRows returns the rows of one commit.
func logRows(stream int64, commit *store.Record, events []store.Event) (rows []logRow) {
	for i := range events {
		rows = append(rows, logRow{stream, commit, &events[i], i == 0})
	}
	if len(events) == 0 {
		rows = []logRow{{stream, commit, nil, true}}
	}
	return rows
}

// column returns a column of rows.
func column[T any](rows []logRow, get func(*logRow) T) []T {
	list := make([]T, len(rows))
	for i := range rows {
		list[i] = get(&rows[i])
	}
	return list
}

// events returns a column that rows without an event do not have.
func events[T any](rows []logRow, get func(*store.Event) T) []*T {
	return column(rows, func(r *logRow) *T {
		if r.event == nil {
			return nil
		}
		return new(get(r.event))
	})
}

// requests returns a column that only first rows have.
func requests[T any](rows []logRow, get func(*store.Record) T) []*T {
	return column(rows, func(r *logRow) *T {
		if !r.first {
			return nil
		}
		return new(get(r.commit))
	})
}

func writeLog(b sqlstore.Batch, rows []logRow) {
	if len(rows) == 0 {
		return
	}
	b.Write(addEvents,
		column(rows, func(r *logRow) int16 { return int16(r.commit.Partition) }),
		column(rows, func(r *logRow) int64 { return r.stream }),
		column(rows, func(r *logRow) *int64 { return positive(r.commit.Position) }),
		events(rows, func(e *store.Event) int64 { return sqlstore.Number(e.Seq) }),
		events(rows, func(e *store.Event) pgtype.UUID { return pgtype.UUID{Bytes: e.ID, Valid: true} }),
		events(rows, func(e *store.Event) string { return e.Type }),
		events(rows, func(e *store.Event) int64 { return int64(e.At) }),
		events(rows, func(e *store.Event) string { return string(e.Audience) }),
		events(rows, func(e *store.Event) int64 { return sqlstore.Number(e.Count) }),
		events(rows, func(e *store.Event) string { return string(e.Data) }),
		events(rows, func(e *store.Event) pgtype.Text {
			return pgtype.Text{String: string(e.Content), Valid: e.Content != nil}
		}),
		events(rows, func(e *store.Event) []byte { return e.DataSalt[:] }),
		events(rows, func(e *store.Event) []byte {
			if e.Erased {
				return nil
			}
			return e.ContentSalt[:]
		}),
		events(rows, func(e *store.Event) []byte { return e.ContentCommit[:] }),
		events(rows, func(e *store.Event) []byte { return e.Prev[:] }),
		events(rows, func(e *store.Event) []byte { return e.Chain[:] }),
		events(rows, func(e *store.Event) bool { return e.Erased }),
		requests(rows, func(r *store.Record) string { return r.Request.RequestID }),
		requests(rows, func(r *store.Record) string { return r.Request.Actor }),
		requests(rows, func(r *store.Record) []byte { return r.Salt }),
		requests(rows, func(r *store.Record) []byte { return r.Fingerprint }),
		column(rows, func(r *logRow) *int64 {
			if !r.first {
				return nil
			}
			return positive(r.commit.Last)
		}),
		requests(rows, func(r *store.Record) int64 { return int64(r.At) }))
}

// positive returns a number; nil for 0.
func positive(n uint64) *int64 {
	if n == 0 {
		return nil
	}
	return new(sqlstore.Number(n))
}

const eventColumns = sqlstore.EventColumns + "e.erased::int"

const selectRecords = "SELECT " + sqlstore.RecordColumns + `, k.stream FROM unnest($1::text[], $2::text[], $3::text[]) k (stream, actor, id)
	CROSS JOIN LATERAL (SELECT request_id, actor, salt, fingerprint, last, decided, partition, position, seq FROM events
		WHERE request_id = k.id AND actor = k.actor AND request_id IS NOT NULL
		AND stream = (SELECT no FROM streams WHERE name = k.stream) LIMIT 1) e`

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
	}, selectRecords, requestArgs(list)...)
}

func readClaims(b sqlstore.Batch, list []gotong.Claim, into map[gotong.Claim]gotong.Stream) {
	if len(list) == 0 {
		return
	}
	b.Ask(func(row sqlstore.Row) error {
		var c gotong.Claim
		var stream gotong.Stream
		err := row.Scan(&c.Space, &c.Name, &stream)
		into[c] = stream
		return err
	}, "SELECT space, name, stream FROM claims WHERE (space, name) IN (SELECT unnest($1::text[]), unnest($2::text[]))",
		columns(list, func(c gotong.Claim) []string { return []string{c.Space, c.Name} })...)
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
