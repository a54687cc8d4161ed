package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"
)

const (
	cutsEach = 100    // on each transport
	longest  = 12_000 // bytes of a connection before its cut: a few times what one answer takes
)

// cutter is a TCP proxy that cuts each connection after a random number of
// bytes, while it has cuts left to make.
type cutter struct {
	address string
	mu      sync.Mutex
	random  *rand.Rand
	left    int
	ended   bool
	open    map[net.Conn]bool
}

func newCutter(t *testing.T, to string, seed uint64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{address: l.Addr().String(), random: rand.New(rand.NewPCG(seed, 0)), open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.carry(down, to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		c.ended = true
		for conn := range c.open {
			_ = conn.Close()
		}
		c.mu.Unlock()
		running.Wait()
	})
	return c
}

// carry passes bytes in both directions until one end closes, or the cut.
func (c *cutter) carry(down net.Conn, to string) {
	defer down.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	c.mu.Lock()
	ended := c.ended
	c.open[down], c.open[up] = true, true
	bytes, reset := 1+c.random.IntN(longest), c.random.IntN(2) == 0
	c.mu.Unlock()
	if ended {
		return
	}
	end := func() {
		for _, conn := range []net.Conn{down, up} {
			if reset {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	pass := func(from, to net.Conn) {
		defer end()
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			carried, cut := c.count(n, &bytes)
			if _, failed := to.Write(buffer[:carried]); failed != nil || err != nil || cut {
				return
			}
		}
	}
	back := make(chan struct{})
	go func() { defer close(back); pass(up, down) }()
	pass(down, up)
	<-back
	c.mu.Lock()
	delete(c.open, down)
	delete(c.open, up)
	c.mu.Unlock()
}

// count returns how many of n bytes pass, and whether the connection is cut then.
func (c *cutter) count(n int, bytes *int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || n < *bytes {
		if c.left > 0 {
			*bytes -= n
		}
		return n, false
	}
	carried := *bytes
	if *bytes = 0; n > 0 {
		c.left--
	}
	return carried, true
}

func (c *cutter) cuts(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
}

func (c *cutter) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left == 0
}

// follower is the script of the page that follows: the client, and what the
// tests of the client in Node collect with. The waits are shorter than in life,
// so that the cuts fit into seconds.
func follower(t *testing.T) string {
	t.Helper()
	options := common()
	options.Format, options.GlobalName = api.FormatIIFE, "gotong"
	options.Stdin = &api.StdinOptions{ResolveDir: "../../../sdk/js/test", Loader: api.LoaderTS, Contents: `
		import { Client, defaultTimes } from '../src/index.js'
		import { collect, type Collected } from './collect.js'

		const times = { ...defaultTimes, floor: 1, base: 5, cap: 50, hurry: 5, poll: 200, quick: 1, open: 5000 }
		let seen = 0
		let collected: Promise<Collected>
		let progressed = () => {}
		let client: Client

		export function begin(token: string, transport: 'websocket' | 'sse' | 'poll', stream: string): void {
			client = new Client({ url: location.origin, token: () => token, transports: [transport], platform: { times } })
			collected = collect(client, stream, transport === 'websocket', so => {
				seen = so.seqs.length
				progressed()
			})
			collected.catch(() => {})
		}

		const late = (ms: number) => new Promise<never>((_, reject) => setTimeout(() => reject(new Error('at ' + seen + ' ' + JSON.stringify(client.state))), ms))

		/** Waits until more than n events are seen, and returns how many. */
		export async function beyond(n: number): Promise<number> {
			while (seen <= n) await Promise.race([new Promise<void>(resolve => (progressed = resolve)), collected, late(180_000)])
			return seen
		}

		/** Waits for the commands that were given before, and returns their texts. */
		export async function sent(): Promise<string[]> {
			const waiting = [...client.pending]
			await Promise.race([Promise.all(waiting), late(180_000)])
			return waiting.map(c => (c.data as { body: string }).body)
		}

		export const all = () => Promise.race([collected, late(180_000)])`}
	outputs, err := run(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range outputs {
		return string(script)
	}
	return ""
}

// cuts: the client goes through random cuts in Chromium on every transport.
// Nothing is lost, nothing comes twice, the order stays.
func cuts(t *testing.T, in context.Context, v village) {
	script := follower(t)
	first := open(t, in, view{width: 400, height: 300, scale: 1, language: "en-GB"}) // the others are tabs beside it
	for seed, transport := range []string{"websocket", "sse", "poll"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			through(t, first.ctx, v, transport, script, uint64(seed))
		})
	}
}

