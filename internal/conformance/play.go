package conformance

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// item is something that a script may wait for; one field is set, or frame and socket.
type item struct {
	attempt *attempt
	refused *attempt // by the standing refusal
	frame   *frame
	socket  *socket
	over    *socket
	line    *line
}

// mail is what has arrived for a script. It has more room than a script leaves
// unread, so that nothing waits for a script that waits for the client.
type mail chan item

func (m mail) put(i item) {
	select {
	case m <- i:
	default:
	}
}

// play is one run of a case.
type play struct {
	ctx      context.Context //nolint:containedctx // of the run, which this is
	kase     *Case
	patience int
	server   *server
	session  *session
	mail     mail
	early    []item // arrived and not yet looked for
	refs     int
	synced   string // the last sync that was answered
	asked    time.Time
	slowest  time.Duration // of the answers to syncs

	current link      // the connection that the script speaks on
	at      time.Time // when what the script has looked for last arrived: a request, or a frame by next
	marked  time.Time
	last    *frame   // the last frame that the script has looked for
	before  *frame   // the one before
	called  *attempt // the last request of REST
	earlier *attempt // the one before
	waits   []float64
}

// failure is the panic value with which a script ends when the client has broken
// the rule; perform recovers it.
type failure string

func (p *play) failf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Beats: see the package comment.
const (
	beat     = 50 * time.Millisecond
	patience = 160 // beats that a script waits for something, unless a test says otherwise
)

// await returns the first item that matches, and keeps the others. The case fails
// after the patience.
func (p *play) await(what string, match func(item) bool) item {
	i, ok := p.within(p.patience, match)
	if !ok {
		p.failf("there was no %s", what)
	}
	return i
}

// within returns the first item that matches within so many beats.
func (p *play) within(beats int, match func(item) bool) (item, bool) {
	if i, ok := p.find(match); ok {
		return i, true
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	asked := p.ask()
	for {
		over := p.receive(tick.C)
		if i, ok := p.find(match); ok {
			return i, true
		}
		if over == ended {
			p.failf("the adapter ended")
		}
		if over != ticked || p.synced != asked {
			continue
		}
		if beats--; beats <= 0 {
			return item{}, false
		}
		asked = p.ask()
	}
}

func (p *play) find(match func(item) bool) (item, bool) {
	n := slices.IndexFunc(p.early, match)
	if n < 0 {
		return item{}, false
	}
	i := p.early[n]
	p.early = slices.Delete(p.early, n, n+1)
	return i, true
}

// flood is the number of items that no case leaves unused.
const flood = 1000

// The results of receive.
const (
	received = iota
	ticked
	ended // the adapter's log
)

// receive waits for mail, a tick, or the end of the adapter.
func (p *play) receive(tick <-chan time.Time) int {
	over := p.session.over
	if len(p.mail) > 0 {
		over = nil // read what it left first
	}
	select {
	case i := <-p.mail:
		if i.line != nil && i.line.Event == "synced" {
			p.synced, p.slowest = i.line.Ref, max(p.slowest, time.Since(p.asked))
		} else {
			p.early = append(p.early, i)
		}
		if len(p.early) > flood {
			p.slowest = 0 // this is no stall
			p.failf("the client does something again and again, without end")
		}
		return received
	case <-tick:
		return ticked
	case <-over:
		return ended
	case <-p.ctx.Done():
		p.failf("the adapter did not answer in time")
		return ended
	}
}

// ask sends a sync.
func (p *play) ask() string {
	p.refs++
	ref := strconv.Itoa(p.refs)
	p.asked = time.Now()
	p.session.send(command{Cmd: "sync", Ref: ref})
	return ref
}

// settle waits until every line that the adapter has printed so far has arrived.
func (p *play) settle() {
	for asked := p.ask(); p.synced != asked; {
		if p.receive(nil) == ended {
			p.failf("the adapter ended")
		}
	}
}

// do sends a command to the adapter.
func (p *play) do(c command) {
	p.server.notef("adapter ← %s %s %s%s", c.Cmd, c.Stream, c.Event, c.Data)
	p.session.send(c)
}

// attempt waits for the next request of a kind.
func (p *play) attempt(kind string) *attempt {
	a := p.await("request over "+kind, func(i item) bool { return i.attempt != nil && i.attempt.kind == kind }).attempt
	if a.fault != nil {
		p.failf("%v", a.fault)
	}
	p.at = a.at
	return a
}

// line waits for the next line of the adapter about one of these events.
func (p *play) line(stream string, events ...string) *line {
	return p.await(fmt.Sprintf("line of the adapter about %q %s", events, stream), func(i item) bool {
		return i.line != nil && slices.Contains(events, i.line.Event) && (stream == "" || i.line.Stream == stream)
	}).line
}

// leftovers fails if the client did what nothing in the case explains: it handled an
// event, gave up what it held, or subscribed again.
func (p *play) leftovers() {
	p.settle()
	if i, ok := p.find(func(i item) bool {
		return i.line != nil && (i.line.Event == "event" || i.line.Event == "reset") ||
			i.frame != nil && i.frame.Op == "subscribe" && link(i.socket) == p.current
	}); ok {
		if i.frame != nil {
			p.failf("the client subscribed to %s once more", i.frame.Stream)
		}
		p.failf("the client reported the %s %d of %s, which was there before or was not next", i.line.Event, i.line.Seq, i.line.Stream)
	}
}

// transcript is what happened in a case, with times.
type transcript struct {
	began time.Time
	mu    sync.Mutex
	lines []string
}

// maxTranscript bounds the lines that a report repeats; the middle is left out.
const maxTranscript = 400

func (t *transcript) notef(format string, args ...any) {
	text := fmt.Sprintf("%8.1f ms  ", float64(time.Since(t.began).Microseconds())/1000) + fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, text)
}

func (t *transcript) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cut := len(t.lines) - maxTranscript; cut > 0 {
		half := maxTranscript / 2
		return slices.Concat(t.lines[:half], []string{fmt.Sprintf("… %d lines left out …", cut)}, t.lines[len(t.lines)-half:])
	}
	return t.lines
}
