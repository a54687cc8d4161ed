package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/store"
)

// guessAt guesses at one node and says with which code it ended.
func guessAt(t *testing.T, h *house, email, address string) gotong.Code {
	t.Helper()
	_, err := h.signIn(t.Context(), SignIn{Email: email, Pass: "wrong", Address: address})
	return gotong.CodeOf(err)
}

// More nodes are not more guesses.
func TestNodesCountGuessesTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		email, address func(i int) string
		free           int
		longest        time.Duration
	}{
		"of one account": {
			func(int) string { return "siti@example.org" }, func(i int) string { return fmt.Sprint("192.0.2.", i) }, 10, 30 * time.Second,
		},
		"of an address that nobody has": {
			func(int) string { return "nobody@example.org" }, func(i int) string { return fmt.Sprint("192.0.2.", i) }, 10, 30 * time.Second,
		},
		"from one address": {
			func(i int) string { return fmt.Sprint(i, "@example.org") }, func(int) string { return "192.0.2.1" }, 20, 5 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTwoNodes(t)
			n.here.signUp(t, siti("r1"))
			nodes := []*house{n.here, n.there}
			for i := range tc.free {
				if code := guessAt(t, nodes[i%2], tc.email(i), tc.address(i)); code != gotong.CodeUnauthorized {
					t.Fatalf("try %d: %s", i, code)
				}
			}
			for _, h := range nodes {
				if code := guessAt(t, h, tc.email(100), tc.address(100)); code != gotong.CodeRateLimited {
					t.Errorf("one more: %s", code)
				}
			}
			n.pass(4 * tc.longest)
			if code := guessAt(t, n.there, tc.email(101), tc.address(101)); code != gotong.CodeUnauthorized {
				t.Errorf("after the pause: %s", code)
			}
		})
	}
}

// A pause ends with the time that passes, however the clock is set meanwhile:
// on the node that counted, and on the others, which read what it stored.
func TestPausesFollowTimeThatPasses(t *testing.T) {
	for name, steps := range clocktest.Steps() {
		t.Run(name, func(t *testing.T) {
			n := newTwoNodes(t)
			n.here.signUp(t, siti("r1"))
			for code := gotong.CodeUnauthorized; code != gotong.CodeRateLimited; {
				code = guessAt(t, n.here, "siti@example.org", "192.0.2.9")
			}
			for _, step := range steps {
				n.here.clock.Step(step)
				n.there.clock.Step(step)
			}
			_ = guessAt(t, n.there, "siti@example.org", "192.0.2.8") // reads it
			n.pass(2 * time.Second)
			for _, h := range []*house{n.here, n.there} {
				if _, err := h.signIn(t.Context(), sitiAgain("i1")); err != nil {
					t.Errorf("still locked out: %v", err)
				}
			}
		})
	}
}

func TestASuccessClearsGuessesOnAllNodes(t *testing.T) {
	n := newTwoNodes(t)
	n.here.signUp(t, siti("r1"))
	for i := range 9 {
		guessAt(t, n.there, "siti@example.org", fmt.Sprint("192.0.2.", i))
	}
	if _, err := n.here.signIn(t.Context(), sitiAgain("i1")); err != nil {
		t.Fatal(err)
	}
	if left := n.here.count(t, guessesName, "account"); left != 0 {
		t.Errorf("%d registers are left", left)
	}
}

func TestRegistersOfGuessesShowNoAccountOrAddress(t *testing.T) {
	n := newTwoNodes(t)
	guessAt(t, n.here, "siti@example.org", "192.0.2.1")
	for _, owner := range []string{"account", "address"} {
		regs, err := n.here.store.FindRegisters(t.Context(), store.KeyRange{Collection: guessesName, Owner: owner, To: "~"})
		if err != nil || len(regs) != 1 || regs[0].Expires == 0 {
			t.Fatal(regs, err)
		}
		if text := regs[0].Key.Name + string(regs[0].Body); strings.Contains(text, "siti") || strings.Contains(text, "192") {
			t.Errorf("%s", text)
		}
	}
	alone := build(t, nil)
	guessAt(t, alone, "siti@example.org", "192.0.2.1")
	if alone.count(t, guessesName, "account") != 0 {
		t.Error("a node that is alone writes registers")
	}
}
