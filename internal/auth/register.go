package auth

import (
	"context"
	"encoding/json"
	"errors"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

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
