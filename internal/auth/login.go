package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// grace is how long a spent refresh token returns the same successor again: two
// tabs may send it at once, or a response may be lost.
const grace = 10 * time.Second

// maxLogins is how many logins one account may have. Beyond it, the one that has
// been unused for longest ends.
const maxLogins = 32

// Grant is the result of a sign-in or a refresh: tokens, and the user they are for.
type Grant struct {
	AccessToken  string
	RefreshToken string
	DeviceToken  string // of a sign-up or sign-in: for the next sign-in on this device
	UserID       string
	Username     string
	Role         gotong.Role
	LoginID      string
	Expires      gotong.Instant // of the access token
	Replayed     bool           // an earlier request got the same
}

// login is the register of a login. Its refresh tokens are numbered by generation.
// None is stored, and none can be derived from the register alone.
type login struct {
	Generation uint64         `json:"generation"`           // of the current refresh token
	Parent     uint64         `json:"parent"`               // of the refresh token that was exchanged for it; 0 at first
	UsedAt     gotong.Instant `json:"used_at,omitempty"`    // when an access token issued beside it was first used
	Superseded []span         `json:"superseded,omitempty"` // those before Parent; between Parent and Generation, all are superseded
	Forgotten  uint64         `json:"forgotten,omitempty"`  // access tokens up to this one are rejected: the spans before it were dropped
	RotatedAt  gotong.Instant `json:"rotated_at"`
	Standing   uint64         `json:"standing"` // the account's version when the login was created or last renewed
	Agent      string         `json:"agent,omitempty"`
}

// span is a range of generations that were superseded before anybody used them.
type span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// maxSpans is how many spans a login keeps.
const maxSpans = 8

// next returns the login after an exchange of a refresh token: of the current one
// or, if nobody used that, of its parent.
func (s login) next(exchanged uint64, now gotong.Instant) login {
	spans, forgotten := s.Superseded, s.Forgotten
	if exchanged == s.Generation && s.Generation > s.Parent+1 {
		spans = append(slices.Clip(spans), span{s.Parent + 1, s.Generation - 1})
		if len(spans) > maxSpans {
			spans, forgotten = spans[1:], spans[0].To
		}
	}
	return login{
		Generation: s.Generation + 1, Parent: exchanged, Superseded: spans, Forgotten: forgotten, RotatedAt: now,
		Standing: s.Standing, Agent: s.Agent,
	}
}

// superseded reports whether a generation was replaced before anybody used it. If
// it is used after all, two clients have the login.
func (s *login) superseded(generation uint64) bool {
	return s.Parent < generation && generation < s.Generation ||
		slices.ContainsFunc(s.Superseded, func(v span) bool { return v.From <= generation && generation <= v.To })
}

func (s *login) lastUse() gotong.Instant { return max(s.RotatedAt, s.UsedAt) }

// maxAgent bounds what is kept of the name that a client gives itself, in bytes.
const maxAgent = 200

func agent(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxAgent)], "")
}

func loginKey(userID, id string) gotong.Key {
	return gotong.Key{Collection: loginsName, Owner: userID, Name: id}
}

// begin creates a login of an account whose owner has proved their identity.
func (s *Service) begin(ctx context.Context, userID string) (Grant, error) {
	st, known, err := s.standing(ctx, userID)
	switch {
	case err != nil:
		return Grant{}, err
	case !known || !st.Enabled:
		return Grant{}, unauthorized("This account is disabled.")
	}
	if err := s.makeRoomForLogin(ctx, userID); err != nil {
		return Grant{}, err
	}
	now := s.now()
	id := newID(now).String()
	from, _ := ctx.Value(originKey{}).(Origin)
	l := login{Generation: 1, RotatedAt: now, Standing: st.Version, Agent: agent(from.Agent)}
	if err := s.putLogin(ctx, userID, id, 0, l); err != nil {
		return Grant{}, store.CodedWrite(err)
	}
	grant, err := s.grant(userID, id, l, st)
	grant.DeviceToken = s.deviceToken(userID, id)
	return grant, err
}

// grant returns the tokens of a login's current generation, always the same to the
// byte.
func (s *Service) grant(userID, id string, l login, st Standing) (Grant, error) {
	access, expires, err := s.tokens.access(userID, id, st.Role, l)
	return Grant{
		AccessToken: access, RefreshToken: s.refreshToken(userID, id, l.Generation),
		UserID: userID, Role: st.Role, LoginID: id, Expires: expires,
	}, err
}

