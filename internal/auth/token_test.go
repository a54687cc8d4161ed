package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/user"
)

// keyring is the keys of others in these tests.
type keyring struct {
	rsa   *rsa.PrivateKey
	small *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
	pem   map[string][]byte
}

func newKeyring(tb testing.TB) keyring {
	tb.Helper()
	var k keyring
	var err error
	must := func() {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must()
	k.small, err = rsa.GenerateKey(rand.Reader, 1024)
	must()
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must()
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must()
	k.pem = map[string][]byte{}
	for name, public := range map[string]any{
		"rsa": k.rsa.Public(), "small": k.small.Public(), "ec": k.ec.Public(), "ed": k.ed.Public(),
	} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			tb.Fatal(err)
		}
		k.pem[name] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	return k
}

const earlier = "the secret of the earlier server"

func (k keyring) keys() []Key {
	return []Key{
		{ID: "", Alg: "HS256", Material: []byte(earlier)},
		{ID: "rsa", Alg: "RS256", Material: k.pem["rsa"]},
		{ID: "ec", Alg: "ES256", Material: k.pem["ec"]},
		{ID: "ed", Alg: "EdDSA", Material: k.pem["ed"]},
	}
}

// signed makes a token; a nil kid leaves it out.
func signed(tb testing.TB, method jwt.SigningMethod, kid any, key any, claims jwt.MapClaims) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != nil {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// forged puts header and claims together with a signature of nothing.
func forged(header, claims string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims)) + "."
}

