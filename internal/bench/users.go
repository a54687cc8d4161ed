package bench

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong/client"
)

// Users are the users of the connections, numbered from 0; each connection has
// its own.
type Users interface {
	// Count returns the greatest number of users.
	Count() int
	// Token returns an access token of user i.
	Token(ctx context.Context, i int) (string, error)
}

// Tokens are access tokens of existing accounts, one each.
type Tokens []string

// ReadTokens reads one token per line and skips empty lines.
func ReadTokens(text string) Tokens { return strings.Fields(text) }

// Count implements [Users].
func (t Tokens) Count() int { return len(t) }

// Token implements [Users].
func (t Tokens) Token(_ context.Context, i int) (string, error) { return t[i], nil }

// Issuer signs tokens with an HS256 key that the server accepts from another
// issuer, for any number of users. Use only a key that exists for this purpose:
// its holder can act as any user.
type Issuer struct {
	KID, Issuer, Audience string
	Key                   []byte
	Prefix                string // of the user ids; New fills an empty one
}

// maxUsers bounds the connections of a scenario.
const maxUsers = 20_000

// Count implements [Users].
func (*Issuer) Count() int { return maxUsers }

// Token implements [Users].
func (s *Issuer) Token(_ context.Context, i int) (string, error) {
	header := map[string]string{"alg": "HS256", "typ": "JWT"}
	if s.KID != "" {
		header["kid"] = s.KID
	}
	claims := map[string]any{
		"sub": fmt.Sprintf("%s-%d", s.Prefix, i), "role": "user", "exp": time.Now().Add(time.Hour).Unix(),
	}
	if s.Issuer != "" {
		claims["iss"] = s.Issuer
	}
	if s.Audience != "" {
		claims["aud"] = s.Audience
	}
	text := part(header) + "." + part(claims)
	mac := hmac.New(sha256.New, s.Key)
	_, _ = mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

func part(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// MaxSignUps bounds the accounts that a run makes: after the first 20, a server
// allows one sign-up a second for an address.
const MaxSignUps = 64

// SignUps makes accounts as they are needed. Their passwords are random and not
// kept, so nobody can sign in to them afterwards.
type SignUps struct {
	Client    *client.Client
	Community string

	mu     sync.Mutex
	name   string
	tokens []string
}

// Count implements [Users].
func (*SignUps) Count() int { return MaxSignUps }

// Token implements [Users].
func (s *SignUps) Token(ctx context.Context, i int) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name == "" {
		s.name = runName()
	}
	for len(s.tokens) <= i {
		name := fmt.Sprintf("%s-%d", s.name, len(s.tokens))
		auth, err := s.Client.SignUp(ctx, client.SignUp{
			Email: name + "@bench.invalid", Pass: rand.Text(), Username: name, CommunityID: s.Community,
		})
		if err != nil {
			return "", fmt.Errorf("sign up user %d: %w", i, err)
		}
		s.tokens = append(s.tokens, auth.AccessToken)
	}
	return s.tokens[i], nil
}

// runName returns a name for the threads and users of a run.
func runName() string { return "bench-" + strings.ToLower(rand.Text()[:8]) }
