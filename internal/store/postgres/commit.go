package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlstore"
)

// settle decides the outcomes of commits and carries them out in one transaction.
//
// It repeats a transaction whose outcome is unknown: the earlier one holds the locks
// of its partitions and streams until it has ended one way or the other, so the next
// one sees its records or comes before everything of it.
func (s *Store) settle(ctx context.Context, commits []store.Commit) ([]store.Outcome, error) {
	need, erases := store.Needs(commits)
	partitions := map[int16]bool{}
	for i := range commits {
		if len(commits[i].Events) > 0 {
			partitions[int16(commits[i].Partition())] = true
		}
	}
	var sent []*store.Plan
	for tries := 0; ; tries++ {
		var p *store.Plan
		l := &locking{need: &need, erases: erases, partitions: slices.Sorted(maps.Keys(partitions))}
		err := s.transact(ctx, sqlstore.How{}, func(b sqlstore.Batch) { l.ask(b, s.Now()) }, func(b sqlstore.Batch) error {
			if err := l.whole(); err != nil {
				return err
			}
			p = store.Decide(&l.view, commits, sent...)
			switch {
			case len(p.Written) > 0:
				l.write(b, p)
			case len(sent) > 0: // what was lost may be there, and on no standby: this commit comes after it
				b.Write(waitForStandby)
			default:
				return errNothing
			}
			return nil
		})
		if err == nil {
			return p.Outcomes, nil
		}
		lostAnswer := errors.As(err, new(unknown))
		if lostAnswer {
			sent = append(sent, p)
		}
		if !lostAnswer && !repeatable(err) || tries >= store.MaxTries || store.Pause(ctx, tries) != nil {
			return nil, store.Hedged(failure(err), len(sent) > 0)
		}
	}
}

// locking is what one transaction of commits locks and reads.
//
// Nodes cannot deadlock: every transaction locks partitions in their order, then
// creates the streams that are missing in the order of names, and then locks the
// streams in that order. Registers and claims come last.
type locking struct {
	partitions []int16
	need       *store.Need
	erases     []store.EventKey

	locked  int // partitions
	view    store.View
	numbers map[gotong.Stream]int64
	present map[gotong.Key]bool // registers that have a row, expired or not
}

const (
	lockPartitions = "SELECT no, position FROM partitions WHERE no = ANY ($1) ORDER BY no FOR NO KEY UPDATE"
	addStreams     = `INSERT INTO streams (name) SELECT n FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM streams WHERE name = n) ORDER BY n COLLATE "C" ON CONFLICT (name) DO NOTHING`
	headColumns   = "name, no, seq, chain, at, count, home"
	lockStreams   = "SELECT " + headColumns + " FROM streams WHERE name = ANY ($1) ORDER BY name FOR NO KEY UPDATE"
	lockRegisters = " ORDER BY collection, owner, name FOR NO KEY UPDATE"
	selectClaims  = "SELECT space, name, stream FROM claims"
	selectOrigins = `SELECT k.stream, k.seq, e.data FROM unnest($1::text[], $2::bigint[]) k (stream, seq) CROSS JOIN LATERAL
		(SELECT data FROM events WHERE stream = (SELECT no FROM streams WHERE name = k.stream) AND seq = k.seq LIMIT 1) e`
)

func (l *locking) ask(b sqlstore.Batch, now gotong.Instant) {
	l.view = store.View{
		Heads: map[gotong.Stream]gotong.Head{}, Records: map[gotong.RequestKey]store.Record{},
		Claims: map[gotong.Claim]gotong.Stream{}, Registers: map[gotong.Key]store.Register{}, Now: now,
		Origins: map[store.EventKey]gotong.RequestKey{},
	}
	l.numbers, l.present = map[gotong.Stream]int64{}, map[gotong.Key]bool{}
	l.locked = 0
	b.Ask(func(row sqlstore.Row) error { l.locked++; return scanPosition(row, &l.view.Positions) }, lockPartitions, l.partitions)
	names := slices.Sorted(slices.Values(texts(l.need.Heads)))
	b.Write(addStreams, names)
	b.Ask(func(row sqlstore.Row) error {
		r, no, err := scanHead(row)
		l.numbers[r.Stream] = no
		if r.Head.Seq > 0 {
			l.view.Heads[r.Stream] = r.Head
		}
		return err
	}, lockStreams, names)
	readRecords(b, l.need.Records, l.view.Records)
	sqlstore.ReadClaims(b, selectClaims, l.need.Claims, l.view.Claims)
	sqlstore.ReadRegisters(b, l.need.Registers, lockRegisters, func(r store.Register) {
		l.present[r.Key] = true
		if sqlstore.Exists(&r, now) {
			l.view.Registers[r.Key] = r
		}
	})
	if len(l.erases) > 0 {
		l.readOrigins(b)
	}
}

