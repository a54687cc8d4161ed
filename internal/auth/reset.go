package auth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"time"

	"gotong.dev/gotong"
)

// resetLife is how long a reset token is valid.
const resetLife = time.Hour

// ResetToken returns a token with which its holder can set the password of an account
// once, and when it expires. It is not stored: it holds a MAC of the present hash and
// address, so that a new one of either ends it. The error is [gotong.CodeNotFound] if there is no such
// account or it is disabled.
func (s *Service) ResetToken(ctx context.Context, userID string) (token string, expires gotong.Instant, err error) {
	st, known, err := s.standing(ctx, userID)
	if err != nil || !known || !st.Enabled {
		return "", 0, cmp.Or(err, noAccount())
	}
	a, version, err := s.account(ctx, userID)
	if err != nil || version == 0 {
		return "", 0, cmp.Or(err, noAccount())
	}
	expires = s.now().Add(resetLife)
	return s.tokens.seal("p1", strconv.FormatInt(int64(expires), 10), s.hashMark(a), userID), expires, nil
}

// ResetAddress returns an e-mail address to which somebody asks for a reset token, as
// accounts have it, and counts the request. The error is [gotong.CodeInvalid] if it is no
// address and [gotong.CodeRateLimited] after many requests. None of this depends on
// whether an account has the address.
func (s *Service) ResetAddress(ctx context.Context, email string) (cleaned string, err error) {
	defer func() { s.attempted("reset_request", err) }()
	email, err = newEmail(email)
	if err != nil {
		return "", err
	}
	return email, slowed(s.resets.count(ctx, s.opts.Users.EmailClaim(email).Name))
}

// ResetFor returns a reset token for the account that has an e-mail address, and the
// address as the account has it; nothing if no account has it, or a disabled one.
func (s *Service) ResetFor(ctx context.Context, email string) (to, token string, err error) {
	userID, a, err := s.accountOf(ctx, s.opts.Users.EmailClaim(email))
	if err != nil || a.Email == "" {
		return "", "", err
	}
	token, _, err = s.ResetToken(ctx, userID)
	if gotong.CodeOf(err) == gotong.CodeNotFound {
		return "", "", nil
	}
	return a.Email, token, err
}

func (s *Service) hashMark(a account) string {
	return hex.EncodeToString(s.tokens.derive("reset", a.Hash, a.Email)[:16])
}

// Reset sets the password of the account that a reset token names, and ends all its
// logins. A retry changes nothing. Every token that is not valid, or no longer, has the
// same error, [gotong.CodeUnauthorized].
func (s *Service) Reset(ctx context.Context, requestID, token, pass string, count Count) (err error) {
	defer func() { s.attempted("reset", err) }()
	if err := count(ctx, ""); err != nil {
		return err
	}
	pass, err = newPassword(pass)
	if err != nil {
		return err
	}
	userID, mark, ok := s.parseReset(token)
	if !ok {
		return resetOver()
	}
	a, version, err := s.account(ctx, userID)
	if err != nil || version == 0 {
		return cmp.Or(err, resetOver())
	}
	if subtle.ConstantTimeCompare([]byte(mark), []byte(s.hashMark(a))) != 1 {
		if same, err := s.passwords.Check(ctx, pass, a.Hash); err != nil || !same { // else it is a retry
			return cmp.Or(err, resetOver())
		}
		return nil
	}
	err = s.setPassword(ctx, Own{RequestID: requestID, Principal: Principal{UserID: userID}}, a, pass)
	if c := gotong.CodeOf(err); c == gotong.CodeNotFound || c == gotong.CodeForbidden { // disabled, or used, meanwhile
		err = resetOver()
	}
	return err
}

func (s *Service) parseReset(token string) (userID, mark string, ok bool) {
	field, ok := s.tokens.unseal(token, "p1", 4)
	if !ok {
		return "", "", false
	}
	expires, err := strconv.ParseInt(field[1], 10, 64)
	left := gotong.Instant(expires).Sub(s.now())
	return field[3], field[2], err == nil && left > 0 && left <= resetLife
}

func resetOver() error {
	return unauthorized("The link is not valid, or no longer; ask for another one.")
}
