package auth

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// operatorLife is how long an operator's token is good.
const operatorLife = time.Minute

// Operator is who acts from the server's own command line: an admin without
// an account, named as such in the log.
func Operator() gotong.Actor { return gotong.Actor{UserID: "operator", Role: gotong.RoleAdmin} }

// OperatorToken is a token for [Operator], good for a minute. It takes the
// signing key to make one: whoever has that could sign in as anybody anyway.
func OperatorToken(secret []byte, now gotong.Instant) (string, error) {
	t := tokens{secret: secret}
	actor, issued := Operator(), now.Time().Truncate(time.Second)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		Subject: actor.UserID, Role: actor.Role, Issued: jwt.NewNumericDate(issued),
		Expires: jwt.NewNumericDate(issued.Add(operatorLife)), ID: hex.EncodeToString(random(12)),
	})
	token.Header["kid"] = t.operatorKid()
	return token.SignedString(t.operatorKey())
}

func (t *tokens) operatorKid() string { return "o" + hex.EncodeToString(t.derive("operator kid")[:6]) }

func (t *tokens) operatorKey() []byte { return t.derive("operator") }

// ReadSigningKey is the key that [SigningKey] made in this directory; unlike
// it, it makes none.
func ReadSigningKey(dir string) ([]byte, error) { return readKey(filepath.Join(dir, keyFile)) }

// NewSigningKey is a fresh key as the configuration takes it: base64 of 32
// random bytes.
func NewSigningKey() string { return strings.TrimSpace(string(newKeyText())) }
