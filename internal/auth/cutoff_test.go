package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// A new epoch ends every login and ticket from before it, and the tokens of
// others that were issued before it.
func TestEndLoginsEndsLoginsTicketsAndEarlierForeignTokens(t *testing.T) {
	h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}} })
	foreign := func(issued any) string {
		c := jwt.MapClaims{"sub": "warga-7", "exp": h.now().Add(time.Hour).Time().Unix()}
		if issued != nil {
			c["iat"] = issued
		}
		return signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), c)
	}
	h.signUp(t, siti("r1"))
	g, err := h.signIn(t.Context(), sitiAgain("i1"))
	if err != nil {
		t.Fatal(err)
	}
	before, silent := foreign(h.now().Time().Unix()), foreign(nil)
	var tickets []string
	for _, token := range []string{g.AccessToken, before, silent} {
		p, err := h.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := h.ticket(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, text)
	}
	for i := range 3 * 64 { // more than are deleted together
		r := siti(fmt.Sprint("s", i))
		r.Email, r.Username = fmt.Sprintf("w%d@example.org", i), fmt.Sprint("warga", i)
		h.signUp(t, r)
	}
	h.pass(2 * recheck)
	n, err := EndLogins(t.Context(), h.store, h.now())
	if err != nil || n != 2+3*64 {
		t.Fatalf("%d logins, %v", n, err)
	}
	for _, token := range []string{g.AccessToken, before, foreign(0)} {
		_, err := h.Verify(t.Context(), token)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	for _, text := range tickets {
		_, err := h.UseTicket(t.Context(), text)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)

	// What is issued afterwards is good, and so is a token that does not say when it was.
	h.pass(time.Second)
	after := foreign(h.now().Time().Unix())
	for _, token := range []string{silent, after} {
		if _, err := h.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	g, err = h.signIn(t.Context(), sitiAgain("i1"))
	if err != nil || g.Replayed {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
		t.Error(err)
	}
}
