package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
)

const (
	oldPass = "selokan bersih"
	newPass = "selokan baru 2026"
)

// own returns a request with the principal of a token and the password of siti.
func (h *house) own(t *testing.T, requestID string, g Grant) Own {
	t.Helper()
	p, err := h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, "")
	return Own{RequestID: requestID, Principal: p, Pass: oldPass}
}

// in signs in, or returns the error.
func (h *house) in(t *testing.T, email, pass string) (Grant, error) {
	t.Helper()
	return h.signIn(t.Context(), SignIn{Email: email, Pass: pass, Agent: "Telepon"})
}

func (h *house) alive(t *testing.T, g Grant) bool {
	t.Helper()
	_, err := h.Verify(t.Context(), g.AccessToken)
	_, again := h.refresh(t.Context(), g.RefreshToken)
	if (err == nil) != (again == nil) {
		t.Fatalf("access token: %v; refresh token: %v", err, again)
	}
	return err == nil
}

// TestAPasswordIsChanged: with the present one alone; the caller's login stays, all
// others end; a retry changes nothing, and wrong ones are slowed down.
func TestAPasswordIsChanged(t *testing.T) {
	h := build(t, nil)
	here := h.signUp(t, siti("r1"))
	there, err := h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	o := h.own(t, "c1", here)
	for name, tc := range map[string]struct {
		with, next string
		code       gotong.Code
	}{
		"another password": {"selokan kotor", newPass, gotong.CodeForbidden},
		"none":             {"", newPass, gotong.CodeForbidden},
		"a short one":      {oldPass, "pendek", gotong.CodeInvalid},
		"a long one":       {oldPass, strings.Repeat("x", 5000), gotong.CodeInvalid},
		"too long a proof": {strings.Repeat("x", 5000), newPass, gotong.CodeInvalid},
	} {
		o.Pass = tc.with
		if err := h.ChangePassword(t.Context(), o, tc.next); gotong.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	o = h.own(t, "c1", here)
	o.Principal.Foreign = true
	wantCode(t, h.ChangePassword(t.Context(), o, newPass), gotong.CodeNotFound) // another issuer vouches for them, not this server
	if !h.alive(t, there) {
		t.Fatal("a login ended for nothing")
	}
	o = h.own(t, "c1", here)
	wantCode(t, h.ChangePassword(t.Context(), o, newPass), "")
	if _, err := h.in(t, "siti@example.org", oldPass); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("the old password: %v", err)
	}
	if h.alive(t, there) || !strings.Contains(h.hooks(), "login:"+there.LoginID) || strings.Contains(h.hooks(), here.LoginID) {
		t.Errorf("the other login goes on, or the own one ended: %s", h.hooks())
	}
	again := h.own(t, "c1", here) // the client lost the answer
	wantCode(t, h.ChangePassword(t.Context(), again, newPass), "")
	if !h.alive(t, here) {
		t.Error("the own login has ended")
	}
	h.pass(time.Second) // logins of one instant have no order
	later, err := h.in(t, "siti@example.org", newPass)
	wantCode(t, err, "")
	list, err := h.Logins(t.Context(), h.own(t, "", later).Principal)
	if err != nil || len(list) != 2 || list[1].Agent != "Telepon" || !list[1].Current || list[0].Current {
		t.Errorf("%+v, %v", list, err)
	}
	var last error
	for range 20 {
		again.Pass = "tebakan salah"
		last = h.ChangePassword(t.Context(), again, "satu lagi 2026")
	}
	wantCode(t, last, gotong.CodeRateLimited)
}

// racing runs before between a read of the head of an account and what follows.
type racing struct {
	Store
	before func()
}

func (r *racing) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := r.Store.Load(ctx, need)
	if before := r.before; before != nil && len(need.Heads) > 0 && len(need.Documents) == 0 {
		r.before = nil
		before()
	}
	return snap, err
}

// TestASignInWithTheOldPassword: one that began before a change of the password and ends
// after it is no login.
func TestASignInWithTheOldPasswordDuringAChange(t *testing.T) {
	var race *racing
	h := build(t, func(o *Options) { race = &racing{Store: o.Store}; o.Store = race })
	here := h.signUp(t, siti("r1"))
	o := h.own(t, "c1", here)
	var thief Grant
	race.before = func() {
		var err error
		thief, err = h.in(t, "siti@example.org", oldPass)
		wantCode(t, err, "")
	}
	wantCode(t, h.ChangePassword(t.Context(), o, newPass), "")
	if thief.LoginID == "" || h.alive(t, thief) || !h.alive(t, here) {
		t.Error("a login of the old password goes on")
	}
}

