package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
)

// How a victim is connected at the moment of the removal.
const (
	overWS   = "ws"
	overSSE  = "sse"
	overPoll = "poll"
	restless = "restless" // over WebSocket, subscribing again and again
	stalled  = "stalled"  // over WebSocket, reading nothing when it happens
)

// victim is a user who is removed from target and stays in other. Every byte
// that they get is kept.
type victim struct {
	tb            testing.TB
	url, user     string
	how           string
	target, other gotong.Stream
	tap           *tap

	live   *moment // got something of target
	marked *moment // got what was said in other after the removal
	ended  *moment // got the last words in other
	gone   *moment // the connection is over
	pause  *moment // a stalled reader stops
	resume *moment // and goes on

	mu    sync.Mutex
	epoch string
	at    uint64 // cursor in target
	away  bool   // the server has reported the removal from target
}

// moment happens once.
type moment struct {
	once sync.Once
	c    chan struct{}
}

func newMoment() *moment { return &moment{c: make(chan struct{})} }
func (s *moment) set()   { s.once.Do(func() { close(s.c) }) }

// within waits for it.
func (s *moment) within(ctx context.Context, tb testing.TB, what string) bool {
	tb.Helper()
	select {
	case <-s.c:
		return true
	case <-ctx.Done():
		tb.Errorf("%s: %v", what, ctx.Err())
		return false
	}
}

func newVictim(tb testing.TB, url, user, how string, target, other gotong.Stream) *victim {
	tb.Helper()
	return &victim{
		tb: tb, url: url, user: user, how: how, target: target, other: other,
		tap:  &tap{small: how == stalled},
		live: newMoment(), marked: newMoment(), ended: newMoment(), gone: newMoment(), pause: newMoment(), resume: newMoment(),
	}
}

// marker is said in other when the removal of this user has returned.
func (v *victim) marker() string { return "marker of " + v.user + "." }

// run connects and reads until ctx ends.
func (v *victim) run(ctx context.Context) {
	defer v.gone.set()
	h := v.tap.http(v.tb)
	var err error
	switch v.how {
	case overSSE:
		err = v.sse(ctx, h)
	case overPoll:
		err = v.poll(ctx, h)
	default:
		err = v.ws(ctx, h)
	}
	h.CloseIdleConnections()
	if err != nil && ctx.Err() == nil && v.how != stalled { // that one may be cut
		v.tb.Errorf("%s over %s: %v", v.user, v.how, err)
	}
}

// look sees what a piece of what came means.
func (v *victim) look(b []byte) {
	if bytes.Contains(b, []byte(v.target)) && bytes.Contains(b, []byte("message.posted")) {
		v.live.set()
	}
	if bytes.Contains(b, []byte(v.marker())) {
		v.marked.set()
	}
	if bytes.Contains(b, []byte(lastWords)) {
		v.ended.set()
	}
}

func (v *victim) ws(ctx context.Context, h *http.Client) error {
	ws := unreadSocket(ctx, v.tb, h, v.url, v.user)
	defer func() { _ = ws.CloseNow() }()
	for i, s := range []gotong.Stream{v.target, v.other} {
		if err := tell(ctx, ws, map[string]any{"op": "subscribe", "id": fmt.Sprint(i), "stream": s}); err != nil {
			return err
		}
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var moving sync.WaitGroup
	if v.how == restless {
		moving.Go(func() { v.fidget(inner, ws) })
	}
	defer moving.Wait()
	defer cancel()
	for {
		if v.how == stalled {
			select {
			case <-v.pause.c:
				<-v.resume.c
			default:
			}
		}
		_, b, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		v.look(b)
		v.note(b)
	}
}

// note keeps where the target is.
func (v *victim) note(b []byte) {
	if v.how != restless {
		return
	}
	var f struct {
		Op     string        `json:"op"`
		Epoch  string        `json:"epoch"`
		Stream gotong.Stream `json:"stream"`
		To     uint64        `json:"to"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		v.tb.Error(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case f.Op == "welcome":
		v.epoch = f.Epoch
	case f.Op == "events" && f.Stream == v.target:
		v.at = max(v.at, f.To)
	case f.Op == "access_revoked", f.Op == "error" && bytes.Contains(b, []byte("not_found")):
		v.away = true
	}
}

// fidget leaves the target and comes back, from where it was or from before
// that, until it is told that there is no such thing.
func (v *victim) fidget(ctx context.Context, ws *websocket.Conn) {
	tick := pace(25 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		v.mu.Lock()
		at, epoch, away := v.at, v.epoch, v.away
		v.mu.Unlock()
		if away {
			return
		}
		if epoch == "" || at == 0 {
			continue
		}
		at -= min(at, n%3*10)
		cursor := fmt.Sprintf("%s:%d", epoch, at)
		_ = tell(ctx, ws, map[string]any{"op": "unsubscribe", "id": "u", "stream": v.target})
		_ = tell(ctx, ws, map[string]any{"op": "subscribe", "id": "s", "stream": v.target, "cursor": cursor})
	}
}

func (v *victim) open(ctx context.Context, h *http.Client, path string, query url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+tokenOf(v.user))
	return h.Do(req)
}

// get is open where the answer is good.
func (v *victim) get(ctx context.Context, h *http.Client, path string, query url.Values) (*http.Response, error) {
	res, err := v.open(ctx, h, path, query)
	if err == nil && res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		err = fmt.Errorf("%s: %s", res.Status, b)
		if res.StatusCode == http.StatusServiceUnavailable {
			err = errBusy
		}
	}
	return res, err
}

// errBusy is an answer that asks to come again.
var errBusy = errors.New("busy")

func (v *victim) streams() url.Values {
	return url.Values{"stream": {string(v.target), string(v.other)}}
}

func (v *victim) sse(ctx context.Context, h *http.Client) error {
	res, err := v.get(ctx, h, "/v1/realtime/sse", v.streams())
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	in := bufio.NewReaderSize(res.Body, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		v.look(line)
	}
}

func (v *victim) poll(ctx context.Context, h *http.Client) error {
	query := v.streams()
	for {
		query.Set("wait", "20s")
		res, err := v.get(ctx, h, "/v1/realtime/poll", query)
		if errors.Is(err, errBusy) {
			<-time.After(soon(3))
			continue
		}
		if err != nil {
			return err
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		var a struct {
			Cursor string `json:"cursor"`
		}
		if err == nil {
			err = json.Unmarshal(b, &a)
		}
		if err != nil {
			return err
		}
		query = url.Values{"cursor": {a.Cursor}}
		v.look(b)
	}
}

// heard is everything that came, as one text: what HTTP puts between the
// chunks of a body is taken out.
func (v *victim) heard() string {
	raw := string(v.tap.text())
	if v.how == overSSE || v.how == overPoll {
		raw = chunkEdge.ReplaceAllString(raw, "")
	}
	return strings.ToValidUTF8(raw, "\x00")
}
