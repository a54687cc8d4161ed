package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// grace is how long the same request is answered with the same refresh token.
const grace = time.Minute

// maxSessions is how many sessions one account may have; the oldest goes.
const maxSessions = 32

// Grant is what a client gets: tokens, and who it is now.
type Grant struct {
	AccessToken  string
	RefreshToken string
	UserID       string
	Username     string
	Role         gotong.Role
	SessionID    string
	Expires      gotong.Instant // of the access token
	Replayed     bool           // the same answer as before
}

// session is the register of one session. It holds hashes of refresh tokens,
// from which no token can be made.
type session struct {
	Generation uint64         `json:"generation"`
	Hash       []byte         `json:"hash"`     // of the current refresh token
	Previous   []byte         `json:"previous"` // of the one before
	Request    string         `json:"request"`  // by which the current one came to be
	RotatedAt  gotong.Instant `json:"rotated_at"`
	Standing   uint64         `json:"standing"` // the account's version at the beginning
}

func sessionKey(userID, id string) gotong.Key {
	return gotong.Key{Collection: sessionsName, Owner: userID, Name: id}
}

// begin makes a session of an account that proved who it is.
func (s *Service) begin(ctx context.Context, userID string) (Grant, error) {
	st, known, err := s.standing(ctx, userID)
	switch {
	case err != nil:
		return Grant{}, err
	case !known || !st.Enabled:
		return Grant{}, unauthorized("This account is disabled.")
	}
	if err := s.makeRoomForSession(ctx, userID); err != nil {
		return Grant{}, err
	}
	now := s.opts.Now()
	// The id sorts by age and is no secret: tokens carry a MAC beside it.
	id := gotong.NewEventID(now, binary.BigEndian.Uint64(random(8))).String()
	refresh := s.refreshToken(userID, id, 1)
	sess := session{Generation: 1, Hash: hashOf(refresh), RotatedAt: now, Standing: st.Version}
	if err := s.putSession(ctx, sessionKey(userID, id), 0, sess); err != nil {
		return Grant{}, store.CodedWrite(err)
	}
	return s.grant(userID, id, refresh, sess, st)
}

// grant renders a session's current generation; twice the same, to the byte.
func (s *Service) grant(userID, id, refresh string, sess session, st Standing) (Grant, error) {
	access, expires, err := s.tokens.sign(userID, id, st.Role, sess)
	return Grant{
		AccessToken: access, RefreshToken: refresh, UserID: userID, Role: st.Role, SessionID: id, Expires: expires,
	}, err
}

func (s *Service) putSession(ctx context.Context, key gotong.Key, expect uint64, sess session) error {
	body, err := json.Marshal(sess)
	if err != nil {
		return err
	}
	return s.opts.Store.SetRegister(ctx, key, expect, body, sess.RotatedAt.Add(s.opts.RefreshLife))
}

// makeRoomForSession ends the oldest session where the account has too many.
func (s *Service) makeRoomForSession(ctx context.Context, userID string) error {
	list, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
		Collection: sessionsName, Owner: userID, From: "0", To: "g", Limit: maxSessions + 8,
	})
	if err != nil {
		return store.CodedWrite(err)
	}
	for i := 0; i <= len(list)-maxSessions; i++ {
		if err := s.endSession(ctx, userID, list[i].Key.Name); err != nil {
			return err
		}
	}
	return nil
}

// refreshToken is derived from the server's key, so that it can be given again
// without being stored: r1.<user>.<session>.<generation>.<mac>.
func (s *Service) refreshToken(userID, id string, generation uint64) string {
	g := strconv.FormatUint(generation, 10)
	mac := s.tokens.derive("refresh", userID, id, g)
	return strings.Join([]string{"r1", userID, id, g, base64.RawURLEncoding.EncodeToString(mac)}, ".")
}

func hashOf(token string) []byte { sum := sha256.Sum256([]byte(token)); return sum[:] }

// parseRefresh reads a refresh token; a user's id may hold dots.
func parseRefresh(token string) (userID, id string, generation uint64, ok bool) {
	rest, version := strings.CutPrefix(token, "r1.")
	part := strings.Split(rest, ".")
	if !version || len(token) > 512 || len(part) < 4 {
		return "", "", 0, false
	}
	n := len(part)
	generation, err := strconv.ParseUint(part[n-2], 10, 63)
	userID, id = strings.Join(part[:n-3], "."), part[n-3]
	return userID, id, generation, err == nil && gotong.ValidID(userID) && gotong.ValidID(id)
}

// Refresh gives new tokens for a refresh token, which is then used up. The same
// request id within a minute gets the same answer; any other use of a used
// token means that it was copied, and ends the session.
func (s *Service) Refresh(ctx context.Context, requestID, token string) (grant Grant, err error) {
	defer func() { s.attempted("refresh", err) }()
	userID, id, generation, ok := parseRefresh(token)
	if !ok || !gotong.ValidRequestID(requestID) {
		return grant, sessionOver()
	}
	for range maxTries {
		grant, err = s.rotate(ctx, requestID, token, userID, id, generation)
		if !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return Grant{}, asAnswer(err)
	}
	a, _, err := s.account(ctx, userID)
	grant.Username = a.Username
	return grant, err
}

func sessionOver() error { return unauthorized("The session is over; sign in again.") }

// asAnswer leaves errors for the caller alone and turns the store's into such.
func asAnswer(err error) error {
	if _, ok := errors.AsType[*gotong.Error](err); ok {
		return err
	}
	return store.CodedWrite(err)
}