// TestAnAddressIsChanged: sign-ins find the new one alone, the old one is free, and one
// address has one account, whatever happens at once.
func TestAnAddressIsChanged(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	joko := siti("r2")
	joko.Email, joko.Username = "joko@example.org", "joko"
	other := h.signUp(t, joko)
	o := h.own(t, "e1", g)
	wantCode(t, h.ChangeEmail(t.Context(), o, "no address"), gotong.CodeInvalid)
	wantCode(t, h.ChangeEmail(t.Context(), o, "JOKO@example.org"), gotong.CodeExists)
	wrong := o
	wrong.Pass = "selokan kotor"
	wantCode(t, h.ChangeEmail(t.Context(), wrong, "siti@baru.example"), gotong.CodeForbidden)
	for range 2 { // a retry
		wantCode(t, h.ChangeEmail(t.Context(), o, "Siti@baru.example"), "")
	}
	if _, err := h.in(t, "siti@example.org", oldPass); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("the old address: %v", err)
	}
	if in, err := h.in(t, "siti@BARU.example", oldPass); err != nil || in.UserID != g.UserID || !h.alive(t, g) {
		t.Errorf("%+v, %v", in, err)
	}
	third := siti("r3")
	third.Username = "ani"
	ani := h.signUp(t, third) // the old address is free
	o.RequestID = "e2"
	wantCode(t, h.ChangeEmail(t.Context(), o, "siti@example.org"), gotong.CodeExists)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, g := range []Grant{other, ani} {
		o := h.own(t, "e3", g)
		wg.Go(func() { errs[i] = h.ChangeEmail(t.Context(), o, "satu@example.org") })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || gotong.CodeOf(errors.Join(errs...)) != gotong.CodeExists {
		t.Errorf("%v", errs)
	}
}

// TestAnAddressThatIsAClaim: an account of an earlier version, whose address is a claim
// and no register, signs in, keeps its address from others, and changes it.
func TestAnAddressThatIsAClaim(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	claim := h.opts.Users.EmailClaim("siti@example.org")
	reg, err := store.ReadRegister(t.Context(), h.store, emailKey(claim))
	wantCode(t, err, "")
	wantCode(t, h.store.SetRegister(t.Context(), reg.Key, reg.Version, nil, 0), "")
	h.claimed(claim, userStream(g.UserID))
	if _, err := h.in(t, "siti@example.org", oldPass); err != nil {
		t.Fatal(err)
	}
	other := siti("r2")
	other.Username = "ani"
	_, err = h.SignUp(t.Context(), other)
	wantCode(t, err, gotong.CodeExists)
	wantCode(t, h.ChangeEmail(t.Context(), h.own(t, "e1", g), "siti@baru.example"), "")
	if _, err := h.in(t, "siti@example.org", oldPass); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("the old address: %v", err)
	}
	h.signUp(t, other)
}

// claimed makes loads return a claim.
func (h *house) claimed(claim gotong.Claim, stream gotong.Stream) {
	h.opts.Store = &claiming{h.opts.Store, claim, stream}
}

type claiming struct {
	Store
	claim  gotong.Claim
	stream gotong.Stream
}

func (c *claiming) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := c.Store.Load(ctx, need)
	if slices.Contains(need.Claims, c.claim) {
		snap.Claims = map[gotong.Claim]gotong.Stream{c.claim: c.stream}
	}
	return snap, err
}

