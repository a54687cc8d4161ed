package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

const maxToken = 8 << 10

// maxSealed bounds the length of a refresh or device token, in bytes.
const maxSealed = 512

// tokens signs access tokens, and verifies them and those of other issuers.
type tokens struct {
	secret []byte
	key    []byte // of access tokens
	kid    string // of access tokens
	header string // of access tokens, encoded: always the same, so that it need not be read
	life   time.Duration
	own    map[string]pinned // the server's keys, by kid
	others atomic.Pointer[others]
	now    func() gotong.Instant
}

// others are the keys of other issuers.
type others struct {
	keys map[string]pinned // by kid
	sets []pinned          // published ones
	stop func()            // ends the refreshing of published sets
}

func newTokens(ctx context.Context, o *Options) (*tokens, error) {
	t := &tokens{secret: o.Secret, life: o.AccessLife, now: o.Clock.Now}
	t.key = t.derive("access")
	t.kid = "g" + hex.EncodeToString(t.derive("kid")[:6])
	hs := jwt.SigningMethodHS256.Alg()
	own, err := sign(t.kid, t.key, jwt.MapClaims{})
	if err != nil {
		return nil, err
	}
	t.header, _, _ = strings.Cut(own, ".")
	t.own = map[string]pinned{t.kid: {alg: hs, key: t.key}, t.operatorKid(): {alg: hs, key: t.operatorKey()}}
	if err := t.accept(ctx, o.Keys, o.Log); err != nil {
		return nil, err
	}
	return t, nil
}

// accept replaces the keys of other issuers; on an error, those from before remain.
func (t *tokens) accept(ctx context.Context, keys []Key, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	next := &others{keys: map[string]pinned{}, stop: stop}
	for _, k := range keys {
		p, err := newPinned(ctx, k, log)
		_, twice := next.keys[k.ID]
		_, ours := t.own[k.ID]
		switch {
		case err != nil:
		case k.JWKS != "":
			next.sets = append(next.sets, p)
			continue
		case twice || ours:
			err = errors.New("auth: two keys have one kid")
		}
		if err != nil {
			stop()
			return err
		}
		next.keys[k.ID] = p
	}
	if before := t.others.Swap(next); before != nil {
		before.stop()
	}
	return nil
}

// derive returns a secret for one purpose: a MAC of the fields, each after its
// length.
func (t *tokens) derive(fields ...string) []byte {
	mac := hmac.New(sha256.New, t.secret)
	for _, f := range fields {
		_, _ = mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f)))) //nolint:gosec // short
		_, _ = mac.Write([]byte(f))
	}
	return mac.Sum(nil)
}

// seal returns the fields, joined by dots, with a MAC at the end. The first field
// names the sort of the text, so that none can serve as another.
func (t *tokens) seal(fields ...string) string {
	return strings.Join(append(fields, base64.RawURLEncoding.EncodeToString(t.derive(fields...))), ".")
}

// unseal returns the n fields of a text that seal returned for this sort. Only the
// last field, the id of a user, may contain dots.
func (t *tokens) unseal(text, sort string, n int) (fields []string, ok bool) {
	fields = strings.SplitN(text[:max(0, strings.LastIndexByte(text, '.'))], ".", n)
	return fields, len(text) <= maxSealed && len(fields) == n && fields[0] == sort &&
		subtle.ConstantTimeCompare([]byte(t.seal(fields...)), []byte(text)) == 1
}

// access returns the access token of a login's current generation, always the
// same to the byte, and when it expires.
func (t *tokens) access(userID, id string, role gotong.Role, l login) (string, gotong.Instant, error) {
	issued := l.RotatedAt.Time().Truncate(time.Second)
	expires := issued.Add(t.life)
	text, err := sign(t.kid, t.key, jwt.MapClaims{
		"sub": userID, "role": role, "exp": expires.Unix(), "iat": issued.Unix(), "jti": tokenID(id, l.Generation), "sid": id,
	})
	return text, gotong.InstantOf(expires), err
}

// sign returns an HS256 token.
func sign(kid string, key []byte, c jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = kid
	return token.SignedString(key)
}

// tokenID returns the jti of an access token: its login, and the generation of the
// refresh token that was issued beside it.
func tokenID(login string, generation uint64) string {
	return login + "." + strconv.FormatUint(generation, 10)
}

func generationOf(login, id string) (uint64, bool) {
	number, ok := strings.CutPrefix(id, login+".")
	generation, err := strconv.ParseUint(number, 10, 63)
	return generation, ok && err == nil
}

// errToken is the error of every token that is rejected: clients learn no reason.
var errToken = errors.New("auth: the token is not valid, or no longer")

// leeway is by how much the clock of another issuer may differ from this one.
const leeway = 5 * time.Second