func (s *Service) putLogin(ctx context.Context, userID, id string, expect uint64, l login) error {
	return save(ctx, s.opts.Store, loginKey(userID, id), expect, l, l.RotatedAt.Add(s.opts.RefreshLife))
}

// makeRoomForLogin ends the logins that have been unused for longest if the account
// has too many. Those with an open connection end last.
func (s *Service) makeRoomForLogin(ctx context.Context, userID string) error {
	list, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
		Collection: loginsName, Owner: userID, From: "0", To: "g", Limit: maxLogins + 8,
	})
	if err != nil {
		return store.CodedWrite(err)
	}
	if len(list) < maxLogins {
		return nil
	}
	type candidate struct {
		id        string
		connected bool
		idle      time.Duration // by the register, or shorter if this node saw a later use
		seen      time.Duration // since its last use on this node
	}
	connected, candidates := s.opts.Connected(userID), make([]candidate, len(list))
	for i, reg := range list {
		var l login
		if err := decode(reg, &l); err != nil {
			return err
		}
		id := reg.Key.Name
		seen := s.verified.idle(id, s.mono())
		candidates[i] = candidate{id, connected[id], min(s.age(l.lastUse()), seen), seen}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		switch {
		case a.connected && !b.connected:
			return 1
		case b.connected && !a.connected:
			return -1
		}
		return cmp.Or(cmp.Compare(b.idle, a.idle), cmp.Compare(b.seen, a.seen))
	})
	for _, c := range candidates[:len(list)-maxLogins+1] {
		if _, err := s.endLogin(ctx, userID, c.id); err != nil {
			return err
		}
	}
	return nil
}

// refreshToken returns r1.<generation>.<login>.<user>.<mac>. The server can make it
// again without storing it, because the MAC is made with the server's key.
func (s *Service) refreshToken(userID, id string, generation uint64) string {
	return s.tokens.seal("r1", strconv.FormatUint(generation, 10), id, userID)
}

// parseRefresh reads a refresh token, and reports false unless this server made it.
func (s *Service) parseRefresh(token string) (userID, id string, generation uint64, ok bool) {
	field, ok := s.tokens.unseal(token, "r1", 4)
	if !ok {
		return "", "", 0, false
	}
	generation, err := strconv.ParseUint(field[1], 10, 63)
	return field[3], field[2], generation, err == nil
}

// Count spends one unit of an allowance before a request is processed: of the login
// that the caller has proved to hold or, if login is empty, of the caller's address.
// It returns an error if the allowance is used up.
type Count func(ctx context.Context, login string) error

// Refresh exchanges a refresh token for new tokens. For ten seconds, the same token
// returns the same result. After that, it returns other tokens if nobody has used
// the first ones, which are then spent. Any other use of a spent token shows that
// two clients have the login, and ends it.
func (s *Service) Refresh(ctx context.Context, token string, count Count) (grant Grant, err error) {
	defer func() { s.attempted("refresh", err) }()
	userID, id, generation, ok := s.parseRefresh(token)
	if !ok {
		return grant, cmp.Or(count(ctx, ""), loginOver())
	}
	if err := count(ctx, id); err != nil {
		return grant, err
	}
	err = retry(func() (err error) {
		grant, err = s.rotate(ctx, userID, id, generation)
		return err
	})
	if err != nil {
		return Grant{}, err
	}
	a, _, err := s.account(ctx, userID)
	grant.Username = a.Username
	return grant, err
}

func loginOver() error { return unauthorized("The login has ended; sign in again.") }

// rotate tries once to exchange the refresh token of this generation.
func (s *Service) rotate(ctx context.Context, userID, id string, generation uint64) (Grant, error) {
	l, version, err := s.login(ctx, userID, id)
	if err != nil || version == 0 {
		return Grant{}, cmp.Or(err, loginOver())
	}
	st, err := s.live(ctx, userID, id, l)
	if err != nil {
		return Grant{}, err
	}
	parent := generation == l.Parent && generation > 0
	switch {
	case parent && s.now().Add(grace) < l.RotatedAt: // the clock was set back: the grace must end before it has caught up
		l.RotatedAt = s.now()
		return Grant{}, cmp.Or(s.putLogin(ctx, userID, id, version, l), store.ErrConflict)
	case parent && s.age(l.RotatedAt) <= grace:
		g, err := s.grant(userID, id, l, st)
		g.Replayed = true
		return g, err
	case generation == l.Generation, parent && l.UsedAt == 0:
		next := l.next(generation, s.now())
		if err := s.putLogin(ctx, userID, id, version, next); err != nil {
			return Grant{}, err
		}
		return s.grant(userID, id, next, st)
	case generation < l.Generation:
		return Grant{}, s.twoHaveIt(ctx, userID, id)
	default: // the token is newer than the login, which was restored from a backup
		return Grant{}, loginOver()
	}
}

