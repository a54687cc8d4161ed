package auth

import (
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
	"gotong.dev/gotong/internal/store"
)

// recheck is how long a token that was valid is trusted without looking at
// registers again.
const recheck = time.Second

// Principal is who a token speaks for.
type Principal struct {
	UserID   string
	Username string // empty for tokens of others without an account here
	Role     gotong.Role
	LoginID  string         // what OnLoginEnd names
	TokenID  string         // jti; empty for tokens without
	Expires  gotong.Instant // when the token stops being accepted; for tokens of others, with some leeway
	issued   gotong.Instant // of a token of others; 0 where it does not say
	foreign  bool           // the token was not made here
	standing uint64         // the account's version when the registers were looked at; 0 without one
}

// Actor is the principal as events keep it.
func (p Principal) Actor() gotong.Actor { return gotong.Actor{UserID: p.UserID, Role: p.Role} }

// Verify tells who an access token speaks for: [gotong.CodeUnauthorized] where
// it speaks for nobody, or no longer. Where the store does not answer, nobody
// gets in.
func (s *Service) Verify(ctx context.Context, token string) (Principal, error) {
	if s.bypasses(token) {
		return s.bypass(ctx)
	}
	key := sha256.Sum256([]byte(token))
	if v, ok := s.verified.get(key); ok && v.principal.Expires > s.now() && s.verified.fresh(v, s.mono()) {
		s.opts.Observer.Verified("cached")
		return v.principal, nil
	}
	p, err := s.verified.once(ctx, key, func(ctx context.Context) (Principal, error) {
		return s.check(ctx, token, key)
	})
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

// check verifies a token in full and keeps the result.
func (s *Service) check(ctx context.Context, token string, key [32]byte) (Principal, error) {
	c, foreign, err := s.tokens.parse(token)
	if err != nil {
		return Principal{}, unauthorized("The token is not valid, or no longer.")
	}
	p := Principal{
		UserID: c.Subject, Role: c.Role, LoginID: c.Login, TokenID: c.ID, Expires: c.until, foreign: foreign,
	}
	if foreign {
		p.LoginID = foreignLogin(token)
		if c.Issued != nil {
			p.issued = max(1, gotong.InstantOf(c.Issued.Time))
		}
	}
	epoch := s.verified.epoch(p.UserID)
	if p, err = s.admit(ctx, p); err != nil {
		return Principal{}, err
	}
	s.verified.use(p.LoginID, s.mono())
	s.verified.put(key, verdict{p, s.mono(), epoch})
	return p, nil
}

// foreignLogin names what ends where a token of others is logged out. It is
// made of what is signed, because some signatures can be written in another way
// that is as good.
func foreignLogin(token string) string {
	if at := strings.LastIndexByte(token, '.'); at > 0 {
		token = token[:at]
	}
	sum := sha256.Sum256([]byte(token))
	return "token-" + hex.EncodeToString(sum[:16])
}

// admit looks at the registers behind a principal whose token is genuine.
func (s *Service) admit(ctx context.Context, p Principal) (Principal, error) {
	if !gotong.ValidID(p.UserID) {
		return p, unauthorized("The token names no user.")
	}
	if p.foreign {
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
	p.Username, p.standing = s.name(ctx, p.UserID), st.Version
	return p, nil
}

// admitForeign: the role of a token of others counts as far as it is one of a
// person, and does not contradict the account where there is one here.
func (s *Service) admitForeign(ctx context.Context, p Principal) (Principal, error) {
	reg, err := store.ReadRegister(ctx, s.opts.Store, revocationKey(p.LoginID))
	if err != nil || reg.Version > 0 {
		return p, errOr(store.CodedWrite(err), unauthorized("The token was revoked."))
	}
	if before, err := s.issuedBefore(ctx, p.issued); err != nil || before {
		return p, errOr(err, unauthorized("An operator ended all logins after the token was issued; get a new one."))
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
	p.Username, p.standing = s.name(ctx, p.UserID), st.Version
	return p, nil
}

// verdict is what was found out about a token, and when.
type verdict struct {
	principal Principal
	at        clock.Moment
	epoch     uint64 // of the user, from before the registers were read
}

// verified remembers verdicts, so many and no more: each shard keeps the ones
// of now and of before, and drops the older half when it is full.
type verified struct {
	shards [16]shard
	epochs [256]atomic.Uint64
	seed   maphash.Seed
	flight singleflight.Group

	useMu         sync.Mutex
	used, usedOld map[string]clock.Moment // when a token of a login was checked last
}

type shard struct {
	mu       sync.RWMutex
	now, old map[[32]byte]verdict
}

// maxShard is how many verdicts half a shard keeps: 65,536 in all.
const maxShard = 2048

func newVerified() *verified { return &verified{seed: maphash.MakeSeed()} }

// forget makes every verdict about this user stale, at once.
func (v *verified) forget(userID string) { v.counter(userID).Add(1) }

func (v *verified) epoch(userID string) uint64 { return v.counter(userID).Load() }

// counter is shared by some users: forgetting one then costs others a look.
func (v *verified) counter(userID string) *atomic.Uint64 {
	return &v.epochs[maphash.String(v.seed, userID)%uint64(len(v.epochs))]
}

func (v *verified) fresh(d verdict, now clock.Moment) bool {
	return now.Sub(d.at) < recheck && d.epoch == v.epoch(d.principal.UserID)
}

// idle is how long ago a token of the login was last checked here, if
// that is known; else longer than anything.
func (v *verified) idle(login string, now clock.Moment) time.Duration {
	v.useMu.Lock()
	defer v.useMu.Unlock()
	at, ok := v.used[login]
	if !ok {
		at = v.usedOld[login]
	}
	return now.Sub(at)
}

// use notes that a token of the login was checked.
func (v *verified) use(login string, now clock.Moment) {
	v.useMu.Lock()
	defer v.useMu.Unlock()
	if v.used == nil || len(v.used) >= maxUsed {
		v.usedOld, v.used = v.used, map[string]clock.Moment{}
	}
	v.used[login] = now
}

// maxUsed is of how many logins half of what is noted is.
const maxUsed = 32768

func (v *verified) shard(key [32]byte) *shard { return &v.shards[key[0]%byte(len(v.shards))] }

func (v *verified) get(key [32]byte) (verdict, bool) {
	s := v.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.now[key]
	if !ok {
		d, ok = s.old[key]
	}
	return d, ok
}

func (v *verified) put(key [32]byte, d verdict) {
	s := v.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || len(s.now) >= maxShard {
		s.old, s.now = s.now, map[[32]byte]verdict{}
	}
	s.now[key] = d
}

// once lets one of several callers with one token do the check. It goes on
// where that one gives up, because the others wait for it.
func (v *verified) once(
	ctx context.Context, key [32]byte, check func(context.Context) (Principal, error),
) (Principal, error) {
	done := v.flight.DoChan(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return check(ctx)
	})
	select {
	case r := <-done:
		p, _ := r.Val.(Principal)
		return p, r.Err
	case <-ctx.Done():
		return Principal{}, gotong.NewError(gotong.CodeBusy, "The request was given up before its token was verified.")
	}
}
