package auth

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// nameLife is how long a name is shown without looking again.
const nameLife = time.Minute

// maxNames is how many names half the cache keeps.
const maxNames = 16384

// names remembers the user names of accounts.
type names struct {
	mu       sync.RWMutex
	now, old map[string]named
	flight   singleflight.Group
}

type named struct {
	name string // empty: there is no such account
	at   clock.Moment
}

func newNames() *names { return &names{} }

// Names is the user names of those of these ids that have an account. Imported
// authors have none. Where the store does not answer, names are missing.
func (s *Service) Names(ctx context.Context, ids []string) map[string]string {
	found := make(map[string]string, len(ids))
	for _, id := range ids {
		if _, done := found[id]; done {
			continue
		}
		if name := s.name(ctx, id); name != "" {
			found[id] = name
		}
	}
	return found
}

// name is the user name of one account; empty where there is none.
func (s *Service) name(ctx context.Context, id string) string {
	if strings.HasPrefix(id, "import:") || !gotong.ValidID(id) {
		return ""
	}
	now := s.mono()
	if n, ok := s.names.get(id); ok && now.Sub(n.at) < nameLife {
		return n.name
	}
	done := s.names.flight.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		a, _, err := s.account(ctx, id)
		if err != nil {
			return "", err
		}
		s.names.put(id, named{a.Username, s.mono()})
		return a.Username, nil
	})
	select {
	case r := <-done:
		name, _ := r.Val.(string)
		return name
	case <-ctx.Done():
		return ""
	}
}

func (n *names) get(id string) (named, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	v, ok := n.now[id]
	if !ok {
		v, ok = n.old[id]
	}
	return v, ok
}

func (n *names) put(id string, v named) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now == nil || len(n.now) >= maxNames {
		n.old, n.now = n.now, map[string]named{}
	}
	n.now[id] = v
}