// TestAnAccountIsDeleted: nothing personal stays in registers, every login ends, and the
// address, but not the name, can be used again.
func TestAnAccountIsDeleted(t *testing.T) {
	h := build(t, func(o *Options) { o.Personal = []string{"marks", "subscriptions"} })
	g := h.signUp(t, siti("r1"))
	kept := []gotong.Key{
		{Collection: "marks", Owner: g.UserID, Name: "thread-1"}, {Collection: "marks", Owner: g.UserID, Name: "thread-2"},
		{Collection: "subscriptions", Owner: g.UserID}, {Collection: "marks", Owner: "another", Name: "thread-1"},
	}
	for _, key := range kept {
		if err := h.store.SetRegister(t.Context(), key, 0, []byte("{}"), 0); err != nil {
			t.Fatal(err)
		}
	}
	other, err := h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	_, _ = h.in(t, "siti@example.org", "salah sekali")
	o := h.own(t, "d1", g)
	wrong := o
	wrong.Pass = "selokan kotor"
	wantCode(t, h.Delete(t.Context(), wrong), gotong.CodeForbidden)
	h.command(t, g.UserID, "m1", user.CmdSetRole, user.SetRole{Role: gotong.RoleAdmin})
	admin, err := h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	wantCode(t, h.Delete(t.Context(), h.own(t, "d1", admin)), gotong.CodeForbidden)
	h.command(t, g.UserID, "m2", user.CmdSetRole, user.SetRole{Role: gotong.RoleUser})
	g, err = h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	wantCode(t, h.Delete(t.Context(), h.own(t, "d1", g)), "")
	for _, collection := range []string{accountsName, loginsName, auditName, begunName, devicesName, "marks", "subscriptions"} {
		if n := h.count(t, collection, g.UserID); n != 0 {
			t.Errorf("%d registers in %s", n, collection)
		}
	}
	if h.count(t, "marks", "another") != 1 {
		t.Error("the marks of another user are gone")
	}
	if h.alive(t, g) || h.alive(t, other) || !strings.Contains(h.hooks(), "user:"+g.UserID) {
		t.Error("a login goes on")
	}
	if names := h.Names(t.Context(), []string{g.UserID}); len(names) > 0 {
		t.Errorf("%v", names)
	}
	if _, err := h.in(t, "siti@example.org", oldPass); gotong.CodeOf(err) != gotong.CodeUnauthorized {
		t.Errorf("%v", err)
	}
	again := siti("r2")
	_, err = h.SignUp(t.Context(), again)
	wantCode(t, err, gotong.CodeExists)
	again.Username = "siti.baru"
	h.signUp(t, again)
	_, _, err = h.ResetToken(t.Context(), g.UserID)
	wantCode(t, err, gotong.CodeNotFound)
}

// TestAPasswordIsReset: a token works once, for an hour, and ends all logins.
func TestAPasswordIsReset(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	token, expires, err := h.ResetToken(t.Context(), g.UserID)
	if err != nil || expires != h.now().Add(time.Hour) {
		t.Fatal(expires, err)
	}
	reset := func(token, pass string) error { return h.Reset(t.Context(), "p1", token, pass, uncounted) }
	wantCode(t, reset(token, "pendek"), gotong.CodeInvalid)
	for _, bad := range []string{"", "p1", token + "x", strings.Replace(token, "p1.", "p1.9", 1), g.RefreshToken, g.DeviceToken} {
		wantCode(t, reset(bad, newPass), gotong.CodeUnauthorized)
	}
	limit := errors.New("limit")
	if err := h.Reset(t.Context(), "p1", token, newPass, func(context.Context, string) error { return limit }); !errors.Is(err, limit) {
		t.Error(err)
	}
	wantCode(t, reset(token, newPass), "")
	wantCode(t, reset(token, newPass), "") // the client lost the answer
	wantCode(t, reset(token, "satu lagi 2026"), gotong.CodeUnauthorized)
	if h.alive(t, g) {
		t.Error("a login goes on")
	}
	if _, err := h.in(t, "siti@example.org", newPass); err != nil {
		t.Error(err)
	}
	in, err := h.in(t, "siti@example.org", newPass)
	wantCode(t, err, "")
	same, _, err := h.ResetToken(t.Context(), g.UserID)
	wantCode(t, err, "")
	wantCode(t, h.Reset(t.Context(), "p2", same, newPass, uncounted), "")
	if h.alive(t, in) {
		t.Error("a login goes on after a reset to the same password")
	}
	late, _, err := h.ResetToken(t.Context(), g.UserID)
	wantCode(t, err, "")
	h.pass(time.Hour)
	wantCode(t, reset(late, "satu lagi 2026"), gotong.CodeUnauthorized)
	_, _, err = h.ResetToken(t.Context(), "nobody")
	wantCode(t, err, gotong.CodeNotFound)
	h.command(t, g.UserID, "m1", user.CmdDisable, user.Disable{})
	_, _, err = h.ResetToken(t.Context(), g.UserID)
	wantCode(t, err, gotong.CodeNotFound)
}

