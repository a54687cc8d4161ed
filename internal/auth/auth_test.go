package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap makes tests quick; the real cost has a test of its own.
var cheap = argon.Cost{MemoryKiB: 64, Time: 1, Threads: 1}

const testSecret = "0123456789abcdef0123456789abcdef"

// house is a service on a real engine and the reference store, with a clock.
type house struct {
	*Service
	store  *memory.Store
	engine *engine.Engine
	clock  *clocktest.Clock

	tickets atomic.Int64 // made so far

	mu    sync.Mutex
	ended []string // what the hooks were told
}

func (h *house) now() gotong.Instant { return h.clock.Now() }

func (h *house) pass(d time.Duration) { h.clock.Pass(d) }

// uncounted is a caller without limits.
func uncounted(context.Context, string) error { return nil }

func (h *house) refresh(ctx context.Context, token string) (Grant, error) {
	return h.Refresh(ctx, token, uncounted)
}

func (h *house) signIn(ctx context.Context, r SignIn) (Grant, error) {
	r.Count = uncounted
	return h.SignIn(ctx, r)
}

func (h *house) hooks() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.ended, " ")
}

func (h *house) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = append(h.ended, what)
}

func users() Users {
	return Users{
		Command: user.CmdRegister,
		Register: func(email, username, communityID string) any {
			return user.Register{Email: email, Username: username, CommunityID: communityID}
		},
		EmailClaim: func(email string) gotong.Claim {
			return gotong.Claim{Space: user.ClaimEmail, Name: user.Email(email)}
		},
		Change: func(what Change, seq uint64) (string, any) {
			return user.CmdAmend, user.Amend{Event: user.Name + "." + string(what), Seq: seq}
		},
		Document: user.UserKey,
		Keeps:    []string{user.EvPasswordChanged, user.EvEmailChanged},
		Standing: func(_ gotong.Head, doc []byte) (Standing, error) {
			var u user.User
			err := json.Unmarshal(doc, &u)
			return Standing{Role: u.Role, Enabled: u.Enabled, Version: u.Standing}, err
		},
	}
}

// options returns those of a service without keys of others, alone on its store.
func options(st Store, engine Executor, at clock.Clock) Options {
	return Options{
		Store: st, Executor: engine, Users: users(), Clock: at, Secret: []byte(testSecret), Cost: cheap,
		AccessLife: 30 * time.Minute, RefreshLife: 30 * 24 * time.Hour,
		Busy: func() bool { return false }, Connected: func(string) map[string]bool { return nil },
		OnLoginEnd: func(string, string) {}, OnUserEnd: func(string) {},
		Observer: &tally{}, Log: slog.New(slog.DiscardHandler),
	}
}

// build opens a house; change may alter its options.
func build(tb testing.TB, change func(*Options)) *house {
	tb.Helper()
	h := &house{clock: clocktest.Stopped(gotong.InstantOf(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)))}
	h.store = memory.New("test", memory.Options{Now: h.now})
	tb.Cleanup(func() { _ = h.store.Close() })
	kinds := []gotong.Kind{user.Kind()}
	h.engine = engine.New(engine.Options{
		Store: h.store, Codec: store.NewCodec(kinds), Clock: clocktest.Showing(h.now),
		Committed: func(ctx context.Context, rows []store.Event) {
			if h.Service != nil {
				h.Committed(ctx, rows)
			}
		},
	})
	tb.Cleanup(func() { _ = h.engine.Close(context.WithoutCancel(tb.Context())) })
	opts := options(h.store, h.engine, h.clock)
	opts.OnLoginEnd = func(id, userID string) { h.note("login:" + id + ":" + userID) }
	opts.OnUserEnd = func(userID string) { h.note("user:" + userID) }
	if change != nil {
		change(&opts)
	}
	s, err := New(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	h.Service = s
	return h
}

func siti(requestID string) SignUp {
	return SignUp{
		RequestID: requestID, Email: "Siti@Example.org", Pass: "selokan bersih", Username: "Siti_R",
		CommunityID: "rt05", Address: "192.0.2.1",
	}
}

