package auth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

func (h *house) fromDevice(ctx context.Context, pass, device string) (Grant, error) {
	return h.signIn(ctx, SignIn{Email: "siti@example.org", Pass: pass, Device: device, Address: "192.0.2.1"})
}

// Strangers who guess at an account, or from the same address, hinder its owner
// only where they never signed in before.
func TestADeviceTokenHasALimitOfItsOwn(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	for i := range 12 {
		_, _ = h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "guess", Address: fmt.Sprint("198.51.100.", i)})
	}
	for i := range 25 {
		_, _ = h.signIn(t.Context(), SignIn{Email: fmt.Sprint(i, "@example.org"), Pass: "guess", Address: "192.0.2.1"})
	}
	_, err := h.fromDevice(t.Context(), "selokan bersih", "")
	wantCode(t, err, gotong.CodeRateLimited)
	in, err := h.fromDevice(t.Context(), "selokan bersih", g.DeviceToken)
	if err != nil || in.DeviceToken == "" || in.DeviceToken == g.DeviceToken {
		t.Fatalf("%+v, %v", in, err)
	}
	// It does not give the guesses of the strangers back.
	_, err = h.fromDevice(t.Context(), "selokan bersih", "")
	wantCode(t, err, gotong.CodeRateLimited)
}

func TestTenFailuresVoidADeviceToken(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	in, err := h.fromDevice(t.Context(), "selokan bersih", g.DeviceToken)
	wantCode(t, err, "")
	var tried atomic.Int64
	counts := func(_ context.Context, login string) error {
		if login == "" {
			tried.Add(1) // without the device
		}
		return nil
	}
	try := func(pass string) {
		_, _ = h.SignIn(t.Context(), SignIn{Email: "siti@example.org", Pass: pass, Device: g.DeviceToken, Address: "192.0.2.1", Count: counts})
	}
	for range maxDeviceFailures + 1 {
		try("selokan bersih")
	}
	if n := tried.Load(); n != 0 {
		t.Errorf("%d successes counted as failures of the device", n)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { try("guess") })
	}
	wg.Wait()
	if n := tried.Load(); n < 10 {
		t.Errorf("%d of 20 guesses counted for themselves, want 10 at least", n)
	}
	for range maxDeviceFailures { // of the 20, those that lost too many races counted for themselves alone
		try("guess")
	}
	_, err = h.fromDevice(t.Context(), "selokan bersih", g.DeviceToken)
	wantCode(t, err, gotong.CodeRateLimited) // as without it
	if _, err := h.fromDevice(t.Context(), "selokan bersih", in.DeviceToken); err != nil {
		t.Error(err)
	}
}

// What is no device token of the account, or no longer one, is as none.
func TestForeignAndExpiredDeviceTokensHaveNoEffect(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	budi := siti("r2")
	budi.Email, budi.Username = "budi@example.org", "budi"
	other := h.signUp(t, budi)
	for range 12 {
		_, _ = h.fromDevice(t.Context(), "guess", "")
	}
	mac := strings.LastIndexByte(g.DeviceToken, '.')
	for name, token := range map[string]string{
		"of another account": other.DeviceToken, "cut": g.DeviceToken[:mac+1], "another mac": g.DeviceToken[:mac+1] + strings.Repeat("A", 43),
		"made up": "d1.b.a.c", "short": "d1", "long": strings.Repeat("d1.", 400), "a refresh token": g.RefreshToken,
	} {
		if _, err := h.fromDevice(t.Context(), "selokan bersih", token); gotong.CodeOf(err) != gotong.CodeRateLimited {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.pass(deviceLife)
	for range 12 {
		_, _ = h.fromDevice(t.Context(), "guess", "")
	}
	_, err := h.fromDevice(t.Context(), "selokan bersih", g.DeviceToken)
	wantCode(t, err, gotong.CodeRateLimited)
}

func TestADeviceTokenKeepsNoAddress(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	if _, err := h.fromDevice(t.Context(), "guess", g.DeviceToken); err == nil {
		t.Fatal("a guess")
	}
	regs, err := h.store.FindRegisters(t.Context(), store.KeyRange{Collection: devicesName, Owner: g.UserID, To: "~"})
	if err != nil || len(regs) != 1 || string(regs[0].Body) != `{"failures":1}` || regs[0].Expires > h.now().Add(deviceLife+time.Second) {
		t.Errorf("%+v, %v", regs, err)
	}
}
