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
	t, actor, issued := tokens{secret: secret}, Operator(), now.Time().Truncate(time.Second)
	return sign(t.operatorKid(), t.operatorKey(), jwt.MapClaims{
		"sub": actor.UserID, "role": actor.Role, "iat": issued.Unix(), "exp": issued.Add(operatorLife).Unix(),
		"jti": hex.EncodeToString(random(12)),
	})
}

func (t *tokens) operatorKid() string { return "o" + hex.EncodeToString(t.derive("operator kid")[:6]) }

func (t *tokens) operatorKey() []byte { return t.derive("operator") }

// ReadSigningKey is the key that [SigningKey] made in this directory; unlike
// it, it makes none.
func ReadSigningKey(dir string) ([]byte, error) { return readKey(filepath.Join(dir, keyFile)) }

// NewSigningKey is a fresh key as the configuration takes it: base64 of 32
// random bytes.
func NewSigningKey() string { return strings.TrimSpace(string(newKeyText())) }