func (h *house) signUp(tb testing.TB, r SignUp) Grant {
	tb.Helper()
	g, err := h.SignUp(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// command runs one on a user's stream as an admin.
func (h *house) command(tb testing.TB, userID, requestID, name string, data any) {
	tb.Helper()
	_, err := h.engine.Execute(tb.Context(), gotong.Command{
		Stream: userStream(userID), Type: name, Actor: gotong.Actor{UserID: "root", Role: gotong.RoleSystem},
		RequestID: requestID, Data: data, Raw: []byte("{}"),
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// ticket makes one by a request of its own.
func (h *house) ticket(ctx context.Context, p Principal) (string, gotong.Instant, error) {
	made, err := h.Ticket(ctx, fmt.Sprint("ticket-", h.tickets.Add(1)), p)
	return made.Text, made.Expires, err
}

func wantCode(tb testing.TB, err error, want gotong.Code) {
	tb.Helper()
	if got := gotong.CodeOf(err); got != want {
		tb.Fatalf("code %q, want %q (%v)", got, want, err)
	}
}

// count is how many registers of a kind one owner has.
func (h *house) count(tb testing.TB, collection, owner string) int {
	tb.Helper()
	list, err := h.store.FindRegisters(tb.Context(), store.KeyRange{Collection: collection, Owner: owner, From: "", To: "~"})
	if err != nil {
		tb.Fatal(err)
	}
	return len(list)
}

func TestTokensOfASignUpAndASignInNameTheAccount(t *testing.T) {
	h := build(t, nil)
	up := h.signUp(t, siti("r1"))
	if up.UserID != gotong.DeriveID("user", "anonymous", "r1") || up.Username != "Siti_R" || up.Role != gotong.RoleUser ||
		up.Replayed || up.RefreshToken == "" || up.Expires != h.now().Add(30*time.Minute) {
		t.Fatalf("%+v", up)
	}
	in, err := h.signIn(t.Context(), SignIn{Email: " siti@example.ORG ", Pass: "selokan bersih", Address: "192.0.2.1"})
	if err != nil || in.UserID != up.UserID || in.Username != "Siti_R" || in.LoginID == up.LoginID {
		t.Fatalf("%+v, %v", in, err)
	}
	for _, g := range []Grant{up, in} {
		p, err := h.Verify(t.Context(), g.AccessToken)
		if err != nil || p.UserID != up.UserID || p.Username != "Siti_R" || p.Role != gotong.RoleUser ||
			p.LoginID != g.LoginID || p.Expires != g.Expires || p.TokenID == "" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
}

func TestSignUpChecksItsFields(t *testing.T) {
	h := build(t, nil)
	tests := []struct {
		name, field string
		change      func(*SignUp)
	}{
		{"no request id", "request_id", func(r *SignUp) { r.RequestID = "" }},
		{"odd request id", "request_id", func(r *SignUp) { r.RequestID = "a b" }},
		{"short password", "pass", func(r *SignUp) { r.Pass = "1234567" }},
		{"long password", "pass", func(r *SignUp) { r.Pass = strings.Repeat("x", 257) }},
		{"password of bytes", "pass", func(r *SignUp) { r.Pass = "\xff\xfe12345678" }},
		{"email", "email", func(r *SignUp) { r.Email = "siti" }},
		{"long email", "email", func(r *SignUp) { r.Email = strings.Repeat("a", 250) + "@example.org" }},
		{"username", "username", func(r *SignUp) { r.Username = "s" }},
		{"community", "community_id", func(r *SignUp) { r.CommunityID = "" }},
		{"long community", "community_id", func(r *SignUp) { r.CommunityID = strings.Repeat("a", 65) }},
	}
	for _, tc := range tests {
		r := siti("r1")
		tc.change(&r)
		_, err := h.SignUp(t.Context(), r)
		var e *gotong.Error
		if !errors.As(err, &e) || e.Code != gotong.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Field != tc.field {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if n := h.count(t, accountsName, gotong.DeriveID("user", "anonymous", "r1")); n != 0 {
		t.Error("a refused request left a register")
	}
}

func TestARetriedSignUpReturnsTheSameAccount(t *testing.T) {
	tests := []struct {
		name   string
		change func(*SignUp)
		code   gotong.Code
	}{
		{"the same", func(*SignUp) {}, ""},
		{"space around", func(r *SignUp) { r.Email = " " + r.Email }, ""},
		{"other password", func(r *SignUp) { r.Pass += "!" }, gotong.CodeReused},
		{"other email", func(r *SignUp) { r.Email = "budi@example.org" }, gotong.CodeReused},
		{"other username", func(r *SignUp) { r.Username = "budi" }, gotong.CodeReused},
		{"other community", func(r *SignUp) { r.CommunityID = "rt06" }, gotong.CodeReused},
		{"other request, same email", func(r *SignUp) { r.RequestID, r.Username = "r2", "budi" }, gotong.CodeExists},
		{"other request, same name in other case", func(r *SignUp) {
			r.RequestID, r.Email, r.Username = "r2", "budi@example.org", "SITI_r"
		}, gotong.CodeExists},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t, nil)
			first := h.signUp(t, siti("r1"))
			r := siti("r1")
			tc.change(&r)
			again, err := h.SignUp(t.Context(), r)
			wantCode(t, err, tc.code)
			if err == nil && (again.UserID != first.UserID || !again.Replayed) {
				t.Errorf("%+v", again)
			}
			if _, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil {
				t.Errorf("the first account is damaged: %v", err)
			}
		})
	}
}

func TestRefusedSignUpLeavesNothing(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	_, err := h.SignUp(t.Context(), siti("r2"))
	wantCode(t, err, gotong.CodeExists)
	id := gotong.DeriveID("user", "anonymous", "r2")
	a, version, err := h.account(t.Context(), id)
	if err != nil || a.Hash != "" || a.Email != "" || a.Username != "" || version != 0 {
		t.Errorf("%+v %d %v", a, version, err)
	}
	if names := h.Names(t.Context(), []string{id}); len(names) != 0 {
		t.Error(names)
	}
	for _, collection := range []string{loginsName, begunName} {
		if n := h.count(t, collection, id); n != 0 {
			t.Errorf("%d registers in %s", n, collection)
		}
	}
	// The request id is free for another try.
	other := siti("r2")
	other.Email, other.Username = "budi@example.org", "budi"
	g := h.signUp(t, other)
	if _, err := h.signIn(t.Context(), SignIn{Email: other.Email, Pass: other.Pass}); err != nil || g.UserID != id {
		t.Errorf("%+v, %v", g, err)
	}
}

// between runs a function between the look of a sign-up and its commit.
type between struct {
	Executor
	run func()
}

func (b *between) Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error) {
	if run := b.run; run != nil {
		b.run = nil
		run()
	}
	return b.Executor.Execute(ctx, cmd)
}

// A sign-up that loses to a twin with another password gets no login, and the
// password stays the first one.
func TestARetriedSignUpResetsNoPassword(t *testing.T) {
	var b *between
	h := build(t, func(o *Options) { b = &between{Executor: o.Executor}; o.Executor = b })
	other := siti("r1")
	other.Pass = "another password"
	b.run = func() { h.signUp(t, siti("r1")) }
	_, err := h.SignUp(t.Context(), other)
	wantCode(t, err, gotong.CodeReused)
	_, err = h.SignUp(t.Context(), other)
	wantCode(t, err, gotong.CodeReused)
	if g := h.signUp(t, siti("r1")); !g.Replayed {
		t.Errorf("%+v", g)
	}
	_, err = h.signIn(t.Context(), SignIn{Email: other.Email, Pass: other.Pass})
	wantCode(t, err, gotong.CodeUnauthorized)
	if _, err := h.signIn(t.Context(), SignIn{Email: other.Email, Pass: "selokan bersih"}); err != nil {
		t.Error(err)
	}
}

// broken answers commands with an error after the engine did its work.
type broken struct {
	Executor
	fail atomic.Bool
}

func (b *broken) Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error) {
	r, err := b.Executor.Execute(ctx, cmd)
	if b.fail.Load() {
		return gotong.Receipt{}, gotong.NewError(gotong.CodeBusy, "unknown")
	}
	return r, err
}

func TestUnknownOutcomeOfSignUpCanBeRepeated(t *testing.T) {
	var b *broken
	h := build(t, func(o *Options) { b = &broken{Executor: o.Executor}; o.Executor = b })
	b.fail.Store(true)
	_, err := h.SignUp(t.Context(), siti("r1"))
	wantCode(t, err, gotong.CodeBusy)
	b.fail.Store(false)
	if g := h.signUp(t, siti("r1")); !g.Replayed {
		t.Errorf("%+v", g)
	}
}

func TestConcurrentSignUpsCreateOneAccount(t *testing.T) {
	const n = 64
	tests := []struct {
		name    string
		request func(i int) SignUp
		winners int
		loser   gotong.Code
	}{
		{"equal requests", func(int) SignUp { return siti("r1") }, n, ""},
		{"equal e-mail", func(i int) SignUp {
			r := siti(fmt.Sprint("r", i))
			r.Username = fmt.Sprint("siti", i)
			return r
		}, 1, gotong.CodeExists},
		{"equal request id, other passwords", func(i int) SignUp {
			r := siti("r1")
			r.Pass = fmt.Sprint("selokan bersih ", i)
			return r
		}, 1, gotong.CodeReused},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t, func(o *Options) { o.Queue = n })
			var wg sync.WaitGroup
			start := make(chan struct{})
			errs, ids := make([]error, n), make([]string, n)
			for i := range n {
				wg.Go(func() {
					<-start
					r := tc.request(i)
					r.Address = fmt.Sprint("192.0.2.", i)
					g, err := h.SignUp(t.Context(), r)
					errs[i], ids[i] = err, g.UserID
				})
			}
			close(start)
			wg.Wait()
			won := map[string]int{}
			for i, err := range errs {
				if err == nil {
					won[ids[i]]++
				} else if gotong.CodeOf(err) != tc.loser {
					t.Errorf("%d: %v", i, err)
				}
			}
			for id, times := range won {
				if len(won) != 1 || times != tc.winners {
					t.Errorf("%s won %d times of %d accounts", id, times, len(won))
				}
				snap, err := h.store.Load(t.Context(), store.Need{Heads: []gotong.Stream{userStream(id)}})
				if err != nil || snap.Heads[userStream(id)].Seq != 1 {
					t.Errorf("%+v %v", snap.Heads, err)
				}
			}
			if len(won) != 1 {
				t.Errorf("%d accounts", len(won))
			}
		})
	}
}

