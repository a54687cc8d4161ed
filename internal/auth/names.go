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
	// nameLife is how long a user name is returned before it is read again.
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

// name returns the user name of one account, or "" if there is none.
func (s *Service) name(ctx context.Context, id string) string {
	if strings.HasPrefix(id, "import:") || !gotong.ValidID(id) {
		return ""
	}
	if n, ok := s.names.get(id); ok && s.mono().Sub(n.at) < nameLife {
		return n.name
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
