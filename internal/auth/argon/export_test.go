package argon

import (
	"context"
	"time"
)

// Keep is how long a child without work is kept.
const Keep = keep

// NewPoolKeeping is NewPool with a time of the test's for which children without
// work are kept.
func NewPoolKeeping(ctx context.Context, program string, failed func(error), keep time.Duration) *Pool {
	return newPool(ctx, program, failed, keep)
}

// Idle returns the process ids of the free children.
func (p *Pool) Idle() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []int
	for _, c := range p.idle {
		list = append(list, c.cmd.Process.Pid)
	}
	return list
}

// Reaped waits until every child's process has ended and was waited for.
func (p *Pool) Reaped() { p.children.Wait() }