func TestForeignTokensNeedTheirPinnedKey(t *testing.T) {
	k := newKeyring(t)
	h := build(t, func(o *Options) { o.Keys = k.keys() })
	own := h.signUp(t, siti("r1"))
	exp := h.now().Add(time.Hour).Time().Unix()
	past := h.now().Add(-leeway).Time().Unix()
	good := jwt.MapClaims{"sub": "warga-7", "role": "user", "exp": exp}
	with := func(name string, v any) jwt.MapClaims {
		c := jwt.MapClaims{}
		maps.Copy(c, good)
		if c[name] = v; v == nil {
			delete(c, name)
		}
		return c
	}
	hs, rs, es, ed := jwt.SigningMethodHS256, jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA
	genuine := signed(t, rs, "rsa", k.rsa, good)
	tests := []struct {
		name, token string
		role        gotong.Role // empty: refused
	}{
		{"earlier", signed(t, hs, nil, []byte(earlier), good), gotong.RoleUser},
		{"RS256", genuine, gotong.RoleUser},
		{"ES256", signed(t, es, "ec", k.ec, good), gotong.RoleUser},
		{"EdDSA", signed(t, ed, "ed", k.ed, good), gotong.RoleUser},
		{"without role", signed(t, ed, "ed", k.ed, with("role", nil)), gotong.RoleUser},
		{"moderator", signed(t, ed, "ed", k.ed, with("role", "moderator")), gotong.RoleModerator},
		{"admin", signed(t, ed, "ed", k.ed, with("role", "admin")), gotong.RoleAdmin},
		{"expired within the leeway", signed(t, ed, "ed", k.ed, with("exp", past+1)), gotong.RoleUser},
		{"good within the leeway", signed(t, ed, "ed", k.ed, with("nbf", h.now().Add(leeway).Time().Unix())), gotong.RoleUser},
		{"not yet by a second more", signed(t, ed, "ed", k.ed, with("nbf", h.now().Add(leeway+time.Second).Time().Unix())), ""},
		{"further claims", signed(t, ed, "ed", k.ed, with("ID", "x")), gotong.RoleUser},

		{"role system", signed(t, ed, "ed", k.ed, with("role", "system")), ""},
		{"role anonymous", signed(t, ed, "ed", k.ed, with("role", "anonymous")), ""},
		{"role made up", signed(t, ed, "ed", k.ed, with("role", "root")), ""},
		{"role of another type", signed(t, ed, "ed", k.ed, with("role", 7)), ""},
		{"none", forged(`{"alg":"none","typ":"JWT"}`, fmt.Sprintf(`{"sub":"a","exp":%d}`, exp)), ""},
		{"None", forged(`{"alg":"None"}`, fmt.Sprintf(`{"sub":"a","exp":%d}`, exp)), ""},
		{"none with kid", forged(`{"alg":"none","kid":"rsa"}`, fmt.Sprintf(`{"sub":"a","exp":%d}`, exp)), ""},
		{"signature cut", genuine[:strings.LastIndexByte(genuine, '.')+1], ""},
		{"HS256 with the RSA public key", signed(t, hs, "rsa", k.pem["rsa"], good), ""},
		{"HS256 with the EC public key", signed(t, hs, "ec", k.pem["ec"], good), ""},
		{"HS256 with an earlier secret under another kid", signed(t, hs, "rsa", []byte(earlier), good), ""},
		{"HS256 with the earlier secret under our kid", signed(t, hs, h.tokens.kid, []byte(earlier), good), ""},
		{"our kid without a login", signed(t, hs, h.tokens.kid, h.tokens.key, good), ""},
		{"our login in a token of others", signed(t, ed, "ed", k.ed, jwt.MapClaims{
			"sub": own.UserID, "role": "admin", "exp": exp, "sid": own.LoginID,
		}), ""},
		{"HS512", signed(t, jwt.SigningMethodHS512, nil, []byte(earlier), good), ""},
		{"RS512", signed(t, jwt.SigningMethodRS512, "rsa", k.rsa, good), ""},
		{"PS256", signed(t, jwt.SigningMethodPS256, "rsa", k.rsa, good), ""},
		{"ES256 under the kid of EdDSA", signed(t, es, "ed", k.ec, good), ""},
		{"wrong kid", signed(t, rs, "other", k.rsa, good), ""},
		{"missing kid", signed(t, rs, nil, k.rsa, good), ""},
		{"kid that is no text", signed(t, hs, 7, []byte(earlier), good), ""},
		{"another key", signed(t, rs, "rsa", k.small, good), ""},
		{"without exp", signed(t, ed, "ed", k.ed, with("exp", nil)), ""},
		{"expired", signed(t, ed, "ed", k.ed, with("exp", past)), ""},
		{"not yet", signed(t, ed, "ed", k.ed, with("nbf", exp)), ""},
		{"exp as text", signed(t, ed, "ed", k.ed, with("exp", "tomorrow")), ""},
		{"without sub", signed(t, ed, "ed", k.ed, with("sub", nil)), ""},
		{"sub that is no id", signed(t, ed, "ed", k.ed, with("sub", "a/b")), ""},
		{"too long", signed(t, ed, "ed", k.ed, with("pad", strings.Repeat("x", maxToken))), ""},
		{"critical extension", func() string {
			token := jwt.NewWithClaims(ed, good)
			token.Header["kid"], token.Header["crit"] = "ed", []string{"b64"}
			text, _ := token.SignedString(k.ed)
			return text
		}(), ""},
		{"nothing", "", ""},
		{"two parts", "a.b", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := h.Verify(t.Context(), tc.token)
			if tc.role == "" {
				wantCode(t, err, gotong.CodeUnauthorized)
				return
			}
			if err != nil || p.UserID != "warga-7" || p.Role != tc.role || p.Expires <= h.now() {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestAForeignTokenMustMatchTheAccountHere(t *testing.T) {
	k := newKeyring(t)
	h := build(t, func(o *Options) { o.Keys = k.keys() })
	id := h.signUp(t, siti("r1")).UserID
	token := func(role any) string {
		c := jwt.MapClaims{"sub": id, "exp": h.now().Add(time.Hour).Time().Unix()}
		if role != nil {
			c["role"] = role
		}
		return signed(t, jwt.SigningMethodEdDSA, "ed", k.ed, c)
	}
	none, asUser, asAdmin := token(nil), token("user"), token("admin")
	for _, tok := range []string{none, asUser} {
		if p, err := h.Verify(t.Context(), tok); err != nil || p.Role != gotong.RoleUser || p.Username != "Siti_R" {
			t.Errorf("%+v, %v", p, err)
		}
	}
	_, err := h.Verify(t.Context(), asAdmin)
	wantCode(t, err, gotong.CodeUnauthorized)

	h.command(t, id, "a1", user.CmdSetRole, user.SetRole{Role: gotong.RoleAdmin})
	_, err = h.Verify(t.Context(), asUser)
	wantCode(t, err, gotong.CodeUnauthorized)
	for _, tok := range []string{none, asAdmin} {
		if p, err := h.Verify(t.Context(), tok); err != nil || p.Role != gotong.RoleAdmin {
			t.Errorf("%+v, %v", p, err)
		}
	}
	h.command(t, id, "a2", user.CmdDisable, user.Disable{})
	for _, tok := range []string{none, asUser, asAdmin} {
		_, err = h.Verify(t.Context(), tok)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
}

func TestALogoutRejectsOneForeignToken(t *testing.T) {
	k := newKeyring(t)
	h := build(t, func(o *Options) { o.Keys = k.keys() })
	token := func(n int) string {
		return signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{
			"sub": "warga-7", "exp": h.now().Add(time.Hour).Time().Unix(), "n": n,
		})
	}
	one, two := token(1), token(2)
	p, err := h.Verify(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.Verify(t.Context(), one)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Verify(t.Context(), two); err != nil {
		t.Error(err)
	}
	if !strings.Contains(h.hooks(), "login:"+p.LoginID+":warga-7") {
		t.Error(h.hooks())
	}
}

func TestAnAccessTokenNeedsTheKeyTheLoginAndTheRole(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	other := build(t, func(o *Options) { o.Secret = []byte(testSecret + "!"); o.Store = h.store })
	_, err := other.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	// Who has the key, but no login, has nothing.
	text, _, err := h.tokens.access(g.UserID, "made-up", gotong.RoleUser, login{RotatedAt: h.now()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Verify(t.Context(), text)
	wantCode(t, err, gotong.CodeUnauthorized)
	// The role in a genuine token must be the account's.
	text, _, err = h.tokens.access(g.UserID, g.LoginID, gotong.RoleAdmin, login{RotatedAt: h.now()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Verify(t.Context(), text)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestAnExpiredAccessTokenIsRejected(t *testing.T) {
	h := build(t, func(o *Options) { o.AccessLife = 15 * time.Minute })
	g := h.signUp(t, siti("r1"))
	h.pass(15*time.Minute - time.Millisecond)
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Millisecond) // the verdict is young, the token is not
	_, err := h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestAnUnsuitableKeyIsAnError(t *testing.T) {
	k := newKeyring(t)
	for name, keys := range map[string][]Key{
		"no algorithm":         {{ID: "a", Material: k.pem["rsa"]}},
		"none":                 {{ID: "a", Alg: "none", Material: []byte("x")}},
		"HS512":                {{ID: "a", Alg: "HS512", Material: []byte("x")}},
		"public key as secret": {{ID: "a", Alg: "HS256", Material: k.pem["rsa"]}},
		"empty secret":         {{ID: "a", Alg: "HS256"}},
		"RS256 with EC":        {{ID: "a", Alg: "RS256", Material: k.pem["ec"]}},
		"ES256 with RSA":       {{ID: "a", Alg: "ES256", Material: k.pem["rsa"]}},
		"EdDSA with EC":        {{ID: "a", Alg: "EdDSA", Material: k.pem["ec"]}},
		"short RSA":            {{ID: "a", Alg: "RS256", Material: k.pem["small"]}},
		"no PEM":               {{ID: "a", Alg: "RS256", Material: []byte("x")}},
		"HS256 by JWKS":        {{ID: "a", Alg: "HS256", JWKS: "https://example.org/"}},
		"kid twice":            {{ID: "a", Alg: "HS256", Material: []byte("x")}, {ID: "a", Alg: "HS256", Material: []byte("y")}},
	} {
		s, err := New(t.Context(), Options{Secret: []byte(testSecret), Keys: keys, Clock: clocktest.Stopped(0)})
		if err == nil {
			s.Close()
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := New(t.Context(), Options{Secret: []byte("short")}); err == nil {
		t.Error("a short secret was taken")
	}
}

func TestPublishedKeysAreFetchedAndPinned(t *testing.T) {
	k := newKeyring(t)
	enc := base64.RawURLEncoding.EncodeToString
	number := func(n *big.Int) string { return enc(n.Bytes()) }
	var fetched, rotated atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		keys := []map[string]string{
			{"kty": "RSA", "kid": "r", "n": number(k.rsa.N), "e": number(big.NewInt(int64(k.rsa.E)))},
			{"kty": "RSA", "kid": "short", "n": number(k.small.N), "e": number(big.NewInt(int64(k.small.E)))},
			{"kty": "oct", "kid": "oct", "k": enc([]byte(earlier))},
			{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": enc(k.ed.Public().(ed25519.PublicKey))},
		}
		if rotated.Load() > 0 {
			keys = append(keys, map[string]string{
				"kty": "RSA", "kid": "new", "n": number(k.rsa.N), "e": number(big.NewInt(int64(k.rsa.E))),
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	defer srv.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "RS256", JWKS: srv.URL}} })
	claims := jwt.MapClaims{"sub": "warga-7", "exp": h.now().Add(time.Hour).Time().Unix()}

	if p, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, "r", k.rsa, claims)); err != nil || p.UserID != "warga-7" {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, token := range map[string]string{
		"no kid":                     signed(t, jwt.SigningMethodRS256, nil, k.rsa, claims), // fetches nothing
		"short key":                  signed(t, jwt.SigningMethodRS256, "short", k.small, claims),
		"secret in the set":          signed(t, jwt.SigningMethodHS256, "oct", []byte(earlier), claims),
		"algorithm that is not ours": signed(t, jwt.SigningMethodEdDSA, "ed", k.ed, claims),
		"public key as secret":       signed(t, jwt.SigningMethodHS256, "r", k.pem["rsa"], claims),
	} {
		if _, err := h.Verify(t.Context(), token); gotong.CodeOf(err) != gotong.CodeUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	rotated.Store(1)
	if _, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, "new", k.rsa, claims)); err != nil {
		t.Errorf("a new key was not fetched: %v", err)
	}
	before := fetched.Load()
	for i := range 50 {
		_, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, fmt.Sprint("unknown", i), k.rsa, claims))
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	if n := fetched.Load() - before; n > 1 {
		t.Errorf("unknown kids made %d requests", n)
	}
}

// The library checks the type of a key too; the pin must hold without it.
func TestAPinHoldsByItself(t *testing.T) {
	p := pinned{alg: "RS256", key: []byte("x")}
	for _, method := range []jwt.SigningMethod{
		jwt.SigningMethodHS256, jwt.SigningMethodPS256, jwt.SigningMethodRS512, jwt.SigningMethodNone,
	} {
		if _, err := p.of(method.Alg(), "k"); err == nil {
			t.Errorf("%s was taken", method.Alg())
		}
	}
	if _, err := p.of("RS256", "k"); err != nil {
		t.Error(err)
	}
}

// The JWT library accepts each token that the server accepts, and reads the same
// claims.
func FuzzTokenParse(f *testing.F) {
	h := build(f, func(o *Options) { o.Keys = []Key{{ID: "hs", Alg: "HS256", Material: []byte(earlier)}} })
	own := h.signUp(f, siti("r1")).AccessToken
	foreign := jwt.MapClaims{"sub": "warga-7", "role": "user", "exp": h.now().Add(time.Hour).Time().Unix(), "nbf": 1.5, "aud": []string{"a"}}
	other := signed(f, jwt.SigningMethodHS256, "hs", []byte(earlier), foreign)
	for _, token := range []string{own, other} {
		part := strings.Split(token, ".")
		for _, text := range []string{
			token, token + ".", token + "=", "." + token, "Bearer " + token, token + "\n", strings.ToUpper(token), token[1:],
			strings.Join([]string{part[0], part[1], ""}, "."), strings.Join([]string{part[0], "", part[2]}, "."),
			strings.Join([]string{part[1], part[0], part[2]}, "."), strings.Join(part[:2], "."), token + "." + part[2],
		} {
			f.Add(text)
		}
	}
	parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"HS256"}))
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := h.tokens.parse(text)
		if err != nil {
			return
		}
		all := jwt.MapClaims{}
		_, err = parser.ParseWithClaims(text, all, func(token *jwt.Token) (any, error) {
			kid, _ := token.Header["kid"].(string)
			if p, ok := h.tokens.own[kid]; ok {
				return p.key, nil
			}
			return h.tokens.others.Load().keys[kid].key, nil
		})
		if err != nil || all["sub"] != c.Subject || all["role"] != string(c.Role) {
			t.Errorf("%s: accepted as %+v; the library reads %v, %v", text, c, all, err)
		}
	})
}

func BenchmarkTokenParse(b *testing.B) {
	h := build(b, func(o *Options) { o.Keys = []Key{{ID: "hs", Alg: "HS256", Material: []byte(earlier)}} })
	foreign := signed(b, jwt.SigningMethodHS256, "hs", []byte(earlier), jwt.MapClaims{
		"sub": "warga-7", "role": "user", "exp": h.now().Add(time.Hour).Time().Unix(), "iss": "https://id.example", "aud": "gotong",
	})
	for name, token := range map[string]string{"own": h.signUp(b, siti("r1")).AccessToken, "foreign": foreign} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := h.tokens.parse(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
