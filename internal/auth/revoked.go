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

// revocation is the register of a token of another issuer that was logged out. The
// store must not drop it at an expiry: a clock that was ahead for a while would make
// the token valid again.
type revocation struct {
	UserID  string         `json:"user_id"`
	Expires gotong.Instant `json:"expires"` // of the token
}

func revocationKey(id string) gotong.Key {
	return gotong.Key{Collection: revocationName, Owner: "token", Name: id}
}

// revocations is what this process knows about revocations of expired tokens.
type revocations struct {
	mu   sync.Mutex
	next string                  // where the next read begins
	seen map[string]clock.Moment // when the token of one was first seen expired
}

const (
	// lookAtOnce is how many one read returns.
	lookAtOnce = 64
	// secondLook is how long after its token was first seen expired a revocation is
	// deleted, if the token still is expired.
	secondLook = time.Hour
)

// revoke rejects a token of another issuer from now on, and deletes some revocations
// of expired tokens. It reports whether the token was valid until now.
func (s *Service) revoke(ctx context.Context, p Principal) (bool, error) {
	defer s.disconnect(p.UserID, p.LoginID)
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

// dropRevocations reads the next few revocations, and deletes those whose tokens
// were seen expired twice, an hour apart on the monotonic clock.
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
