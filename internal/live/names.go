package live

import (
	"context"
	"sync"
	"time"

	"gotong.dev/gotong/internal/clock"
)

const (
	maxNames  = 16_384
	nameLife  = time.Minute
	nameLimit = 500 * time.Millisecond // a slow answer costs names, not events
)

// nameCache keeps display names for a minute.
type nameCache struct {
	ask   func(ctx context.Context, ids []string) map[string]string
	mono  func() clock.Moment
	mu    sync.Mutex
	known map[string]cachedName
}

type cachedName struct {
	name string
	till clock.Moment
}

func (c *nameCache) get(ctx context.Context, ids []string) map[string]string {
	names := make(map[string]string, len(ids))
	if c.ask == nil || len(ids) == 0 {
		return names
	}
	now := c.mono()
	var unknown []string
	c.mu.Lock()
	for _, id := range ids {
		if _, ok := names[id]; ok {
			continue
		}
		n, ok := c.known[id]
		names[id] = n.name
		if !ok || n.till < now {
			unknown = append(unknown, id)
		}
	}
	c.mu.Unlock()
	if len(unknown) == 0 {
		return names
	}
	ctx, cancel := context.WithTimeout(ctx, nameLimit)
	defer cancel()
	answer := c.ask(ctx, unknown)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) > maxNames {
		c.known = map[string]cachedName{}
	}
	for _, id := range unknown {
		if ctx.Err() == nil {
			c.known[id] = cachedName{answer[id], now.Add(nameLife)}
		}
		names[id] = answer[id]
	}
	return names
}

// cached is the name of a user where it is at hand.
func (c *nameCache) cached(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id].name
}
