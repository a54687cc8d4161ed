package auth

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
)

func TestLoginEndsWhenItIsNotUsed(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	h.pass(29 * 24 * time.Hour)
	g, err := h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, "")
	h.pass(30*24*time.Hour + time.Second)
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestALogoutEndsOneLogin(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	other, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again changes nothing
		if err := h.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	_, err = h.refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Verify(t.Context(), other.AccessToken); err != nil {
		t.Errorf("another login ended too: %v", err)
	}
	if !strings.HasPrefix(h.hooks(), "login:"+g.LoginID+":"+g.UserID) {
		t.Error(h.hooks())
	}
}

func TestALogoutOnAnotherNodeRejectsTheToken(t *testing.T) {
	here := build(t, nil)
	g := here.signUp(t, siti("r1"))
	there, err := New(t.Context(), options(here.store, here.engine, here.clock))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	p, err := here.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if err := there.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	here.pass(recheck)
	_, err = here.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestChangesOfTheAccountEndItsLogins(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*house, string)
		signsIn bool
	}{
		{"disabled", func(h *house, id string) {
			h.command(t, id, "a1", user.CmdDisable, user.Disable{})
		}, false},
		{"disabled and enabled", func(h *house, id string) {
			h.command(t, id, "a1", user.CmdDisable, user.Disable{})
			h.command(t, id, "a2", user.CmdEnable, user.Enable{})
		}, true},
		{"promoted", func(h *house, id string) {
			h.command(t, id, "a1", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
		}, true},
		{"promoted and back", func(h *house, id string) {
			h.command(t, id, "a1", user.CmdSetRole, user.SetRole{Role: gotong.RoleAdmin})
			h.command(t, id, "a2", user.CmdSetRole, user.SetRole{Role: gotong.RoleUser})
		}, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t, nil)
			g := h.signUp(t, siti("r1"))
			p, err := h.Verify(t.Context(), g.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			ticket, _, err := h.ticket(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(h, g.UserID)
			// At the next request, without any time passing.
			_, err = h.Verify(t.Context(), g.AccessToken)
			wantCode(t, err, gotong.CodeUnauthorized)
			if !strings.HasPrefix(h.hooks(), "user:"+g.UserID) {
				t.Errorf("hooks %q", h.hooks())
			}
			_, err = h.UseTicket(t.Context(), ticket)
			wantCode(t, err, gotong.CodeUnauthorized)
			_, err = h.refresh(t.Context(), g.RefreshToken)
			wantCode(t, err, gotong.CodeUnauthorized)
			_, err = h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
			if (err == nil) != tc.signsIn {
				t.Errorf("sign-in: %v", err)
			}
		})
	}
}