// parse checks a token in the JWS compact form (RFC 7515, 7.1): its
// signature, then its issuer, audience, times and subject. It returns the
// claims, and whether another issuer signed it: Expires then includes the leeway.
func (t *tokens) parse(text string) (c claims, foreign bool, err error) {
	part := strings.SplitN(text, ".", 4)
	if len(text) > maxToken || len(part) != 3 {
		return c, false, errToken
	}
	alg, kid := jwt.SigningMethodHS256.Alg(), t.kid
	if part[0] != t.header {
		if alg, kid, err = readHeader(part[0]); err != nil {
			return c, false, err
		}
	}
	by, key, err := t.keyOf(alg, kid)
	if err != nil {
		return c, false, err
	}
	body, err1 := strict64.DecodeString(part[1])
	signature, err2 := strict64.DecodeString(part[2])
	if err1 != nil || err2 != nil {
		return c, false, errToken
	}
	if err := jwt.GetSigningMethod(by.alg).Verify(text[:strings.LastIndexByte(text, '.')], signature, key); err != nil {
		return c, false, err
	}
	if c, err = readClaims(body); err != nil {
		return c, false, err
	}
	foreign = kid != t.kid
	if foreign && c.Subject == "" {
		c.Subject = c.Earlier
	}
	begins := c.NotBefore
	if _, own := t.own[kid]; !own {
		begins, c.Expires = begins.Add(-leeway), c.Expires.Add(leeway)
	}
	now, barred := t.now(), reserved(c.Subject) && (kid != t.operatorKid() || c.Subject != Operator().UserID)
	if now < begins || now >= c.Expires || barred || !by.accepts(c) {
		return c, foreign, errToken
	}
	return c, foreign, nil
}

var strict64 = base64.RawURLEncoding.Strict()

// readHeader reads the header of a token as strictly as its claims. A token that
// requires extensions is an error.
func readHeader(part string) (alg, kid string, err error) {
	b, err := strict64.DecodeString(part)
	if err != nil {
		return "", "", errToken
	}
	all, err := strictly(b, "alg", "kid", "crit")
	if err != nil {
		return "", "", err
	}
	if _, critical := all["crit"]; critical || !stringOf(all, "alg", &alg) || !stringOf(all, "kid", &kid) {
		return "", "", errToken
	}
	return alg, kid, nil
}

// keyOf returns the key of a token, which must be of the algorithm that the
// token names, and what that key is pinned to.
func (t *tokens) keyOf(alg, kid string) (pinned, any, error) {
	others := t.others.Load()
	p, ok := t.own[kid]
	if !ok {
		p, ok = others.keys[kid]
	}
	if ok {
		key, err := p.of(alg, kid)
		return p, key, err
	}
	for _, set := range others.sets {
		if key, err := set.of(alg, kid); err == nil {
			return set, key, nil
		}
	}
	return pinned{}, nil, errToken
}

// BypassToken authenticates [BypassUser] without proof if [Options.Bypass] is set.
// It is for development only.
const (
	BypassToken = "dev-bypass-token" //nolint:gosec // published, and valid only with the option
	BypassUser  = "dev-user"
)

// bypassLife is how long a principal of the bypass lasts after each use.
const bypassLife = time.Hour

func (s *Service) bypasses(token string) bool { return s.opts.Bypass && token == BypassToken }

// bypass returns the principal of the bypass: an ordinary user without an account.
// If an account with this id exists, disabling it shuts the bypass too.
func (s *Service) bypass(ctx context.Context) (Principal, error) {
	p, err := s.admit(ctx, Principal{
		UserID: BypassUser, Role: gotong.RoleUser, LoginID: foreignLogin(BypassToken),
		Expires: s.now().Add(bypassLife), Foreign: true,
	})
	if err == nil && p.Username == "" {
		p.Username = BypassUser
	}
	return p, err
}

// Operator is the actor of commands from the server's own command line: an admin
// without an account, under this name in the log.
func Operator() gotong.Actor { return gotong.Actor{UserID: "operator", Role: gotong.RoleAdmin} }

// OperatorToken returns a token for [Operator] that is valid for so long. It needs
// the signing key, with which one could sign in as any user anyway.
func OperatorToken(secret []byte, now gotong.Instant, life time.Duration) (string, error) {
	t, actor, issued := tokens{secret: secret}, Operator(), now.Time().Truncate(time.Second)
	return sign(t.operatorKid(), t.operatorKey(), jwt.MapClaims{
		"sub": actor.UserID, "role": actor.Role, "iat": issued.Unix(), "exp": issued.Add(life).Unix(),
		"jti": hex.EncodeToString(random(12)),
	})
}

func (t *tokens) operatorKid() string { return "o" + hex.EncodeToString(t.derive("operator kid")[:6]) }

func (t *tokens) operatorKey() []byte { return t.derive("operator") }

// ReadSigningKey returns the key that [SigningKey] generated in this directory. It
// generates none.
func ReadSigningKey(dir string) ([]byte, error) { return readKey(filepath.Join(dir, keyFile)) }

// NewSigningKey returns a new key in the form of the configuration: base64 of 32
// random bytes.
func NewSigningKey() string { return strings.TrimSpace(string(newKeyText())) }