// through follows a thread over a transport that is cut again and again, while
// messages are posted to it.
func through(t *testing.T, in context.Context, v village, transport, script string, seed uint64) {
	network := newCutter(t, v.address, seed)
	p := open(t, in, view{width: 400, height: 300, scale: 1, language: "en-GB"})
	p.do(chromedp.Navigate("http://"+network.address+"/"), chromedp.Evaluate(script+";window.gotong = gotong", nil))

	var who struct {
		Token string `json:"access_token"`
	}
	v.call(t, "POST", "/v1/auth/signup", "", map[string]string{
		"email": transport + "@rt05.example", "pass": "hujan-deras-2026", "username": "Warga" + transport, "community_id": "rt05",
	}, &who)
	var thread struct {
		ID string `json:"thread_id"`
	}
	v.call(t, "POST", "/v1/chat/threads", who.Token, map[string]string{"scope_id": "rt05", "privacy_level": "public"}, &thread)
	post := func(body string) {
		if status := v.call(t, "POST", "/v1/chat/threads/"+thread.ID+"/messages/send", who.Token, map[string]string{"body": body}, nil); status != http.StatusCreated {
			t.Fatalf("a message got %d", status)
		}
	}

	network.cuts(cutsEach)
	p.eval(fmt.Sprintf("gotong.begin(%q, %q, %q)", who.Token, transport, "thread/"+thread.ID), nil)
	var posted []string
	seen, between := 0, 0 // between cuts
	for !network.done() {
		if len(posted)-seen > 4 { // it must be able to keep up: else no frame is short enough for a connection
			p.eval(fmt.Sprintf("gotong.beyond(%d)", seen), &seen)
		}
		if !network.done() {
			between = seen
		}
		posted = append(posted, fmt.Sprintf("message %d %s.", len(posted), strings.Repeat("x", len(posted)%300)))
		post(posted[len(posted)-1])
	}
	var waited []string
	p.eval("gotong.sent()", &waited)
	post("end")
	var got struct {
		Seqs       []int
		Bodies     []string
		Transports []string
	}
	p.eval("gotong.all()", &got)
	check(t, got.Bodies, posted, waited)
	for i, seq := range got.Seqs {
		if seq != i+1 {
			t.Fatalf("seq %d is handled as event %d", seq, i+1)
		}
	}
	if between < 20 || !slices.Equal(got.Transports, []string{transport}) {
		t.Errorf("it saw %d events between cuts, over %v", between, got.Transports)
	}
	t.Logf("%d cuts, %d events meanwhile, %d in all", cutsEach, between, len(got.Seqs))
}

// check fails unless the posted messages were seen once and in order, and so
// were the messages of the follower.
func check(t *testing.T, bodies, posted, waited []string) {
	t.Helper()
	var others, own []string
	for _, body := range bodies {
		switch {
		case strings.HasPrefix(body, "message "):
			others = append(others, body)
		case strings.HasPrefix(body, "own "):
			own = append(own, body)
		}
	}
	if !slices.Equal(others, posted) {
		t.Errorf("of %d messages, it saw %d: %q", len(posted), len(others), others)
	}
	slices.Sort(own)
	if once := slices.Compact(slices.Clone(own)); len(once) != len(own) {
		t.Errorf("its own messages came twice: %q", own)
	}
	for _, body := range waited {
		if !slices.Contains(own, body) {
			t.Errorf("its own message %q is lost", body)
		}
	}
}
