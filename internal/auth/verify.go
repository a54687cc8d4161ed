package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
)

// recheck is how long a token that was valid is accepted without reading registers
// again.
const recheck = time.Second

// Principal is the user that a token speaks for. Tickets keep it.
type Principal struct {
	UserID   string         `json:"user_id"`
	Username string         `json:"-"` // empty for a user of another issuer who has no account here
	Role     gotong.Role    `json:"role"`
	LoginID  string         `json:"login_id"`          // as OnLoginEnd reports it
	TokenID  string         `json:"token_id"`          // jti; may be empty
	Expires  gotong.Instant `json:"expires"`           // when the token stops being accepted, with the leeway of a foreign one
	Foreign  bool           `json:"foreign,omitempty"` // another issuer signed the token
	Issued   gotong.Instant `json:"issued,omitempty"`  // iat of a foreign token; 0 if it has none
	standing uint64         // the account's version when it was last read; 0 without an account
}

// Verify returns the principal of an access token. The error is
// [gotong.CodeUnauthorized] if the token is not valid, or no longer. If the store does
// not answer, every token is rejected.
func (s *Service) Verify(ctx context.Context, token string) (Principal, error) {
	if s.bypasses(token) {
		return s.bypass(ctx)
	}
	key := sha256.Sum256([]byte(token))
	if v, ok := s.cached(key); ok {
		s.opts.Observer.Verified("cached")
		return v.principal, nil
	}
	v, err := once(ctx, &s.verified.flight, string(key[:]), func(ctx context.Context) (verdict, error) {
		if v, ok := s.cached(key); ok { // a check ended between the look above and this one
			return v, nil
		}
		return s.check(ctx, token, key)
	})
	if err == nil && v.epoch != s.verified.epoch(v.principal.UserID) {
		v, err = s.check(ctx, token, key) // a login may have ended before this call and after the shared read
	}
	p := v.principal
	if err == nil && p.Expires <= s.now() {
		err = unauthorized("The token has expired.")
	}
	if err != nil {
		s.opts.Observer.Verified("refused")
		return Principal{}, err
	}
	s.opts.Observer.Verified("checked")
	return p, nil
}

// cached returns the verdict of a check that still holds.
func (s *Service) cached(key [32]byte) (verdict, bool) {
	v, ok := s.verified.shard(key).get(key)
	return v, ok && v.principal.Expires > s.now() && s.verified.fresh(v, s.mono())
}

// check verifies a token in full and caches the result.
func (s *Service) check(ctx context.Context, token string, key [32]byte) (verdict, error) {
	c, foreign, err := s.tokens.parse(token)
	if err != nil {
		return verdict{}, unauthorized("The token is not valid, or no longer.")
	}
	p := Principal{
		UserID: c.Subject, Role: c.Role, LoginID: c.Login, TokenID: c.ID, Expires: c.Expires, Foreign: foreign,
	}
	if foreign {
		p.LoginID, p.Issued = foreignLogin(token), c.Issued
	}
	epoch := s.verified.epoch(p.UserID)
	if p, err = s.admit(ctx, p); err != nil {
		return verdict{}, err
	}
	s.verified.used.put(p.LoginID, s.mono())
	v := verdict{p, s.mono(), epoch}
	s.verified.shard(key).put(key, v)
	return v, nil
}

// foreignLogin returns the login id of a token of another issuer. It is derived from
// the signed part alone, because some signatures have a second valid form.
func foreignLogin(token string) string {
	if at := strings.LastIndexByte(token, '.'); at > 0 {
		token = token[:at]
	}
	sum := sha256.Sum256([]byte(token))
	return "token-" + hex.EncodeToString(sum[:16])
}

// admit reads the registers behind a principal whose token is genuine, and returns
// the principal with its user name.
func (s *Service) admit(ctx context.Context, p Principal) (Principal, error) {
	if !gotong.ValidID(p.UserID) {
		return p, unauthorized("The token names no user.")
	}
	if p.Foreign {
		return s.admitForeign(ctx, p)
	}
	l, err := s.use(ctx, p)
	if err != nil {
		return p, err
	}
	st, known, err := s.standing(ctx, p.UserID)
	switch {
	case err != nil:
		return p, err
	case !known || !st.Enabled || st.Version != l.Standing || st.Role != p.Role:
		return p, loginOver()
	}
	p.Username, p.standing = s.username(ctx, p.UserID), st.Version
	return p, nil
}

