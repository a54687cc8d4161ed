package auth

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// A token of an earlier server names its user in ID; sub comes before it.
func TestTheClaimIDReplacesAMissingSub(t *testing.T) {
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
	text, err := own.SignedString(h.tokens.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, foreign, err := h.tokens.parse(text); err != nil || foreign || c.Subject != "" {
		t.Errorf("%+v %v %v", c, foreign, err)
	}
}

func TestAnotherIssuerOrAudienceIsRejected(t *testing.T) {
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

func TestTheBypassTokenIsValidOnlyWithTheOption(t *testing.T) {
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
func TestALogoutRejectsBothFormsOfASignature(t *testing.T) {
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
	if q, err := h.Verify(t.Context(), other); err != nil || q.LoginID != p.LoginID {
		t.Errorf("%+v, %v: another login than %s", q, err, p.LoginID)
	}
	if err := h.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), other); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("good after its logout: %v", err)
	}
}

// written signs these very bytes with the key of an earlier server.
func written(tb testing.TB, header, claims string) string {
	tb.Helper()
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	sig, err := jwt.SigningMethodHS256.Sign(text, []byte(earlier))
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + enc.EncodeToString(sig)
}

// What decides rights is read strictly: exact names, each once, each value of
// its type.
func TestClaimsAreReadStrictly(t *testing.T) {
	h := build(t, func(o *Options) {
		o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}, {ID: "a", Alg: "HS256", Material: []byte(earlier), Audience: "gotong"}}
	})
	exp := fmt.Sprint(h.now().Add(time.Hour).Time().Unix())
	const header, withAud = `{"alg":"HS256"}`, `{"alg":"HS256","kid":"a"}`
	good := `"sub":"warga-7","exp":` + exp
	for name, tc := range map[string]struct {
		header, claims string
		ok             bool
	}{
		"plain":               {header, `{` + good + `}`, true},
		"unknown claims":      {header, `{` + good + `,"name":null,"x":{"role":"admin"},"id":"7","gröẞe":[1,2.5]}`, true},
		"exp with a fraction": {header, `{"sub":"warga-7","exp":` + exp + `.75}`, true},
		"exp as an exponent":  {header, `{"sub":"warga-7","exp":4e9}`, true},
		"one audience":        {withAud, `{` + good + `,"aud":"gotong"}`, true},
		"several audiences":   {withAud, `{` + good + `,"aud":["x","gotong"]}`, true},

		"ROLE beside role":        {header, `{` + good + `,"role":"user","ROLE":"admin"}`, false},
		"ROLE alone":              {header, `{` + good + `,"ROLE":"admin"}`, false},
		"Role":                    {header, `{` + good + `,"Role":"admin"}`, false},
		"role twice":              {header, `{` + good + `,"role":"user","role":"admin"}`, false},
		"role twice, one escaped": {header, `{` + good + `,"role":"user","r\u006fle":"admin"}`, false},
		"sub twice":               {header, `{` + good + `,"sub":"warga-8"}`, false},
		"SUB":                     {header, `{` + good + `,"SUB":"warga-8"}`, false},
		"sub with a long s":       {header, `{` + good + `,"ſub":"warga-8"}`, false},
		"AUD":                     {withAud, `{` + good + `,"AUD":"gotong"}`, false},
		"AUD beside aud":          {withAud, `{` + good + `,"aud":"shop","AUD":"gotong"}`, false},
		"EXP":                     {header, `{"sub":"warga-7","EXP":` + exp + `}`, false},
		"EXP beside exp":          {header, `{"sub":"warga-7","exp":1,"EXP":` + exp + `}`, false},
		"exp twice":               {header, `{"sub":"warga-7","exp":1,"exp":` + exp + `}`, false},
		"exp as text":             {header, `{"sub":"warga-7","exp":"` + exp + `"}`, false},
		"exp null":                {header, `{"sub":"warga-7","exp":null}`, false},
		"exp beyond every date":   {header, `{"sub":"warga-7","exp":1e300}`, false},
		"exp after the year 9999": {header, `{"sub":"warga-7","exp":253402300800}`, false},
		"nbf as text":             {header, `{` + good + `,"nbf":"1"}`, false},
		"iat as text":             {header, `{` + good + `,"iat":"1"}`, false},
		"role null":               {header, `{` + good + `,"role":null}`, false},
		"role in a list":          {header, `{` + good + `,"role":["admin"]}`, false},
		"sub a number":            {header, `{"sub":7,"exp":` + exp + `}`, false},
		"sub null, with an ID":    {header, `{"sub":null,"ID":"warga-7","exp":` + exp + `}`, false},
		"ID twice":                {header, `{"ID":"warga-8","ID":"warga-7","exp":` + exp + `}`, false},
		"aud null":                {header, `{` + good + `,"aud":null}`, false},
		"aud of numbers":          {header, `{` + good + `,"aud":[7]}`, false},
		"aud null in a list":      {withAud, `{` + good + `,"aud":["gotong",null]}`, false},
		"iss in a list":           {header, `{` + good + `,"iss":["x"]}`, false},
		"more after the object":   {header, `{` + good + `}{}`, false},
		"bytes that are no text":  {header, `{` + good + ",\"x\":\"\xff\"}", false},
		"half a character":        {header, `{` + good + `,"x":"\ud800"}`, false},
		"twice within":            {header, `{` + good + `,"x":{"a":1,"a":2}}`, false},
		"a list":                  {header, `[{` + good + `}]`, false},
		"alg twice in the header": {`{"alg":"none","alg":"HS256"}`, `{` + good + `}`, false},
		"kid twice in the header": {`{"alg":"HS256","kid":"x","kid":"a"}`, `{` + good + `,"aud":"gotong"}`, false},
		"KID in the header":       {`{"alg":"HS256","KID":"x","kid":"a"}`, `{` + good + `,"aud":"gotong"}`, false},
		"CRIT in the header":      {`{"alg":"HS256","CRIT":["b64"]}`, `{` + good + `}`, false},
		"kid null in the header":  {`{"alg":"HS256","kid":null}`, `{` + good + `}`, false},
		"more after the header":   {`{"alg":"HS256"} x`, `{` + good + `}`, false},
	} {
		p, err := h.Verify(t.Context(), written(t, tc.header, tc.claims))
		if tc.ok && (err != nil || p.UserID != "warga-7" || p.Role != gotong.RoleUser) || !tc.ok && gotong.CodeOf(err) != gotong.CodeUnauthorized {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// No token of others speaks for the server, for nobody, or for an imported author.
func TestNoForeignTokenNamesAReservedUser(t *testing.T) {
	h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}} })
	exp := h.now().Add(time.Hour).Time().Unix()
	for _, id := range []string{
		"operator", "system", "anonymous", "import:0198c2a4", "import:", "Operator", "SYSTEM", "Import:x",
	} {
		for _, claim := range []string{"sub", "ID"} {
			_, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{claim: id, "exp": exp}))
			if gotong.CodeOf(err) != gotong.CodeUnauthorized {
				t.Errorf("%s %s: %v", claim, id, err)
			}
		}
	}
	for _, id := range []string{"operators", "important", "system:7"} {
		_, err := h.Verify(t.Context(), signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{"sub": id, "exp": exp}))
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