func TestLoginsOfOneAccountAreBounded(t *testing.T) {
	h := build(t, nil)
	first := h.signUp(t, siti("r1"))
	var last Grant
	for range maxLogins {
		h.pass(time.Second)
		var err error
		last, err = h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := h.count(t, loginsName, first.UserID); n != maxLogins {
		t.Errorf("%d logins", n)
	}
	_, err := h.Verify(t.Context(), first.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Verify(t.Context(), last.AccessToken); err != nil {
		t.Error(err)
	}
}

// The limit ends the login that was not used for longest, and none that is
// connected.
func TestTheLongestUnusedLoginEnds(t *testing.T) {
	use := func(t *testing.T, h *house, g Grant) {
		t.Helper()
		if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		connected []int
		before    func(t *testing.T, h *house, all []Grant)
		gone      int
	}{
		"none was used":       {nil, func(*testing.T, *house, []Grant) {}, 0},
		"the oldest was used": {nil, func(t *testing.T, h *house, all []Grant) { t.Helper(); use(t, h, all[0]) }, 1},
		"the oldest was used twice": {nil, func(t *testing.T, h *house, all []Grant) {
			t.Helper()
			for _, g := range all {
				use(t, h, g)
				h.pass(recheck)
			}
			use(t, h, all[0])
		}, 1},
		"the oldest was refreshed": {nil, func(t *testing.T, h *house, all []Grant) {
			t.Helper()
			if _, err := h.refresh(t.Context(), all[0].RefreshToken); err != nil {
				t.Fatal(err)
			}
		}, 1},
		"the oldest is connected":     {[]int{0}, func(*testing.T, *house, []Grant) {}, 1},
		"the three oldest are":        {[]int{0, 1, 2}, func(*testing.T, *house, []Grant) {}, 3},
		"the clock was set back then": {nil, func(t *testing.T, h *house, all []Grant) { t.Helper(); use(t, h, all[0]); h.clock.Step(-time.Hour) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			connected := map[string]bool{}
			h := build(t, func(o *Options) { o.Connected = func(string) map[string]bool { return connected } })
			all := []Grant{h.signUp(t, siti("r1"))}
			for len(all) < maxLogins {
				h.pass(time.Second)
				g, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, g)
			}
			h.pass(time.Second)
			for _, i := range tc.connected {
				connected[all[i].LoginID] = true
			}
			tc.before(t, h, all)
			h.pass(time.Second)
			if _, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil {
				t.Fatal(err)
			}
			for i, g := range all {
				_, version, err := h.login(t.Context(), g.UserID, g.LoginID)
				if err != nil || (version == 0) != (i == tc.gone) {
					t.Errorf("login %d: version %d, %v", i, version, err)
				}
			}
		})
	}
}

func TestATicketAuthenticatesOnce(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	p, err := h.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	get := func() string {
		t.Helper()
		text, expires, err := h.ticket(t.Context(), p)
		if err != nil || expires != h.now().Add(30*time.Second) {
			t.Fatal(expires, err)
		}
		return text
	}

	once := get()
	if got, err := h.UseTicket(t.Context(), once); err != nil || got != p || h.Recheck(t.Context(), got) != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = h.UseTicket(t.Context(), once)
	wantCode(t, err, gotong.CodeUnauthorized)

	late := get()
	h.pass(30 * time.Second)
	_, err = h.UseTicket(t.Context(), late)
	wantCode(t, err, gotong.CodeUnauthorized)

	_, err = h.UseTicket(t.Context(), "made up")
	wantCode(t, err, gotong.CodeUnauthorized)

	out := get()
	if err := h.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, err = h.UseTicket(t.Context(), out)
	wantCode(t, err, gotong.CodeUnauthorized)
	wantCode(t, h.Recheck(t.Context(), p), gotong.CodeUnauthorized)
}

func TestOfConcurrentUsesOfATicketOneSucceeds(t *testing.T) {
	const n = 64
	g := &gathering{all: make(chan struct{})}
	g.missing.Store(n)
	h := build(t, func(o *Options) { g.Store, o.Store = o.Store, g })
	p, err := h.Verify(t.Context(), h.signUp(t, siti("r1")).AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := h.ticket(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	g.on.Store(true)
	var wg sync.WaitGroup
	var in atomic.Int64
	for range n {
		wg.Go(func() {
			got, err := h.UseTicket(t.Context(), text)
			switch {
			case err == nil && got == p:
				in.Add(1)
			case gotong.CodeOf(err) != gotong.CodeUnauthorized:
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in with one ticket", in.Load())
	}
}

func TestATicketExpiresWithItsToken(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	h.pass(30*time.Minute - 10*time.Second)
	p, err := h.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := h.ticket(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	h.pass(10 * time.Second)
	_, err = h.UseTicket(t.Context(), text)
	wantCode(t, err, gotong.CodeUnauthorized)
}

// A store that takes no writes now is still read, by who has just signed in too.
func TestTheFirstUseOfATokenSucceedsOnAStoreWithoutWrites(t *testing.T) {
	for _, fault := range []error{store.ErrFull, store.ErrSealed} {
		h := build(t, nil)
		g := h.signUp(t, siti("r1"))
		whole := h.opts.Store
		h.opts.Store = unwritable{whole, fault}
		if _, err := h.Verify(t.Context(), g.AccessToken); err != nil {
			t.Errorf("%v: %v", fault, err)
		}
		h.opts.Store = whole
		h.pass(2 * recheck)
		next, err := h.refresh(t.Context(), g.RefreshToken)
		if err == nil {
			_, err = h.Verify(t.Context(), next.AccessToken)
		}
		if err != nil {
			t.Errorf("later: %v", err)
		}
	}
}

// unwritable is a store that takes no writes.
type unwritable struct {
	Store
	fault error
}

func (u unwritable) SetRegister(context.Context, gotong.Key, uint64, []byte, gotong.Instant) error {
	return u.fault
}
