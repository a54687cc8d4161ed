package gates

import (
	"context"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// doorbell is the live query of the bus (package livequery): the position of
// each partition that was written.
const doorbell = "LIVE SELECT position FROM partition"

var errShape = errors.New("it has another shape")

// readNote reads partition:n and its position, as the bus does.
func readNote(n surreal.Notification) (partition, position uint64, err error) {
	var id surreal.RecordID
	var row struct {
		Position int64 `cbor:"position"`
	}
	if n.Action != "UPDATE" && n.Action != "CREATE" || surreal.Unmarshal(n.Record, &id) != nil || surreal.Unmarshal(n.Result, &row) != nil {
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

const liveWay = "take the bus over Redis for wake-ups between nodes; without it events arrive by the poll of the store, up to a second " +
	"later"

func checkLive(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	db, err := surreal.Open(ctx, r.store, clientOptions())
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := db.Live(ctx, doorbell, nil)
	if refused(err) {
		f.warnf(liveWay, "LIVE SELECT is refused: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	return r.ring(ctx, f, s, l)
}

// rung is what the notifications reported.
type rung struct {
	heard           map[uint64]bool // positions
	last            uint64
	strange, behind int
	waited          []time.Duration
}

func (r *run) ring(ctx context.Context, f *findings, s store.Store, l *surreal.Live) error {
	stream, m := unused(), storetest.NewMaker(s.Epoch())
	told := rung{heard: map[uint64]bool{}}
	heard := true
	for n := 0; n < liveCommits && heard; n++ {
		if err := r.write(ctx, s, m, storetest.Draft{Stream: stream, Events: 1}); err != nil {
			return err
		}
		began := r.o.Now()
		positions, err := s.Positions(ctx)
		if err != nil {
			return err
		}
		partition := gotong.PartitionOf(stream)
		if heard, err = told.listen(ctx, r, l, partition, positions[partition]); err != nil {
			return err
		}
		told.waited = append(told.waited, r.since(began))
	}
	switch {
	case told.strange > 0:
		f.badf("do not use the bus over live queries with this version; "+liveWay,
			"%d notifications have not the shape that the bus reads (action, id, position)", told.strange)
	case !heard:
		f.warnf(liveWay, "after commit %d no notification came within %s", len(told.waited), liveWait)
	default:
		f.goodf("%d commits, %d notifications, each as the bus reads it, %d behind another; "+
			"%s after the acknowledgement (median)",
			len(told.waited), len(told.heard), told.behind, short(medianOf(told.waited)))
	}
	return nil
}

// listen waits for the notification of a position; it returns false if none
// arrived.
func (t *rung) listen(ctx context.Context, r *run, l *surreal.Live, partition gotong.Partition, want uint64) (bool, error) {
	began := r.o.Now()
	for !t.heard[want] && r.since(began) < liveWait {
		n, err := nextNote(ctx, l)
		if err != nil {
			return false, err
		}
		if n == nil {
			break
		}
		p, at, err := readNote(*n)
		if err != nil || p != uint64(partition) {
			t.strange++
			continue
		}
		if at < t.last {
			t.behind++
		}
		t.last = at
		t.heard[at] = true
	}
	return t.heard[want], nil
}

// nextNote waits a while for a notification; it returns nil if none arrived.
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
