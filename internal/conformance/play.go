package conformance

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// item is something that the script may wait for; one field is set, or frame and socket.
type item struct {
	attempt *attempt
	refused *attempt // by the standing refusal
	frame   *frame
	socket  *socket
	over    *socket
	line    *line
}

// play is one run of a case.
type play struct {
	ctx     context.Context //nolint:containedctx // of the run, which this is
	server  *server
	session *session
	scale   float64
	mail    chan item
	early   []item // arrived and not yet looked for
	refs    int
	synced  string // the last sync that was answered
}

// failure is the panic value with which a script ends when the client has broken
// the rule; Case.run recovers it.
type failure string

func (p *play) fail(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Beats: see the package comment.
const (
	beat     = 50 * time.Millisecond
	patience = 160 // beats that a script waits for something
)

// await returns the first item that matches, and keeps the others. The case fails
// after the patience, in beats.
func (p *play) await(what string, match func(item) bool) item {
	i, ok := p.within(patience, match)
	if !ok {
		p.fail("there was no %s", what)
	}
	return i
}

// within returns the first item that matches within so many beats.
func (p *play) within(beats int, match func(item) bool) (item, bool) {
	if n := slices.IndexFunc(p.early, match); n >= 0 {
		i := p.early[n]
		p.early = slices.Delete(p.early, n, n+1)
		return i, true
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	asked := p.ask()
	for {
		select {
		case i := <-p.mail:
			if p.keeps(i) {
				if match(i) {
					return i, true
				}
				p.early = append(p.early, i)
			}
		case <-tick.C:
			if p.synced != asked {
				continue
			}
			if beats--; beats <= 0 {
				return item{}, false
			}
			asked = p.ask()
		case <-p.session.over:
			p.drain()
			if n := slices.IndexFunc(p.early, match); n >= 0 {
				i := p.early[n]
				p.early = slices.Delete(p.early, n, n+1)
				return i, true
			}
			p.fail("the adapter ended")
		case <-p.ctx.Done():
			p.fail("the adapter did not answer commands in time")
		}
	}
}

// drain moves all mail that has arrived to early.
func (p *play) drain() {
	for {
		select {
		case i := <-p.mail:
			if p.keeps(i) {
				p.early = append(p.early, i)
			}
		default:
			return
		}
	}
}

// keeps takes note of answers to syncs. It returns false for them.
func (p *play) keeps(i item) bool {
	if i.line != nil && i.line.Event == "synced" {
		p.synced = i.line.Ref
		return false
	}
	return true
}

// ask sends a sync.
func (p *play) ask() string {
	p.refs++
	ref := strconv.Itoa(p.refs)
	p.session.send(command{Cmd: "sync", Ref: ref})
	return ref
}

// settle waits until every line that the adapter has printed so far has arrived.
func (p *play) settle() {
	asked := p.ask()
	for p.synced != asked {
		select {
		case i := <-p.mail:
			if p.keeps(i) {
				p.early = append(p.early, i)
			}
		case <-p.session.over:
			p.fail("the adapter ended")
		case <-p.ctx.Done():
			p.fail("the adapter did not answer commands in time")
		}
	}
}

// do sends a command to the adapter.
func (p *play) do(c command) {
	if c.Cmd != "sync" {
		p.server.note("adapter ← %s %s %s", c.Cmd, c.Stream, c.Data)
	}
	p.session.send(c)
}

// connect starts the client on these streams over these transports.
func (p *play) connect(transports []string, streams ...place) {
	p.connectAs(command{Transports: transports}, streams...)
}

func (p *play) connectAs(c command, streams ...place) {
	c.Cmd, c.URL, c.Streams, c.Scale = "connect", p.server.proxy.URL(), streams, p.scale
	if c.Tokens == nil {
		c.Tokens = []string{"t1"}
	}
	p.do(c)
}

// attempt waits for the next request of a kind.
func (p *play) attempt(kind string) *attempt {
	return p.await("request over "+kind, func(i item) bool { return i.attempt != nil && i.attempt.kind == kind }).attempt
}

// socket waits for the next WebSocket, accepts and welcomes it.
func (p *play) socket() *socket {
	s := p.accept(p.attempt(ws))
	s.welcome(25000)
	return s
}

// line waits for the next line of the adapter about an event of its protocol.
func (p *play) line(event, stream string) *line {
	return p.await("line "+event+" of the adapter "+stream, func(i item) bool {
		return i.line != nil && i.line.Event == event && (stream == "" || i.line.Stream == stream)
	}).line
}

// handles requires that the next events that the client handles of a stream are
// those with from < seq <= to.
func (p *play) handles(stream string, from, to int) {
	for seq := from + 1; seq <= to; seq++ {
		if l := p.line("event", stream); l.Seq != uint64(seq) { //nolint:gosec // the script's own
			p.fail("the client handled event %d of %s instead of %d", l.Seq, stream, seq)
		}
	}
}

// cursor returns the cursor of a seq.
func (p *play) cursor(seq int) string { return p.server.epoch + ":" + strconv.Itoa(seq) }

// cursors returns the cursors that the client holds.
func (p *play) cursors() map[string]string {
	p.refs++
	ref := strconv.Itoa(p.refs)
	p.do(command{Cmd: "cursors", Ref: ref})
	return p.await("answer of the adapter to cursors", func(i item) bool { return i.line != nil && i.line.Ref == ref }).line.Cursors
}

// quiet requires that the client makes no request for so many beats.
func (p *play) quiet(beats int, why string) {
	i, ok := p.within(beats, func(i item) bool { return i.attempt != nil || i.refused != nil })
	if ok && i.attempt != nil {
		p.fail("the client sent a request over %s %s", i.attempt.kind, why)
	}
	if ok {
		p.fail("the client sent a request over %s %s", i.refused.kind, why)
	}
}

// leftovers fails if the client handled an event that nothing in the case explains.
func (p *play) leftovers() {
	p.settle()
	for _, i := range p.early {
		if i.line != nil && i.line.Event == "event" {
			p.fail("the client handled event %d of %s, which it had handled before or which was not next", i.line.Seq, i.line.Stream)
		}
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

func (t *transcript) add(format string, args ...any) {
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
