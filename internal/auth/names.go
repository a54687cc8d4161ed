package auth

import (
	"cmp"
	"context"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/text"
)

const (
	// nameLife is how long a name is cached: other nodes show a new one after that.
	nameLife = time.Minute
	// maxNames is how many accounts have their names cached, twice.
	maxNames = 16384
)

// names caches the names of accounts.
type names struct {
	recent[string, named]
	flight singleflight.Group
}

type named struct {
	user, display string // user empty: there is no such account; display empty: none is set
	at            clock.Moment
}

func (n named) shown() string { return cmp.Or(n.display, n.user) }

// Names returns the names that others see of those ids that have an account: the
// display name or, if none is set, the user name. Authors of imported messages have
// none. If the store does not answer, names are earlier ones or missing.
func (s *Service) Names(ctx context.Context, ids []string) map[string]string {
	return s.namesOf(ctx, ids, named.shown)
}

// Usernames is Names for user names, which are unique.
func (s *Service) Usernames(ctx context.Context, ids []string) map[string]string {
	return s.namesOf(ctx, ids, func(n named) string { return n.user })
}

func (s *Service) namesOf(ctx context.Context, ids []string, which func(named) string) map[string]string {
	found := make(map[string]string, len(ids))
	for _, id := range ids {
		if _, done := found[id]; done {
			continue
		}
		if name := which(s.name(ctx, id)); name != "" {
			found[id] = name
		}
	}
	return found
}

// Known returns the cached name of an account, as Names does; "" for a user without an
// account. known is false if Names would read the store: the name may be an earlier one.
func (s *Service) Known(id string) (name string, known bool) {
	n, known := s.known(id)
	return n.shown(), known
}

func (s *Service) known(id string) (named, bool) {
	if nameless(id) {
		return named{}, true
	}
	n, ok := s.names.get(id)
	return n, ok && s.mono().Sub(n.at) < nameLife
}

// nameless reports whether an id can have no account, as that of an imported author.
func nameless(id string) bool { return strings.HasPrefix(id, "import:") || !gotong.ValidID(id) }

// name returns the names of one account; none if there is no account, and earlier
// ones if the store does not answer.
func (s *Service) name(ctx context.Context, id string) named {
	cached, known := s.known(id)
	if known {
		return cached
	}
	n, err := once(ctx, &s.names.flight, id, func(ctx context.Context) (named, error) {
		a, _, err := s.account(ctx, id)
		if err != nil {
			return named{}, err
		}
		n := named{a.Username, a.Name, s.mono()}
		s.names.put(id, n)
		return n, nil
	})
	if err != nil {
		return cached
	}
	return n
}

// username returns the user name of an account, which never changes.
func (s *Service) username(ctx context.Context, id string) string {
	if n, _ := s.known(id); n.user != "" {
		return n.user
	}
	return s.name(ctx, id).user
}

// Rename sets the display name of an account; an empty one removes it. The error is
// [gotong.CodeNotFound] if this server has no such account.
func (s *Service) Rename(ctx context.Context, userID, name string) error {
	if name = text.DisplayName.Clean(name); name != "" && !text.DisplayName.Valid(name) {
		return gotong.Invalid("name", text.DisplayName.Says)
	}
	return retry(func() error {
		a, version, err := s.account(ctx, userID)
		switch {
		case err != nil:
			return err
		case version == 0:
			return gotong.NotFound()
		case a.Name != name:
			a.Name = name
			if err := save(ctx, s.opts.Store, accountKey(userID), version, a, 0); err != nil {
				return err
			}
		}
		s.names.put(userID, named{a.Username, a.Name, s.mono()})
		return nil
	})
}
