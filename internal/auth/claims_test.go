package auth

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// A token of an earlier server names its user in ID; sub comes before it.
func TestTheClaimID(t *testing.T) {
	h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}} })
	exp := h.now().Add(time.Hour).Time().Unix()
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		want   string // empty: refused
	}{
		"ID":            {jwt.MapClaims{"ID": "warga:7", "exp": exp}, "warga:7"},
		"sub and ID":    {jwt.MapClaims{"sub": "warga-7", "ID": "warga:8", "exp": exp}, "warga-7"},
		"empty sub":     {jwt.MapClaims{"sub": "", "ID": "warga:7", "exp": exp}, "warga:7"},
		"ID of numbers": {jwt.MapClaims{"ID": 7, "exp": exp}, ""},
		"sub, odd ID":   {jwt.MapClaims{"sub": "warga-7", "ID": 7, "exp": exp}, "warga-7"},
		"no user id":    {jwt.MapClaims{"ID": "a/b", "exp": exp}, ""},
		"none":          {jwt.MapClaims{"exp": exp}, ""},
	} {
		p, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), tc.claims))
		if (err == nil) != (tc.want != "") || p.UserID != tc.want {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	// The server's own tokens have no such claim.
	own := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"ID": "warga:7", "exp": exp})
	own.Header["kid"] = h.tokens.kid
	text, err := own.SignedString(h.tokens.access)
	if err != nil {
		t.Fatal(err)
	}
	if c, foreign, err := h.tokens.parse(text); err != nil || foreign || c.Subject != "" {
		t.Errorf("%+v %v %v", c, foreign, err)
	}
}

func TestIssuerAndAudience(t *testing.T) {
	k := newKeyring(t)
	h := build(t, func(o *Options) {
		o.Keys = []Key{
			{ID: "rsa", Alg: "RS256", Material: k.pem["rsa"], Issuer: "https://id.example", Audience: "gotong"},
			{ID: "ec", Alg: "ES256", Material: k.pem["ec"], Issuer: "https://id.example"},
			{ID: "ed", Alg: "EdDSA", Material: k.pem["ed"], Audience: "gotong"},
		}
	})
	exp := h.now().Add(time.Hour).Time().Unix()
	both, iss, aud := "rsa", "ec", "ed"
	for name, tc := range map[string]struct {
		iss, aud any
		good     []string
	}{
		"both":             {"https://id.example", "gotong", []string{both, iss, aud}},
		"aud among others": {"https://id.example", []string{"x", "gotong"}, []string{both, iss, aud}},
		"other aud":        {"https://id.example", "shop", []string{iss}},
		"other iss":        {"https://id.example.org", "gotong", []string{aud}},
		"case counts":      {"https://ID.example", "Gotong", nil},
		"neither":          {nil, nil, nil},
		"empty":            {"", "", nil},
		"odd iss":          {[]string{"https://id.example"}, "gotong", nil},
	} {
		for kid, key := range map[string]any{both: k.rsa, iss: k.ec, aud: k.ed} {
			claims := jwt.MapClaims{"sub": "warga-7", "exp": exp}
			if tc.iss != nil {
				claims["iss"], claims["aud"] = tc.iss, tc.aud
			}
			method := map[string]jwt.SigningMethod{both: jwt.SigningMethodRS256, iss: jwt.SigningMethodES256, aud: jwt.SigningMethodEdDSA}[kid]
			_, err := h.Verify(t.Context(), signed(t, method, kid, key, claims))
			if (err == nil) != slices.Contains(tc.good, kid) {
				t.Errorf("%s, key %s: %v", name, kid, err)
			}
		}
	}
}

func TestBypass(t *testing.T) {
	closed := build(t, nil)
	_, err := closed.Verify(t.Context(), BypassToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	h := build(t, func(o *Options) { o.Bypass = true })
	_, err = h.Verify(t.Context(), BypassToken+"x")
	wantCode(t, err, gotong.CodeUnauthorized)
	for range 2 { // logging out changes nothing
		p, err := h.Verify(t.Context(), BypassToken)
		if err != nil || p.UserID != "dev-user" || p.Username != "dev-user" || p.Role != gotong.RoleUser {
			t.Fatalf("%+v, %v", p, err)
		}
		ticket, _, err := h.ticket(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.UseTicket(t.Context(), ticket); err != nil || again.UserID != "dev-user" {
			t.Fatalf("%+v, %v", again, err)
		}
		if err := h.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

// Who has an ES256 token can write its signature in another way that is as good:
// (r, n-s) for (r, s). That is the same token, and logged out with it.
func TestLogoutOfATokenWrittenAnew(t *testing.T) {
	k := newKeyring(t)
	h := build(t, func(o *Options) { o.Keys = []Key{{ID: "ec", Alg: "ES256", Material: k.pem["ec"]}} })
	text := signed(t, jwt.SigningMethodES256, "ec", k.ec, jwt.MapClaims{"sub": "warga-7", "exp": h.now().Add(time.Hour).Time().Unix()})
	part := strings.LastIndexByte(text, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(text[part:])
	if err != nil || len(sig) != 64 {
		t.Fatal(err, len(sig))
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(k.ec.Params().N, s).FillBytes(sig[32:])
	other := text[:part] + base64.RawURLEncoding.EncodeToString(sig)
	p, err := h.Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := h.Verify(t.Context(), other); err != nil || q.SessionID != p.SessionID {
		t.Errorf("%+v, %v: another login than %s", q, err, p.SessionID)
	}
	if err := h.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), other); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("good after its logout: %v", err)
	}
}
