package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
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

// deviceToken returns the device token of a login: d1.<user>.<login>.<mac>.
func (s *Service) deviceToken(userID, loginID string) string {
	mac := s.tokens.derive("device", userID, loginID)
	return strings.Join([]string{"d1", userID, loginID, base64.RawURLEncoding.EncodeToString(mac)}, ".")
}

// parseDevice reads a device token. It reports false unless this server made the
// token and it has not expired.
func (s *Service) parseDevice(token string) (userID, id string, ok bool) {
	part := strings.Split(token, ".")
	if len(token) > maxDevice || len(part) < 4 || part[0] != "d1" {
		return "", "", false
	}
	n := len(part)
	userID, id = strings.Join(part[1:n-2], "."), part[n-2]
	made, err := gotong.ParseEventID(id)
	same := subtle.ConstantTimeCompare([]byte(s.deviceToken(userID, id)), []byte(token)) == 1
	return userID, id, same && err == nil && s.age(made.At()) < deviceLife
}

// maxDevice bounds the text of a device token, in bytes.
const maxDevice = 512

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
