package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// wsPeer is the server's end of one WebSocket.
type wsPeer struct {
	s    *server
	ws   *websocket.Conn
	ctx  context.Context //nolint:containedctx // of the connection, which this is
	stop context.CancelFunc

	mu   sync.Mutex
	list []*position
	poke chan struct{}
}

type clientFrame struct {
	Op        string          `json:"op"`
	ID        string          `json:"id"`
	Stream    gotong.Stream   `json:"stream"`
	Cursor    string          `json:"cursor"`
	RequestID string          `json:"request_id"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"`
}

func (s *server) serveWS(w http.ResponseWriter, r *http.Request) {
	if s.admit(w, r, client.WebSocket) {
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"gotong.v1"}})
	if err != nil {
		return
	}
	defer ws.CloseNow() //nolint:errcheck // over
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p := &wsPeer{s: s, ws: ws, ctx: ctx, stop: cancel, poke: make(chan struct{}, 1)}
	s.mu.Lock()
	s.sockets++
	silent := s.faults.silentWS
	s.mu.Unlock()
	if !p.write(`{"op":"welcome","session":"s1","epoch":"` + string(s.epoch) + `","heartbeat_ms":25000}`) {
		return
	}
	var pumping sync.WaitGroup
	pumping.Go(func() {
		defer cancel()
		p.pump()
	})
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			break
		}
		if !silent {
			p.receive(b)
		}
	}
	cancel()
	pumping.Wait()
}

// pump is [server.pump], poked when the subscriptions change.
func (p *wsPeer) pump() {
	for p.ctx.Err() == nil {
		inner, cancel := context.WithCancel(p.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-p.poke:
				cancel()
			case <-inner.Done():
			}
		}()
		over := p.s.pump(inner, p.positions, func(f string) bool {
			return p.write(f) && !p.closeNow()
		}, func() bool { return true })
		cancel()
		<-ended
		if over {
			return
		}
	}
}

func (p *wsPeer) closeNow() bool {
	if !p.s.chance(p.s.faults.closeCode) {
		return false
	}
	_ = p.ws.Close(p.s.faults.closeWith, p.s.faults.closeText)
	return true
}

func (p *wsPeer) positions() []*position {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(p.list, func(q *position) bool { return q.over.Load() })
	return slices.Clone(p.list)
}

func (p *wsPeer) write(f string) bool {
	return p.ws.Write(p.ctx, websocket.MessageText, []byte(f)) == nil
}

func (p *wsPeer) receive(b []byte) {
	var f clientFrame
	if err := json.Unmarshal(b, &f); err != nil {
		panic(err)
	}
	switch f.Op {
	case "subscribe":
		p.subscribe(f)
	case "unsubscribe":
		p.s.mu.Lock()
		p.s.unsubscribed++
		p.s.mu.Unlock()
		p.mu.Lock()
		p.list = slices.DeleteFunc(p.list, func(q *position) bool { return q.stream == f.Stream })
		p.mu.Unlock()
		p.write(fmt.Sprintf(`{"op":"unsubscribed","id":%q,"stream":%q}`, f.ID, f.Stream))
	case "ping":
		p.write(`{"op":"pong","id":"` + f.ID + `"}`)
	case "signal":
		p.write(fmt.Sprintf(`{"op":"signal","stream":%q,"type":%q,"actor":{"user_id":"u9"}}`, f.Stream, f.Type))
	case "command":
		p.command(f)
	}
}

func (p *wsPeer) subscribe(f clientFrame) {
	at, problem := p.s.start(f.Stream, f.Cursor)
	if problem == nil && slices.ContainsFunc(p.positions(), func(q *position) bool { return q.stream == f.Stream }) {
		problem = gotong.NewError(gotong.CodeConflict, "Followed already.")
	}
	if problem != nil {
		p.write(fmt.Sprintf(`{"op":"error","id":%q,"stream":%q,"problem":%s}`, f.ID, f.Stream, problemJSON(statusOf(problem), problem)))
		return
	}
	p.write(fmt.Sprintf(`{"op":"subscribed","id":%q,"stream":%q,"cursor":"%s:%d","head":%d}`, f.ID, f.Stream, p.s.epoch, at, at))
	p.mu.Lock()
	p.list = append(p.list, &position{stream: f.Stream, at: at})
	p.mu.Unlock()
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// limited counts a command against this second's allowance.
func (p *wsPeer) limited() bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if now := time.Now().Truncate(time.Second); now != p.s.second {
		p.s.second, p.s.received = now, 0
	}
	p.s.received++
	over := p.s.faults.perSecond > 0 && p.s.received > p.s.faults.perSecond
	if over {
		p.s.limited++
	}
	return over
}

// command commits once per request id, and rejects a repetition whose bytes
// differ.
func (p *wsPeer) command(f clientFrame) {
	if p.s.faults.noAnswer {
		return
	}
	if p.s.chance(p.s.faults.busy) {
		p.write(fmt.Sprintf(`{"op":"error","id":%q,"problem":%s}`, f.ID, problemJSON(503, gotong.NewError(gotong.CodeBusy, "Later."))))
		return
	}
	if p.limited() {
		p.write(fmt.Sprintf(`{"op":"error","id":%q,"problem":%s}`, f.ID, problemJSON(429, gotong.NewError(gotong.CodeRateLimited, "Slower."))))
		return
	}
	p.s.mu.Lock()
	if status := p.s.faults.commandErr[f.RequestID]; status != 0 {
		p.s.mu.Unlock()
		p.write(fmt.Sprintf(`{"op":"error","id":%q,"problem":%s}`, f.ID, problemJSON(status, gotong.NewError(gotong.CodeForbidden, "No."))))
		return
	}
	body := string(f.Stream) + f.Type + string(f.Data)
	r, replayed := p.s.acked[f.RequestID]
	same := p.s.bodies[f.RequestID] == body
	p.s.mu.Unlock()
	if replayed && !same {
		p.write(fmt.Sprintf(`{"op":"error","id":%q,"problem":%s}`, f.ID, problemJSON(422, gotong.NewError(gotong.CodeReused, "Other bytes."))))
		return
	}
	if !replayed {
		p.s.append(f.Stream, 1)
		p.s.mu.Lock()
		seq := uint64(len(p.s.logs[f.Stream]))
		e := p.s.logs[f.Stream][seq-1]
		r = gotong.Receipt{Stream: f.Stream, First: seq, Last: seq, EventIDs: []gotong.EventID{e.ID}}
		p.s.acked[f.RequestID], p.s.bodies[f.RequestID] = r, body
		p.s.mu.Unlock()
	}
	if p.s.chance(p.s.faults.loseAck) {
		p.stop()
		return
	}
	p.write(fmt.Sprintf(`{"op":"ack","id":%q,"receipt":{"stream":%q,"seq":[%d,%d],"event_ids":[%q],"at":%q,"chain":%q,"replayed":%t}}`,
		f.ID, r.Stream, r.First, r.Last, r.EventIDs[0], r.At, r.Chain, replayed))
}

type closeStatus = websocket.StatusCode