// leaks fails the test where a secret stands in the store.
func TestNoSecretIsStored(t *testing.T) {
	h := build(t, nil)
	g := h.signUp(t, siti("r1"))
	ticket, _, err := h.ticket(t.Context(), Principal{UserID: g.UserID, LoginID: g.LoginID, Role: g.Role, Expires: g.Expires})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, c := range []string{accountsName, loginsName, ticketsName, begunName} {
		for _, owner := range []string{g.UserID, "ticket"} {
			list, err := h.store.FindRegisters(t.Context(), store.KeyRange{Collection: c, Owner: owner, To: "~"})
			if err != nil {
				t.Fatal(err)
			}
			for _, reg := range list {
				all.WriteString(reg.Key.Name)
				all.Write(reg.Body)
			}
		}
	}
	rows, err := h.store.ReadPartition(t.Context(), gotong.PartitionOf(userStream(g.UserID)), 0, 100, 100)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	logged := string(rows[0].Data) + string(rows[0].Content)
	mac := g.RefreshToken[strings.LastIndexByte(g.RefreshToken, '.')+1:]
	for _, secret := range []string{"selokan", mac, ticket, g.AccessToken} {
		if strings.Contains(all.String(), secret) || strings.Contains(logged, secret) {
			t.Errorf("%q is stored", secret)
		}
	}
	if strings.Contains(strings.ToLower(logged), "siti") {
		t.Error("the log holds a name: ", logged)
	}
	raw := siti("r1")
	if strings.Contains(string(raw.raw()), "selokan") {
		t.Error("the fingerprint covers the password")
	}
}

