package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gotong.dev/gotong/internal/regular"
)

// Algorithms are the signatures that a key may be pinned to.
var Algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// MinSecret is the shortest secret that production accepts, in bytes.
const MinSecret = 32

// JWTKey is a key, or a published set of keys, of another issuer whose tokens are
// accepted. It is pinned to exactly one algorithm, and exactly one of Key, File and
// JWKS is set.
type JWTKey struct {
	KID  string // empty: for tokens without a kid; a JWKS has kids of its own
	Alg  string // one of Algorithms
	Key  string // the HS256 secret, or a public key in PEM
	File string // a file with the same
	JWKS string // URL of a JSON Web Key Set (RFC 7517)
	Iss  string // the issuer of its tokens; empty: any
	Aud  string // an audience of its tokens; empty: any
}

// UnmarshalText reads "kid=…,alg=…,file=…", as flags and variables have it.
// The part after key= goes to the end of the text, commas and all.
func (k *JWTKey) UnmarshalText(b []byte) error {
	rest := string(b)
	for rest != "" {
		name, value, ok := strings.Cut(rest, "=")
		if !ok {
			return errors.New("must be name=value pairs: kid, alg, iss, aud, and key, file or jwks")
		}
		name, rest = strings.TrimSpace(name), ""
		if name != "key" {
			value, rest, _ = strings.Cut(value, ",")
		}
		into := map[string]*string{
			"kid": &k.KID, "alg": &k.Alg, "iss": &k.Iss, "aud": &k.Aud, "key": &k.Key, "file": &k.File, "jwks": &k.JWKS,
		}[name]
		if into == nil {
			return errors.New("has a part other than kid, alg, iss, aud, key, file and jwks")
		}
		if *into != "" {
			return errors.New("has the part " + name + " twice")
		}
		*into = value
	}
	return nil
}

// String returns the key without its secret.
func (k JWTKey) String() string {
	s := "kid=" + k.KID + ",alg=" + k.Alg
	if k.Iss != "" {
		s += ",iss=" + k.Iss
	}
	if k.Aud != "" {
		s += ",aud=" + k.Aud
	}
	switch {
	case k.JWKS != "":
		return s + ",jwks=" + redactURL(k.JWKS)
	case k.File != "":
		return s + ",file=" + k.File
	default:
		return s + ",key=" + redacted
	}
}

// Material returns the key's bytes: Key, or the content of File without the line
// end; nil for a JWKS.
func (k JWTKey) Material() ([]byte, error) {
	switch {
	case k.JWKS != "":
		return nil, nil
	case k.File == "":
		return []byte(k.Key), nil
	}
	b, err := regular.ReadFile(k.File)
	if err != nil {
		return nil, fmt.Errorf("jwt-keys: %w", err)
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

// SigningSecret returns SigningKey decoded; nil if it is not set.
func (c *Config) SigningSecret() ([]byte, error) {
	if c.SigningKey == "" {
		return nil, nil
	}
	text := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(c.SigningKey)), "=")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("signing-key: must be base64")
	}
	return b, nil
}

func checkSecrets(c *Config, fault func(key, detail string)) (weak []string) {
	secret, err := c.SigningSecret()
	switch {
	case err != nil:
		fault("signing-key", "must be base64")
	case secret == nil:
	case len(secret) < 16:
		fault("signing-key", "is far too short; generate one with: openssl rand -base64 32")
	case isWeak(secret):
		weak = append(weak, fmt.Sprintf("signing-key: weak, it needs %d random bytes", MinSecret))
	}
	kids := map[string]bool{}
	for i, k := range c.JWTKeys {
		name := fmt.Sprintf("jwt-keys[%d]", i)
		if detail := k.fault(); detail != "" {
			fault(name, detail)
			continue
		}
		if k.JWKS == "" && kids[k.KID] {
			fault(name, "has the kid of another key")
		}
		kids[k.KID] = kids[k.KID] || k.JWKS == ""
		material, err := k.Material()
		switch {
		case err != nil:
			fault(name, "its file cannot be read")
		case k.JWKS == "" && len(material) == 0:
			fault(name, "is empty")
		case k.Alg == "HS256" && isWeak(material):
			weak = append(weak, fmt.Sprintf("%s: weak, it needs %d random bytes", name, MinSecret))
		}
		if u, err := url.Parse(k.JWKS); err == nil && u.Scheme == "http" {
			weak = append(weak, name+": its keys are fetched over plain http")
		}
	}
	return weak
}

// unbound returns a warning for each key whose tokens may have any issuer or audience.
func (c *Config) unbound() (notes []string) {
	for i, k := range c.JWTKeys {
		var missing []string
		if k.Iss == "" {
			missing = append(missing, "iss")
		}
		if k.Aud == "" {
			missing = append(missing, "aud")
		}
		if len(missing) > 0 {
			notes = append(notes, fmt.Sprintf("jwt-keys[%d]: has no %s, so tokens that its key signs for other services are accepted too",
				i, strings.Join(missing, " and no ")))
		}
	}
	return notes
}

func (k JWTKey) fault() string {
	given := 0
	for _, s := range [...]string{k.Key, k.File, k.JWKS} {
		if s != "" {
			given++
		}
	}
	u, err := url.Parse(k.JWKS)
	switch {
	case !slices.Contains(Algorithms, k.Alg):
		return "needs exactly one alg of " + strings.Join(Algorithms, ", ")
	case given != 1:
		return "needs exactly one of key, file and jwks"
	case k.JWKS != "" && (err != nil || !isHTTP(u.Scheme) || !hasHost(u)):
		return "jwks must be an http or https URL"
	case k.JWKS != "" && k.Alg == "HS256":
		return "HS256 secrets are not published in a JWKS"
	default:
		return ""
	}
}

// defaults are secrets of examples, of this project and others.
var defaults = []string{"changeme", "change-me", "default", "development", "example", "password", "jwt_secret", "secret"}

// isWeak reports whether a secret is short, repetitive, or one of an example.
func isWeak(secret []byte) bool {
	if len(secret) < MinSecret {
		return true
	}
	seen := map[byte]bool{}
	for _, c := range secret {
		seen[c] = true
	}
	text := strings.ToLower(string(secret))
	return len(seen) < 8 || slices.ContainsFunc(defaults, func(d string) bool { return strings.HasPrefix(text, d) })
}

const redacted = "[redacted]"

// redactURL returns an address without the user's password and without its query.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" && strings.Contains(u.Opaque+u.Host+u.Path+u.Fragment, "@") {
		return redacted // an @ elsewhere: a secret with a slash, unescaped, is read as a path
	}
	if u.User == nil && u.RawQuery == "" {
		return s
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.Redacted()
}
