package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// emailsName is the collection of e-mail addresses that accounts have. The registers
// hold no address: their keys are hashes.
const emailsName = "auth_emails"

// holding is the register of an address.
type holding struct {
	UserID string `json:"user_id"`
}

// emailKey returns the key of an address, by its claim.
func emailKey(claim gotong.Claim) gotong.Key {
	sum := sha256.Sum256([]byte(claim.Name))
	return gotong.Key{Collection: emailsName, Owner: hex.EncodeToString(sum[:])}
}

// Holder returns the user whose account has an e-mail address, by its claim, and the
// version of the address's register: empty and 0 if there is none. Accounts of earlier
// versions have no register, but the claim, which lasts: such an account may have
// another address by now.
func Holder(ctx context.Context, from store.Loader, claim gotong.Claim) (userID string, version uint64, err error) {
	key := emailKey(claim)
	snap, err := from.Load(ctx, store.Need{Claims: []gotong.Claim{claim}, Registers: []gotong.Key{key}})
	if err != nil {
		return "", 0, store.CodedWrite(err)
	}
	if reg, ok := snap.Registers[key]; ok {
		var h holding
		err := decode(reg, &h)
		return h.UserID, reg.Version, err
	}
	if stream, ok := snap.Claims[claim]; ok {
		return stream.ID(), 0, nil
	}
	return "", 0, nil
}

// accountOf returns the account that has an address now. If there is none, it reads as
// much and returns the zero account.
func (s *Service) accountOf(ctx context.Context, claim gotong.Claim) (string, account, error) {
	nobody := gotong.Anonymous().UserID
	userID, _, err := Holder(ctx, s.opts.Store, claim)
	if err != nil {
		return nobody, account{}, err
	}
	userID = cmp.Or(userID, nobody)
	a, _, err := s.account(ctx, userID)
	if err != nil || s.opts.Users.EmailClaim(a.Email) != claim {
		return nobody, account{}, err
	}
	return userID, a, nil
}

// takes returns the change that gives an address to an account. The error is
// [gotong.CodeExists] if another account has it. The version is that of the read that
// found no holder, so that of two accounts that take an address at once, one fails.
func (s *Service) takes(ctx context.Context, userID, email string) (gotong.RegisterChange, error) {
	claim := s.opts.Users.EmailClaim(email)
	holder, version, err := Holder(ctx, s.opts.Store, claim)
	if err != nil {
		return gotong.RegisterChange{}, err
	}
	if holder != "" && holder != userID {
		a, _, err := s.account(ctx, holder)
		if err != nil {
			return gotong.RegisterChange{}, err
		}
		if s.opts.Users.EmailClaim(a.Email) == claim {
			return gotong.RegisterChange{}, emailTaken()
		}
	}
	return change(emailKey(claim), version, holding{userID}, 0)
}

// leaves returns the changes, at most one, that take an address from its account.
func (s *Service) leaves(ctx context.Context, email string) ([]gotong.RegisterChange, error) {
	claim := s.opts.Users.EmailClaim(email)
	_, version, err := Holder(ctx, s.opts.Store, claim)
	if err != nil || version == 0 {
		return nil, err
	}
	return []gotong.RegisterChange{{Key: emailKey(claim), Expect: version}}, nil
}

func emailTaken() error {
	return &gotong.Error{
		Code: gotong.CodeExists, Detail: "This email is taken.", Fields: []gotong.FieldError{{Field: "email", Detail: "is taken"}},
	}
}
