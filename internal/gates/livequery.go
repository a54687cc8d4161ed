package gates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// doorbell is a table whose changes tell of commits.
type doorbell struct {
	table, action string
	// read takes partition and position from a notification.
	read func(n surreal.Notification) (partition, position uint64, err error)
}

func doorbells() []doorbell {
	return []doorbell{
		{"batch", "CREATE", readBatchNote},
		{"partition", "UPDATE", readPartitionNote},
	}
}

var errShape = errors.New("it has another shape")

// readBatchNote reads batch:[partition, last position].
func readBatchNote(n surreal.Notification) (partition, position uint64, err error) {
	var id surreal.RecordID
	if err := surreal.Unmarshal(n.Record, &id); err != nil {
		return 0, 0, errShape
	}
	key, ok := id.Key.([]any)
	if !ok || id.Table != "batch" || len(key) != 2 {
		return 0, 0, errShape
	}
	p, isNumber := key[0].(int64)
	at, isNumberToo := key[1].(int64)
	if !isNumber || !isNumberToo || p < 0 || at < 1 {
		return 0, 0, errShape
	}
	return uint64(p), uint64(at), nil
}

// readPartitionNote reads partition:n and its position.
func readPartitionNote(n surreal.Notification) (partition, position uint64, err error) {
	var id surreal.RecordID
	var row struct {
		Position int64 `cbor:"position"`
	}
	if surreal.Unmarshal(n.Record, &id) != nil || surreal.Unmarshal(n.Result, &row) != nil {
		return 0, 0, errShape
	}
	p, ok := id.Key.(int64)
	if !ok || id.Table != "partition" || p < 0 || row.Position < 1 {
		return 0, 0, errShape
	}
	return uint64(p), uint64(row.Position), nil
}

// The bounds of the probe of live notifications.
const (
	liveCommits = 50
	liveWait    = 3 * time.Second // for the last notification
)

// liveWay is the way out where live queries are of no use.
const liveWay = "take the bus over Redis for wake-ups between nodes; without it events arrive by the poll of the store, up to a second later"

func checkLive(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx, surreal.Options{})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // only the probe's
	db, err := surreal.Open(ctx, r.store, clientOptions())
	if err != nil {
		return err
	}
	defer db.Close()
	for _, bell := range doorbells() {
		l, err := db.Live(ctx, "LIVE SELECT * FROM "+bell.table, nil)
		var refused *surreal.Error
		if errors.As(err, &refused) {
			f.warn(liveWay, "%s: LIVE SELECT is refused: %s", bell.table, err)
			continue
		}
		if err != nil {
			return err
		}
		err = r.ring(ctx, f, s, l, bell)
		l.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// ring commits and looks what the subscription tells of it.
func (r *run) ring(ctx context.Context, f *findings, s store.Store, l *surreal.Live, bell doorbell) error {
	stream := unused("gate")
	partition := uint64(gotong.PartitionOf(stream))
	heard := map[uint64]bool{}
	var delays []time.Duration
	strange, behind, last := 0, 0, uint64(0)
	var want uint64
	for range liveCommits {
		if _, err := r.tryCommit(ctx, s, draft{stream: stream, home: stream, request: fmt.Sprint(randomNumber()), events: 1}); err != nil {
			return err
		}
		positions, err := s.Positions(ctx)
		if err != nil {
			return err
		}
		want = positions[partition]
		began := r.o.Now()
		for !heard[want] && r.since(began) < liveWait {
			n, err := nextNote(ctx, l)
			if err != nil {
				return err
			}
			if n == nil {
				break
			}
			p, at, err := bell.read(*n)
			if n.Action != bell.action || err != nil || p != partition {
				strange++
				continue
			}
			if at < last {
				behind++
			}
			last = at
			heard[at] = true
		}
		delays = append(delays, r.since(began))
		if !heard[want] {
			break // the rest would only wait as long
		}
	}
	switch {
	case strange > 0:
		f.bad("do not use the bus over live queries with this version; "+liveWay,
			"%s: %d notifications have not the shape that the bus reads (%s, the id, the fields)", bell.table, strange, bell.action)
	case !heard[want]:
		f.warn(liveWay, "%s: after %d commits no notification came within %s", bell.table, len(delays), liveWait)
	default:
		f.good("%s: %d commits, %d notifications, each as the bus reads it, %d behind another; waited for %s after the commit (median)",
			bell.table, len(delays), len(heard), behind, short(medianOf(delays)))
	}
	return nil
}

// nextNote waits a while for a notification; nil where none came.
func nextNote(ctx context.Context, l *surreal.Live) (*surreal.Notification, error) {
	inner, cancel := context.WithTimeout(ctx, liveWait)
	defer cancel()
	n, err := l.Next(inner)
	if err == nil {
		return &n, nil
	}
	if inner.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return nil, err
}
