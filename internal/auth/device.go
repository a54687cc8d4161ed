package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// A device token shows that its holder has signed in to an account on this
// device before. It is no proof of identity: the password is still needed. But
// attempts with it have a count of their own, so that strangers who guess at
// the account, or from the same address, do not keep its owner out. The store
// keeps only how many attempts with it failed.
const (
	// deviceLife is how long after its sign-in a device token counts.
	deviceLife = 180 * 24 * time.Hour
	// maxDeviceFailures is how many failed attempts void one.
	maxDeviceFailures = 10
)

// device is the register of a device token with which an attempt failed.
type device struct {
	Failures int `json:"failures"`
}

func deviceKey(userID, id string) gotong.Key {
	return gotong.Key{Collection: devicesName, Owner: userID, Name: id}
}

// deviceToken is the one that a sign-in returns beside its login, and named
// as that is: d1.<user>.<login>.<mac>.
func (s *Service) deviceToken(userID, loginID string) string {
	mac := s.tokens.derive("device", userID, loginID)
	return strings.Join([]string{"d1", userID, loginID, base64.RawURLEncoding.EncodeToString(mac)}, ".")
}

// parseDevice reads a device token that this server made and that still counts.
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

// holdDevice counts an attempt with a device token, before it is known to fail,
// so that many at once do not slip through. It reports false where the token is
// void.
func (s *Service) holdDevice(ctx context.Context, userID, id string) (bool, error) {
	for range maxTries {
		d, version, err := s.device(ctx, userID, id)
		if err != nil || d.Failures >= maxDeviceFailures {
			return false, err
		}
		d.Failures++
		if err = s.putDevice(ctx, userID, id, version, d); !errors.Is(err, store.ErrConflict) {
			return err == nil, store.CodedWrite(err)
		}
	}
	return false, nil // so many at once are guesses
}

// freeDevice takes one counted attempt back, which did not fail.
func (s *Service) freeDevice(ctx context.Context, userID, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := store.ErrConflict
	for try := 0; try < maxTries && errors.Is(err, store.ErrConflict); try++ {
		d, version, failed := s.device(ctx, userID, id)
		if failed != nil || d.Failures == 0 {
			return
		}
		d.Failures--
		err = s.putDevice(ctx, userID, id, version, d)
	}
}

func (s *Service) device(ctx context.Context, userID, id string) (d device, version uint64, err error) {
	reg, err := store.ReadRegister(ctx, s.opts.Store, deviceKey(userID, id))
	if err != nil || reg.Version == 0 {
		return d, 0, store.CodedWrite(err)
	}
	err = read(reg, &d)
	return d, reg.Version, err
}

func (s *Service) putDevice(ctx context.Context, userID, id string, version uint64, d device) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.opts.Store.SetRegister(ctx, deviceKey(userID, id), version, body, s.now().Add(deviceLife))
}
