package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// maxToken bounds the text of a token, in bytes.
const maxToken = 8 << 10

// tokens signs access tokens and reads those of others.
type tokens struct {
	secret []byte
	access []byte // the key of access tokens
	kid    string // of access tokens
	life   time.Duration
	own    map[string]pinned // the keys made here, by kid
	keys   map[string]pinned // of others, by kid
	sets   []pinned          // published by others
	parser *jwt.Parser
	now    func() gotong.Instant
}

func newTokens(ctx context.Context, o *Options) (*tokens, error) {
	t := &tokens{secret: o.Secret, life: o.AccessLife, now: o.Clock.Now, keys: map[string]pinned{}}
	t.access = t.derive("access")
	t.kid = "g" + hex.EncodeToString(t.derive("kid")[:6])
	hs := jwt.SigningMethodHS256.Alg()
	t.own = map[string]pinned{t.kid: {alg: hs, key: t.access}, t.operatorKid(): {alg: hs, key: t.operatorKey()}}
	for _, k := range o.Keys {
		p, err := newPinned(ctx, k, o.Log)
		if err != nil {
			return nil, err
		}
		if k.JWKS != "" {
			t.sets = append(t.sets, p)
			continue
		}
		_, twice := t.keys[k.ID]
		if _, ours := t.own[k.ID]; twice || ours {
			return nil, errors.New("auth: two keys have one kid")
		}
		t.keys[k.ID] = p
	}
	t.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{"HS256", "RS256", "ES256", "EdDSA"}),
		jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(), // parse checks them
	)
	return t, nil
}

// derive makes a secret of its own for each purpose, from length-prefixed
// fields.
func (t *tokens) derive(fields ...string) []byte {
	mac := hmac.New(sha256.New, t.secret)
	for _, f := range fields {
		_, _ = mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f)))) //nolint:gosec // short
		_, _ = mac.Write([]byte(f))
	}
	return mac.Sum(nil)
}

// sign makes the access token of a login's generation; twice the same, to
// the byte.
func (t *tokens) sign(userID, id string, role gotong.Role, l login) (string, gotong.Instant, error) {
	issued := l.RotatedAt.Time().Truncate(time.Second)
	expires := issued.Add(t.life)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		Subject: userID, Role: role, Expires: jwt.NewNumericDate(expires), Issued: jwt.NewNumericDate(issued),
		ID: tokenID(id, l.Generation), Login: id,
	})
	token.Header["kid"] = t.kid
	text, err := token.SignedString(t.access)
	return text, gotong.InstantOf(expires), err
}

// tokenID is the jti of a login's access tokens of one generation: those that
// were issued beside its refresh token of this number.
func tokenID(login string, generation uint64) string {
	return login + "." + strconv.FormatUint(generation, 10)
}

// generationOf reads a [tokenID] of this login.
func generationOf(login, id string) (uint64, bool) {
	number, ok := strings.CutPrefix(id, login+".")
	generation, err := strconv.ParseUint(number, 10, 63)
	return generation, ok && err == nil
}

// parse reads a token and checks signature, times, and from and for whom it is;
// foreign is true where another issuer made it.
func (t *tokens) parse(text string) (c claims, foreign bool, err error) {
	if len(text) > maxToken {
		return c, false, errors.New("auth: the token is too long")
	}
	kid, err := strictHeader(text)
	if err != nil {
		return c, false, err
	}
	foreign = kid != t.kid
	by, own := t.own[kid]
	_, err = t.parser.ParseWithClaims(text, &c, func(token *jwt.Token) (key any, err error) {
		if !own {
			key, by, err = t.foreignKey(kid, token)
			return key, err
		}
		return by.of(token)
	})
	if err != nil {
		return c, foreign, err
	}
	if foreign && c.Subject == "" {
		c.Subject = c.Earlier
	}
	more := leeway
	if own {
		more = 0
	}
	switch {
	case !c.good(t.now(), more):
		err = errors.New("auth: the token has expired, or is not good yet")
	case reserved(c.Subject) && (kid != t.operatorKid() || c.Subject != Operator().UserID):
		err = errors.New("auth: the token's subject cannot have a token")
	default:
		err = by.accepts(c)
	}
	return c, foreign, err
}

func (t *tokens) foreignKey(kid string, token *jwt.Token) (any, pinned, error) {
	if p, ok := t.keys[kid]; ok {
		key, err := p.of(token)
		return key, p, err
	}
	for _, set := range t.sets {
		if key, err := set.of(token); err == nil {
			return key, set, nil
		}
	}
	return nil, pinned{}, errors.New("auth: no such key")
}
