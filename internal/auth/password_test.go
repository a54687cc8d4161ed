package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
)

func bench(tb testing.TB, change func(*Options)) *passwords {
	tb.Helper()
	o := withDefaults(options(nil, nil, clocktest.Stopped(0)))
	if change != nil {
		change(&o)
	}
	return newPasswords(&o, argon.NewPool(tb.Context(), "", nil))
}

func TestAHashMatchesItsPasswordAlone(t *testing.T) {
	p := bench(t, nil)
	one, err := p.Hash(t.Context(), "selokan")
	if err != nil {
		t.Fatal(err)
	}
	two, _ := p.Hash(t.Context(), "selokan")
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Error(one, two)
	}
	for pass, want := range map[string]bool{"selokan": true, "selokan.": false, "": false, "Selokan": false} {
		if got, err := p.Check(t.Context(), pass, one); err != nil || got != want {
			t.Errorf("%q: %v, %v", pass, got, err)
		}
	}
	// The parameters come from the string, not from the settings of today.
	dearer := bench(t, func(o *Options) { o.Cost = argon.Cost{MemoryKiB: 128, Time: 2, Threads: 2} })
	if ok, err := dearer.Check(t.Context(), "selokan", one); !ok || err != nil {
		t.Error(ok, err)
	}
}

// The vector is of the argon2 reference implementation: echo -n password |
// argon2 somesalt -id -t 2 -m 16 -p 1 -l 32.
func TestAHashOfTheReferenceImplementationMatches(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := bench(t, nil).Check(t.Context(), "password", phc); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestDefaultCost(t *testing.T) {
	if DefaultCost != (argon.Cost{MemoryKiB: 19456, Time: 2, Threads: 1}) {
		t.Errorf("%+v", DefaultCost)
	}
}

func TestNoPasswordMatchesAMissingAccount(t *testing.T) {
	p := bench(t, nil)
	if ok, err := p.Check(t.Context(), "", ""); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestAMalformedHashIsAnError(t *testing.T) {
	good := format(cheap, random(16), random(32))
	if _, _, _, err := parsePHC(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "$", good + "$", good + "=", " " + good, strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "m=64", "m=4294967295", 1),
		strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "t=1", "t=0", 1),
		strings.Replace(good, "t=1", "t=1000000", 1), strings.Replace(good, "p=1", "p=255", 1),
		format(cheap, nil, random(32)), format(cheap, random(16), random(8)), "$2b$12$abcdefghijklmnopqrstuv",
	} {
		if _, _, _, err := parsePHC(bad); !errors.Is(err, errPHC) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHashesWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bench(t, func(o *Options) { o.Hashes, o.Queue = 2, 3 })
		hold := make(chan struct{})
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		work := func() {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-hold
			mu.Lock()
			running, done = running-1, done+1
			mu.Unlock()
		}
		for range 5 {
			go func() {
				if err := p.inTurn(t.Context(), work); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		err := p.inTurn(t.Context(), func() { t.Error("a sixth ran") })
		wantCode(t, err, gotong.CodeRateLimited)
		var wait interface{ RetryAfter() int }
		if !errors.As(err, &wait) || wait.RetryAfter() < 1 {
			t.Error("no time to wait: ", err)
		}
		close(hold)
		synctest.Wait()
		if most != 2 || done != 5 || p.waiting.Load() != 0 {
			t.Errorf("%d at once, %d done, %d left waiting", most, done, p.waiting.Load())
		}
	})
}

// However many sign in and whatever is configured, hashes have half of the
// processors at most.
func TestHashesHaveHalfOfTheProcessors(t *testing.T) {
	half := max(1, runtime.GOMAXPROCS(0)/2)
	for _, configured := range []int{0, 1, half, 64} {
		synctest.Test(t, func(t *testing.T) {
			p := bench(t, func(o *Options) { o.Hashes, o.Queue = configured, 600; *o = withDefaults(*o) })
			hold := make(chan struct{})
			var running, most atomic.Int64
			for range 600 {
				go func() {
					_ = p.inTurn(t.Context(), func() {
						most.Store(max(most.Load(), running.Add(1)))
						<-hold
						running.Add(-1)
					})
				}()
			}
			synctest.Wait()
			close(hold)
			synctest.Wait()
			if most := int(most.Load()); most > half || most < 1 {
				t.Errorf("%d configured: %d hashes at once on %d processors", configured, most, runtime.GOMAXPROCS(0))
			}
		})
	}
}

// A hash begins when no command is under way, and after 100 ms in any case.
func TestPostingGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		p := bench(t, func(o *Options) { o.Busy = busy.Load })
		hash := func() (took time.Duration) {
			from := clock.System().Mono()
			_ = p.inTurn(t.Context(), func() { took = clock.System().Mono().Sub(from) })
			return took
		}
		if took := hash(); took != 0 {
			t.Errorf("while nobody posts, a hash waits %s", took)
		}
		busy.Store(true)
		time.AfterFunc(15*time.Millisecond, func() { busy.Store(false) })
		if took := hash(); took < 15*time.Millisecond || took > 17*time.Millisecond {
			t.Errorf("began after %s, want when the post is done, after 15 ms", took)
		}
		busy.Store(true)
		if took := hash(); took != maxYield {
			t.Errorf("while somebody always posts, a hash begins after %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.inTurn(ctx, func() {}); err != nil && gotong.CodeOf(err) != gotong.CodeBusy {
			t.Error(err)
		}
	})
}

func TestACallerWhoseContextEndedDoesNotHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bench(t, func(o *Options) { o.Hashes = 1 })
		hold := make(chan struct{})
		go func() { _ = p.inTurn(t.Context(), func() { <-hold }) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- p.inTurn(ctx, func() { t.Error("ran") }) }()
		synctest.Wait()
		cancel()
		wantCode(t, <-failed, gotong.CodeBusy)
		close(hold)
		synctest.Wait()
		if p.waiting.Load() != 0 {
			t.Error(p.waiting.Load())
		}
	})
}

func TestEachTryWaitsTwiceAsLongAsTheOneBefore(t *testing.T) {
	h := build(t, nil)
	g := h.accounts
	g.free, g.longest = 3, 30*time.Second
	wants := func(key string, want time.Duration, of func(context.Context, string) (time.Duration, error)) {
		t.Helper()
		if w, err := of(t.Context(), key); w != want || err != nil {
			t.Fatalf("waits %v, %v, want %v", w, err, want)
		}
	}
	for range 3 {
		wants("a", 0, g.count)
	}
	for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
		pause := time.Duration(seconds) * time.Second
		wants("a", pause, g.count)
		h.pass(pause - time.Millisecond)
		wants("a", time.Millisecond, g.wait)
		h.pass(time.Millisecond)
		wants("a", 0, g.count)
	}
	wants("b", 0, g.wait)
	g.clear(t.Context(), "a")
	wants("a", 0, g.wait)
	wants("c", 0, g.count)
	g.undo(t.Context(), "c")
	for range 3 {
		wants("c", 0, g.count)
	}
	h.pass(2 * time.Minute)
	wants("c", 0, g.count)
	wants("c", 0, g.wait)
}

