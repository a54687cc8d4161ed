package auth

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// account is the register of the personal data that the log must not hold.
type account struct {
	Email       string         `json:"email,omitempty"`
	Username    string         `json:"username,omitempty"`
	Name        string         `json:"name,omitempty"` // the display name
	CommunityID string         `json:"community_id,omitempty"`
	Hash        string         `json:"hash"`
	CreatedAt   gotong.Instant `json:"created_at"`
}

func accountKey(userID string) gotong.Key { return gotong.Key{Collection: accountsName, Owner: userID} }

// account returns an account and its version; zero if there is none.
func (s *Service) account(ctx context.Context, userID string) (a account, version uint64, err error) {
	version, err = load(ctx, s.opts.Store, accountKey(userID), &a)
	return a, version, err
}

// SignUp is a request to create an account. Address is the client's, for limits.
type SignUp struct {
	RequestID     string
	CorrelationID string
	Email         string
	Pass          string
	Username      string
	CommunityID   string
	Address       string
	Agent         string // what the client calls itself
}

// maxTyped bounds the text that is normalised, in bytes.
const maxTyped = 4 << 10

// SignUp creates an account and its first login, in one transaction. A retry with
// the same request id, fields and password returns the same account and changes
// nothing; with other fields or another password it is [gotong.CodeReused]. If the
// address or the user name is taken, the error is [gotong.CodeExists].
func (s *Service) SignUp(ctx context.Context, r SignUp) (grant Grant, err error) {
	defer func() { s.attempted("signup", err) }()
	r.Email, r.Username, r.Pass = text.Email.Clean(r.Email), text.Username.Clean(r.Username), text.Password.Clean(r.Pass)
	data, err := s.checkSignUp(r)
	if err != nil {
		return grant, err
	}
	userID := gotong.DeriveID(userKind, gotong.Anonymous().UserID, r.RequestID)
	registers, err := s.signUpRegisters(ctx, userID, r)
	if err != nil {
		return grant, err
	}
	receipt, err := s.opts.Executor.Execute(ctx, gotong.Command{
		Stream: userStream(userID), Type: s.opts.Users.Command, Actor: gotong.Anonymous(),
		RequestID: r.RequestID, CorrelationID: r.CorrelationID, Data: data, Raw: r.raw(), Registers: registers,
	})
	if gotong.CodeOf(err) == gotong.CodeConflict && registers != nil { // perhaps another sign-up took the address first
		if _, taken := s.takes(ctx, userID, r.Email); taken != nil {
			err = taken
		}
	}
	if err == nil && receipt.Replayed && registers != nil { // the same request won the race, perhaps with another password
		a, _, failed := s.account(ctx, userID)
		if err = failed; err == nil {
			err = s.sameSignUp(ctx, a, r)
		}
	}
	if err != nil {
		return grant, err
	}
	grant, err = s.beginOnce(ctx, userID, "signup", r.RequestID, "") // returns the login of the commit
	if gotong.CodeOf(err) == gotong.CodeConflict {                   // the first login has ended; a retry gets another
		grant, err = s.begin(ctx, userID)
	}
	if err == nil && !receipt.Replayed {
		s.note(WithOrigin(ctx, Origin{r.Address, r.RequestID, r.Agent}), userID, ActSignedUp, grant.LoginID)
	}
	grant.Username, grant.Replayed = r.Username, receipt.Replayed
	return grant, err
}

// signUpRegisters returns the registers that a sign-up writes with its commit:
// the account, its first login and the record of the request. If the account
// exists, it returns none, and an error unless this sign-up created it.
func (s *Service) signUpRegisters(ctx context.Context, userID string, r SignUp) ([]gotong.RegisterChange, error) {
	a, version, err := s.account(ctx, userID)
	if err != nil {
		return nil, err
	}
	if version > 0 {
		return nil, s.sameSignUp(ctx, a, r)
	}
	address, err := s.takes(ctx, userID, r.Email)
	if err != nil {
		return nil, err
	}
	hash, err := s.passwords.Hash(ctx, r.Pass)
	if err != nil {
		return nil, err
	}
	now := s.now()
	id := newID(now).String()
	key, seal := s.begunKey(userID, "signup", r.RequestID, "")
	made := account{Email: r.Email, Username: r.Username, CommunityID: r.CommunityID, Hash: hash, CreatedAt: now}
	first := login{Generation: 1, RotatedAt: now, Standing: 1, Agent: agent(r.Agent)}
	own, err1 := change(accountKey(userID), 0, made, 0)
	entry, err2 := change(loginKey(userID, id), 0, first, now.Add(s.opts.RefreshLife))
	done, err3 := change(key, 0, begun{id, seal}, now.Add(again))
	return []gotong.RegisterChange{own, address, entry, done}, errors.Join(err1, err2, err3)
}

func (s *Service) checkSignUp(r SignUp) (data any, err error) {
	if !gotong.ValidRequestID(r.RequestID) {
		return nil, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	data = s.opts.Users.Register(r.Email, r.Username, r.CommunityID)
	if err := gotong.Validate(data); err != nil {
		return nil, err
	}
	var check gotong.Check
	text.Password.Check(&check, "pass", r.Pass)
	return data, check.Err()
}

// raw returns what the fingerprint of a sign-up covers: its fields except the
// password, each after its length.
func (r *SignUp) raw() []byte {
	var b []byte
	for _, field := range [...]string{"gotong sign-up v1", r.Email, r.Username, r.CommunityID} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field))) //nolint:gosec // bounded by the edge
		b = append(b, field...)
	}
	return b
}

func reused() error {
	return gotong.NewError(gotong.CodeReused, "This request id was used for another request; use a new one.")
}

