package auth

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
)

// account is the register of what the log must not hold.
type account struct {
	Email       string         `json:"email,omitempty"`
	Username    string         `json:"username,omitempty"`
	CommunityID string         `json:"community_id,omitempty"`
	Hash        string         `json:"hash"`
	CreatedAt   gotong.Instant `json:"created_at"`
}

func accountKey(userID string) gotong.Key { return gotong.Key{Collection: accountsName, Owner: userID} }

// account reads one and its version; the zero account where there is none.
func (s *Service) account(ctx context.Context, userID string) (a account, version uint64, err error) {
	version, err = load(ctx, s.opts.Store, accountKey(userID), &a)
	return a, version, err
}

// SignUp is the request for an account. Address is the client's, for limits.
type SignUp struct {
	RequestID     string
	CorrelationID string
	Email         string
	Pass          string
	Username      string
	CommunityID   string
	Address       string
}

// maxTyped bounds, in bytes, what is normalised at all.
const maxTyped = 4 << 10

// SignUp makes an account and begins its first login, in one transaction. The
// same request id always names the same account: with the same fields and
// password it is answered again and sets nothing, with others it is
// [gotong.CodeReused]. A taken address or user name is [gotong.CodeExists].
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
	if err == nil && receipt.Replayed && registers != nil { // a twin was first, perhaps with another password
		a, _, failed := s.account(ctx, userID)
		if err = failed; err == nil {
			err = s.sameSignUp(ctx, a, r)
		}
	}
	if err != nil {
		return grant, err
	}
	grant, err = s.beginOnce(ctx, userID, "signup", r.RequestID, "") // answers with the login of the commit
	if gotong.CodeOf(err) == gotong.CodeConflict {                   // the account is what was asked for; its first login is over
		grant, err = s.begin(ctx, userID)
	}
	if err == nil && !receipt.Replayed {
		s.note(WithOrigin(ctx, Origin{r.Address, r.RequestID}), userID, ActSignedUp, grant.LoginID)
	}
	grant.Username, grant.Replayed = r.Username, receipt.Replayed
	return grant, err
}

// signUpRegisters returns what a sign-up writes with its commit: the account
// and its first login. It returns nothing where the account exists, after
// checking that this sign-up made it.
func (s *Service) signUpRegisters(ctx context.Context, userID string, r SignUp) ([]gotong.RegisterChange, error) {
	a, version, err := s.account(ctx, userID)
	if err != nil {
		return nil, err
	}
	if version > 0 {
		return nil, s.sameSignUp(ctx, a, r)
	}
	hash, err := s.passwords.Hash(ctx, r.Pass)
	if err != nil {
		return nil, err
	}
	now := s.now()
	id := newID(now).String()
	key, seal := s.begunKey(userID, "signup", r.RequestID, "")
	body, err1 := json.Marshal(account{r.Email, r.Username, r.CommunityID, hash, now})
	first, err2 := json.Marshal(login{Generation: 1, RotatedAt: now, Standing: 1})
	done, err3 := json.Marshal(begun{id, seal})
	return []gotong.RegisterChange{
		{Key: accountKey(userID), Body: body},
		{Key: loginKey(userID, id), Body: first, Expires: now.Add(s.opts.RefreshLife)},
		{Key: key, Body: done, Expires: now.Add(again)},
	}, errors.Join(err1, err2, err3)
}

func (s *Service) checkSignUp(r SignUp) (data any, err error) {
	if !gotong.ValidRequestID(r.RequestID) {
		return nil, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	data = s.opts.Users.Register(r.Email, r.Username, r.CommunityID)
	if v, ok := data.(gotong.Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	var check gotong.Check
	text.Password.Check(&check, "pass", r.Pass)
	return data, check.Err()
}

// raw is what the fingerprint of a sign-up covers: its fields but the
// password, each with its length before it.
func (r *SignUp) raw() []byte {
	var b []byte
	for _, field := range [...]string{"gotong sign-up v1", r.Email, r.Username, r.CommunityID} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field))) //nolint:gosec // bounded by the gate
		b = append(b, field...)
	}
	return b
}

