package httpapi_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/sqlite"
)

// pair is two nodes with a log in common.
type pair struct {
	of   [2]*world
	open func() (store.Whole, error) // the store, again; nil: it cannot be closed
}

// use sends the next requests to a node.
func (c *community) use(node int) {
	c.w = c.nodes.of[node]
	for _, p := range c.users {
		p.w = c.w
	}
}

// restart ends a node and starts it again.
func (c *community) restart(node int) {
	c.log = append(c.log, fmt.Sprint("node ", node, " restarts"))
	c.nodes.of[node].stop()
	c.nodes.of[node] = c.nodes.of[node].beside(c.nodes.of[node].store.Whole)
}

// reopen ends both nodes, closes the store, and starts again with what it has kept.
func (c *community) reopen() {
	c.log = append(c.log, "all restart")
	opened := c.nodes.of[0].store.Whole
	for _, n := range c.nodes.of {
		n.stop()
	}
	if c.nodes.open != nil {
		err := opened.Close()
		if err == nil {
			opened, err = c.nodes.open()
		}
		if err != nil {
			c.failf("the store: %v", err)
		}
	}
	for i, n := range c.nodes.of {
		c.nodes.of[i] = n.beside(opened)
	}
}

// histories is how many histories each store goes through, and steps how long each is.
// Their seeds are fixed. In each, a node starts again, and later both with the store.
const histories, steps = 4, 40

// TestUnreadAgreesWithAModel compares all counts and marks after every step, on both
// nodes, and what each device makes of the signals and answers that it received.
func TestUnreadAgreesWithAModel(t *testing.T) {
	kept := memory.New("k3f9", memory.Options{})
	file := filepath.Join(t.TempDir(), "unread.db")
	for name, open := range map[string]func() (store.Whole, error){
		"memory": nil,
		"sqlite": func() (store.Whole, error) {
			return sqlite.Open(t.Context(), file, sqlite.Options{Collections: store.Collections(kinds())})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var opened store.Whole = kept
			if open != nil {
				var err error
				if opened, err = open(); err != nil {
					t.Fatal(err)
				}
			}
			w := newWorldOn(t, opened)
			var users [histories][4]*person // only the first node signs up
			for n := range users {
				for i, name := range []string{"ani", "budi", "citra", "dewi"} {
					users[n][i] = w.signUp(fmt.Sprintf("%s.%d", name, n))
				}
			}
			nodes := &pair{of: [2]*world{w, w.beside(opened)}, open: open}
			for n := range uint64(histories) {
				c := &community{T: t, rand: rand.New(rand.NewPCG(n, 13)), nodes: nodes}
				c.users = users[n]
				c.use(0)
				c.found()
				for i := range steps {
					c.step()
					c.agree()
					switch i {
					case steps / 3:
						c.restart(int(n) % 2)
					case 2 * steps / 3:
						c.reopen()
					default:
						continue
					}
					c.agree()
				}
			}
		})
	}
}
