package postgres

import (
	"cmp"
	"context"
	"errors"
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
	var sent []*store.Plan
	for tries := 0; ; tries++ {
		var p *store.Plan
		l := &locking{need: &need, erases: erases, batch: commits}
		err := s.transact(ctx, sqlstore.How{}, func(b sqlstore.Batch) { l.ask(b, s.Now()) }, func(b sqlstore.Batch) error {
			p = store.Decide(&l.view, commits, sent...)
			if len(p.Written) == 0 {
				return errNothing
			}
			l.write(b, p)
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
	batch  []store.Commit
	need   *store.Need
	erases []store.EventKey

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
	lockRegisters = "SELECT " + sqlstore.RegisterColumns + ` FROM registers WHERE (collection, owner, name) IN
		(SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[])) ORDER BY collection, owner, name FOR NO KEY UPDATE`
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
	partitions := map[int16]bool{}
	for i := range l.batch {
		if len(l.batch[i].Events) > 0 {
			partitions[int16(l.batch[i].Partition())] = true
		}
	}
	b.Ask(func(row sqlstore.Row) error { return scanPosition(row, &l.view.Positions) },
		lockPartitions, slices.Sorted(maps.Keys(partitions)))
	names := texts(l.need.Heads)
	slices.Sort(names)
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
	readClaims(b, l.need.Claims, l.view.Claims)
	if len(l.need.Registers) > 0 {
		b.Ask(func(row sqlstore.Row) error {
			r, err := sqlstore.ScanRegister(row)
			l.present[r.Key] = true
			if sqlstore.Exists(&r, now) {
				l.view.Registers[r.Key] = r
			}
			return err
		}, lockRegisters, keyArgs(l.need.Registers)...)
	}
	if len(l.erases) > 0 {
		l.readOrigins(b)
	}
}

func (l *locking) readOrigins(b sqlstore.Batch) {
	streams, seqs := eventKeys(l.erases)
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
	}, selectOrigins, streams, seqs)
}

const (
	setPosition = "UPDATE partitions SET position = $2 WHERE no = $1"
	setHeads    = `UPDATE streams s SET seq = k.seq, chain = k.chain, at = k.at, count = k.count, home = k.home
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
	var rows []logRow
	ends := map[gotong.Partition]uint64{}
	for i := range p.Written {
		w := &p.Written[i]
		rows = append(rows, logRows(l.numbers[w.Request.Stream], &w.Kept, w.Events)...)
		if len(w.Events) > 0 {
			ends[w.Kept.Partition] = w.Kept.Position
		}
	}
	writeLog(b, rows)
	for no, position := range ends {
		b.Write(setPosition, int16(no), sqlstore.Number(position))
	}
	if len(p.Heads) > 0 {
		h := heads{}
		for stream, head := range p.Heads {
			h.add(l.numbers[stream], head)
		}
		b.Write(setHeads, h.no, h.seq, h.chain, h.at, h.count, h.home)
	}
	// If another transaction inserts one of these too, this one fails and is repeated.
	for _, c := range slices.SortedFunc(maps.Keys(p.Claims), func(a, b gotong.Claim) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Name, b.Name))
	}) {
		b.Write("INSERT INTO claims VALUES ($1, $2, $3)", c.Space, c.Name, string(p.Claims[c]))
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.Registers), func(a, b gotong.Key) int {
		return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name))
	}) {
		sqlstore.WriteRegister(b, p.Registers[key], l.present[key])
	}
	writeDocuments(b, p.Documents)
	if len(p.Erase) > 0 {
		streams, seqs := eventKeys(p.Erase)
		b.Write(eraseEvent, streams, seqs)
		b.Write(blind, requestArgs(p.Blind)...)
	}
}

// heads are the columns of heads.
type heads struct {
	no, seq, at, count []int64
	chain              [][]byte
	home               []string
}

func (h *heads) add(no int64, head gotong.Head) {
	h.no, h.seq, h.chain = append(h.no, no), append(h.seq, sqlstore.Number(head.Seq)), append(h.chain, head.Chain[:])
	h.at, h.count, h.home = append(h.at, int64(head.At)), append(h.count, sqlstore.Number(head.Count)), append(h.home, string(head.Home))
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func eventKeys(list []store.EventKey) (streams []string, seqs []int64) {
	for _, k := range list {
		streams, seqs = append(streams, string(k.Stream)), append(seqs, sqlstore.Number(k.Seq))
	}
	return streams, seqs
}

// columns returns columns of texts, for unnest.
func columns[K any](list []K, get func(K) []string) []any {
	all := make([][]string, len(get(*new(K))))
	for _, k := range list {
		for i, text := range get(k) {
			all[i] = append(all[i], text)
		}
	}
	args := make([]any, len(all))
	for i := range all {
		args[i] = all[i]
	}
	return args
}

func keyArgs(list []gotong.Key) []any {
	return columns(list, func(k gotong.Key) []string { return []string{k.Collection, k.Owner, k.Name} })
}

func requestArgs(list []gotong.RequestKey) []any {
	return columns(list, func(k gotong.RequestKey) []string { return []string{string(k.Stream), k.Actor, k.RequestID} })
}
