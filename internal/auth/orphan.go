package auth

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The register of an account is written before its command commits, so a crash
// between the two leaves one without an account. It stands in nobody's way,
// because what makes an address taken is the claim of the commit; but it holds
// an address and the hash of a password. So every sign-up is listed before that
// register is written and until its outcome is known, and what stays on the
// list is looked at after a while.

// pendingName is the collection of the list.
const pendingName = "auth_pending"

// orphanAge is when a listed sign-up is looked at: longer than any may take.
const orphanAge = time.Hour

// sweepAtOnce bounds one look.
const sweepAtOnce = 64

// pending is the register of a sign-up whose outcome is not known.
type pending struct {
	UserID string `json:"user_id"`
}

func pendingKey(name string) gotong.Key {
	return gotong.Key{Collection: pendingName, Owner: "signup", Name: name}
}

// list puts a sign-up on the list; the name is for [Service.unlist].
func (s *Service) list(ctx context.Context, userID string) (name string, err error) {
	body, err := json.Marshal(pending{userID})
	if err != nil {
		return "", err
	}
	name = gotong.NewEventID(s.now(), binary.BigEndian.Uint64(random(8))).String()
	return name, store.CodedWrite(s.opts.Store.SetRegister(ctx, pendingKey(name), 0, body, 0))
}

// unlist takes a sign-up off the list. Where that fails, a sweep does it.
func (s *Service) unlist(ctx context.Context, name string) {
	if name != "" {
		_ = s.opts.Store.SetRegister(context.WithoutCancel(ctx), pendingKey(name), 1, nil, 0)
	}
}

// Sweep empties the registers of sign-ups that never became an account, an hour
// after they were tried. Sign-ups call it too; a server calls it when it
// starts.
func (s *Service) Sweep(ctx context.Context) error {
	before := gotong.NewEventID(s.now().Add(-orphanAge)+1, 0).String() // the bound itself is none
	list, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
		Collection: pendingName, Owner: pendingKey("").Owner, From: "0", To: before, Limit: sweepAtOnce,
	})
	if err != nil {
		return store.CodedWrite(err)
	}
	for _, reg := range list {
		if err := s.sweepOne(ctx, reg); err != nil {
			return err
		}
	}
	return nil
}

// sweepOne looks at a listed sign-up. Whoever repeats it in this moment has
// renewed the account's register before he commits, so that it is emptied
// either before he looks or not at all.
func (s *Service) sweepOne(ctx context.Context, reg store.Register) error {
	var p pending
	if err := read(reg, &p); err != nil {
		return err
	}
	a, version, err := s.account(ctx, p.UserID)
	if err != nil {
		return err
	}
	_, known, err := s.standing(ctx, p.UserID)
	if err != nil {
		return err
	}
	if !known && a.Hash != "" && a.CreatedAt <= s.now().Add(-orphanAge) {
		switch err := s.emptyAccount(ctx, p.UserID, version); {
		case errors.Is(err, store.ErrConflict):
			return nil // somebody repeats it; it is listed anew
		case err != nil:
			return store.CodedWrite(err)
		}
	}
	err = s.opts.Store.SetRegister(ctx, reg.Key, reg.Version, nil, 0)
	if errors.Is(err, store.ErrConflict) {
		err = nil // another node was here
	}
	return store.CodedWrite(err)
}

// emptyAccount takes everything out of an account's register. It is emptied
// and not deleted, so that its version goes on: a twin that is late must not
// empty what the next try with this request id has written.
func (s *Service) emptyAccount(ctx context.Context, userID string, version uint64) error {
	now := s.now()
	body, err := json.Marshal(account{CreatedAt: now})
	if err != nil {
		return err
	}
	return s.opts.Store.SetRegister(ctx, accountKey(userID), version, body, now.Add(time.Hour))
}
