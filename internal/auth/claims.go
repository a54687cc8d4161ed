package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// claims are the claims of a token. Earlier tokens have sub or ID, role and exp
// only.
type claims struct {
	Subject   string           `json:"sub"`
	Earlier   string           `json:"-"` // their ID, which stands for a sub that is not there
	Role      gotong.Role      `json:"role,omitempty"`
	Expires   *jwt.NumericDate `json:"exp,omitempty"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	Issued    *jwt.NumericDate `json:"iat,omitempty"`
	ID        string           `json:"jti,omitempty"`
	Login     string           `json:"sid,omitempty"`
	Issuer    string           `json:"iss,omitempty"`
	Audience  jwt.ClaimStrings `json:"aud,omitempty"`

	until gotong.Instant // when the token stops being accepted
}

// The methods of jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.Issued, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }

var errClaims = errors.New("auth: the token's claims cannot be read strictly")

// UnmarshalJSON reads claims strictly: each name once and spelled exactly, each
// value of its type. The decoder that the library calls it from would take a
// claim ROLE for role, and the last of two.
func (c *claims) UnmarshalJSON(b []byte) error {
	all, err := strictly(b, "sub", "role", "exp", "nbf", "iat", "jti", "sid", "iss", "aud")
	if err != nil {
		return err
	}
	ok := stringOf(all, "sub", &c.Subject) && stringOf(all, "role", &c.Role) && stringOf(all, "jti", &c.ID) &&
		stringOf(all, "sid", &c.Login) && stringOf(all, "iss", &c.Issuer) && audience(all, &c.Audience) &&
		date(all, "exp", &c.Expires) && date(all, "nbf", &c.NotBefore) && date(all, "iat", &c.Issued)
	if !ok {
		return errClaims
	}
	_ = stringOf(all, "ID", &c.Earlier) // of another type it is one more claim that nobody here reads
	return nil
}

// strictly reads an object whose members may have any name but another
// spelling of these.
func strictly(b []byte, names ...string) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if jsonx.Unmarshal(b, &all) != nil {
		return nil, errClaims
	}
	for name := range all {
		for _, known := range names {
			if name != known && strings.EqualFold(name, known) {
				return nil, errClaims
			}
		}
	}
	return all, nil
}

// stringOf reads a claim that must be a string where it is there.
func stringOf[T ~string](all map[string]json.RawMessage, name string, into *T) bool {
	raw, given := all[name]
	return !given || raw[0] == '"' && json.Unmarshal(raw, into) == nil
}

// audience reads aud: one string or an array of them (RFC 7519, 4.1.3).
func audience(all map[string]json.RawMessage, into *jwt.ClaimStrings) bool {
	var list []json.RawMessage
	raw, given := all["aud"]
	switch {
	case !given:
		return true
	case raw[0] == '"':
		list = []json.RawMessage{raw}
	case raw[0] != '[' || json.Unmarshal(raw, &list) != nil:
		return false
	}
	for _, one := range list {
		var s string
		if !stringOf(map[string]json.RawMessage{"aud": one}, "aud", &s) {
			return false
		}
		*into = append(*into, s)
	}
	return true
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// date reads a NumericDate: a number of seconds since 1970 (RFC 7519, 2).
func date(all map[string]json.RawMessage, name string, into **jwt.NumericDate) bool {
	raw, given := all[name]
	if !given {
		return true
	}
	var seconds float64
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') || json.Unmarshal(raw, &seconds) != nil ||
		math.Abs(seconds) > maxDate {
		return false
	}
	*into = jwt.NewNumericDate(time.Unix(int64(math.Floor(seconds)), 0))
	return true
}

// strictHeader reads the header of a token as strictly as its claims, and
// returns its kid. A token that asks for extensions is an error.
func strictHeader(token string) (kid string, err error) {
	part, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return "", errClaims
	}
	all, err := strictly(b, "alg", "kid", "crit")
	if err != nil {
		return "", err
	}
	if _, critical := all["crit"]; critical || !stringOf(all, "kid", &kid) {
		return "", errClaims
	}
	return kid, nil
}

// reserved reports an id that no token of a person may name: who acts for the
// server itself, who has not signed in, and authors of imports.
func reserved(userID string) bool {
	id := strings.ToLower(userID)
	return id == Operator().UserID || id == string(gotong.RoleSystem) || id == gotong.Anonymous().UserID ||
		strings.HasPrefix(id, "import:")
}

// leeway is by how much the clock of another issuer may differ from this one.
const leeway = 5 * time.Second

// good reports whether the token is accepted at this time, and notes until
// when. One that others signed has some leeway at both ends.
func (c *claims) good(now gotong.Instant, more time.Duration) bool {
	if c.Expires == nil {
		return false
	}
	c.until = gotong.InstantOf(c.Expires.Time).Add(more)
	begun := c.NotBefore == nil || gotong.InstantOf(c.NotBefore.Time) <= now.Add(more)
	return begun && now < c.until
}
