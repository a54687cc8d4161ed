package auth

import (
	"context"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// A device token shows that its holder has signed in to the account on this
// device before. It is no proof of identity: the password is still needed. But
// attempts with it have a count of their own, so that strangers who guess the
// password, or share the address, do not lock the owner out. The store holds only
// how many attempts with it failed.
const (
	// deviceLife is how long after its sign-in a device token is valid.
	deviceLife = 180 * 24 * time.Hour
	// maxDeviceFailures is how many failed attempts make it void.
	maxDeviceFailures = 10
)

// device is the register of a device token. It exists once an attempt failed.
type device struct {
	Failures int `json:"failures"`
}

// deviceToken returns the device token of a login: d1.<login>.<user>.<mac>.
func (s *Service) deviceToken(userID, loginID string) string {
	return s.tokens.seal("d1", loginID, userID)
}

// parseDevice reads a device token. It reports false unless this server made the
// token and it has not expired.
func (s *Service) parseDevice(token string) (userID, id string, ok bool) {
	field, ok := s.tokens.unseal(token, "d1", 3)
	if !ok {
		return "", "", false
	}
	made, err := gotong.ParseEventID(field[1])
	return field[2], field[1], err == nil && s.age(made.At()) < deviceLife
}

// holdDevice counts an attempt with a device token before its result is known,
// so that many at once cannot exceed the limit. It reports false if the token is
// void.
func (s *Service) holdDevice(ctx context.Context, userID, id string) (bool, error) {
	held, err := s.addFailure(ctx, userID, id, 1)
	if errors.Is(err, store.ErrConflict) { // so many at once are guesses
		return false, nil
	}
	return held, err
}

// freeDevice takes back an attempt that holdDevice counted and that did not fail.
func (s *Service) freeDevice(ctx context.Context, userID, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = s.addFailure(ctx, userID, id, -1)
}

// addFailure adds n to the failures of a device token. It reports false if that
// would leave their range.
func (s *Service) addFailure(ctx context.Context, userID, id string, n int) (added bool, err error) {
	key := gotong.Key{Collection: devicesName, Owner: userID, Name: id}
	err = retry(func() error {
		var d device
		version, err := load(ctx, s.opts.Store, key, &d)
		d.Failures += n
		if added = err == nil && d.Failures >= 0 && d.Failures <= maxDeviceFailures; !added {
			return err
		}
		return save(ctx, s.opts.Store, key, version, d, s.now().Add(deviceLife))
	})
	return added && err == nil, err
}
