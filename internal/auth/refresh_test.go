package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
)

func TestEachRefreshReturnsOtherTokens(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	seen := map[string]bool{g.RefreshToken: true}
	for i := range 5 {
		h.pass(time.Minute)
		next, err := h.refresh(t.Context(), g.RefreshToken)
		if err != nil || seen[next.RefreshToken] || next.AccessToken == g.AccessToken || next.Replayed ||
			next.LoginID != g.LoginID || next.UserID != g.UserID || next.Username != "Siti_R" {
			t.Fatalf("%d: %+v, %v", i, next, err)
		}
		if _, err := h.Verify(t.Context(), next.AccessToken); err != nil {
			t.Fatal(err)
		}
		seen[next.RefreshToken], g = true, next
	}
}

// A refresh token that comes again gets the same answer for ten seconds, from
// whichever tab, and later another one unless somebody used the first.
func TestARetriedRefreshReturnsTheSameTokensForTenSeconds(t *testing.T) {
	use := func(t *testing.T, h *house, g Grant) {
		t.Helper()
		if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		between func(t *testing.T, h *house, old, next Grant)
		after   time.Duration
		want    string // same, another or ended
	}{
		"at once":                         {nil, 0, "same"},
		"at once, though it was used":     {func(t *testing.T, h *house, _, next Grant) { t.Helper(); use(t, h, next) }, 0, "same"},
		"after 10 s":                      {nil, grace, "same"},
		"after more":                      {nil, grace + time.Microsecond, "another"},
		"after 20 days":                   {nil, 20 * 24 * time.Hour, "another"},
		"after more, the old token used":  {func(t *testing.T, h *house, old, _ Grant) { t.Helper(); use(t, h, old) }, 2 * grace, "another"},
		"after more, the next token used": {func(t *testing.T, h *house, _, next Grant) { t.Helper(); use(t, h, next) }, 2 * grace, "ended"},
		"a ticket for the next token used": {func(t *testing.T, h *house, _, next Grant) {
			t.Helper()
			p := Principal{UserID: next.UserID, Role: next.Role, LoginID: next.LoginID, TokenID: tokenID(next.LoginID, 2), Expires: next.Expires}
			text, _, err := h.ticket(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.UseTicket(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}, 2 * grace, "ended"},
		"the next one refreshed": {func(t *testing.T, h *house, _, next Grant) {
			t.Helper()
			if _, err := h.refresh(t.Context(), next.RefreshToken); err != nil {
				t.Fatal(err)
			}
		}, 0, "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, nil)
			g := h.signUp(t, siti("r1"))
			first, err := h.refresh(t.Context(), g.RefreshToken)
			if err != nil {
				t.Fatal(err)
			}
			if tc.between != nil {
				tc.between(t, h, g, first)
			}
			h.pass(tc.after)
			again, err := h.refresh(t.Context(), g.RefreshToken)
			switch same := again.RefreshToken == first.RefreshToken && again.AccessToken == first.AccessToken; {
			case tc.want == "ended":
				wantCode(t, err, gotong.CodeUnauthorized)
				wantOver(t, h, first)
			case err != nil || same != (tc.want == "same") || again.Replayed != same || again.LoginID != g.LoginID:
				t.Fatalf("%+v, %v; first %+v", again, err, first)
			default:
				use(t, h, again)
				if again, err = h.refresh(t.Context(), again.RefreshToken); err != nil {
					t.Fatal(err)
				}
				use(t, h, again)
			}
		})
	}
}

// The grace of a spent token ends although the clock was set back meanwhile.
func TestAStepBackOfTheClockDoesNotProlongTheGrace(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	first, err := h.refresh(t.Context(), g.RefreshToken)
	if err == nil {
		_, err = h.Verify(t.Context(), first.AccessToken)
	}
	h.clock.Step(-time.Hour)
	again, e := h.refresh(t.Context(), g.RefreshToken)
	if err != nil || e != nil || again.RefreshToken != first.RefreshToken || !again.Replayed {
		t.Fatalf("%+v; %v, %v", again, err, e)
	}
	if _, err := h.Verify(t.Context(), again.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.pass(2 * grace)
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

// Who makes a login forget what was superseded, by losing many responses, does
// not make a superseded access token good: it is refused, and its refresh token
// ends the login.
func TestASupersededTokenIsNeverForgotten(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	lost, err := h.refresh(t.Context(), g.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	last, all := g, []Grant{lost}
	for range maxSpans + 1 {
		h.pass(2 * grace)
		if again, e := h.refresh(t.Context(), last.RefreshToken); e == nil { // lost again
			all = append(all, again)
			h.pass(2 * grace)
		}
		if last, err = h.refresh(t.Context(), last.RefreshToken); err != nil {
			t.Fatal(err)
		}
		if last, err = h.refresh(t.Context(), last.RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range all[:2] { // those that are forgotten; another one would end the login
		_, err = h.Verify(t.Context(), g.AccessToken)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	if _, err := h.Verify(t.Context(), last.AccessToken); err != nil {
		t.Fatalf("the access token ended the login: %v", err)
	}
	_, err = h.refresh(t.Context(), lost.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	wantOver(t, h, last)
}

// wantOver checks that a login has ended and that the end was announced.
func wantOver(t *testing.T, h *house, g Grant) {
	t.Helper()
	_, err := h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	_, err = h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if want := "login:" + g.LoginID + ":" + g.UserID; h.hooks() != want {
		t.Errorf("hooks %q, want %q", h.hooks(), want)
	}
}

// Tokens that were replaced before anybody used them are spent: whichever of
// them appears, two have the login.
func TestASupersededTokenEndsTheLogin(t *testing.T) {
	for name, appears := range map[string]func(h *house, g Grant) error{
		"refresh token": func(h *house, g Grant) error { _, err := h.refresh(t.Context(), g.RefreshToken); return err },
		"access token":  func(h *house, g Grant) error { _, err := h.Verify(t.Context(), g.AccessToken); return err },
	} {
		for later := range 3 { // so many exchanges after it was replaced
			t.Run(fmt.Sprint(name, " after ", later), func(t *testing.T) {
				h := build(t, nil)
				g := h.signUp(t, siti("r1"))
				lost, err := h.refresh(t.Context(), g.RefreshToken)
				for i := 0; err == nil && i < 2; i++ { // lost again
					h.pass(2 * grace)
					_, err = h.refresh(t.Context(), g.RefreshToken)
				}
				h.pass(2 * grace)
				last := g
				for i := 0; err == nil && i <= later; i++ {
					last, err = h.refresh(t.Context(), last.RefreshToken)
				}
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, appears(h, lost), gotong.CodeUnauthorized)
				wantOver(t, h, last)
			})
		}
	}
}

// A thief who copied a refresh token and always stays one step behind its
// owner is found at the second exchange at the latest, whatever the owner does.
func TestAThiefOneStepBehindEndsTheLogin(t *testing.T) {
	for name, owner := range map[string]func(h *house, g Grant) (Grant, error){
		"who uses tokens at once": func(h *house, g Grant) (Grant, error) {
			g, err := h.refresh(t.Context(), g.RefreshToken)
			if err == nil {
				_, err = h.Verify(t.Context(), g.AccessToken)
			}
			return g, err
		},
		"who only refreshes": func(h *house, g Grant) (Grant, error) { return h.refresh(t.Context(), g.RefreshToken) },
		"who uses tokens late": func(h *house, g Grant) (Grant, error) {
			if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
				return g, err
			}
			return h.refresh(t.Context(), g.RefreshToken)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, nil)
			owned := h.signUp(t, siti("r1"))
			stolen, exchanges := owned.RefreshToken, 0
			for h.count(t, loginsName, owned.UserID) == 1 {
				before := owned.RefreshToken
				owned, _ = owner(h, owned)
				if h.count(t, loginsName, owned.UserID) == 0 {
					break
				}
				h.pass(grace + time.Second)
				exchanges++
				if _, err := h.refresh(t.Context(), stolen); err != nil {
					wantCode(t, err, gotong.CodeUnauthorized)
				}
				stolen = before // what the owner has given up
				h.pass(grace + time.Second)
			}
			if exchanges > 2 {
				t.Errorf("%d exchanges", exchanges)
			}
		})
	}
}

// The tokens of a signing key that is gone are void, refresh tokens too.
func TestANewSigningKeyVoidsRefreshTokens(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	other := build(t, func(o *Options) { o.Secret, o.Store = []byte(testSecret+"!"), h.store })
	_, err := other.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestAnOldTokenEndsTheLogin(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	oldest := g.RefreshToken
	for range 3 {
		var err error
		if g, err = h.refresh(t.Context(), g.RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.refresh(t.Context(), oldest)
	wantCode(t, err, gotong.CodeUnauthorized)
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestAMadeUpTokenEndsNothing(t *testing.T) {
	h := build(t, nil)
	first := h.signUp(t, siti("r1"))
	g, err := h.refresh(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	head := g.RefreshToken[:strings.LastIndexByte(g.RefreshToken, '.')]
	older := strings.Replace(head, "r1.2.", "r1.1.", 1)
	for _, made := range []string{
		"", "r1", "r1.", "r1....", head, head + ".", head + ".AAAA", older + ".AAAA", strings.Replace(g.RefreshToken, "r1.", "r2.", 1),
		strings.Replace(g.RefreshToken, ".2.", ".3.", 1), strings.Replace(g.RefreshToken, ".2.", ".1.", 1),
		g.RefreshToken + "A", g.AccessToken, first.DeviceToken, "r1" + first.DeviceToken[2:], strings.Repeat("r1.1.b.a.", 100), "r1.1.c.a/b.x",
	} {
		_, err := h.refresh(t.Context(), made)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	if _, err := h.refresh(t.Context(), g.RefreshToken); err != nil || h.hooks() != "" {
		t.Fatal(err, h.hooks())
	}
}

func TestConcurrentRefreshesReturnTheSameTokens(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	const n = 64
	got := make([]Grant, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			var err error
			if got[i], err = h.refresh(t.Context(), g.RefreshToken); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	first := 0
	for _, g := range got {
		if g.RefreshToken != got[0].RefreshToken || g.AccessToken != got[0].AccessToken {
			t.Errorf("%+v differs from %+v", g, got[0])
		}
		if !g.Replayed {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d rotations", first)
	}
}
