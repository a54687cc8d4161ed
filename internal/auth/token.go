package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// maxToken bounds the text of a token, in bytes.
const maxToken = 8 << 10

// claims is what tokens say. Earlier tokens have sub or ID, role and exp only.
type claims struct {
	Subject   string           `json:"sub"`
	Earlier   any              `json:"ID,omitempty"` //nolint:tagliatelle // theirs; text in it stands for a sub that is not there
	Role      gotong.Role      `json:"role,omitempty"`
	Expires   *jwt.NumericDate `json:"exp,omitempty"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	Issued    *jwt.NumericDate `json:"iat,omitempty"`
	ID        string           `json:"jti,omitempty"`
	Session   string           `json:"sid,omitempty"`
	Issuer    string           `json:"iss,omitempty"`
	Audience  jwt.ClaimStrings `json:"aud,omitempty"`
}

// The methods of jwt.Claims.

func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }
func (c claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.Issued, nil }
func (c claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }

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
}

func newTokens(ctx context.Context, o *Options) (*tokens, error) {
	t := &tokens{secret: o.Secret, life: o.AccessLife, keys: map[string]pinned{}}
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
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return o.Now().Time() }),
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

// sign makes the access token of a session's generation; twice the same, to
// the byte.
func (t *tokens) sign(userID, id string, role gotong.Role, sess session) (string, gotong.Instant, error) {
	issued := sess.RotatedAt.Time().Truncate(time.Second)
	expires := issued.Add(t.life)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Subject: userID, Role: role, Expires: jwt.NewNumericDate(expires), Issued: jwt.NewNumericDate(issued),
		ID: hex.EncodeToString(t.derive("jti", userID, id, gotong.SeqName(sess.Generation))[:12]), Session: id,
	})
	token.Header["kid"] = t.kid
	text, err := token.SignedString(t.access)
	return text, gotong.InstantOf(expires), err
}

// parse reads a token and checks signature, times and whom it is for; foreign
// says that it was not made here.
func (t *tokens) parse(text string) (c claims, foreign bool, err error) {
	if len(text) > maxToken {
		return c, false, errors.New("auth: the token is too long")
	}
	var by pinned
	_, err = t.parser.ParseWithClaims(text, &c, func(token *jwt.Token) (any, error) {
		if _, critical := token.Header["crit"]; critical {
			return nil, errors.New("auth: the token asks for extensions")
		}
		header, given := token.Header["kid"]
		kid, ok := header.(string)
		if given && !ok {
			return nil, errors.New("auth: kid must be text")
		}
		if by, ok = t.own[kid]; ok {
			foreign = kid != t.kid
			return by.of(token)
		}
		foreign = true
		var key any
		key, by, err = t.foreignKey(kid, token)
		return key, err
	})
	if err == nil {
		err = by.accepts(c)
	}
	if foreign && c.Subject == "" {
		c.Subject, _ = c.Earlier.(string)
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
