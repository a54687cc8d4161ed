package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"gotong.dev/gotong/internal/regular"
)

// Key is a key, or a published set of keys, of another issuer whose tokens are
// accepted. It is pinned to one algorithm: HS256, RS256, ES256 or EdDSA.
type Key struct {
	ID       string // the kid of its tokens; empty: tokens without one
	Alg      string
	Material []byte // the secret of HS256, else a public key in PEM
	JWKS     string // instead of Material: URL of a JSON Web Key Set (RFC 7517)
	Issuer   string // its tokens must have this iss; empty: any or none
	Audience string // and this among their aud; empty: any or none
}

// pinned is a key with the one algorithm that it may be used with, and the issuer
// and audience that its tokens must name.
type pinned struct {
	alg    string
	iss    string
	aud    string
	key    any             // nil for a published set
	lookup keyfunc.Keyfunc // of a published set
}

// newPinned returns a key that was read, or a published set that is kept up to
// date until ctx ends.
func newPinned(ctx context.Context, k Key, log *slog.Logger) (pinned, error) {
	if k.JWKS == "" {
		return k.pin()
	}
	if k.Alg == jwt.SigningMethodHS256.Alg() {
		return pinned{}, errors.New("auth: a secret is not published")
	}
	lookup, err := published(ctx, k.JWKS, log)
	return pinned{alg: k.Alg, iss: k.Issuer, aud: k.Audience, lookup: lookup}, err
}

// Check returns an error if the key cannot be used. It fetches no published set.
func (k Key) Check() error {
	if k.JWKS != "" {
		return nil
	}
	_, err := k.pin()
	return err
}

// pin reads a key. It rejects a public key as an HS256 secret: everybody knows that
// key and could forge tokens with it.
func (k Key) pin() (pinned, error) {
	p := pinned{alg: k.Alg, iss: k.Issuer, aud: k.Audience}
	var err error
	switch k.Alg {
	case jwt.SigningMethodHS256.Alg():
		if len(k.Material) == 0 || bytes.Contains(k.Material, []byte("-----BEGIN")) {
			return p, errors.New("auth: an HS256 key must be a secret, not a public key")
		}
		p.key = k.Material
		return p, nil
	case jwt.SigningMethodRS256.Alg():
		p.key, err = jwt.ParseRSAPublicKeyFromPEM(k.Material)
	case jwt.SigningMethodES256.Alg():
		p.key, err = jwt.ParseECPublicKeyFromPEM(k.Material)
	case jwt.SigningMethodEdDSA.Alg():
		p.key, err = jwt.ParseEdPublicKeyFromPEM(k.Material)
	default:
		return p, errors.New("auth: a key needs one algorithm of HS256, RS256, ES256 and EdDSA")
	}
	if err != nil {
		return p, fmt.Errorf("auth: a %s key cannot be read: %w", k.Alg, err)
	}
	return p, fits(k.Alg, p.key)
}

// fits returns an error unless a public key is one for the algorithm and strong
// enough.
func fits(alg string, key any) error {
	ok := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		ok = alg == jwt.SigningMethodRS256.Alg() && k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		ok = alg == jwt.SigningMethodES256.Alg() && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		ok = alg == jwt.SigningMethodEdDSA.Alg()
	}
	if !ok {
		return fmt.Errorf("auth: a key does not fit %s", alg)
	}
	return nil
}

// published returns a key set that is fetched once an hour, and at most once a
// minute for a kid that it does not have yet. RateLimitWaitMax bounds that fetch
// too; a caller that would have to wait for longer gets an error at once.
func published(ctx context.Context, url string, log *slog.Logger) (keyfunc.Keyfunc, error) {
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{url}, keyfunc.Override{
		Client:            &http.Client{Transport: bounded{}, Timeout: 5 * time.Second},
		HTTPTimeout:       5 * time.Second,
		RefreshInterval:   time.Hour,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(time.Minute), 1),
		RateLimitWaitMax:  5 * time.Second,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				log.WarnContext(ctx, "published keys could not be fetched", "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("auth: published keys: %w", err)
	}
	return k, nil
}

// bounded cuts a response that is too long to be a key set.
type bounded struct{}

func (bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, 1<<20), resp.Body}
	}
	return resp, err
}

// of returns the key for a token with this header. It is an error if the
// algorithm is not the one that the key is pinned to.
func (p pinned) of(alg, kid string) (any, error) {
	switch {
	case alg != p.alg, p.lookup != nil && kid == "":
		return nil, errToken
	case p.lookup == nil:
		return p.key, nil
	}
	key, err := p.lookup.Keyfunc(&jwt.Token{Header: map[string]any{"alg": alg, "kid": kid}})
	if err != nil {
		return nil, err
	}
	return key, fits(p.alg, key)
}

// accepts checks the issuer and the audience (RFC 7519, 4.1.1 and 4.1.3): a token
// for another service must not be valid here.
func (p pinned) accepts(c claims) bool {
	return (p.iss == "" || c.Issuer == p.iss) && (p.aud == "" || slices.Contains(c.Audience, p.aud))
}

const keyFile = "signing.key"

// SigningKey returns the server's secret from its data directory, and the path of
// its file. On the first start it generates the secret, and made is true. A file
// that other users of the machine may read is an error.
func SigningKey(dir string) (secret []byte, path string, made bool, err error) {
	path = filepath.Join(dir, keyFile)
	secret, err = readKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return secret, path, false, err
	}
	if err := makeKey(dir, path); err != nil {
		return nil, path, false, err
	}
	secret, err = readKey(path)
	return secret, path, true, err
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key: %w", err)
	}
	if !regular.Private(info) {
		return nil, fmt.Errorf("auth: others may read %s; run: chmod 600 %s", path, path)
	}
	text, err := regular.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key: %w", err)
	}
	secret, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) < minSecret {
		return nil, fmt.Errorf("auth: %s does not hold a key", path)
	}
	return secret, nil
}

func newKeyText() []byte { return append(base64.StdEncoding.AppendEncode(nil, random(32)), '\n') }

// makeKey writes a new key to a temporary file and links it into place, so that a
// crash leaves a whole key or none, and the first of two processes wins.
func makeKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("auth: signing key: %w", err)
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("auth: signing key: %w", err)
	}
	_, err = f.Write(newKeyText())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if errors.Is(err, os.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(f.Name()))
}
