package auth

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
)

func TestRefreshRotates(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	seen := map[string]bool{g.RefreshToken: true}
	for i := range 5 {
		h.pass(time.Minute)
		next, err := h.Refresh(t.Context(), fmt.Sprint("f", i), g.RefreshToken)
		if err != nil || seen[next.RefreshToken] || next.AccessToken == g.AccessToken || next.Replayed ||
			next.SessionID != g.SessionID || next.UserID != g.UserID || next.Username != "Siti_R" {
			t.Fatalf("%d: %+v, %v", i, next, err)
		}
		if _, err := h.Verify(t.Context(), next.AccessToken); err != nil {
			t.Fatal(err)
		}
		seen[next.RefreshToken], g = true, next
	}
}

func TestRefreshAgain(t *testing.T) {
	tests := []struct {
		name    string
		request string
		after   time.Duration
		ends    bool
	}{
		{"same request at once", "f1", 0, false},
		{"same request within the minute", "f1", time.Minute, false},
		{"same request after the minute", "f1", time.Minute + time.Microsecond, true},
		{"other request", "f2", 0, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t, nil)
			g := h.signUp(t, siti("r1"))
			first, err := h.Refresh(t.Context(), "f1", g.RefreshToken)
			if err != nil {
				t.Fatal(err)
			}
			h.pass(tc.after)
			again, err := h.Refresh(t.Context(), tc.request, g.RefreshToken)
			if !tc.ends {
				if err != nil || !again.Replayed || again.RefreshToken != first.RefreshToken ||
					again.AccessToken != first.AccessToken || again.Expires != first.Expires {
					t.Fatalf("%+v, %v; first %+v", again, err, first)
				}
				_, err = h.Refresh(t.Context(), "f9", first.RefreshToken)
				wantCode(t, err, "")
				return
			}
			wantCode(t, err, gotong.CodeUnauthorized)
			_, err = h.Refresh(t.Context(), "f9", first.RefreshToken)
			wantCode(t, err, gotong.CodeUnauthorized)
			_, err = h.Verify(t.Context(), first.AccessToken)
			wantCode(t, err, gotong.CodeUnauthorized)
			if want := "session:" + g.SessionID + ":" + g.UserID; h.hooks() != want {
				t.Errorf("hooks %q, want %q", h.hooks(), want)
			}
		})
	}
}

func TestAnOldTokenEndsTheSession(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	oldest := g.RefreshToken
	for i := range 3 {
		var err error
		if g, err = h.Refresh(t.Context(), fmt.Sprint("f", i), g.RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Refresh(t.Context(), "f0", oldest)
	wantCode(t, err, gotong.CodeUnauthorized)
	_, err = h.Refresh(t.Context(), "f9", g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestAMadeUpTokenEndsNothing(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	g, err := h.Refresh(t.Context(), "f1", g.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	head := g.RefreshToken[:strings.LastIndexByte(g.RefreshToken, '.')]
	older := strings.TrimSuffix(head, ".2") + ".1"
	for _, made := range []string{
		"", "r1", "r1.", "r1....", head, head + ".", head + ".AAAA", older + ".AAAA", strings.Replace(g.RefreshToken, "r1.", "r2.", 1),
		strings.Replace(g.RefreshToken, ".2.", ".3.", 1), strings.Replace(g.RefreshToken, ".2.", ".1.", 1),
		g.RefreshToken + "A", g.AccessToken, strings.Repeat("r1.a.b.1.", 100), "r1.a/b.c.1.x",
	} {
		_, err := h.Refresh(t.Context(), "f2", made)
		wantCode(t, err, gotong.CodeUnauthorized)
	}
	_, err = h.Refresh(t.Context(), "not an id", g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Refresh(t.Context(), "f3", g.RefreshToken); err != nil || h.hooks() != "" {
		t.Fatal(err, h.hooks())
	}
}

func TestTwinsRefresh(t *testing.T) {
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
			if got[i], err = h.Refresh(t.Context(), "f1", g.RefreshToken); err != nil {
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

func TestSessionGoesWhenItIsNotUsed(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	h.pass(29 * 24 * time.Hour)
	g, err := h.Refresh(t.Context(), "f1", g.RefreshToken)
	wantCode(t, err, "")
	h.pass(30*24*time.Hour + time.Second)
	_, err = h.Refresh(t.Context(), "f2", g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
}

func TestLogout(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	other, err := h.SignIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
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
	_, err = h.Refresh(t.Context(), "f1", g.RefreshToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Verify(t.Context(), other.AccessToken); err != nil {
		t.Errorf("another session ended too: %v", err)
	}
	if !strings.HasPrefix(h.hooks(), "session:"+g.SessionID+":"+g.UserID) {
		t.Error(h.hooks())
	}
}

func TestLogoutOnAnotherNode(t *testing.T) {
	here := build(t, nil)
	g := here.signUp(t, siti("r1"))
	there, err := New(t.Context(), Options{
		Store: here.store, Executor: here.engine, Users: users(), Now: here.now, Secret: []byte(testSecret), Cost: cheap,
	})
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

func TestChangesOfTheAccountEndItsSessions(t *testing.T) {
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
			_, err = h.Refresh(t.Context(), "f1", g.RefreshToken)
			wantCode(t, err, gotong.CodeUnauthorized)
			_, err = h.SignIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
			if (err == nil) != tc.signsIn {
				t.Errorf("sign-in: %v", err)
			}
		})
	}
}

func TestSessionsOfOneAccountAreBounded(t *testing.T) {
	h := build(t, nil)
	first := h.signUp(t, siti("r1"))
	var last Grant
	for range maxSessions {
		h.pass(time.Second)
		var err error
		last, err = h.SignIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := h.count(t, sessionsName, first.UserID); n != maxSessions {
		t.Errorf("%d sessions", n)
	}
	_, err := h.Verify(t.Context(), first.AccessToken)
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.Verify(t.Context(), last.AccessToken); err != nil {
		t.Error(err)
	}
}

func TestTickets(t *testing.T) {
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

func TestTwinsUseATicket(t *testing.T) {
	const n = 64
	h := build(t, func(o *Options) {
		g := &gathering{Store: o.Store, all: make(chan struct{})}
		g.missing.Store(n)
		o.Store = g
	})
	p, err := h.Verify(t.Context(), h.signUp(t, siti("r1")).AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := h.ticket(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
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

func TestTicketEndsWithItsToken(t *testing.T) {
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
