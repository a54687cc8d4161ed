package storetest

import (
	"cmp"
	"context"
	"math"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Contents is all that a copy moves, in an order that does not depend on the
// store. Leases are left out.
type Contents struct {
	State     store.State
	Positions [gotong.Partitions]uint64
	Commits   [gotong.Partitions][]store.Logged
	Rows      store.Rows // of records, those of no-ops
}

// Events are the events of a partition in order.
func (c *Contents) Events(p gotong.Partition) []store.Event {
	step := store.Restoring{Commits: c.Commits[p]}
	return step.Events()
}

// Records are all records: those of commits, then those of no-ops.
func (c *Contents) Records() (list []store.Record) {
	for p := range c.Commits {
		for i := range c.Commits[p] {
			list = append(list, c.Commits[p][i].Record)
		}
	}
	return append(list, c.Rows.Records...)
}

// Read returns the contents of a store, read in pages of limit rows.
func Read(ctx context.Context, s store.Whole, limit int) (c Contents, err error) {
	if c.State, err = s.State(ctx); err != nil {
		return c, err
	}
	if c.Positions, err = s.Positions(ctx); err != nil {
		return c, err
	}
	for p := range gotong.Partition(gotong.Partitions) {
		for from := uint64(0); from < c.Positions[p]; {
			page, err := store.Commits(ctx, s, p, from, math.MaxUint64, limit)
			if err != nil {
				return c, err
			}
			c.Commits[p] = append(c.Commits[p], page...)
			from = page[len(page)-1].Record.Position
		}
	}
	for section := store.AllStreams; section <= store.AllJobs; section++ {
		for after := ""; ; {
			rows, err := s.Rows(ctx, section, after, limit)
			if err != nil {
				return c, err
			}
			c.add(rows)
			if after = rows.Next; after == "" {
				break
			}
		}
	}
	c.sort()
	return c, nil
}

func (c *Contents) add(rows store.Rows) {
	c.Rows.Streams = append(c.Rows.Streams, rows.Streams...)
	for _, r := range rows.Records {
		if r.Position == 0 {
			c.Rows.Records = append(c.Rows.Records, r)
		}
	}
	c.Rows.Claims = append(c.Rows.Claims, rows.Claims...)
	c.Rows.Registers = append(c.Rows.Registers, rows.Registers...)
	c.Rows.Cursors = append(c.Rows.Cursors, rows.Cursors...)
	for _, j := range rows.Jobs {
		j.Lease, j.Claims = 0, 0
		c.Rows.Jobs = append(c.Rows.Jobs, j)
	}
}

func (c *Contents) sort() {
	r := &c.Rows
	slices.SortFunc(r.Streams, func(a, b store.StreamRow) int { return cmp.Compare(a.Stream, b.Stream) })
	slices.SortFunc(r.Records, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(a.Request.Stream, b.Request.Stream), cmp.Compare(a.Request.Actor, b.Request.Actor),
			cmp.Compare(a.Request.RequestID, b.Request.RequestID))
	})
	slices.SortFunc(r.Claims, func(a, b store.ClaimRow) int {
		return cmp.Or(cmp.Compare(a.Claim.Space, b.Claim.Space), cmp.Compare(a.Claim.Name, b.Claim.Name))
	})
	slices.SortFunc(r.Registers, func(a, b store.Register) int {
		return cmp.Or(cmp.Compare(a.Key.Collection, b.Key.Collection), cmp.Compare(a.Key.Owner, b.Key.Owner),
			cmp.Compare(a.Key.Name, b.Key.Name))
	})
	slices.SortFunc(r.Cursors, func(a, b store.CursorRow) int {
		return cmp.Or(cmp.Compare(a.Reader, b.Reader), cmp.Compare(a.Partition, b.Partition))
	})
	slices.SortFunc(r.Jobs, func(a, b store.Job) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.ID, b.ID))
	})
}
