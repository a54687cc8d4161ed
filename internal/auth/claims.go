package auth

import (
	"math"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// claims are the claims of a token that the server reads (RFC 7519, 4.1). Those
// that are absent have their zero value.
type claims struct {
	Subject   string
	Earlier   string // ID, which the tokens of earlier servers have in place of sub
	Role      gotong.Role
	Expires   gotong.Instant
	NotBefore gotong.Instant
	Issued    gotong.Instant // at least 1 if the token has an iat
	ID        string         // jti
	Login     string         // sid
	Issuer    string
	Audience  []string
}

// readClaims reads claims strictly: each name once and spelled exactly, each
// value of its type.
func readClaims(b []byte) (c claims, err error) {
	all, err := strictly(b, "sub", "role", "exp", "nbf", "iat", "jti", "sid", "iss", "aud")
	if err != nil {
		return c, err
	}
	ok := stringOf(all, "sub", &c.Subject) && stringOf(all, "role", &c.Role) && stringOf(all, "jti", &c.ID) &&
		stringOf(all, "sid", &c.Login) && stringOf(all, "iss", &c.Issuer) && audience(all, &c.Audience) &&
		date(all, "exp", &c.Expires) && date(all, "nbf", &c.NotBefore) && date(all, "iat", &c.Issued)
	if !ok {
		return c, errToken
	}
	if _, given := all["iat"]; given {
		c.Issued = max(1, c.Issued)
	}
	_ = stringOf(all, "ID", &c.Earlier) // a value of another type is a claim that the server does not read
	return c, nil
}

// strictly reads a JSON object, which may have any members, but none whose name
// differs from one of these only in case.
func strictly(b []byte, names ...string) (map[string]any, error) {
	all := map[string]any{}
	if jsonx.Unmarshal(b, &all) != nil {
		return nil, errToken
	}
	for name := range all {
		if slices.ContainsFunc(names, func(known string) bool { return name != known && strings.EqualFold(name, known) }) {
			return nil, errToken
		}
	}
	return all, nil
}

// stringOf reads a claim that must be a string if it is present.
func stringOf[T ~string](all map[string]any, name string, into *T) bool {
	v, given := all[name]
	s, ok := v.(string)
	*into = T(s)
	return ok || !given
}

// audience reads aud: one string or an array of strings (RFC 7519, 4.1.3).
func audience(all map[string]any, into *[]string) bool {
	v, given := all["aud"]
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, one := range list {
		if s, ok := one.(string); ok {
			*into = append(*into, s)
		}
	}
	return !given || len(*into) == len(list)
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// date reads a NumericDate: a number of seconds since 1970 (RFC 7519, 2), which
// is rounded down.
func date(all map[string]any, name string, into *gotong.Instant) bool {
	v, given := all[name]
	seconds, ok := v.(float64)
	if !ok || math.Abs(seconds) > maxDate {
		return !given
	}
	*into = gotong.InstantOf(time.Unix(int64(math.Floor(seconds)), 0))
	return true
}

// reserved reports whether no token of a person may name this user: the server
// itself, somebody who has not signed in, or the author of an imported message.
func reserved(userID string) bool {
	id := strings.ToLower(userID)
	return id == Operator().UserID || id == string(gotong.RoleSystem) || id == gotong.Anonymous().UserID ||
		strings.HasPrefix(id, "import:")
}
