package copy

import (
	"context"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The bounds of one read of chains. The events are bounded too, because a
// database reads as many as there may be before it counts their bytes: that
// many of the longest messages must fit into one answer.
const (
	chainStreams = 16
	chainEvents  = 100
	chainBytes   = 256 << 10
)

// checkChains walks every stream of a store from its first event to its head.
func checkChains(ctx context.Context, s store.Store, o Options, total uint64) error {
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	done := uint64(0)
	for after := ""; ; {
		rows, err := s.Rows(ctx, store.AllStreams, after, store.MaxRead)
		if err != nil {
			return err
		}
		for from := 0; from < len(rows.Streams); from += chainStreams {
			some := rows.Streams[from:min(from+chainStreams, len(rows.Streams))]
			if err := walk(ctx, s, state.Eras, some); err != nil {
				return err
			}
			done += uint64(len(some))
			o.tell("checking chains", done, total)
		}
		if after = rows.Next; after == "" {
			return nil
		}
	}
}

// walk checks some streams, reading a piece of each at once.
func walk(ctx context.Context, s store.Store, eras store.Eras, rows []store.StreamRow) error {
	links := make([]*link, 0, len(rows))
	for _, r := range rows {
		links = append(links, &link{row: r, home: gotong.PartitionOf(r.Head.Home)})
	}
	for len(links) > 0 {
		var need store.Need
		for _, l := range links {
			need.Events = append(need.Events, store.EventRange{
				Stream: l.row.Stream, From: l.at.Seq, To: l.row.Head.Seq, Limit: chainEvents, MaxBytes: chainBytes,
			})
		}
		snap, err := s.Load(ctx, need)
		if err != nil {
			return err
		}
		open := links[:0]
		for i, l := range links {
			if err := l.follow(eras, snap.Events[i]); err != nil {
				return err
			}
			if l.at.Seq < l.row.Head.Seq {
				open = append(open, l)
			}
		}
		links = open
	}
	return nil
}

// link is how far a stream was checked.
type link struct {
	row      store.StreamRow
	home     gotong.Partition
	at       gotong.Head
	position uint64
}

func (l *link) follow(eras store.Eras, events []store.Event) error {
	if len(events) == 0 {
		return fmt.Errorf("%s ends at event %d, before its head: %w", l.row.Stream, l.at.Seq, store.ErrCorrupt)
	}
	for i := range events {
		e := &events[i]
		chained := e.Prev == l.at.Chain && e.Verify(eras.At(e.Partition, e.Position)) == nil
		placed := e.Partition == l.home && e.Position >= l.position
		if !chained || !placed || e.Seq != l.at.Seq+1 || e.At <= l.at.At || e.Count < l.at.Count {
			return fmt.Errorf("%s, event %d does not follow: %w", l.row.Stream, e.Seq, store.ErrCorrupt)
		}
		l.at = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: l.row.Head.Home}
		l.position = e.Position
	}
	if l.at.Seq == l.row.Head.Seq && l.at != l.row.Head {
		return fmt.Errorf("the head of %s is not its last event: %w", l.row.Stream, store.ErrCorrupt)
	}
	return nil
}
