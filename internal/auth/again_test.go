package auth

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
)

func sitiAgain(requestID string) SignIn {
	return SignIn{RequestID: requestID, Email: "siti@example.org", Pass: "selokan bersih", Address: "192.0.2.1"}
}

func TestARetriedSignInReturnsTheSameLogin(t *testing.T) {
	for name, tc := range map[string]struct {
		between func(h *house, g Grant)
		change  func(*SignIn)
		code    gotong.Code
		same    bool // the same login, to the byte
	}{
		"at once":           {nil, nil, "", true},
		"within ten":        {func(h *house, _ Grant) { h.pass(again - time.Microsecond) }, nil, "", true},
		"after ten":         {func(h *house, _ Grant) { h.pass(again) }, nil, "", false},
		"another key":       {nil, func(r *SignIn) { r.RequestID = "i2" }, "", false},
		"no key":            {nil, func(r *SignIn) { r.RequestID = "" }, "", false},
		"wrong password":    {nil, func(r *SignIn) { r.Pass += "!" }, gotong.CodeUnauthorized, false},
		"written otherwise": {nil, func(r *SignIn) { r.Email = "SITI@example.org" }, gotong.CodeReused, false},
		"after a refresh": {func(h *house, g Grant) {
			if _, err := h.refresh(t.Context(), g.RefreshToken); err != nil {
				t.Error(err)
			}
		}, nil, gotong.CodeConflict, false},
		"after a logout": {func(h *house, g Grant) {
			if err := h.Logout(t.Context(), Principal{UserID: g.UserID, LoginID: g.LoginID}); err != nil {
				t.Error(err)
			}
		}, nil, gotong.CodeConflict, false},
		"after a change of role": {func(h *house, g Grant) {
			h.command(t, g.UserID, "c1", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
		}, nil, gotong.CodeUnauthorized, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, nil)
			h.signUp(t, siti("r1"))
			first, err := h.signIn(t.Context(), sitiAgain("i1"))
			if err != nil || first.Replayed {
				t.Fatalf("%+v, %v", first, err)
			}
			if tc.between != nil {
				tc.between(h, first)
			}
			r := sitiAgain("i1")
			if tc.change != nil {
				tc.change(&r)
			}
			got, err := h.signIn(t.Context(), r)
			wantCode(t, err, tc.code)
			if tc.code != "" {
				return
			}
			same := got.Replayed && got.LoginID == first.LoginID && got.AccessToken == first.AccessToken &&
				got.RefreshToken == first.RefreshToken && got.Username == "Siti_R"
			if same != tc.same || got.Replayed != tc.same {
				t.Errorf("%+v, first %+v", got, first)
			}
		})
	}
}

// Keys are the account's own: another one's equal key is independent.
func TestRequestIDsOfASignInBelongToTheAccount(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	budi := siti("r2")
	budi.Email, budi.Username = "budi@example.org", "budi"
	h.signUp(t, budi)
	first, err := h.signIn(t.Context(), sitiAgain("i1"))
	wantCode(t, err, "")
	other := sitiAgain("i1")
	other.Email = "budi@example.org"
	got, err := h.signIn(t.Context(), other)
	if err != nil || got.Replayed || got.UserID == first.UserID {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConcurrentSignInsWithOneRequestIDReturnOneLogin(t *testing.T) {
	const n = 10 // as many as may try at once
	h := build(t, func(o *Options) { o.Queue = n })
	g := h.signUp(t, siti("r1"))
	start, got := make(chan struct{}), make([]Grant, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			var err error
			if got[i], err = h.signIn(t.Context(), sitiAgain("i1")); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	for _, other := range got {
		if other.LoginID != got[0].LoginID || other.AccessToken != got[0].AccessToken {
			t.Errorf("%+v differs from %+v", other, got[0])
		}
	}
	if n := h.count(t, loginsName, g.UserID); n != 2 {
		t.Errorf("%d logins, want the one of the sign-up and one", n)
	}
}

func TestARetriedSignUpReturnsTheFirstLoginUntilItEnds(t *testing.T) {
	h := build(t, nil)
	first := h.signUp(t, siti("r1"))
	if got := h.signUp(t, siti("r1")); got.AccessToken != first.AccessToken || !got.Replayed {
		t.Errorf("%+v, first %+v", got, first)
	}
	if _, err := h.refresh(t.Context(), first.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if got := h.signUp(t, siti("r1")); got.LoginID == first.LoginID || got.UserID != first.UserID {
		t.Errorf("%+v, first %+v", got, first)
	}
}

func TestARetriedTicketRequestReturnsTheSameTicket(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	p, err := h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, "")
	get := func(requestID string) Ticket {
		t.Helper()
		made, err := h.Ticket(t.Context(), requestID, p)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := get("t1")
	h.pass(time.Second)
	if again := get("t1"); first.Replayed || !again.Replayed || again.Text != first.Text || again.Expires != first.Expires {
		t.Errorf("%+v, first %+v", again, first)
	}
	if other := get("t2"); other.Text == first.Text || other.Replayed {
		t.Errorf("%+v", other)
	}
	other := p
	other.LoginID = h.signUp(t, siti("r1")).LoginID + "x"
	if made, err := h.Ticket(t.Context(), "t1", other); err != nil || made.Text == first.Text {
		t.Errorf("another login got the same ticket: %v", err)
	}
	if _, err := h.UseTicket(t.Context(), first.Text); err != nil {
		t.Fatal(err)
	}
	// Asked for again, it is another one, and the first stays used up.
	second := get("t1")
	if second.Text == first.Text || second.Replayed || second.Expires != h.now().Add(ticketLife) {
		t.Errorf("%+v, first %+v", second, first)
	}
	if again := get("t1"); again.Text != second.Text || !again.Replayed {
		t.Errorf("%+v, second %+v", again, second)
	}
	_, err = h.UseTicket(t.Context(), first.Text)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.UseTicket(t.Context(), second.Text); err != nil {
		t.Error(err)
	}
	for _, used := range []string{first.Text, second.Text} {
		_, err = h.UseTicket(t.Context(), used)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	// After its time the key makes another one, and does not revive the first.
	h.pass(ticketLife)
	last := get("t1")
	if last.Text == first.Text || last.Replayed {
		t.Errorf("%+v", last)
	}
	_, err = h.UseTicket(t.Context(), first.Text)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.UseTicket(t.Context(), last.Text); err != nil {
		t.Error(err)
	}
	_, err = h.Ticket(t.Context(), "not an id", p)
	wantCode(t, err, gotong.CodeInvalid)
}

func TestConcurrentTicketRequestsReturnOneTicket(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	p, err := h.Verify(t.Context(), g.AccessToken)
	wantCode(t, err, "")
	texts := make([]string, 32)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			made, err := h.Ticket(t.Context(), "t1", p)
			if err != nil {
				t.Error(err)
			}
			texts[i] = made.Text
		})
	}
	wg.Wait()
	for i, text := range texts {
		if text != texts[0] {
			t.Error(fmt.Sprint("ticket ", i, " is another one"))
		}
	}
}
