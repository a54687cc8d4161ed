package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong/internal/bench"
)

// attack is the work of one member of a crowd until ctx ends. It counts what
// the server served and what it rejected.
type attack struct {
	name  string
	crowd int
	run   func(ctx context.Context, r *run, i int, served, refused *atomic.Int64)
}

var all = []attack{
	{"sign-ins, each from an address of its own", 600, guess},
	{"reads of one user that wait for an event", 200, await},
	{"connections with unfinished headers", 1000, dawdle},
	{"clients that send pings and read nothing", 50, ping},
}

// attacks measures an honest poster, alone and beside each attack in turn.
func attacks(r *run) error {
	made, err := r.thread(r.ctx, "owner", "attacks")
	if err != nil {
		return err
	}
	stream := string(made.Stream())
	w, err := r.dial(r.ctx, "owner")
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if _, err := r.honest(w, stream, time.Second); err != nil { // warm
		return err
	}
	fmt.Println("attack\tcrowd\tposts\tp50 ms\tp99 ms\tof alone\tserved\trefused")
	for _, a := range all {
		for range 3 {
			if err := r.beside(w, stream, a); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
	}
	return nil
}

// beside prints one pair of measurements.
func (r *run) beside(w *bench.Socket, stream string, a attack) error {
	alone, err := r.honest(w, stream, r.length)
	if err != nil {
		return err
	}
	end, err := r.gather(a)
	if err != nil {
		return err
	}
	// Nothing is measured while the crowd connects: a storm of connections is
	// another scenario.
	var beside []time.Duration
	if _, err = r.honest(w, stream, 2*time.Second); err == nil {
		beside, err = r.honest(w, stream, r.length)
	}
	served, refused, ended := end()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	slow := func(of []time.Duration) float64 { return milli(of[len(of)*99/100]) }
	fmt.Printf("none\t\t%d\t%.2f\t%.2f\n", len(alone), milli(alone[len(alone)/2]), slow(alone))
	fmt.Printf("%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t%d\t%d\n", a.name, a.crowd, len(beside), milli(beside[len(beside)/2]), slow(beside),
		slow(beside)/slow(alone), served, refused)
	return nil
}

// gather starts a crowd in a separate process. Real attackers would share
// neither the poster's runtime nor the server's processors, so the process has
// the lowest priority. The function that gather returns ends the crowd and
// returns its counts.
func (r *run) gather(a attack) (end func() (served, refused int64, err error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, "nice", "-n", "19", self, "crowd", a.name, r.addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (served, refused int64, err error) {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			return 0, 0, fmt.Errorf("crowd: %w", err)
		}
		_, err = fmt.Sscan(out.String(), &served, &refused)
		return served, refused, err
	}, nil
}

// serveCrowd is the process of a crowd: it attacks the server at addr until its
// input ends, and then prints what was served and what was rejected.
func serveCrowd(name, addr string) error {
	i := slices.IndexFunc(all, func(a attack) bool { return a.name == name })
	if i < 0 {
		return fmt.Errorf("no attack is named %q", name)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &run{ctx: ctx, server: &server{addr: addr}}
	var served, refused atomic.Int64
	var crowd sync.WaitGroup
	for n := range all[i].crowd {
		crowd.Go(func() { all[i].run(ctx, r, n, &served, &refused) })
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	stop()
	crowd.Wait()
	fmt.Println(served.Load(), refused.Load())
	return err
}

// honest posts 50 messages a second at fixed instants, and returns the sorted
// latencies of the acknowledgements.
func (r *run) honest(w *bench.Socket, stream string, length time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for began := time.Now(); time.Since(began) < length; {
		at := <-every.C
		if err := post(w, stream); err != nil {
			return nil, err
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	return took, nil
}

// from returns an address of the attacker. On Linux, all of 127.0.0.0/8 is this
// machine.
func from(i int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}}
}

// again sends a request, and about a second after each answer the next one. The
// wait is random, because a fixed one would keep the crowd in step.
func again(ctx context.Context, transport *http.Transport, ask func() (*http.Request, error), answered func(status int)) {
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		req, err := ask()
		if err != nil {
			return
		}
		if resp, err := (&http.Client{Transport: transport}).Do(req.WithContext(ctx)); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			answered(resp.StatusCode)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second/2 + rand.N(time.Second)):
		}
	}
}

// tally counts an answer that cost the server the work that the attack is
// after.
func tally(status, costly int, served, refused *atomic.Int64) {
	if status == costly {
		served.Add(1)
	} else {
		refused.Add(1)
	}
}

// guess signs in, which costs a password hash or is rejected.
func guess(ctx context.Context, r *run, i int, served, refused *atomic.Int64) {
	body := fmt.Appendf(nil, `{"email":"nobody-%d@example.org","pass":"selokan bersih"}`, i)
	again(ctx, &http.Transport{DialContext: from(i).DialContext}, func() (*http.Request, error) {
		req, err := http.NewRequest(http.MethodPost, "http://"+r.addr+"/v1/auth/signin", bytes.NewReader(body))
		if err == nil {
			req.Header.Set("Content-Type", "application/json")
		}
		return req, err
	}, func(status int) { tally(status, http.StatusUnauthorized, served, refused) })
}

// await reads, in a busy partition, with a min_seq that is never reached.
func await(ctx context.Context, r *run, i int, served, refused *atomic.Int64) {
	made, err := r.thread(ctx, "reader", "load")
	if err != nil {
		return
	}
	epoch, _, _ := strings.Cut(string(made.AsOf), ":")
	again(ctx, &http.Transport{DialContext: from(i).DialContext}, func() (*http.Request, error) {
		at := "http://" + r.addr + "/v1/chat/threads/" + made.ThreadID + "?min_seq=" + epoch + ":900"
		req, err := http.NewRequest(http.MethodGet, at, http.NoBody)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+token("reader"))
		}
		return req, err
	}, func(status int) { tally(status, http.StatusServiceUnavailable, served, refused) })
}

// dawdle opens a connection and never ends its headers.
func dawdle(ctx context.Context, r *run, i int, served, refused *atomic.Int64) {
	for ctx.Err() == nil {
		conn, err := from(i).DialContext(ctx, "tcp", r.addr)
		if err != nil {
			refused.Add(1)
			return
		}
		end := context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, _ = conn.Write([]byte("GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-A: "))
		served.Add(1)
		_, _ = io.Copy(io.Discard, conn) // until the server or the attack ends it
		end()
		_ = conn.Close()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second/2 + rand.N(time.Second)):
		}
	}
}

// ping sends pings, fast, and reads nothing.
func ping(ctx context.Context, r *run, i int, served, refused *atomic.Int64) {
	w, err := r.dial(ctx, fmt.Sprint("pinger-", i))
	if err != nil {
		refused.Add(1)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = w.Close() })()
	defer func() { _ = w.Close() }()
	frame := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, bytes.Repeat([]byte("x"), 125)...)
	for batch := bytes.Repeat(frame, 64); ctx.Err() == nil; {
		if _, err := w.Write(batch); err != nil {
			refused.Add(1)
			return
		}
		served.Add(64)
	}
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
