package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

// A revoked token of others stays so whatever the clock did meanwhile.
func TestRevocationsOutliveAClockThatRanAhead(t *testing.T) {
	h := build(t, func(o *Options) { o.Keys = []Key{{Alg: "HS256", Material: []byte(earlier)}} })
	n := 0
	logOut := func(life time.Duration) string {
		t.Helper()
		n++
		text := signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{
			"sub": fmt.Sprint("warga-", n), "exp": h.now().Add(life).Time().Unix(),
		})
		p, err := h.Verify(t.Context(), text)
		if err == nil {
			err = h.Logout(t.Context(), p)
		}
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	kept := func() int { return h.count(t, revocationName, revocationKey("").Owner) }
	const week = 7 * 24 * time.Hour
	revoked := logOut(time.Hour)
	h.clock.Step(week)
	logOut(time.Hour) // looks at the first: it seems to have expired
	h.clock.Step(-week)
	if _, err := h.Verify(t.Context(), revoked); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("good again: %v", err)
	}
	logOut(week) // looks again: it has not expired
	h.clock.Step(week)
	h.pass(2 * secondLook)
	logOut(week) // seen expired for the first time since, and the two after it
	if kept() != 4 {
		t.Errorf("%d revocations, want 4", kept())
	}
	h.pass(secondLook - time.Microsecond)
	logOut(week)
	if kept() != 5 {
		t.Errorf("%d revocations, want 5", kept())
	}
	h.pass(time.Microsecond)
	logOut(week) // an hour later still expired: they go
	if kept() != 3 {
		t.Errorf("%d revocations, want 3", kept())
	}
}

// Each look goes on where the one before ended.
func TestEveryRevocationIsReadInItsTurn(t *testing.T) {
	h := build(t, nil)
	for i := range 3 * lookAtOnce {
		if _, err := h.revoke(t.Context(), Principal{UserID: "warga-7", LoginID: fmt.Sprintf("token-%04d", i), Expires: h.now()}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for range 4 {
			if err := h.dropRevocations(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		h.pass(secondLook)
	}
	if n := h.count(t, revocationName, revocationKey("").Owner); n != 0 || len(h.revoked.seen) != 0 {
		t.Errorf("%d revocations, %d seen", n, len(h.revoked.seen))
	}
}
