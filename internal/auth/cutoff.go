package auth

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

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
