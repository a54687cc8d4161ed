package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// guessers is from how many addresses sign-ins come at once.
const guessers = 600

// signins measures an honest poster, alone and beside sign-ins from many
// addresses, each of which costs a password hash or is refused.
func signins(r *run) error {
	stream, err := r.thread("signins")
	if err != nil {
		return err
	}
	w, err := r.dial("owner", 4096)
	if err != nil {
		return err
	}
	defer func() { _ = w.conn.Close() }()
	if err := w.until(`"welcome"`); err != nil {
		return err
	}
	if _, err := r.honest(w, stream, time.Second); err != nil { // warm
		return err
	}
	fmt.Println("sign-ins\tposts\tp50 ms\tp99 ms\tof alone\thashed\trefused")
	for range 3 {
		alone, err := r.honest(w, stream, r.length)
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(r.ctx)
		var hashed, refused atomic.Int64
		var crowd sync.WaitGroup
		for i := range guessers {
			crowd.Go(func() { r.guess(ctx, i, &hashed, &refused) })
		}
		beside, err := r.honest(w, stream, r.length)
		stop()
		crowd.Wait()
		if err != nil {
			return err
		}
		slow := func(of []time.Duration) float64 { return milli(of[len(of)*99/100]) }
		fmt.Printf("none\t%d\t%.2f\t%.2f\n", len(alone), milli(alone[len(alone)/2]), slow(alone))
		fmt.Printf("%d at once\t%d\t%.2f\t%.2f\t%.2f\t%d\t%d\n", guessers, len(beside), milli(beside[len(beside)/2]), slow(beside),
			slow(beside)/slow(alone), hashed.Load(), refused.Load())
	}
	return nil
}

// honest posts 50 messages a second, each when it is its time, and returns how
// long the acknowledgements took, sorted.
func (r *run) honest(w *socket, stream string, length time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for began := time.Now(); time.Since(began) < length; {
		at := <-every.C
		if err := errors.Join(w.post(stream), w.until(`{"op":"ack"`)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	return took, nil
}

// guess signs in again and again, a second after each answer, from an address
// of its own: on Linux all of 127.0.0.0/8 is this machine.
func (r *run) guess(ctx context.Context, i int, hashed, refused *atomic.Int64) {
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: from}).DialContext}
	defer transport.CloseIdleConnections()
	body := fmt.Appendf(nil, `{"email":"nobody-%d@example.org","pass":"selokan bersih"}`, i)
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+"/v1/auth/signin", bytes.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := (&http.Client{Transport: transport}).Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				hashed.Add(1)
			} else {
				refused.Add(1)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
