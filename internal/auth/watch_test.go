package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
)

// twoNodes are two services on one store, of which the second has an open
// connection of each login that it verified.
type twoNodes struct {
	here, there *house
	watch       *Watch
	logins      []Principal
	over        []string
	fail        error
	held        func(key gotong.Key) error // stands before registers are written here
}

// failing stands between a service and its store.
type failing struct {
	Store
	n *twoNodes
}

func (f failing) FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error) {
	if f.n.fail != nil {
		return nil, f.n.fail
	}
	return f.Store.FindRegisters(ctx, r)
}

func (f failing) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	if f.n.held != nil {
		if err := f.n.held(key); err != nil {
			return err
		}
	}
	return f.Store.SetRegister(ctx, key, expect, body, expires)
}

func newTwoNodes(t *testing.T) *twoNodes {
	t.Helper()
	n := &twoNodes{}
	keys := []Key{{Alg: "HS256", Material: []byte(earlier)}}
	n.here = build(t, func(o *Options) { o.Shared, o.Store, o.Keys = true, failing{o.Store, n}, keys })
	n.there = &house{store: n.here.store, engine: n.here.engine, clock: clocktest.Stopped(n.here.now())}
	opts := options(failing{n.here.store, n}, n.here.engine, n.there.clock)
	opts.Shared, opts.Keys = true, keys
	s, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	n.there.Service = s
	n.watch = s.NewWatch(func() []Principal { return slices.Clone(n.logins) }, func(p Principal) {
		n.over = append(n.over, p.LoginID)
		n.logins = slices.DeleteFunc(n.logins, func(q Principal) bool { return q.LoginID == p.LoginID })
	})
	return n
}

func (n *twoNodes) pass(d time.Duration) { n.here.pass(d); n.there.pass(d) }

// connect signs somebody up here and connects there.
func (n *twoNodes) connect(t *testing.T, requestID string) (Grant, Principal) {
	t.Helper()
	g := n.here.signUp(t, SignUp{
		RequestID: requestID, Email: requestID + "@example.org", Pass: "selokan bersih", Username: "u" + requestID,
		CommunityID: "rt05", Address: "192.0.2.1",
	})
	p, err := n.there.Verify(t.Context(), g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	n.logins = append(n.logins, p)
	return g, p
}

func (n *twoNodes) round(t *testing.T, want ...string) {
	t.Helper()
	n.over = nil
	if err := n.watch.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(n.over, want) {
		t.Errorf("ended %q, want %q", n.over, want)
	}
}

// What ends a login on one node ends it on another at the next round, without
// a word between them; and nobody else's.
func TestALoginThatEndsOnOneNodeEndsOnAnotherInTheNextRound(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, n *twoNodes, g Grant, p Principal){
		"logout": func(t *testing.T, n *twoNodes, _ Grant, p Principal) {
			t.Helper()
			if err := n.here.Logout(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		},
		"disabled": func(t *testing.T, n *twoNodes, g Grant, _ Principal) {
			t.Helper()
			n.here.command(t, g.UserID, "a1", user.CmdDisable, user.Disable{})
		},
		"another role": func(t *testing.T, n *twoNodes, g Grant, _ Principal) {
			t.Helper()
			n.here.command(t, g.UserID, "a1", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
		},
		"spent refresh token": func(t *testing.T, n *twoNodes, g Grant, _ Principal) {
			t.Helper()
			next, err := n.here.refresh(t.Context(), g.RefreshToken)
			if err == nil {
				_, err = n.here.refresh(t.Context(), next.RefreshToken)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = n.here.refresh(t.Context(), g.RefreshToken)
			wantCode(t, err, gotong.CodeUnauthorized)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTwoNodes(t)
			g, p := n.connect(t, "ann")
			n.connect(t, "bob")
			n.round(t)
			end(t, n, g, p)
			n.round(t, p.LoginID)
			n.round(t)
			n.pass(recheck)
			_, err := n.there.Verify(t.Context(), g.AccessToken)
			wantCode(t, err, gotong.CodeUnauthorized)
		})
	}
}

func TestALogoutOfAForeignTokenEndsItsConnectionsOnOtherNodes(t *testing.T) {
	n := newTwoNodes(t)
	token := func(id string) string {
		return signed(t, jwt.SigningMethodHS256, nil, []byte(earlier), jwt.MapClaims{
			"sub": "warga-7", "exp": n.here.now().Add(time.Hour).Time().Unix(), "jti": id,
		})
	}
	for _, id := range []string{"a", "b"} {
		p, err := n.there.Verify(t.Context(), token(id))
		if err != nil {
			t.Fatal(err)
		}
		n.logins = append(n.logins, p)
	}
	n.round(t)
	p, err := n.here.Verify(t.Context(), token("a"))
	if err == nil {
		err = n.here.Logout(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.round(t, p.LoginID)
	n.round(t)
}

// A notice stands long enough for a logout that is slow, ends nothing that is
// good, and goes.
func TestANoticeOutlivesASlowLogout(t *testing.T) {
	n := newTwoNodes(t)
	_, p := n.connect(t, "ann")
	n.there.clock.Step(-2 * time.Second)
	slow := errors.New("the node dies here")
	n.held = func(key gotong.Key) error {
		if key.Collection == loginsName {
			return slow
		}
		return nil
	}
	if err := n.here.Logout(t.Context(), p); err == nil {
		t.Fatal("the login cannot have ended")
	}
	n.round(t) // seen, and good still
	n.held = nil
	n.pass(50 * time.Second)
	key := loginKey(p.UserID, p.LoginID)
	reg, err := store.ReadRegister(t.Context(), n.here.store, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.here.store.SetRegister(t.Context(), key, reg.Version, nil, 0); err != nil { // the slow call arrives
		t.Fatal(err)
	}
	n.round(t, p.LoginID)

	_, p = n.connect(t, "bob")
	n.held = func(key gotong.Key) error {
		if key.Collection == endedName {
			return slow
		}
		return nil
	}
	if err := n.here.Logout(t.Context(), p); err == nil {
		t.Error("a logout that nobody is told of is answered")
	}
	n.round(t)
	n.held = nil
	n.pass(2 * time.Minute)
	list, err := n.there.noticed(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("notices %v, %v", list, err)
	}
}

// A round that cannot see everything says so.
func TestARoundThatCannotReadIsAnError(t *testing.T) {
	n := newTwoNodes(t)
	n.fail = errors.New("no answer")
	n.round(t) // there is nobody to ask about
	fail := n.fail
	n.fail = nil
	n.connect(t, "ann")
	n.fail = fail
	if err := n.watch.read(t.Context()); !errors.Is(err, n.fail) {
		t.Errorf("round: %v", err)
	}
}

// A round is done each second, and Seen returns when the latest one began that
// read everything.
func TestARoundIsDoneEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTwoNodes(t)
		_, p := n.connect(t, "ann")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = n.watch.Run(ctx); close(done) }()
		synctest.Wait()
		seen := func(want clock.Moment) {
			t.Helper()
			if got := n.watch.Seen(); got != want || want == 0 {
				t.Errorf("seen at %d, want %d", got, want)
			}
		}
		second := func() {
			n.pass(roundEvery)
			<-time.After(roundEvery)
			synctest.Wait()
		}
		first := n.there.mono()
		seen(first)
		n.fail = errors.New("no answer")
		second()
		seen(first)
		n.fail = nil
		second()
		seen(n.there.mono())
		if err := n.here.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		second()
		if !slices.Equal(n.over, []string{p.LoginID}) {
			t.Errorf("ended %q", n.over)
		}
		cancel()
		<-done
	})
}

// A node that shares nothing does no rounds.
func TestANodeThatSharesNothingDoesNoRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, nil)
		w := h.NewWatch(func() []Principal { t.Error("the logins were listed"); return nil }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil || w.Seen() != 0 {
			t.Errorf("%v, seen at %d", err, w.Seen())
		}
	})
}

