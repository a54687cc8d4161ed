package httpapi_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/httpapi"
)

// Phones behind one carrier's address refresh at once: each of them has proved
// its login, so none of them is a guess. Made-up tokens are.
func TestPhonesOfOneAddressRefresh(t *testing.T) {
	w := newWorld(t)
	phones := make([]*person, 60)
	for i := range phones {
		phones[i] = w.signUp(fmt.Sprintf("warga-%02d", i))
	}
	limited := newWorldOf(t, w, httpapi.Limits{
		Strict: httpapi.Rate{PerSecond: 1, Burst: 20}, Login: httpapi.Rate{PerSecond: 1, Burst: 20},
	})
	for _, p := range phones {
		limited.post("/v1/auth/refresh", map[string]any{"refresh": p.refreshWith}).want(200)
	}
	// One login has a limit of its own, and so do guesses.
	refused := 0
	for range 25 {
		if limited.post("/v1/auth/refresh", map[string]any{"refresh": phones[0].refreshWith}).code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d of 25 more refreshes of one login were refused, want 6", refused)
	}
	waits := map[string]int{}
	for i := range 60 {
		a := limited.post("/v1/auth/refresh", map[string]any{"refresh": "r1.made.up.1.AAAA"})
		if want := http.StatusUnauthorized; i < 20 && a.code != want || i >= 20 && a.code != http.StatusTooManyRequests {
			t.Fatalf("guess %d: %d", i, a.code)
		}
		if i >= 20 {
			waits[a.header.Get("Retry-After")]++
		}
	}
	if len(waits) < 5 {
		t.Errorf("40 phones get Retry-After %v s", slices.Collect(maps.Keys(waits)))
	}
	limited.post("/v1/auth/refresh", map[string]any{"refresh": phones[1].refreshWith}).want(200)
}

// Strangers who guess at an account do not keep its owner out of a device on
// which they signed in before.
func TestStrangersDoNotLockTheOwnerOut(t *testing.T) {
	w := newWorld(t)
	w.signUp("ani")
	limited := newWorldOf(t, w, httpapi.Limits{
		Strict: httpapi.Rate{PerSecond: 1, Burst: 20}, Login: httpapi.Rate{PerSecond: 1, Burst: 20},
	})
	signIn := func(pass, device string) *answer {
		body := map[string]any{"email": "ani@example.org", "pass": pass}
		if device != "" {
			body["device_token"] = device
		}
		return limited.post("/v1/auth/signin", body)
	}
	device := signIn("rahasia-ani", "").want(200).str("device_token")
	for range 60 {
		signIn("guess", "")
	}
	signIn("rahasia-ani", "").problem(429, gotong.CodeRateLimited)
	again := signIn("rahasia-ani", device).want(200).str("device_token")
	if again == "" || again == device {
		t.Errorf("device tokens %q, then %q", device, again)
	}
	for range 10 {
		signIn("guess", device).problem(401, gotong.CodeUnauthorized)
	}
	signIn("rahasia-ani", device).problem(429, gotong.CodeRateLimited) // void
	signIn("rahasia-ani", again).want(200)
}

// An allowance that was spent comes back with the time that passes, however the
// clock is set meanwhile.
func TestAllowancesFollowTimeThatPasses(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			slow := httpapi.Rate{PerSecond: 1, Burst: 2}
			w := newWorld(t)
			ani := w.signUp("ani")
			limited := newWorldOf(t, w, httpapi.Limits{Address: slow, User: slow, Strict: slow})
			p := &person{w: limited, token: ani.token}
			ask := map[string]func() int{
				"address and user": func() int { return p.get("/v1/auth/me").code },
				"strict":           func() int { return limited.post("/v1/auth/refresh", map[string]any{"refresh": "made-up-token"}).code },
			}
			for limit, try := range ask {
				w.clock.Pass(time.Minute)
				for code := 0; code != http.StatusTooManyRequests; {
					code = try()
				}
				for _, step := range steps {
					w.clock.Step(step)
				}
				w.clock.Pass(2 * time.Second)
				if code := try(); code == http.StatusTooManyRequests {
					t.Errorf("%s: still spent", limit)
				}
			}
		})
	}
}

// A user has one allowance, whichever login and route it is spent by, and each
// limit has a name of its own beside the others.
func TestOneAllowancePerUser(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	second := w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}).want(200).str("access_token")
	var mu sync.Mutex
	asked := map[string]map[string]bool{}
	shared := func(_ context.Context, name, key string, _ httpapi.Rate, want int) (int, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		if asked[name] == nil {
			asked[name] = map[string]bool{}
		}
		asked[name][key] = true
		return want, 0, nil
	}
	limited := newWorldOf(t, w, httpapi.Limits{
		User: httpapi.Rate{PerSecond: 0.001, Burst: 3}, Address: httpapi.Rate{PerSecond: 1000, Burst: 1000},
		Strict: httpapi.Rate{PerSecond: 1000, Burst: 1000}, Login: httpapi.Rate{PerSecond: 1000, Burst: 1000}, Shared: shared,
	})
	one, two, other := &person{w: limited, token: ani.token}, &person{w: limited, token: second}, &person{w: limited, token: budi.token}
	one.get("/v1/auth/me").want(200)
	two.get("/v1/chat/threads").want(200)
	one.get("/v1/auth/audit").want(200)
	two.get("/v1/auth/me").problem(429, gotong.CodeRateLimited)
	one.get("/v1/auth/me").problem(429, gotong.CodeRateLimited)
	other.get("/v1/auth/me").want(200)
	limited.post("/v1/auth/refresh", map[string]any{"refresh": ani.refreshWith}).want(200)
	limited.post("/v1/auth/refresh", map[string]any{"refresh": "made-up-token"}).want(401)
	mu.Lock()
	defer mu.Unlock()
	if users := asked["user"]; len(users) != 2 || !users[ani.id] || !users[budi.id] {
		t.Errorf("users %v", users)
	}
	if names := slices.Sorted(maps.Keys(asked)); !slices.Equal(names, []string{"address", "login", "strict", "user"}) {
		t.Errorf("limits %v", names)
	}
}

// newWorldOf is the edge of w with limits.
func newWorldOf(t *testing.T, w *world, limits httpapi.Limits) *world {
	t.Helper()
	opts := w.opts
	opts.Limits = limits
	server := httpapi.New(opts)
	return &world{t: t, server: server, spec: newSpec(t, server.OpenAPI()), log: w.log, clock: w.clock}
}
