package surreal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// reading is one statement that reads several things in one snapshot: an
// implicit transaction, where BEGIN … COMMIT would cost a sync on 3.x.
type reading struct {
	parts []string
	into  []func(surreal.Raw) error
	vars  surreal.Vars
}

func (r *reading) param(value any) string {
	if r.vars == nil {
		r.vars = surreal.Vars{}
	}
	name := "p" + strconv.Itoa(len(r.vars))
	r.vars[name] = value
	return "$" + name
}

// part adds a query; take is called with its rows.
func part[T any](r *reading, query string, take func(rows []T) error) {
	r.parts = append(r.parts, query)
	r.into = append(r.into, func(raw surreal.Raw) error {
		var rows []T
		if err := surreal.Unmarshal(raw, &rows); err != nil {
			return fmt.Errorf("%w: a row cannot be read: %w", store.ErrCorrupt, err)
		}
		return take(rows)
	})
}

// those adds a query for the rows of these keys that exist. It needs a condition
// that is false for a missing record, because 3.x evaluates the columns of missing
// records too.
func those[K, T any](r *reading, keys []K, id func(K) surreal.RecordID, columns, exists string, take func(row T)) {
	if len(keys) == 0 {
		return
	}
	part(r, "SELECT VALUE "+columns+" FROM "+r.param(idsOf(keys, id))+" WHERE "+exists, func(rows []T) error {
		for _, row := range rows {
			take(row)
		}
		return nil
	})
}

func idsOf[K any](keys []K, id func(K) surreal.RecordID) []surreal.RecordID {
	ids := make([]surreal.RecordID, len(keys))
	for i, key := range keys {
		ids[i] = id(key)
	}
	return ids
}

// read runs the statement, and repeats it for up to store.Patience while the connection
// is lost.
func (s *Store) read(ctx context.Context, r *reading) error {
	end, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, store.Patience)
	defer cancel()
	var answers []surreal.Raw
	text := "RETURN [(" + strings.Join(r.parts, "), (") + ")]"
	err = store.Retry(ctx, func() error { return s.db.Select(ctx, text, r.vars, &answers) }, func(err error) bool {
		return ctx.Err() == nil && (surreal.Conflict(err) || lost(err))
	})
	if err != nil {
		return failure(err)
	}
	if len(answers) != len(r.parts) {
		return fmt.Errorf("surreal: %d answers to %d queries", len(answers), len(r.parts))
	}
	for i, take := range r.into {
		if err := take(answers[i]); err != nil {
			return err
		}
	}
	return nil
}

type positionRow struct {
	_        struct{} `cbor:",toarray"`
	No       gotong.Partition
	Position uint64
}

func (r *reading) positions(take func([gotong.Partitions]uint64)) {
	part(r, "SELECT VALUE [record::id(id), position] FROM partition:0..=15", func(rows []positionRow) error {
		if len(rows) != gotong.Partitions {
			return fmt.Errorf("%w: %d partitions", store.ErrFailed, len(rows))
		}
		var all [gotong.Partitions]uint64
		for _, row := range rows {
			all[row.No%gotong.Partitions] = row.Position
		}
		take(all)
		return nil
	})
}

type headRow struct {
	_      struct{} `cbor:",toarray"`
	Stream gotong.Stream
	Seq    uint64
	Chain  []byte
	At     gotong.Instant
	Count  uint64
	Home   gotong.Stream
}

const headColumns = "[record::id(id), seq, chain, at, count, home]"

func (row *headRow) head() gotong.Head {
	h := gotong.Head{Seq: row.Seq, At: row.At, Count: row.Count, Home: row.Home}
	copy(h.Chain[:], row.Chain)
	return h
}

func (r *reading) heads(list []gotong.Stream, into map[gotong.Stream]gotong.Head) {
	those(r, list, headID, headColumns, "seq > 0", func(row headRow) { into[row.Stream] = row.head() })
}

func headID(stream gotong.Stream) surreal.RecordID { return surreal.Record("head", string(stream)) }

type recordRow struct {
	_           struct{} `cbor:",toarray"`
	Key         [3]string
	Partition   gotong.Partition
	Position    uint64
	First, Last uint64
	At          gotong.Instant
	Salt        []byte
	Fingerprint []byte
}

func (row *recordRow) record() store.Record {
	return store.Record{
		Request: gotong.RequestKey{Stream: gotong.Stream(row.Key[0]), Actor: row.Key[1], RequestID: row.Key[2]},
		Salt:    row.Salt, Fingerprint: row.Fingerprint,
		Partition: row.Partition, Position: row.Position, First: row.First, Last: row.Last, At: row.At,
	}
}

const recordColumns = "[record::id(id), partition, position, first, last, at, salt, fingerprint]"

func (r *reading) records(list []gotong.RequestKey, into map[gotong.RequestKey]store.Record) {
	those(r, list, requestID, recordColumns, "at > 0", func(row recordRow) {
		record := row.record()
		into[record.Request] = record
	})
}

func requestID(key gotong.RequestKey) surreal.RecordID {
	return surreal.Record("request", string(key.Stream), key.Actor, key.RequestID)
}

type claimRow struct {
	_      struct{} `cbor:",toarray"`
	Key    [2]string
	Stream gotong.Stream
}

func (r *reading) claims(list []gotong.Claim, into map[gotong.Claim]gotong.Stream) {
	those(r, list, claimID, "[record::id(id), stream]", "stream != NONE", func(row claimRow) {
		into[gotong.Claim{Space: row.Key[0], Name: row.Key[1]}] = row.Stream
	})
}

func claimID(claim gotong.Claim) surreal.RecordID {
	return surreal.Record("claim", claim.Space, claim.Name)
}

func docID(key gotong.Key) surreal.RecordID {
	return surreal.Record("doc_"+key.Collection, key.Owner, key.Name)
}

// closedMeta are records that exist while the store accepts no writes.
var closedMeta = []surreal.RecordID{surreal.Record("meta", "sealed"), surreal.Record("meta", "progress")}

// closers are those records and the epoch, which closes the store to a node that
// was started under another epoch: its events would be chained under a name with
// which no node verifies them.
var closers = append(slices.Clone(closedMeta), surreal.Record("meta", "epoch"))

// whatCloses selects the ids of $closers that close the store to a node of epoch
// $mine.
const whatCloses = "(SELECT VALUE id FROM $closers WHERE value != NONE AND value != $mine)"

// gate reads why the store accepts no writes of a node of this epoch now.
func (r *reading) gate(epoch gotong.Epoch, take func(error)) {
	query := "SELECT VALUE record::id(id) FROM " + r.param(closers) + " WHERE value != NONE AND value != " + r.param(string(epoch))
	part(r, query, func(rows []string) error {
		switch {
		case len(rows) == 0:
			take(nil)
		case rows[0] == "sealed":
			take(store.ErrSealed)
		case rows[0] == "progress":
			take(store.ErrUnfinished)
		default:
			take(store.ErrOtherEpoch)
		}
		return nil
	})
}
