package auth

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// A damaged register never counts as one that does not exist: that would lift a
// limit, or accept what was revoked.
func TestADamagedRegisterIsAnInternalError(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	p, err := h.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.fromDevice(t.Context(), "wrong", g.DeviceToken); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key gotong.Key
		use func() error
	}{
		{loginKey(g.UserID, g.LoginID), func() error { return h.Recheck(t.Context(), p) }},
		{gotong.Key{Collection: devicesName, Owner: g.UserID, Name: g.LoginID}, func() error {
			_, err := h.fromDevice(t.Context(), "selokan bersih", g.DeviceToken)
			return err
		}},
		{accountKey(g.UserID), func() error {
			_, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
			return err
		}},
		{revocationKey("token-1"), func() error {
			return h.Recheck(t.Context(), Principal{UserID: "warga-7", LoginID: "token-1", Foreign: true})
		}},
		{cutoffKey(), func() error {
			return h.Recheck(t.Context(), Principal{UserID: "warga-7", LoginID: "token-2", Foreign: true, Issued: 1})
		}},
	} {
		reg, err := store.ReadRegister(t.Context(), h.store, tc.key)
		if err == nil {
			err = h.store.SetRegister(t.Context(), tc.key, reg.Version, []byte("{"), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.use(); gotong.CodeOf(err) != gotong.CodeInternal {
			t.Errorf("%s: %v", tc.key.Collection, err)
		}
	}
}