// admitForeign is admit for a token of another issuer. Its role must be one of a
// person and, if the user has an account here, the role of that account.
func (s *Service) admitForeign(ctx context.Context, p Principal) (Principal, error) {
	revoked, err := load(ctx, s.opts.Store, revocationKey(p.LoginID), &revocation{})
	if err != nil || revoked > 0 {
		return p, cmp.Or(err, unauthorized("The token was revoked."))
	}
	if before, err := s.issuedBefore(ctx, p.Issued); err != nil || before {
		return p, cmp.Or(err, unauthorized("An operator ended all logins after the token was issued; get a new one."))
	}
	st, known, err := s.standing(ctx, p.UserID)
	switch {
	case err != nil:
		return p, err
	case known && !st.Enabled:
		return p, unauthorized("This account is disabled.")
	case known && p.Role == "":
		p.Role = st.Role
	case known && p.Role != st.Role:
		return p, unauthorized("The role has changed; get a new token.")
	case p.Role == "":
		p.Role = gotong.RoleUser
	}
	if p.Role != gotong.RoleUser && p.Role != gotong.RoleModerator && p.Role != gotong.RoleAdmin {
		return p, unauthorized("The token's role is not one of a person.")
	}
	p.Username, p.standing = s.username(ctx, p.UserID), st.Version
	return p, nil
}

// verdict is the result of checking a token at a moment.
type verdict struct {
	principal Principal
	at        clock.Moment
	epoch     uint64 // of the user, from before the registers were read
}

type verified struct {
	shards [16]recent[[32]byte, verdict]
	epochs [256]atomic.Uint64
	seed   maphash.Seed
	flight singleflight.Group
	used   recent[string, clock.Moment] // when a token of a login was last checked on this node
}

const (
	maxShard = 2048  // verdicts in half a shard: 65,536 in all
	maxUsed  = 32768 // logins in half of used
)

func newVerified() *verified {
	v := &verified{seed: maphash.MakeSeed()}
	v.used.half = maxUsed
	for i := range v.shards {
		v.shards[i].half = maxShard
	}
	return v
}

// forget invalidates every verdict about this user at once.
func (v *verified) forget(userID string) { v.counter(userID).Add(1) }

func (v *verified) epoch(userID string) uint64 { return v.counter(userID).Load() }

// counter returns the epoch of a user. Some users share one: if one of them is
// forgotten, the tokens of the others are checked once more.
func (v *verified) counter(userID string) *atomic.Uint64 {
	return &v.epochs[maphash.String(v.seed, userID)%uint64(len(v.epochs))]
}

func (v *verified) fresh(d verdict, now clock.Moment) bool {
	return now.Sub(d.at) < recheck && d.epoch == v.epoch(d.principal.UserID)
}

// idle returns how long ago a token of the login was last checked on this node,
// and longer than any such time if that is not known.
func (v *verified) idle(loginID string, now clock.Moment) time.Duration {
	at, _ := v.used.get(loginID)
	return now.Sub(at)
}

func (v *verified) shard(key [32]byte) *recent[[32]byte, verdict] {
	return &v.shards[key[0]%byte(len(v.shards))]
}

// recent is a cache of two halves with at most half entries each. When the newer
// half is full, it replaces the older one. An entry that is used moves from the
// older half to the newer one.
type recent[K comparable, V any] struct {
	half     int
	mu       sync.RWMutex
	now, old map[K]V
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	v, ok := r.now[key]
	_, older := r.old[key]
	r.mu.RUnlock()
	if ok || !older {
		return v, ok
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok = r.now[key]; ok { // put meanwhile
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.add(key, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(key, v)
}

// add is put for a caller that holds r.mu.
func (r *recent[K, V]) add(key K, v V) {
	if r.now == nil || len(r.now) >= r.half {
		r.old, r.now = r.now, map[K]V{}
	}
	r.now[key] = v
}

// once returns the result of look, which runs once for all callers that wait
// for the same key. A caller whose context ends gets [gotong.CodeBusy]; look goes
// on for the others, for at most five seconds.
func once[T any](ctx context.Context, flight *singleflight.Group, key string, look func(context.Context) (T, error)) (T, error) {
	done := flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return look(ctx)
	})
	select {
	case r := <-done:
		v, _ := r.Val.(T)
		return v, r.Err
	case <-ctx.Done():
		var none T
		return none, gotong.NewError(gotong.CodeBusy, "The request ended before its token was verified.")
	}
}
