package auth

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

func TestAnOperatorTokenIsValidForItsLife(t *testing.T) {
	h := build(t, nil)
	made := func(secret string) string {
		t.Helper()
		text, err := OperatorToken([]byte(secret), h.now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	token := made(testSecret)
	p, err := h.Verify(t.Context(), token)
	if err != nil || (gotong.Actor{UserID: p.UserID, Role: p.Role}) != Operator() || p.Username != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = h.Verify(t.Context(), made("another secret, as long as that"))
	wantCode(t, err, gotong.CodeUnauthorized)
	// Its key is for it alone: an access token's key does not make one.
	forged := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "operator", "role": "admin", "exp": h.now().Add(time.Hour).Time().Unix()})
	forged.Header["kid"] = h.tokens.operatorKid()
	text, err := forged.SignedString(h.tokens.key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Verify(t.Context(), text)
	wantCode(t, err, gotong.CodeUnauthorized)
	h.pass(time.Minute)
	_, err = h.Verify(t.Context(), token)
	wantCode(t, err, gotong.CodeUnauthorized)
}
