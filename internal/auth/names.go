package auth

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

const (
	// nameLife is how long the absence of an account is cached. Names do not change,
	// so they are cached as long as there is room.
	nameLife = time.Minute
	// maxNames is how many user names are cached, twice.
	maxNames = 16384
)

// names caches the user names of accounts.
type names struct {
	recent[string, named]
	flight singleflight.Group
}

type named struct {
	name string // empty: there is no such account
	at   clock.Moment
}

// Names returns the user names of those ids that have an account. Authors of
// imported messages have none. If the store does not answer, names are missing.
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

// Known returns the cached user name of an account; "" for a user without an
// account. known is false if Names would read the store.
func (s *Service) Known(id string) (name string, known bool) {
	if nameless(id) {
		return "", true
	}
	n, ok := s.names.get(id)
	return n.name, ok && (n.name != "" || s.mono().Sub(n.at) < nameLife)
}

// nameless reports whether an id can have no account, as that of an imported author.
func nameless(id string) bool { return strings.HasPrefix(id, "import:") || !gotong.ValidID(id) }

// name returns the user name of one account, or "" if there is none.
func (s *Service) name(ctx context.Context, id string) string {
	if name, known := s.Known(id); known {
		return name
	}
	name, _ := once(ctx, &s.names.flight, id, func(ctx context.Context) (string, error) {
		a, _, err := s.account(ctx, id)
		if err != nil {
			return "", err
		}
		s.names.put(id, named{a.Username, s.mono()})
		return a.Username, nil
	})
	return name
}
