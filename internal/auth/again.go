package auth

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// again is how long a retry returns the same login: shorter than the life of any
// access token.
const again = 10 * time.Minute

// begun is the register of a request that created a login. It belongs to the
// account and is read only after the password was verified, so nobody can discover
// or use up the request ids of others. It holds no password and nothing that is
// derived from one.
type begun struct {
	LoginID string `json:"login_id"`
	Print   []byte `json:"print"` // a MAC of the other fields
}

// beginOnce creates a login for a request, or returns the one that the same
// request created before. A retry must have the same fields.
func (s *Service) beginOnce(ctx context.Context, userID, action, requestID, fields string) (Grant, error) {
	key, mac := s.begunKey(userID, action, requestID, fields)
	if g, found, err := s.begunBefore(ctx, key, mac); found || err != nil {
		return g, err
	}
	g, err := s.begin(ctx, userID)
	if err != nil {
		return g, err
	}
	err = save(ctx, s.opts.Store, key, 0, begun{g.LoginID, mac}, s.now().Add(again))
	if !errors.Is(err, store.ErrConflict) {
		return g, store.CodedWrite(err)
	}
	// The same request was faster elsewhere. Its login counts; nobody has seen this one.
	if _, err := s.endLogin(ctx, userID, g.LoginID); err != nil {
		return Grant{}, err
	}
	g, found, err := s.begunBefore(ctx, key, mac)
	if err == nil && !found {
		err = store.CodedWrite(store.ErrConflict)
	}
	return g, err
}

// begunKey returns the key of a request's register and the Print that it must have.
func (s *Service) begunKey(userID, action, requestID, fields string) (key gotong.Key, seal []byte) {
	name := hex.EncodeToString(s.tokens.derive("begun", action, requestID)[:16])
	return gotong.Key{Collection: begunName, Owner: userID, Name: name}, s.tokens.derive("begun print", action, fields)
}

// begunBefore returns the login that an earlier request with this key created.
func (s *Service) begunBefore(ctx context.Context, key gotong.Key, mac []byte) (g Grant, found bool, err error) {
	var b begun
	if version, err := load(ctx, s.opts.Store, key, &b); err != nil || version == 0 {
		return g, false, err
	}
	if subtle.ConstantTimeCompare(b.Print, mac) != 1 {
		return g, true, reused()
	}
	l, version, err := s.login(ctx, key.Owner, b.LoginID)
	switch {
	case err != nil:
		return g, true, err
	case version == 0 || l.Generation != 1:
		return g, true, gotong.NewError(gotong.CodeConflict,
			"The login of this request has ended or was refreshed since; use a new key for another one.")
	}
	st, err := s.live(ctx, key.Owner, b.LoginID, l)
	if err != nil {
		return g, true, err
	}
	g, err = s.grant(key.Owner, b.LoginID, l, st)
	g.DeviceToken, g.Replayed = s.deviceToken(key.Owner, b.LoginID), true
	return g, true, err
}

// load decodes the register under key into v and returns its version: 0 if
// there is none, and v is then unchanged. Its errors have a code.
func load(ctx context.Context, from store.Loader, key gotong.Key, v any) (version uint64, err error) {
	reg, err := store.ReadRegister(ctx, from, key)
	if err != nil || reg.Version == 0 {
		return 0, store.CodedWrite(err)
	}
	return reg.Version, decode(reg, v)
}

// decode reads the body of a register into v. A body that cannot be read is an
// internal error.
func decode(reg store.Register, v any) error {
	if json.Unmarshal(reg.Body, v) != nil {
		return gotong.NewError(gotong.CodeInternal, "A stored register cannot be read.")
	}
	return nil
}

// save writes v to the register under key if its version is still expect, and
// returns [store.ErrConflict] otherwise. The register expires at expires, or
// never if that is 0.
func save(ctx context.Context, to store.Registers, key gotong.Key, expect uint64, v any, expires gotong.Instant) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return to.SetRegister(ctx, key, expect, body, expires)
}

// maxTries bounds how often a lost compare-and-set is tried again.
const maxTries = 8

// retry calls try, which reads a register and writes it, until it loses no
// compare-and-set. It returns the last error, with a code.
func retry(try func() error) error {
	for range maxTries - 1 {
		if err := try(); !errors.Is(err, store.ErrConflict) {
			return store.CodedWrite(err)
		}
	}
	return store.CodedWrite(try())
}
