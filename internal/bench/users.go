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

// Users are those whom the connections act for, numbered from 0; a connection
// has a user of its own.
type Users interface {
	// Count is how many there can be.
	Count() int
	// Token returns an access token of user i.
	Token(ctx context.Context, i int) (string, error)
}

// Tokens are access tokens of accounts that exist, one each.
type Tokens []string

// ReadTokens reads one token a line; empty lines do not count.
func ReadTokens(text string) Tokens { return strings.Fields(text) }

// Count implements [Users].
func (t Tokens) Count() int { return len(t) }

// Token implements [Users].
func (t Tokens) Token(_ context.Context, i int) (string, error) { return t[i], nil }

// Issuer signs tokens with an HS256 key that the server accepts from another
// issuer, for as many users as are wanted. Use nothing but a key that exists for
// this: who holds it can act as any user.
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

// MaxSignUps is how many accounts a run makes at most: a server makes one a
// second for an address, after the first 20.
const MaxSignUps = 64

// SignUps makes accounts as they are needed. Their password is random and kept
// nowhere, so nobody can sign in to them afterwards.
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

// runName is a name for what a run leaves behind.
func runName() string { return "bench-" + strings.ToLower(rand.Text()[:8]) }
