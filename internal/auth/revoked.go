package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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

// Records is a store that no server has open, as [EndLogins] needs it.
type Records interface {
	store.Loader
	store.Registers
	Rows(ctx context.Context, section store.Section, after string, limit int) (store.Rows, error)
}

// cutoff is the register of the instant at which all logins ended.
type cutoff struct {
	At gotong.Instant `json:"at"`
}

// endAtOnce is how many registers are deleted together.
const endAtOnce = 64

func cutoffKey() gotong.Key { return gotong.Key{Collection: cutoffName, Owner: "all", Name: "since"} }

// EndLogins ends every login of a log and returns how many there were. It deletes
// logins and tickets; tokens of other issuers with an iat before now are rejected
// from then on. If it fails, the next call ends the rest.
func EndLogins(ctx context.Context, s Records, now gotong.Instant) (logins int, err error) {
	reg, err := store.ReadRegister(ctx, s, cutoffKey())
	if err == nil {
		err = save(ctx, s, cutoffKey(), reg.Version, cutoff{now}, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("auth: logins cannot be ended: %w", err)
	}
	gone := map[string]bool{loginsName: true, ticketsName: true, begunName: true}
	for after := ""; ; {
		rows, err := s.Rows(ctx, store.AllRegisters, after, store.MaxRead)
		if err != nil {
			return logins, fmt.Errorf("auth: logins cannot be read: %w", err)
		}
		group, deleting := errgroup.WithContext(ctx) // writes that wait together share a sync
		group.SetLimit(endAtOnce)
		for _, reg := range rows.Registers {
			if !gone[reg.Key.Collection] {
				continue
			}
			if reg.Key.Collection == loginsName {
				logins++
			}
			group.Go(func() error {
				err := s.SetRegister(deleting, reg.Key, reg.Version, nil, 0)
				if errors.Is(err, store.ErrConflict) { // it has expired
					err = nil
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return logins, fmt.Errorf("auth: a login cannot be ended: %w", err)
		}
		if after = rows.Next; after == "" {
			return logins, nil
		}
	}
}

// issuedBefore reports whether a token of another issuer was issued before an
// operator ended all logins; false for one without an iat.
func (s *Service) issuedBefore(ctx context.Context, issued gotong.Instant) (bool, error) {
	if issued == 0 {
		return false, nil
	}
	var end cutoff
	_, err := load(ctx, s.opts.Store, cutoffKey(), &end)
	return issued < end.At, err
}
