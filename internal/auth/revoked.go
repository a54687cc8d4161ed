package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// revocation is the register of a token of others that was logged out. It has
// no expiry by which the store could drop it: a clock that ran ahead for a while
// would make the token good again.
type revocation struct {
	UserID  string         `json:"user_id"`
	Expires gotong.Instant `json:"expires"` // of the token
}

func revocationKey(id string) gotong.Key {
	return gotong.Key{Collection: revocationName, Owner: "token", Name: id}
}

// revocations is what this process knows of those that have expired.
type revocations struct {
	mu   sync.Mutex
	next string                  // where the next look begins
	seen map[string]clock.Moment // when one was first seen expired
}

const (
	// lookAtOnce bounds one look.
	lookAtOnce = 64
	// secondLook is how long after a revocation was first seen expired it goes
	// where it still is.
	secondLook = time.Hour
)

// revoke has a token of others refused from now on, and drops some revocations
// of tokens that have expired. It reports whether the token was good until now.
func (s *Service) revoke(ctx context.Context, p Principal) (bool, error) {
	if err := s.announce(ctx, p.UserID); err != nil {
		return false, store.CodedWrite(err)
	}
	err := save(ctx, s.opts.Store, revocationKey(p.LoginID), 0, revocation{p.UserID, p.Expires}, 0)
	if errors.Is(err, store.ErrConflict) {
		return false, nil // revoked already
	}
	if err != nil {
		return false, store.CodedWrite(err)
	}
	if err := s.dropRevocations(ctx); err != nil {
		s.opts.Log.WarnContext(ctx, "expired revocations could not be deleted yet", "error", err)
	}
	return true, nil
}

// dropRevocations looks at the next few revocations and deletes those that were
// seen expired twice, an hour apart by the time that passed in this process.
func (s *Service) dropRevocations(ctx context.Context) error {
	r := s.revoked
	r.mu.Lock()
	defer r.mu.Unlock()
	page, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
		Collection: revocationName, Owner: revocationKey("").Owner, From: r.next, To: "~", Limit: lookAtOnce,
	})
	if err != nil {
		return err
	}
	r.next = ""
	if len(page) == lookAtOnce {
		r.next = page[len(page)-1].Key.Name + "0"
	}
	for _, reg := range page {
		var v revocation
		if err := decode(reg, &v); err != nil {
			return err
		}
		first, again := r.seen[reg.Key.Name]
		switch {
		case s.now() < v.Expires:
			delete(r.seen, reg.Key.Name)
		case !again:
			r.seen[reg.Key.Name] = s.mono()
		case s.mono().Sub(first) >= secondLook:
			err := s.opts.Store.SetRegister(ctx, reg.Key, reg.Version, nil, 0)
			if err != nil && !errors.Is(err, store.ErrConflict) {
				return err
			}
			delete(r.seen, reg.Key.Name)
		}
	}
	return nil
}
