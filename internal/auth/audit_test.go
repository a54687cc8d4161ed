package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
)

// record is all of it, oldest first, read in pages of so many.
func (h *house) record(tb testing.TB, userID string, page int) (all []Entry) {
	tb.Helper()
	var before gotong.EventID
	for {
		list, more, err := h.Record(tb.Context(), userID, before, page)
		if err != nil || len(list) > page {
			tb.Fatal(len(list), err)
		}
		all = append(all, list...)
		if !more {
			slices.Reverse(all)
			return all
		}
		before = list[len(list)-1].ID
	}
}

func actions(list []Entry) string {
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = e.Action
	}
	return strings.Join(words, " ")
}

func TestTheRecordListsSignInsAndChangesByAdmins(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	next := func() { h.pass(time.Hour) }
	signIn := func(requestID, pass string) Grant {
		t.Helper()
		next()
		r := sitiAgain(requestID)
		r.Pass, r.Address = pass, "2001:db8::7"
		got, err := h.signIn(t.Context(), r)
		if (err == nil) != (pass == "selokan bersih") {
			t.Fatal(err)
		}
		return got
	}
	signIn("i1", "wrong")
	in := signIn("i2", "selokan bersih")
	if _, err := h.signIn(t.Context(), sitiAgain("i2")); err != nil { // a repetition is no other sign-in
		t.Fatal(err)
	}
	next()
	ctx := WithOrigin(t.Context(), Origin{Address: "192.0.2.9", RequestID: "l1"})
	for range 2 { // the second time there is nothing to end
		if err := h.Logout(ctx, Principal{UserID: in.UserID, LoginID: in.LoginID}); err != nil {
			t.Fatal(err)
		}
	}
	next()
	moved, err := h.refresh(t.Context(), g.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.refresh(t.Context(), moved.RefreshToken); err != nil {
		t.Fatal(err)
	}
	_, err = h.refresh(WithOrigin(t.Context(), Origin{Address: "203.0.113.5", RequestID: "f2"}), g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	next()
	h.command(t, g.UserID, "c1", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
	next()
	h.command(t, g.UserID, "c2", user.CmdDisable, user.Disable{Reason: "private words"})
	next()
	_, err = h.signIn(t.Context(), sitiAgain("i3")) // the right password of a disabled account
	wantCode(t, err, gotong.CodeUnauthorized)

	const want = "signed_up sign_in_failed signed_in logged_out refresh_reused role_changed disabled sign_in_failed"
	for _, page := range []int{1, 2, 3, 200} {
		list := h.record(t, g.UserID, page)
		if got := actions(list); got != want {
			t.Fatalf("in pages of %d:\n%s, want\n%s", page, got, want)
		}
		for _, tc := range []struct {
			i    int
			want Entry
		}{
			{0, Entry{Address: "192.0.2.1", RequestID: "r1", LoginID: g.LoginID}},
			{1, Entry{Address: "2001:db8::7", RequestID: "i1"}},
			{2, Entry{Address: "2001:db8::7", RequestID: "i2", LoginID: in.LoginID}},
			{3, Entry{Address: "192.0.2.9", RequestID: "l1", LoginID: in.LoginID}},
			{4, Entry{Address: "203.0.113.5", RequestID: "f2", LoginID: g.LoginID}},
			{5, Entry{RequestID: "c1", By: "root", Role: gotong.RoleModerator}},
			{6, Entry{RequestID: "c2", By: "root"}},
		} {
			got := list[tc.i]
			tc.want.ID, tc.want.At, tc.want.Action, tc.want.UserID = got.ID, got.ID.At(), got.Action, g.UserID
			if got != tc.want {
				t.Errorf("%d is %+v, want %+v", tc.i, got, tc.want)
			}
		}
	}
	h.pass(auditLife)
	if got := actions(h.record(t, g.UserID, 200)); got != "role_changed disabled" {
		t.Errorf("after 90 days: %s", got)
	}
}

// Whether an address is known is not to be seen: both kinds of failure write
// one entry, the unknown one to nobody's record.
func TestFailuresWithUnknownAddressesAreRecordedForAnonymous(t *testing.T) {
	h := build(t, nil)
	r := sitiAgain("i1")
	r.Email = "nobody@example.org"
	_, err := h.signIn(t.Context(), r)
	wantCode(t, err, gotong.CodeUnauthorized)
	list := h.record(t, "anonymous", 10)
	if actions(list) != "sign_in_failed" || list[0].UserID != "" || list[0].Address != "192.0.2.1" {
		t.Errorf("%+v", list)
	}
}

func TestGuessingDoesNotFillTheRecord(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	ctx := WithOrigin(t.Context(), Origin{Address: "192.0.2.1", RequestID: strings.Repeat("r", 128)})
	const beyond = 200 * failedStep
	for range maxFailed + beyond {
		h.Service.note(ctx, g.UserID, ActSignInFailed, "")
	}
	full, err := store.ReadRegister(t.Context(), h.store, auditKey(g.UserID, h.now()))
	if err != nil || full.Version > maxFailed+beyond/failedStep*2 {
		t.Errorf("written %d times, %v", full.Version, err)
	}
	for i := range maxHappened + 3 {
		h.Service.note(ctx, g.UserID, ActSignedIn, fmt.Sprint("login-", i))
	}
	list := h.record(t, g.UserID, 50)
	counts, more := map[string]int{}, map[string]int{}
	for _, e := range list {
		counts[e.Action]++
		more[e.Action] += e.More
	}
	if counts[ActSignInFailed] != maxFailed || more[ActSignInFailed]%failedStep != 0 || more[ActSignInFailed] < beyond/2 || more[ActSignInFailed] > beyond*2 ||
		counts[ActSignedIn] != maxHappened-1 || more[ActSignedIn] != 4 {
		t.Errorf("%v, more %v", counts, more)
	}
	if n := h.count(t, auditName, g.UserID); n != 1 {
		t.Errorf("%d registers of one day", n)
	}
	reg, err := store.ReadRegister(t.Context(), h.store, auditKey(g.UserID, h.now()))
	if err != nil || len(reg.Body) > 128<<10 {
		t.Errorf("%d bytes, %v", len(reg.Body), err)
	}
}

// The record holds no secret and nothing that somebody typed.
func TestRecordHoldsNoSecret(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	r := sitiAgain("i1")
	r.Pass = "sangat rahasia"
	_, _ = h.signIn(t.Context(), r)
	r.Email = "salah@example.org"
	_, _ = h.signIn(t.Context(), r)
	for _, owner := range []string{g.UserID, "anonymous"} {
		regs, err := h.store.FindRegisters(t.Context(), store.KeyRange{Collection: auditName, Owner: owner, To: "~"})
		if err != nil || len(regs) != 1 {
			t.Fatal(regs, err)
		}
		for _, secret := range []string{"rahasia", "bersih", "example", "siti", "r1.", "eyJ"} {
			if text := strings.ToLower(string(regs[0].Body) + fmt.Sprintf("%+v", h.record(t, owner, 10))); strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
}