// TestAResetTokenForAnAddress is one for the account that has the address now; requests
// for an address are counted alike, whether an account has it or not.
func TestAResetTokenForAnAddress(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	for _, bad := range []string{"", "siti", "siti@example.org\r\nBcc: a@example.org", "siti@example.org, a@example.org"} {
		_, err := h.ResetAddress(t.Context(), bad)
		wantCode(t, err, gotong.CodeInvalid)
	}
	for _, email := range []string{" Siti@Example.org", "nobody@example.org"} {
		for range 3 {
			cleaned, err := h.ResetAddress(t.Context(), email)
			if err != nil || cleaned != strings.TrimSpace(email) {
				t.Error(cleaned, err)
			}
		}
		for _, pause := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
			_, err := h.ResetAddress(t.Context(), strings.ToLower(email))
			wantCode(t, err, gotong.CodeRateLimited)
			h.pass(pause)
			_, err = h.ResetAddress(t.Context(), email)
			wantCode(t, err, "")
		}
	}
	for _, none := range []string{"nobody@example.org", "siti"} {
		if to, token, err := h.ResetFor(t.Context(), none); to+token != "" || err != nil {
			t.Error(to, token, err)
		}
	}
	to, token, err := h.ResetFor(t.Context(), "SITI@example.org")
	if err != nil || to != siti("").Email { // not as somebody typed it now
		t.Fatal(to, err)
	}
	in, err := h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	wantCode(t, h.ChangeEmail(t.Context(), h.own(t, "e1", in), "siti@baru.example"), "")
	wantCode(t, h.Reset(t.Context(), "p1", token, newPass, uncounted), gotong.CodeUnauthorized) // it was sent to the old one
	_, token, err = h.ResetFor(t.Context(), "siti@baru.example")
	wantCode(t, err, "")
	wantCode(t, h.Reset(t.Context(), "p1", token, newPass, uncounted), "")
	h.command(t, g.UserID, "m1", user.CmdDisable, user.Disable{})
	if to, token, err := h.ResetFor(t.Context(), "siti@baru.example"); to+token != "" || err != nil {
		t.Error("a disabled account gets a token", err)
	}
}

// TestAResetTokenWorksOnce also for two who use it at once.
func TestAResetTokenWorksOnce(t *testing.T) {
	var race *racing
	h := build(t, func(o *Options) { race = &racing{Store: o.Store}; o.Store = race })
	g := h.signUp(t, siti("r1"))
	token, _, err := h.ResetToken(t.Context(), g.UserID)
	wantCode(t, err, "")
	for _, sort := range []string{"r1", "d1"} { // no text of the server serves as one of another sort
		if _, ok := h.tokens.unseal(token, sort, 4); ok {
			t.Errorf("a reset token is taken for %s", sort)
		}
	}
	var first error
	race.before = func() { first = h.Reset(t.Context(), "p1", token, newPass, uncounted) }
	second := h.Reset(t.Context(), "p2", token, "satu lagi 2026", uncounted)
	wantCode(t, first, "")
	wantCode(t, second, gotong.CodeUnauthorized)
	if _, err := h.in(t, "siti@example.org", newPass); err != nil {
		t.Error(err)
	}
}

// TestUsersEndTheirLogins one by one, and no login of another user.
func TestUsersEndTheirLogins(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	other, err := h.in(t, "siti@example.org", oldPass)
	wantCode(t, err, "")
	joko := siti("r2")
	joko.Email, joko.Username = "joko@example.org", "joko"
	stranger := h.signUp(t, joko)
	p := h.own(t, "", g).Principal
	wantCode(t, h.EndLogin(t.Context(), p, stranger.LoginID), "")
	wantCode(t, h.EndLogin(t.Context(), p, "no login"), gotong.CodeNotFound)
	for range 2 {
		wantCode(t, h.EndLogin(t.Context(), p, other.LoginID), "")
	}
	if h.alive(t, other) || !h.alive(t, g) || !h.alive(t, stranger) {
		t.Error("the wrong login ended")
	}
}

// TestTwoTakeAnAddressAtOnce: between the read that finds an address free and the commit,
// another account takes it.
func TestTwoTakeAnAddressAtOnce(t *testing.T) {
	claim := users().EmailClaim("satu@example.org")
	for reads := range 3 { // the race comes after each read of the address
		var race *taking
		h := build(t, func(o *Options) { race = &taking{Store: o.Store, key: emailKey(claim)}; o.Store = race })
		g := h.signUp(t, siti("r1"))
		joko := siti("r2")
		joko.Email, joko.Username = "joko@example.org", "joko"
		other := h.own(t, "e1", h.signUp(t, joko))
		o := h.own(t, "e1", g)
		var first error
		race.left, race.before = reads, func() { first = h.ChangeEmail(t.Context(), other, "satu@example.org") }
		err := h.ChangeEmail(t.Context(), o, "satu@example.org")
		if race.before == nil {
			wantCode(t, first, "")
			wantCode(t, err, gotong.CodeExists)
		} else if reads == 0 {
			t.Error("the address was not read")
		}
	}
}

// taking runs before after the read of an address that follows left others.
type taking struct {
	Store
	key    gotong.Key
	left   int
	before func()
}

func (r *taking) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := r.Store.Load(ctx, need)
	if before := r.before; before != nil && slices.Contains(need.Registers, r.key) {
		if r.left--; r.left < 0 {
			r.before = nil
			before()
		}
	}
	return snap, err
}