func TestTheObserverCountsEachResult(t *testing.T) {
	seen := &tally{}
	h := build(t, func(o *Options) { o.Observer = seen })
	g := h.signUp(t, siti("r1"))
	_, _ = h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "wrong"})
	_, _ = h.Verify(t.Context(), g.AccessToken)
	_, _ = h.Verify(t.Context(), g.AccessToken)
	_, _ = h.Verify(t.Context(), "x")
	for _, want := range []string{"signup=ok", "signin=unauthorized", "checked", "cached", "refused", "hashed"} {
		if seen.of(want) != 1 && want != "hashed" || seen.of(want) == 0 {
			t.Errorf("%s: %d", want, seen.of(want))
		}
	}
	if seen.of("waiting") != 0 {
		t.Error("the gauge does not come back to 0")
	}
}

type tally struct{ m sync.Map }

func (o *tally) add(k string, n int64) {
	v, _ := o.m.LoadOrStore(k, new(atomic.Int64))
	v.(*atomic.Int64).Add(n)
}

func (o *tally) of(k string) int64 {
	if v, ok := o.m.Load(k); ok {
		return v.(*atomic.Int64).Load()
	}
	return 0
}

func (o *tally) Attempted(action, result string) { o.add(action+"="+result, 1) }
func (o *tally) Verified(result string)          { o.add(result, 1) }
func (o *tally) Hashed(time.Duration)            { o.add("hashed", 1) }
func (o *tally) HashWaiting(change int)          { o.add("waiting", int64(change)) }