// Many notices and many logins are all seen.
func TestARoundReadsAllNoticesAndAllAccountsInTurn(t *testing.T) {
	n := newTwoNodes(t)
	_, p := n.connect(t, "ann")
	for i := range store.MaxRead + 5 { // of others, all before it
		if err := n.here.announce(t.Context(), fmt.Sprint("x", i)); err != nil {
			t.Fatal(err)
		}
		n.pass(time.Millisecond)
	}
	if err := n.here.Logout(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	n.round(t, p.LoginID)

	g, p := n.connect(t, "bob")
	others := make([]Principal, maxLook)
	for i := range others {
		others[i] = Principal{UserID: fmt.Sprint("nobody", i)}
	}
	n.logins = slices.Concat(others, n.logins)
	n.here.command(t, g.UserID, "a1", user.CmdDisable, user.Disable{})
	n.over = nil
	for range 2 {
		if err := n.watch.read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(n.over, []string{p.LoginID}) {
		t.Errorf("ended %q", n.over)
	}
}

// A hint is followed at once, and not believed.
func TestAHintIsCheckedAtOnce(t *testing.T) {
	n := newTwoNodes(t)
	g, p := n.connect(t, "ann")
	_, q := n.connect(t, "bob")
	ended, looked := make(chan string, 64), make(chan struct{}, 64)
	w := n.there.NewWatch(func() []Principal { looked <- struct{}{}; return []Principal{p, q} }, func(p Principal) { ended <- p.LoginID })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = w.Run(ctx); close(done) }()
	w.Hint(q.UserID)
	<-looked
	n.here.command(t, g.UserID, "a1", user.CmdDisable, user.Disable{})
	w.Hint(p.UserID)
	if got := <-ended; got != p.LoginID {
		t.Errorf("%s ended", got)
	}
	_, err := n.there.Verify(t.Context(), g.AccessToken) // at once, without any time passing
	wantCode(t, err, gotong.CodeUnauthorized)
	cancel()
	<-done
	for i := range 2 * maxHints {
		w.Hint(fmt.Sprint(i))
	}
	if len(w.hints) > maxHints {
		t.Errorf("%d hints wait", len(w.hints))
	}
	close(ended)
	for got := range ended { // a round may have found the same login
		if got != p.LoginID {
			t.Errorf("%s ended", got)
		}
	}
}