// twoHaveIt ends a login, one of whose spent tokens was used again.
func (s *Service) twoHaveIt(ctx context.Context, userID, id string) error {
	s.opts.Log.WarnContext(ctx, "a spent token was used again; the login has been ended", "user_id", userID, "login_id", id)
	s.note(ctx, userID, ActRefreshReused, id)
	return s.endOver(ctx, userID, id)
}

// use returns the login of an access token, and records the first use of the
// current generation, which spends its parent.
func (s *Service) use(ctx context.Context, p Principal) (l login, err error) {
	generation, ok := generationOf(p.LoginID, p.TokenID)
	if !ok {
		return l, loginOver()
	}
	err = retry(func() (err error) {
		var version uint64
		l, version, err = s.login(ctx, p.UserID, p.LoginID)
		switch {
		case err != nil || version == 0:
			return cmp.Or(err, loginOver())
		case l.superseded(generation):
			return s.twoHaveIt(ctx, p.UserID, p.LoginID)
		case generation <= l.Forgotten:
			return unauthorized("The token is too old; refresh.")
		case generation != l.Generation || l.UsedAt != 0:
			return nil
		}
		l.UsedAt = s.now()
		err = s.putLogin(ctx, p.UserID, p.LoginID, version, l)
		if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrSealed) {
			return nil // reads go on; nobody can exchange the parent now, and the next use is recorded
		}
		return err
	})
	return l, err
}

// login returns a login and its version, which is 0 if the login has ended.
func (s *Service) login(ctx context.Context, userID, id string) (l login, version uint64, err error) {
	version, err = load(ctx, s.opts.Store, loginKey(userID, id), &l)
	return l, version, err
}

// live returns the standing of the account. If that has changed since the login was
// created, it ends the login and returns an error.
func (s *Service) live(ctx context.Context, userID, id string, l login) (Standing, error) {
	st, known, err := s.standing(ctx, userID)
	if err != nil {
		return st, err
	}
	if !known || !st.Enabled || st.Version != l.Standing {
		return st, s.endOver(ctx, userID, id)
	}
	return st, nil
}

// endLogin deletes a login and closes its connections on this node, also if the
// outcome of the deletion is not known. It reports whether the login was there.
func (s *Service) endLogin(ctx context.Context, userID, id string) (ended bool, err error) {
	defer s.disconnect(userID, id)
	ctx = context.WithoutCancel(ctx)
	err = retry(func() error {
		_, version, err := s.login(ctx, userID, id)
		if err != nil || version == 0 {
			return err
		}
		if err := s.announce(ctx, userID); err != nil {
			return err
		}
		err = s.opts.Store.SetRegister(ctx, loginKey(userID, id), version, nil, 0)
		ended = err == nil
		return err
	})
	return ended, err
}

func (s *Service) endOver(ctx context.Context, userID, id string) error {
	_, err := s.endLogin(ctx, userID, id)
	return cmp.Or(err, loginOver())
}

// disconnect closes what a login opened on this node.
func (s *Service) disconnect(userID, id string) {
	s.verified.forget(userID)
	s.opts.OnLoginEnd(id, userID)
}

// Logout ends the login of a token. A token of another issuer is rejected from then
// on. A second logout changes nothing.
func (s *Service) Logout(ctx context.Context, p Principal) (err error) {
	defer func() { s.attempted("logout", err) }()
	ended := false
	switch {
	case s.opts.Bypass && p.UserID == BypassUser:
		s.opts.OnLoginEnd(p.LoginID, p.UserID) // the token is everybody's and stays valid
	case p.Foreign:
		ended, err = s.revoke(ctx, p)
	default:
		ended, err = s.endLogin(ctx, p.UserID, p.LoginID)
	}
	if ended {
		s.note(ctx, p.UserID, ActLoggedOut, p.LoginID)
	}
	return err
}

// Committed accepts the commits of this node from the engine. A change of an account
// ends everything that its tokens opened. It does not block.
func (s *Service) Committed(_ context.Context, rows []store.Event) {
	for i := range rows {
		if e := &rows[i]; e.Stream.Kind() == userKind && e.Seq > 1 && !slices.Contains(s.opts.Users.Keeps, e.Type) {
			s.verified.forget(e.Stream.ID())
			s.opts.OnUserEnd(e.Stream.ID())
		}
	}
}
