package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const (
	selectPositions = "SELECT no, position FROM partitions"
	selectHeads     = "SELECT " + headColumns + " FROM streams WHERE name = ANY ($1) AND seq > 0"
	selectUp        = "SELECT " + eventColumns + ` FROM events e WHERE e.stream = (SELECT no FROM streams WHERE name = $1)
		AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq LIMIT $4`
	selectDown = "SELECT " + eventColumns + ` FROM events e WHERE e.stream = (SELECT no FROM streams WHERE name = $1)
		AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq DESC LIMIT $4`
	// LEFT: an event of no stream is not passed over, its commit is then not what
	// its record says.
	selectCommits = "SELECT " + eventColumns + `, coalesce(s.name, ''), coalesce(e.request_id, ''), coalesce(e.actor, ''),
		coalesce(e.last, 0) FROM events e LEFT JOIN streams s ON s.no = e.stream
		WHERE e.partition = $1 AND e.position > $2 AND e.position <= $3 ORDER BY e.position, e.seq LIMIT $4`
)

// Load implements [store.Committer].
func (s *Store) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	collections := make([]string, 0, len(need.Documents)+len(need.Ranges))
	for _, key := range need.Documents {
		collections = append(collections, key.Collection)
	}
	for _, of := range need.Ranges {
		collections = append(collections, of.Collection)
	}
	if i := slices.IndexFunc(collections, func(name string) bool { return !s.docs[name] }); i >= 0 {
		return store.Snapshot{}, fmt.Errorf("postgres: no collection %q", collections[i])
	}
	snap := &store.Snapshot{}
	err := s.read(ctx, func(b *pgx.Batch) {
		snap = &store.Snapshot{}
		s.load(b, &need, snap)
	})
	if err != nil {
		return store.Snapshot{}, err
	}
	return *snap, nil
}

// load queues the queries of a Load. The snapshot is whole once they are answered.
func (s *Store) load(b *pgx.Batch, need *store.Need, snap *store.Snapshot) {
	snap.Documents, snap.Records = map[gotong.Key][]byte{}, map[gotong.RequestKey]store.Record{}
	snap.Claims, snap.Registers = map[gotong.Claim]gotong.Stream{}, map[gotong.Key]store.Register{}
	snap.Heads, snap.Cursors = map[gotong.Stream]gotong.Head{}, map[store.CursorKey]uint64{}
	snap.Ranges, snap.Events = make([][]store.Document, len(need.Ranges)), make([][]store.Event, len(need.Events))
	each(b, func(row pgx.Rows) error { return scanPosition(row, &snap.Positions) }, selectPositions)
	all := map[gotong.Stream]gotong.Head{} // of the streams whose events are read too
	list := texts(need.Heads)
	for _, of := range need.Events {
		list = append(list, string(of.Stream))
	}
	if len(list) > 0 {
		each(b, func(row pgx.Rows) error {
			r, _, err := scanHead(row)
			if all[r.Stream] = r.Head; slices.Contains(need.Heads, r.Stream) {
				snap.Heads[r.Stream] = r.Head
			}
			return err
		}, selectHeads, list)
	}
	readRecords(b, need.Records, snap.Records)
	readClaims(b, need.Claims, snap.Claims)
	s.readRegisters(b, need.Registers, snap.Registers)
	readCursors(b, need.Cursors, snap.Cursors)
	readDocuments(b, need.Documents, snap.Documents)
	for i, of := range need.Ranges {
		readRange(b, of, &snap.Ranges[i])
	}
	for i, of := range need.Events {
		s.readEvents(b, of, &snap.Events[i], all)
	}
}

// Positions implements [store.Log].
func (s *Store) Positions(ctx context.Context) (all [gotong.Partitions]uint64, err error) {
	var epoch gotong.Epoch
	err = s.read(ctx, func(b *pgx.Batch) {
		each(b, func(row pgx.Rows) error { return scanPosition(row, &all) }, selectPositions)
		each(b, func(row pgx.Rows) error { return row.Scan(&epoch) }, "SELECT value FROM meta WHERE name = 'epoch'")
	})
	if err == nil && epoch != s.Epoch() { // this node cannot read later events either
		err = errOtherEpoch
	}
	return all, err
}

// errEnough ends a page. The rest of its rows is not looked at.
var errEnough = errors.New("postgres: enough rows")

// page queues a query for the rows of a page and calls end after the last one.
func page(b *pgx.Batch, take func(row pgx.Rows) error, end func() error, sql string, args ...any) {
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			if err := take(rows); errors.Is(err, errEnough) {
				rows.Close()
				return end()
			} else if err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return end()
	})
}

func (s *Store) readEvents(b *pgx.Batch, of store.EventRange, into *[]store.Event, heads map[gotong.Stream]gotong.Head) {
	sql := selectUp
	if of.Descending {
		sql = selectDown
	}
	var p *store.StreamPage
	start := func() {
		if p == nil {
			p = store.NewStreamPage(of, heads[of.Stream].Seq, *s.eras.Load())
		}
	}
	page(b, func(row pgx.Rows) error {
		start()
		var scan eventScan
		if err := row.Scan(scan.columns()...); err != nil {
			return err
		}
		if e := scan.event(of.Stream); !p.Add(&e) {
			return errEnough
		}
		return nil
	}, func() (err error) {
		start()
		*into, err = p.Events()
		return err
	}, sql, string(of.Stream), number(of.From), number(of.To), store.Bound(of.Limit))
}

// ReadPartition implements [store.Log].
func (s *Store) ReadPartition(
	ctx context.Context, p gotong.Partition, from, to uint64, limit int,
) (found []store.Event, err error) {
	if from >= to {
		return nil, nil
	}
	most := store.Bound(limit) + store.MaxCommitEvents // rows; so the page is full before a commit is cut
	err = s.read(ctx, func(b *pgx.Batch) {
		r := &partitionRows{most: most}
		each(b, func(row pgx.Rows) error {
			var all [gotong.Partitions]uint64
			err := scanPosition(row, &all)
			r.page = store.NewPartitionPage(p, from, to, all[p], limit, *s.eras.Load())
			return err
		}, selectPositions+" WHERE no = $1", int16(p))
		page(b, r.take, func() (err error) {
			if len(r.events) > 0 && r.rows < most {
				r.page.Add(r.events, r.record)
			}
			found, err = r.page.Events()
			return err
		}, selectCommits, int16(p), number(from), number(to), most)
	})
	return found, err
}

// partitionRows collects the rows at one position, and the request that the first of
// them holds.
type partitionRows struct {
	page   *store.PartitionPage
	most   int
	rows   int
	events []store.Event
	record store.Record
}

func (r *partitionRows) take(row pgx.Rows) error {
	var scan eventScan
	var stream gotong.Stream
	var request gotong.RequestKey
	var last uint64
	if err := row.Scan(append(scan.columns(), &stream, &request.RequestID, &request.Actor, &last)...); err != nil {
		return err
	}
	e := scan.event(stream)
	if r.rows++; len(r.events) > 0 && e.Position != r.events[0].Position {
		if !r.page.Add(r.events, r.record) {
			r.events = nil
			return errEnough
		}
		r.events = nil
	}
	request.Stream = stream
	if named, err := e.Request(); len(r.events) == 0 {
		r.record = store.Record{}
		if err == nil && named == request {
			r.record = store.Record{Request: request, Partition: e.Partition, Position: e.Position, First: e.Seq, Last: last}
		}
	} else if request.RequestID != "" { // it is the first row of another commit
		r.record = store.Record{}
	}
	r.events = append(r.events, e)
	return nil
}
