package push

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/outbound"
)

const (
	inFlight  = 32 // requests of a node at once
	perHost   = 16 // of them to one host: a slow one leaves slots to the others
	timeout   = 10 * time.Second
	padding   = 512 // bytes to whose multiple a text is padded
	maxTries  = 6
	firstWait = 5 * time.Second // after a failure, doubled each time
	maxWait   = time.Hour       // of Retry-After
	maxHosts  = 1000            // that are paused at once
	maxAnswer = 4 << 10
)

// The outcomes of a request.
const (
	accepted = "accepted"
	gone     = "gone"     // the subscription has ended
	failed   = "failed"   // try again
	rejected = "rejected" // this message
)

// send sends a text to subscriptions, and deletes those that have ended. It returns
// those that could not be reached, and when to try again.
func (u *user) send(ctx context.Context, list []Subscription, text Payload) (left []string, retry gotong.Instant) {
	var mu sync.Mutex
	var group sync.WaitGroup
	var dead []string
	for i := range list {
		group.Go(func() {
			outcome, after := u.attempt(ctx, &list[i], text, u.headers(text))
			u.Count(outcome)
			mu.Lock()
			defer mu.Unlock()
			switch outcome {
			case gone:
				dead = append(dead, list[i].ID)
			case failed:
				left = append(left, list[i].ID)
				retry = max(retry, u.Clock.Now().Add(max(min(after, maxWait), firstWait<<u.Tries)))
			}
		})
	}
	group.Wait()
	if len(dead) > 0 {
		err := u.drop(ctx, u.id, func(s *Subscription) bool { return slices.Contains(dead, s.ID) })
		if err != nil { // the next push finds it
			u.Log.WarnContext(ctx, "a push subscription that ended could not be deleted", "cause", err)
		}
	}
	return left, retry
}

// headers returns the headers of RFC 8030. A push service keeps one message of each
// topic. The topic reveals the thread to nobody else.
func (u *user) headers(text Payload) http.Header {
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %s %s", u.Keys.topics, u.id, u.stream))
	urgency := "normal"
	switch {
	case text.Unread == 0:
		urgency = "low"
	case text.Direct, weight[text.Kind] > 0:
		urgency = "high"
	}
	return http.Header{
		"Topic": {b64.EncodeToString(sum[:24])}, "Urgency": {urgency}, "Ttl": {strconv.Itoa(int(tooOld.Seconds()))},
		"Content-Encoding": {"aes128gcm"}, "Content-Type": {"application/octet-stream"},
	}
}

// attempt sends a text once. It returns the outcome, and the wait that the response
// asks for. A host that does not respond is paused, so that it does not delay the
// pushes to others.
func (p *Pusher) attempt(ctx context.Context, s *Subscription, text Payload, headers http.Header) (string, time.Duration) {
	u, err := p.Guard.URL(s.Endpoint)
	if err != nil {
		return rejected, 0
	}
	free, ok := p.takeSlots(ctx, u.Host)
	defer free()
	if !ok {
		return failed, 0
	}
	if p.isPaused(u.Host) {
		return failed, 0
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := p.request(bounded, s, u, text, headers)
	if err != nil {
		p.Log.WarnContext(ctx, "a push cannot be encrypted", "cause", err)
		return rejected, 0
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.pause(u.Host)
		return failed, 0
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	_ = resp.Body.Close()
	switch status := resp.StatusCode; {
	case status >= 200 && status < 300:
		return accepted, 0
	case status == http.StatusNotFound, status == http.StatusGone:
		return gone, 0
	case status >= 500:
		p.pause(u.Host)
		fallthrough
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return failed, outbound.RetryAfter(resp.Header, p.Clock.Now().Time())
	default:
		p.Log.WarnContext(ctx, "a push service rejects a push", "host", u.Host, "status", status)
		return rejected, 0
	}
}

func (p *Pusher) request(ctx context.Context, s *Subscription, u *url.URL, text Payload, headers http.Header) (*http.Request, error) {
	plain, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	body, err := seal(plain, s.P256dh, s.Auth, own, salt, padding)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = headers
	token, err := p.Keys.header(u, p.Clock.Now())
	r.Header.Set("Authorization", token)
	return r, err
}

// takeSlots waits for a slot of the host and one of all, and reports whether it got both
// before ctx ended. free gives back what it got.
func (p *Pusher) takeSlots(ctx context.Context, host string) (free func(), ok bool) {
	of := p.slotsOf(host)
	select {
	case of <- struct{}{}:
	case <-ctx.Done():
		return func() {}, false
	}
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots; <-of }, true
	case <-ctx.Done():
		return func() { <-of }, false
	}
}

// slotsOf returns the slots of a host. Endpoints are named by users, so not all of them
// are kept.
func (p *Pusher) slotsOf(host string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots, ok := p.hosts[host]
	if !ok {
		if len(p.hosts) >= maxHosts {
			clear(p.hosts)
		}
		slots = make(chan struct{}, perHost)
		p.hosts[host] = slots
	}
	return slots
}

func (p *Pusher) isPaused(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.paused[host].Sub(p.Clock.Now())
	return left > 0 && left <= firstWait // more: the clock was set back
}

func (p *Pusher) pause(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.paused) >= maxHosts { // endpoints are named by users
		clear(p.paused)
	}
	p.paused[host] = p.Clock.Now().Add(firstWait)
}