func reused() error {
	return gotong.NewError(gotong.CodeReused, "This request id was used for another request; use a new one.")
}

// sameSignUp compares a retry with what an earlier try wrote. A wrong password
// counts as a guess.
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

// SignIn is the request for a login. RequestID may be empty: then it cannot
// be repeated. Address is the client's, for limits; Device is the device token
// of an earlier sign-in, if there is one.
type SignIn struct {
	RequestID string
	Email     string
	Pass      string
	Device    string
	Address   string
	Count     Count
}

// SignIn begins a login. For ten minutes the same request id of the same
// account is answered with the same login; with the address written in
// another way it is [gotong.CodeReused], and where that login ended or moved
// on, [gotong.CodeConflict]. An unknown address costs as much time as a wrong
// password and is answered the same: [gotong.CodeUnauthorized]. Who fails often
// gets [gotong.CodeRateLimited] with a time to wait.
func (s *Service) SignIn(ctx context.Context, r SignIn) (grant Grant, err error) {
	defer func() { s.attempted("signin", err) }()
	tooLong := len(r.Pass) > maxTyped || len(r.Email) > maxTyped
	if !tooLong {
		r.Pass = text.Password.Clean(r.Pass)
	}
	if tooLong || r.Pass == "" || utf8.RuneCountInString(r.Pass) > text.Password.Most {
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
	ctx = WithOrigin(ctx, Origin{r.Address, r.RequestID})
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

// attempt is a sign-in that was counted: with a device token against that, else
// against the account.
type attempt struct {
	claim          gotong.Claim
	address        string
	userID, device string // of the device token; empty without one that counts
}

// begins counts a sign-in before it is known to fail, so that many at once do
// not slip through.
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
		return at, slowed(wait+spread(wait+1), err) // many may be behind one address
	}
	return at, slowed(s.accounts.count(ctx, at.claim.Name))
}

// byDevice counts a sign-in with a device token of the account that it names.
// It reports false where it has none that counts.
func (s *Service) byDevice(ctx context.Context, r SignIn, at *attempt) (bool, error) {
	userID, id, ok := s.parseDevice(r.Device)
	if !ok {
		return false, nil
	}
	if err := r.Count(ctx, id); err != nil {
		return false, err
	}
	snap, err := s.opts.Store.Load(ctx, store.Need{Claims: []gotong.Claim{at.claim}})
	if err != nil {
		return false, store.CodedWrite(err)
	}
	if snap.Claims[at.claim] != userStream(userID) {
		return false, nil
	}
	ok, err = s.holdDevice(ctx, userID, id)
	if ok {
		at.userID, at.device = userID, id
	}
	return ok, err
}

// undo takes a counted attempt back, which was no guess.
func (s *Service) undo(ctx context.Context, at attempt) {
	if at.device != "" {
		s.freeDevice(ctx, at.userID, at.device)
		return
	}
	s.accounts.undo(ctx, at.claim.Name)
}

// enter begins the login of somebody who proved who he is.
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

// slowed is what somebody hears who has to wait.
func slowed(wait time.Duration, err error) error {
	if err == nil && wait > 0 {
		err = later(wait, "Too many attempts; wait before the next.")
	}
	return err
}

// guessed counts a wrong password against an address.
func (s *Service) guessed(ctx context.Context, address string) error {
	_, err := s.addresses.count(ctx, address)
	return err
}

func wrongPassword() error { return unauthorized("The e-mail address or the password is wrong.") }

// accountOf finds the account that holds a claim. For one that does not exist
// it reads as much, and returns the zero account.
func (s *Service) accountOf(ctx context.Context, claim gotong.Claim) (string, account, error) {
	snap, err := s.opts.Store.Load(ctx, store.Need{Claims: []gotong.Claim{claim}})
	if err != nil {
		return "", account{}, store.CodedWrite(err)
	}
	userID := gotong.Anonymous().UserID
	if stream, ok := snap.Claims[claim]; ok {
		userID = stream.ID()
	}
	a, _, err := s.account(ctx, userID)
	return userID, a, err
}