func TestTheKeysThatANodeCountsAreBounded(t *testing.T) {
	h := build(t, nil)
	for i := range 2 * maxGuesses {
		if _, err := h.accounts.count(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.accounts.here); n > maxGuesses {
		t.Errorf("%d keys", n)
	}
}

func TestTheKeyOfAnIPv6AddressIsItsPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "somewhere": "somewhere",
	} {
		if got := addressKey(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	wrong := func(email, address string) error {
		_, err := h.signIn(t.Context(), SignIn{Email: email, Pass: "wrong", Address: address})
		return err
	}
	for i := range 10 {
		wantCode(t, wrong("siti@example.org", fmt.Sprint("198.51.100.", i)), gotong.CodeUnauthorized)
	}
	// The account waits, from whatever address, with the right password too.
	_, err := h.signIn(t.Context(), SignIn{Email: "SITI@example.org", Pass: "selokan bersih", Address: "203.0.113.9"})
	wantCode(t, err, gotong.CodeRateLimited)
	var wait interface{ RetryAfter() int }
	if !errors.As(err, &wait) || wait.RetryAfter() != 1 {
		t.Error(err)
	}
	h.pass(time.Second)
	if _, err := h.signIn(t.Context(), SignIn{Email: "siti@example.org", Pass: "selokan bersih"}); err != nil {
		t.Error(err)
	}
	// The address waits, for whatever account.
	for i := range 20 {
		wantCode(t, wrong(fmt.Sprintf("%d@example.org", i), "198.51.100.77"), gotong.CodeUnauthorized)
	}
	wantCode(t, wrong("new@example.org", "198.51.100.77"), gotong.CodeRateLimited)
	wantCode(t, wrong("new@example.org", "198.51.100.78"), gotong.CodeUnauthorized)
}

func TestGuessingBySignUpIsSlowedDown(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	r := siti("r1")
	for i := range 20 {
		r.Pass = fmt.Sprint("guess number ", i)
		_, err := h.SignUp(t.Context(), r)
		wantCode(t, err, gotong.CodeReused)
	}
	_, err := h.SignUp(t.Context(), r)
	wantCode(t, err, gotong.CodeRateLimited)
}

func TestManyGoodSignInsOfOneAddressAreNotLimited(t *testing.T) {
	h := build(t, nil)
	for i := range 30 {
		r := siti(fmt.Sprint("r", i))
		r.Email, r.Username = fmt.Sprintf("w%d@example.org", i), fmt.Sprint("warga", i)
		h.signUp(t, r)
		if _, err := h.signIn(t.Context(), SignIn{Email: r.Email, Pass: r.Pass, Address: r.Address}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWrongPasswordAndAnUnknownAddressReturnTheSameError(t *testing.T) {
	h := build(t, nil)
	h.signUp(t, siti("r1"))
	var first error
	for i, in := range []SignIn{
		{Email: "siti@example.org", Pass: "wrong"}, {Email: "nobody@example.org", Pass: "wrong"},
		{Email: "", Pass: "wrong"}, {Email: "siti@example.org", Pass: ""},
		{Email: "siti@example.org", Pass: strings.Repeat("x", 257)}, {Email: strings.Repeat("x", 5000), Pass: "wrong"},
	} {
		_, err := h.signIn(t.Context(), in)
		wantCode(t, err, gotong.CodeUnauthorized)
		if i == 0 {
			first = err
		}
		if err.Error() != first.Error() {
			t.Errorf("%v is not %v", err, first)
		}
	}
}

func TestTheSigningKeyIsReadableByItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	secret, path, made, err := SigningKey(dir)
	if err != nil || !made || len(secret) != 32 {
		t.Fatal(len(secret), path, made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	again, _, made, err := SigningKey(dir)
	if err != nil || made || !bytes.Equal(again, secret) {
		t.Error(made, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Error(left)
	}
	if err := os.WriteFile(path, []byte("AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := SigningKey(dir); err == nil {
		t.Error("a short key was taken")
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := SigningKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Error("a key that others may read: ", err)
		}
	}
}

func TestSigningKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	const n = 16
	keys := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			secret, _, _, err := SigningKey(dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(secret)
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == "" {
			t.Fatal("two keys were made")
		}
	}
}

func BenchmarkHash(b *testing.B) {
	p := bench(b, func(o *Options) { o.Cost = DefaultCost })
	for b.Loop() {
		if _, err := p.Hash(b.Context(), "selokan bersih"); err != nil {
			b.Fatal(err)
		}
	}
}