// sameSignUp returns nil if r repeats the sign-up that created the account, and
// [gotong.CodeReused] otherwise. A wrong password counts as a guess.
func (s *Service) sameSignUp(ctx context.Context, a account, r SignUp) error {
	if a.Email != r.Email || a.Username != r.Username || a.CommunityID != r.CommunityID {
		return reused()
	}
	address := addressKey(r.Address)
	if err := slowed(s.addresses.wait(ctx, address)); err != nil {
		return err
	}
	same, err := s.passwords.Check(ctx, r.Pass, a.Hash)
	if err == nil && !same {
		return cmp.Or(s.guessed(ctx, address), reused())
	}
	return err
}

// SignIn is a request to create a login. Without a RequestID it cannot be
// retried. Address is the client's, for limits; Device is the device token of an
// earlier sign-in, if there is one.
type SignIn struct {
	RequestID string
	Email     string
	Pass      string
	Device    string
	Address   string
	Agent     string // what the client calls itself
	Count     Count
}

// SignIn creates a login. For ten minutes, a retry with the same request id
// returns the same login. The error of a retry is [gotong.CodeReused] if the e-mail
// address is written in another way, and [gotong.CodeConflict] if the login has
// ended or was refreshed. An unknown address takes as much time as a wrong password
// and has the same error, [gotong.CodeUnauthorized]. After many failures the error
// is [gotong.CodeRateLimited], with the time to wait.
func (s *Service) SignIn(ctx context.Context, r SignIn) (grant Grant, err error) {
	defer func() { s.attempted("signin", err) }()
	tooLong := len(r.Pass) > maxTyped || len(r.Email) > maxTyped
	if !tooLong {
		r.Pass = text.Password.Clean(r.Pass)
	}
	noText := strings.Contains(r.Email, "\x00") // some databases do not even look for it
	if tooLong || noText || r.Pass == "" || utf8.RuneCountInString(r.Pass) > text.Password.Most {
		return grant, cmp.Or(r.Count(ctx, ""), wrongPassword())
	}
	at, err := s.begins(ctx, r)
	if err != nil {
		return grant, err
	}
	userID, a, err := s.accountOf(ctx, at.claim)
	same := false
	if err == nil {
		same, err = s.passwords.Check(ctx, r.Pass, a.Hash)
	}
	ctx = WithOrigin(ctx, Origin{r.Address, r.RequestID, r.Agent})
	switch {
	case err != nil:
		s.undo(ctx, at)
		return grant, err
	case !same:
		s.note(ctx, userID, ActSignInFailed, "")
		if at.device != "" {
			return grant, wrongPassword()
		}
		return grant, cmp.Or(s.guessed(ctx, at.address), wrongPassword())
	case at.device != "":
		s.undo(ctx, at)
	default:
		s.accounts.clear(ctx, at.claim.Name)
	}
	return s.enter(ctx, userID, a, r)
}

// attempt is a sign-in that was counted: for its device token, or without one
// for the account.
type attempt struct {
	claim          gotong.Claim
	address        string
	userID, device string // of the device token; empty without one that counts
}

// begins counts a sign-in before its result is known, so that many at once
// cannot exceed the limit.
func (s *Service) begins(ctx context.Context, r SignIn) (attempt, error) {
	at := attempt{claim: s.opts.Users.EmailClaim(r.Email), address: addressKey(r.Address)}
	known, err := s.byDevice(ctx, r, &at)
	if known || err != nil {
		return at, err
	}
	if err := r.Count(ctx, ""); err != nil {
		return at, err
	}
	if wait, err := s.addresses.wait(ctx, at.address); err != nil || wait > 0 {
		return at, slowed(wait+spread(wait+1), err) // many clients may share one address
	}
	return at, slowed(s.accounts.count(ctx, at.claim.Name))
}

// byDevice counts a sign-in for its device token. It reports false if the sign-in
// has no valid device token of the account that it names.
func (s *Service) byDevice(ctx context.Context, r SignIn, at *attempt) (bool, error) {
	userID, id, ok := s.parseDevice(r.Device)
	if !ok {
		return false, nil
	}
	if err := r.Count(ctx, id); err != nil {
		return false, err
	}
	holder, _, err := Holder(ctx, s.opts.Store, at.claim)
	if err != nil {
		return false, err
	}
	if holder != userID {
		return false, nil
	}
	ok, err = s.holdDevice(ctx, userID, id)
	if ok {
		at.userID, at.device = userID, id
	}
	return ok, err
}

// undo takes back a counted attempt that was no guess.
func (s *Service) undo(ctx context.Context, at attempt) {
	if at.device != "" {
		s.freeDevice(ctx, at.userID, at.device)
		return
	}
	s.accounts.undo(ctx, at.claim.Name)
}

// enter creates a login of a user who has proved their identity.
func (s *Service) enter(ctx context.Context, userID string, a account, r SignIn) (grant Grant, err error) {
	if r.RequestID == "" {
		grant, err = s.begin(ctx, userID)
	} else {
		grant, err = s.beginOnce(ctx, userID, "signin", r.RequestID, r.Email)
	}
	switch {
	case gotong.CodeOf(err) == gotong.CodeUnauthorized:
		s.note(ctx, userID, ActSignInFailed, "")
	case err == nil && !grant.Replayed:
		s.note(ctx, userID, ActSignedIn, grant.LoginID)
	}
	grant.Username = a.Username
	return grant, err
}

func slowed(wait time.Duration, err error) error {
	if err == nil && wait > 0 {
		err = Later(wait, "Too many attempts; wait before the next.")
	}
	return err
}

// guessed counts a wrong password for an address.
func (s *Service) guessed(ctx context.Context, address string) error {
	_, err := s.addresses.count(ctx, address)
	return err
}

func wrongPassword() error { return unauthorized("The e-mail address or the password is wrong.") }