// rotate is one try of a refresh.
func (s *Service) rotate(
	ctx context.Context, requestID, token, userID, id string, generation uint64,
) (Grant, error) {
	sess, version, err := s.session(ctx, userID, id)
	if err != nil || version == 0 {
		return Grant{}, errOr(err, sessionOver())
	}
	st, err := s.live(ctx, userID, id, sess)
	if err != nil {
		return Grant{}, err
	}
	now, hash := s.opts.Now(), hashOf(token)
	switch {
	case subtle.ConstantTimeCompare(hash, sess.Hash) == 1:
		next := session{
			Generation: sess.Generation + 1, Previous: sess.Hash, Request: requestID, RotatedAt: now, Standing: sess.Standing,
		}
		refresh := s.refreshToken(userID, id, next.Generation)
		next.Hash = hashOf(refresh)
		if err := s.putSession(ctx, sessionKey(userID, id), version, next); err != nil {
			return Grant{}, err
		}
		return s.grant(userID, id, refresh, next, st)
	case subtle.ConstantTimeCompare(hash, sess.Previous) == 1 &&
		requestID == sess.Request && now <= sess.RotatedAt.Add(grace):
		g, err := s.grant(userID, id, s.refreshToken(userID, id, sess.Generation), sess, st)
		g.Replayed = true
		return g, err
	case s.wasGiven(hash, token, userID, id, generation, sess):
		s.opts.Log.WarnContext(ctx, "a used refresh token came again: the session is ended",
			"user_id", userID, "session_id", id)
		s.note(ctx, userID, ActRefreshReused, id)
		return Grant{}, errOr(s.endSession(ctx, userID, id), sessionOver())
	default:
		return Grant{}, sessionOver()
	}
}

// wasGiven reports whether the token is one of this session's earlier ones.
// One that somebody made up must not end a session.
func (s *Service) wasGiven(hash []byte, token, userID, id string, generation uint64, sess session) bool {
	if subtle.ConstantTimeCompare(hash, sess.Previous) == 1 {
		return true
	}
	made := s.refreshToken(userID, id, generation)
	return generation < sess.Generation && subtle.ConstantTimeCompare([]byte(made), []byte(token)) == 1
}

// session reads one and its version, 0 where it is over.
func (s *Service) session(ctx context.Context, userID, id string) (sess session, version uint64, err error) {
	reg, err := s.opts.Store.Register(ctx, sessionKey(userID, id))
	if err != nil {
		return sess, 0, store.CodedWrite(err)
	}
	if reg.Version == 0 {
		return sess, 0, nil
	}
	err = read(reg, &sess)
	return sess, reg.Version, err
}

// live checks that the account may still do what it could when the session
// began; where not, the session goes.
func (s *Service) live(ctx context.Context, userID, id string, sess session) (Standing, error) {
	st, known, err := s.standing(ctx, userID)
	if err != nil {
		return st, err
	}
	if !known || !st.Enabled || st.Version != sess.Standing {
		return st, errOr(s.endSession(ctx, userID, id), sessionOver())
	}
	return st, nil
}

// endSession removes a session and tells of it.
func (s *Service) endSession(ctx context.Context, userID, id string) error {
	ctx = context.WithoutCancel(ctx)
	for range maxTries {
		_, version, err := s.session(ctx, userID, id)
		if err != nil {
			return err
		}
		if version > 0 {
			err = s.opts.Store.SetRegister(ctx, sessionKey(userID, id), version, nil, 0)
		}
		if errors.Is(err, store.ErrConflict) {
			continue // refreshed meanwhile
		}
		s.verified.forget(userID)
		s.opts.OnSessionEnd(id, userID)
		return store.CodedWrite(err)
	}
	return store.CodedWrite(store.ErrConflict)
}

// Logout ends the session of a token; a token of others is refused from now on
// until it expires. Doing it again changes nothing.
func (s *Service) Logout(ctx context.Context, p Principal) (err error) {
	defer func() { s.attempted("logout", err) }()
	switch {
	case s.opts.Bypass && p.UserID == BypassUser:
		s.opts.OnSessionEnd(p.SessionID, p.UserID) // the token is everybody's and stays good
		return nil
	case !p.foreign:
		return s.logOut(ctx, p)
	}
	err = s.opts.Store.SetRegister(ctx, revocationKey(p.UserID, p.SessionID), 0, []byte(`{}`), p.Expires)
	switch {
	case errors.Is(err, store.ErrConflict):
		err = nil // revoked already
	case err == nil:
		s.note(ctx, p.UserID, ActLoggedOut, p.SessionID)
	}
	s.verified.forget(p.UserID)
	s.opts.OnSessionEnd(p.SessionID, p.UserID)
	return store.CodedWrite(err)
}

// logOut ends a session and notes it, once.
func (s *Service) logOut(ctx context.Context, p Principal) error {
	_, version, err := s.session(ctx, p.UserID, p.SessionID)
	if err != nil {
		return err
	}
	err = s.endSession(ctx, p.UserID, p.SessionID)
	if err == nil && version > 0 {
		s.note(ctx, p.UserID, ActLoggedOut, p.SessionID)
	}
	return err
}

func revocationKey(userID, id string) gotong.Key {
	return gotong.Key{Collection: revocationName, Owner: userID, Name: id}
}

// Committed is told of commits on this node, as the engine tells of them: what
// changed an account ends what rests on its tokens. It does not block.
func (s *Service) Committed(_ context.Context, rows []store.Event) {
	for i := range rows {
		if e := &rows[i]; e.Stream.Kind() == userKind && e.Seq > 1 {
			s.verified.forget(e.Stream.ID())
			s.opts.OnUserEnd(e.Stream.ID())
		}
	}
}
