package auth

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// operatorLife is how long an operator's token is valid.
const operatorLife = time.Minute

// Operator is the actor of commands from the server's own command line: an admin
// without an account, under this name in the log.
func Operator() gotong.Actor { return gotong.Actor{UserID: "operator", Role: gotong.RoleAdmin} }

// OperatorToken returns a token for [Operator] that is valid for a minute. It needs
// the signing key, with which one could sign in as any user anyway.
func OperatorToken(secret []byte, now gotong.Instant) (string, error) {
	t, actor, issued := tokens{secret: secret}, Operator(), now.Time().Truncate(time.Second)
	return sign(t.operatorKid(), t.operatorKey(), jwt.MapClaims{
		"sub": actor.UserID, "role": actor.Role, "iat": issued.Unix(), "exp": issued.Add(operatorLife).Unix(),
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
