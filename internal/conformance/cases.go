package conformance

import (
	"slices"
	"time"
)

// Cases returns all cases, in the order of their ids in the documentation.
func Cases() []Case { return slices.Concat(followCases()) }

const room = "thread/5a6638c5-6bf5-89d8-9b41-e0459fc4fa02"

var onlyWS = []string{ws}

func followCases() []Case {
	return []Case{
		{ID: "ws.follow.start", Section: "streams-and-cursors",
			Rule:   "A new subscription from the start names the cursor `start`; the events arrive in order.",
			Server: "Has three events.",
			play: func(p *play) {
				p.server.write(room, 3)
				p.connect(onlyWS, place{room, "start"})
				s := p.socket()
				s.subscribe(room, "start")
				s.events(room, 0, 3)
				p.handles(room, 0, 3)
			}},
		{ID: "ws.cursor.after-handler", Section: "what-a-client-must-do",
			Rule:   "The cursor moves after the event was handled, not before.",
			Server: "Sends events one by one.",
			play: func(p *play) {
				p.server.write(room, 3)
				p.connect(onlyWS, place{room, "start"})
				s := p.socket()
				s.subscribe(room, "start")
				for seq := 1; seq <= 3; seq++ {
					s.events(room, seq-1, seq)
					if l := p.line("event", room); l.Cursor != "" && l.Cursor != p.cursor(seq-1) {
						p.fail("while event %d was being handled, the cursor was %q, not %q", seq, l.Cursor, p.cursor(seq-1))
					}
				}
				p.settle()
				if at := p.cursors()[room]; at != p.cursor(3) {
					p.fail("after event 3 was handled, the cursor was %q, not %q", at, p.cursor(3))
				}
			}},
		{ID: "ws.resume.cut-mid-frame", Section: "what-a-client-must-do", scale: 0.002,
			Rule:   "A connection that ends in the middle of a frame loses and repeats nothing.",
			Server: "Cuts the connection after every byte of an events frame in turn.",
			play:   cutMidFrame},
		{ID: "ws.gap", Section: "what-a-client-must-do",
			Rule:   "If `from` is not the cursor, the client subscribes again with its cursor.",
			Server: "Leaves out one event.",
			play: func(p *play) {
				p.server.write(room, 3)
				p.connect(onlyWS, place{room, "start"})
				s := p.socket()
				s.subscribe(room, "start")
				s.events(room, 0, 1)
				p.handles(room, 0, 1)
				s.events(room, 2, 3)
				next := p.await("subscription from the cursor, on this connection or a new one", func(i item) bool {
					return i.attempt != nil || i.frame != nil && i.frame.Op == "subscribe"
				})
				if next.attempt != nil {
					s = p.accept(next.attempt)
					s.welcome(25000)
				} else {
					p.early = append(p.early, next)
				}
				s.subscribe(room, p.cursor(1))
				s.events(room, 1, 3)
				p.handles(room, 1, 3)
			}},
		{ID: "ws.backoff.jitter", Section: "what-a-client-must-do", scale: 0.002,
			Rule:   "The waits between attempts have full jitter: anything from 0 up to 0.5 s, doubled with each failure up to 30 s.",
			Server: "Answers 24 attempts with 503.",
			play:   jitter},
	}
}

// cutMidFrame sends one whole event per connection, and the next event up to a byte
// that differs each time.
func cutMidFrame(p *play) {
	p.connect(onlyWS, place{room, "start"})
	from := "start"
	for seq, cut := 0, 0; ; seq++ {
		p.server.write(room, 2-min(seq, 1)) // the whole one, and the next
		s := p.socket()
		s.subscribe(room, from)
		s.events(room, seq, seq+1)
		p.handles(room, seq, seq+1)
		part := encode(textFrame, p.server.frame(room, seq+1, seq+2))
		if cut++; cut >= len(part) {
			return
		}
		s.raw(part[:cut])
		s.attempt.cut()
		from = p.cursor(seq + 1)
	}
}

// jitter refuses attempts and looks at the waits that the client reports.
func jitter(p *play) {
	waits := p.refusals(24, problem(503, "unavailable"))
	low, grown := false, false
	for n, w := range waits {
		ceiling := min(0.5*float64(int(1)<<min(n, 10)), 30) * p.scale * 1000
		if w > ceiling*1.01+1 {
			p.fail("the wait before attempt %d was %.1f ms, more than %.1f ms at the scale %v", n+2, w, ceiling, p.scale)
		}
		low = low || n >= 4 && w < ceiling/2
		grown = grown || w > 4*p.scale*1000
	}
	if !low {
		p.fail("no wait was in the lower half of its range; the waits in ms were %.1f", waits)
	}
	if !grown {
		p.fail("no wait was above 4 s at the scale %v, so they do not grow; in ms they were %.1f", p.scale, waits)
	}
}

// refusals connects over WebSocket, refuses at least n attempts, and returns the
// waits in ms that the client reports. It fails if the client attempts more often
// than it waits, or does not wait as long as it reports.
func (p *play) refusals(n int, f refusal) []float64 {
	p.server.mu.Lock()
	p.server.standing = func(*attempt) *refusal { return &f }
	p.server.mu.Unlock()
	p.connect(onlyWS, place{room, "start"})
	return p.refused(n)
}

func (p *play) refused(n int) []float64 {
	var waits []float64
	var first *attempt
	requests := 0
	take := func(i item) bool {
		if i.refused != nil {
			requests++
			if first == nil {
				first = i.refused
			}
			return true
		}
		if i.line != nil && i.line.Event == "waiting" {
			waits = append(waits, i.line.WaitMS)
			return true
		}
		return false
	}
	for len(waits) < n {
		p.await("wait and further attempt", take)
		if requests > 2*len(waits)+8 {
			p.settle()
			p.early = slices.DeleteFunc(p.early, take)
		}
		if requests > 2*len(waits)+8 {
			p.fail("after %d requests, the client had reported %d waits", requests, len(waits))
		}
	}
	named := 0.0
	p.settle()
	for _, w := range waits[:len(waits)-1] {
		named += w
	}
	if real := float64(time.Since(first.at).Microseconds()) / 1000; real < named-float64(len(waits)) {
		p.fail("the client reported waits of %.0f ms in all, but waited at most %.0f ms", named, real)
	}
	return waits
}