// whole returns an error if a partition has no row: its positions would begin again.
func (l *locking) whole() error {
	if l.locked < len(l.partitions) {
		return fmt.Errorf("%w: the table partitions lacks a row", store.ErrCorrupt)
	}
	return nil
}

func (l *locking) readOrigins(b sqlstore.Batch) {
	b.Ask(func(row sqlstore.Row) error {
		var e store.Event
		if err := row.Scan(&e.Stream, &e.Seq, &e.Data); err != nil {
			return err
		}
		request, err := e.Request()
		if err != nil {
			return &store.Damaged{Stream: e.Stream, Seq: e.Seq}
		}
		l.view.Origins[store.EventKey{Stream: e.Stream, Seq: e.Seq}] = request
		return nil
	}, selectOrigins, columnsOf(l.erases, eventRow)...)
}

const (
	setPosition = "UPDATE partitions SET position = $2 WHERE no = $1"
	// A transaction waits for a standby only if it has written.
	waitForStandby = "UPDATE partitions SET position = position WHERE no = 0"
	setHeads       = `UPDATE streams s SET seq = k.seq, chain = k.chain, at = k.at, count = k.count, home = k.home
		FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[]) k (no, seq, chain, at, count, home)
		WHERE s.no = k.no`
	eraseEvent = `UPDATE events e SET content = NULL, content_salt = NULL, erased = true
		FROM unnest($1::text[], $2::bigint[]) k (stream, seq) JOIN streams s ON s.name = k.stream
		WHERE e.stream = s.no AND e.seq = k.seq AND e.seq IS NOT NULL`
	blind = `UPDATE events e SET salt = NULL, fingerprint = NULL
		FROM unnest($1::text[], $2::text[], $3::text[]) k (stream, actor, id) JOIN streams s ON s.name = k.stream
		WHERE e.request_id = k.id AND e.stream = s.no AND e.actor = k.actor AND e.request_id IS NOT NULL`
)

// write queues what a plan writes.
func (l *locking) write(b sqlstore.Batch, p *store.Plan) {
	var rows [][]any
	ends := map[gotong.Partition]uint64{}
	for i := range p.Written {
		w := &p.Written[i]
		rows = append(rows, logRows(l.numbers[w.Request.Stream], w)...)
		if len(w.Events) > 0 {
			ends[w.Kept.Partition] = w.Kept.Position
		}
	}
	if len(rows) > 0 {
		b.Write(addEvents, columns(rows)...)
	}
	for no, position := range ends {
		b.Write(setPosition, int16(no), sqlstore.Number(position))
	}
	if len(p.Heads) > 0 {
		b.Write(setHeads, columnsOf(slices.Collect(maps.Keys(p.Heads)), func(stream gotong.Stream) []any {
			h := p.Heads[stream]
			return []any{l.numbers[stream], sqlstore.Number(h.Seq), h.Chain[:], int64(h.At), sqlstore.Number(h.Count), string(h.Home)}
		})...)
	}
	// If another transaction inserts one of these too, this one fails and is repeated.
	for _, c := range sorted(p.Claims, func(c gotong.Claim) []string { return []string{c.Space, c.Name} }) {
		b.Write("INSERT INTO claims VALUES ($1, $2, $3)", c.Space, c.Name, string(p.Claims[c]))
	}
	for _, key := range sorted(p.Registers, keyTexts) {
		sqlstore.WriteRegister(b, p.Registers[key], l.present[key])
	}
	writeDocuments(b, p.Documents)
	if len(p.Erase) > 0 {
		b.Write(eraseEvent, columnsOf(p.Erase, eventRow)...)
		b.Write(blind, columnsOf(p.Blind, requestRow)...)
	}
}

func eventRow(k store.EventKey) []any { return []any{string(k.Stream), sqlstore.Number(k.Seq)} }

func keyTexts(k gotong.Key) []string { return []string{k.Collection, k.Owner, k.Name} }

// sorted returns the keys of a map in the order of their texts.
func sorted[K comparable, V any](of map[K]V, texts func(K) []string) []K {
	return slices.SortedFunc(maps.Keys(of), func(a, b K) int { return slices.Compare(texts(a), texts(b)) })
}

// purgeAtOnce is how many expired registers one transaction deletes.
const purgeAtOnce = 500

// clear deletes registers that have expired.
func (s *Store) clear(ctx context.Context) error {
	for gone := purgeAtOnce; gone == purgeAtOnce; {
		err := s.write(ctx, sqlstore.How{Lazy: true}, func(b sqlstore.Batch) {
			gone = 0
			b.Ask(func(sqlstore.Row) error { gone++; return nil },
				`DELETE FROM registers WHERE (collection, owner, name) IN (SELECT collection, owner, name FROM registers
				WHERE expires > 0 AND expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1`, int64(s.Now()), purgeAtOnce)
		}, func(sqlstore.Batch) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}
