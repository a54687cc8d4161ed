package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// write appends messages: "write a 3", or "write a {data}".
func (p *play) write(w []string) {
	if n, err := strconv.Atoi(w[1]); err == nil {
		for range n {
			p.server.write(name(w[0]), fmt.Sprintf(`{"n":%d,"body":"message"}`, p.server.head(name(w[0]))+1))
		}
		return
	}
	p.server.write(name(w[0]), strings.Join(w[1:], " "))
}

// connect connects the client, over the case's transport or those of over=.
func (p *play) connect(w []string) {
	list, options := p.places(w)
	c := command{
		Cmd: "connect", URL: p.server.proxy.URL(), Tokens: []string{"t1"}, Transports: []string{p.kase.transport()},
		Scale: p.kase.scale, Streams: list,
	}
	if over := options["over"]; over != "" {
		c.Transports = strings.Split(over, ",")
	}
	if tokens := options["tokens"]; tokens != "" {
		c.Tokens = strings.Split(tokens, ",")
	}
	c.OpenMS, _ = strconv.Atoi(options["open"])
	p.do(c)
}

// opens waits for a connection: "open a@3 b@start token=t2 heartbeat=200".
func (p *play) opens(kind string, w []string) {
	list, options := p.places(w)
	heartbeat, err := strconv.Atoi(options["heartbeat"])
	if err != nil {
		heartbeat = 25000
	}
	p.open(kind, list, options["token"], heartbeat)
}

// again waits for a subscription from a cursor, on the socket or on a new one; over
// other transports, for a new request.
func (p *play) again(w []string) {
	s, ok := p.current.(*socket)
	if !ok {
		p.opens(p.kase.transport(), w)
		return
	}
	next := p.await("new subscription", func(i item) bool {
		return i.attempt != nil || i.socket == s && i.frame.Op == "subscribe"
	})
	p.early = append(p.early, next)
	list, _ := p.places(w)
	if next.attempt != nil {
		p.open(ws, list, "", 25000)
		return
	}
	for _, at := range list {
		p.subscribe(s, at)
	}
}

// events sends the events with from < seq <= to, at most n bytes of them. It
// returns the number of all bytes.
func (p *play) events(stream string, from, to, n int) int {
	frame := p.server.events(stream, from, to)
	if n == math.MaxInt {
		p.server.show(stream, from, to)
		p.current.send(frame, stream, to)
		return 0
	}
	return p.current.part(frame, stream, to, n)
}

// fill replaces $a by the name of the stream a, and $id by the id of the last frame.
func (p *play) fill(text string) string {
	if p.last != nil {
		text = strings.ReplaceAll(text, "$id", p.last.ID)
	}
	for _, short := range []string{"a", "b", "c"} {
		text = strings.ReplaceAll(text, "$"+short, name(short))
	}
	return text
}

// handles requires that the next events that the client handles of a stream are
// those with from < seq <= to.
func (p *play) handles(stream string, from, to int) {
	for seq := from + 1; seq <= to; seq++ {
		if l := p.line(stream, "event"); l.Seq != uint64(seq) { //nolint:gosec // the script's own
			p.failf("the client handled event %d of %s instead of %d", l.Seq, stream, seq)
		}
	}
}

// oneByOne sends events one by one, and looks at the cursor during and after each.
func (p *play) oneByOne(w []string) {
	stream := name(w[0])
	for seq := 1; seq <= number(w[1]); seq++ {
		p.events(stream, seq-1, seq, math.MaxInt)
		if l := p.line(stream, "event"); l.Cursor != "" && l.Cursor != p.cursor(strconv.Itoa(seq-1)) {
			p.failf("while event %d was handled, the cursor was %q", seq, l.Cursor)
		}
		p.cursors([]string{w[0] + "@" + strconv.Itoa(seq)})
	}
}

// cursors requires that the client holds, or comes to hold, these cursors.
func (p *play) cursors(w []string) {
	list, _ := p.places(w)
	for tries := 0; ; tries++ {
		p.refs++
		ref := strconv.Itoa(p.refs)
		p.do(command{Cmd: "cursors", Ref: ref})
		has := p.await("answer to cursors", func(i item) bool {
			return i.line != nil && i.line.Event == "cursors" && i.line.Ref == ref
		}).line.Cursors
		wrong := slices.IndexFunc(list, func(at place) bool { return has[at.Stream] != at.From })
		if wrong < 0 {
			return
		}
		if tries == 20 {
			p.failf("the client holds the cursor %q of %s instead of %q", has[list[wrong].Stream], list[wrong].Stream, list[wrong].From)
		}
		p.within(1, func(item) bool { return false }) // the client is still storing it
	}
}

// everyCut sends one whole event on each connection, and of the next event one
// byte more each time.
func (p *play) everyCut(w []string) {
	stream, at := name(w[0]), "start"
	step := number(w[1])
	for seq, cut := 0, 1; ; seq, cut = seq+1, cut+step {
		for p.server.head(stream) < seq+2 {
			p.write([]string{w[0], "1"})
		}
		p.opens(p.kase.transport(), []string{w[0] + "@" + at})
		p.events(stream, seq, seq+1, math.MaxInt)
		p.handles(stream, seq, seq+1)
		if all := p.events(stream, seq+1, seq+2, cut); cut >= all {
			p.handles(stream, seq+1, seq+2)
			return
		}
		p.current.cut()
		at = strconv.Itoa(seq + 1)
		p.early = slices.DeleteFunc(p.early, func(i item) bool { return i.line != nil || i.over != nil })
	}
}

// bytewise sends an events frame byte by byte: "bytewise a 0 3".
func (p *play) bytewise(w []string) {
	frame := p.server.events(name(w[0]), number(w[1]), number(w[2]))
	if o, ok := p.current.(*stream); ok {
		for _, b := range []byte(o.event(frame, name(w[0]), number(w[2]))) {
			o.raw(string(b))
		}
		return
	}
	for _, b := range encode(textFrame, frame) {
		p.aim().raw([]byte{b})
	}
}

// fragments sends an events frame in three parts with pings between them.
func (p *play) fragments(w []string) {
	frame := p.server.events(name(w[0]), number(w[1]), number(w[2]))
	third := len(frame) / 3
	for _, b := range [][]byte{
		encode(firstPart, frame[:third]), encode(pingFrame, "1"), encode(0, frame[third:2*third]),
		encode(pingFrame, ""), encode(lastPart, frame[2*third:]),
	} {
		p.aim().raw(b)
	}
}

// forms sends three events in forms that the format of server-sent events allows.
func (p *play) forms(w []string) {
	o, ok := p.current.(*stream)
	if !ok {
		p.failf("the script needs SSE here")
	}
	text := o.event(p.server.events(name(w[0]), 0, 1), name(w[0]), 1)
	o.raw(": a comment\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n"))
	text = o.event(p.server.events(name(w[0]), 1, 2), name(w[0]), 2)
	o.raw("retry\nunknown: field\n\n" + strings.ReplaceAll(strings.ReplaceAll(text, ": {", ":{"), "\n", "\r"))
	text = o.event(p.server.events(name(w[0]), 2, 3), name(w[0]), 3)
	o.raw(":\n" + strings.Replace(text, `,"events"`, ",\ndata: \"events\"", 1))
}

// none requires that no such frame arrives on the socket within 10 beats.
func (p *play) none(w []string) {
	s := p.aim()
	if _, ok := p.within(10, func(i item) bool { return i.socket == s && i.frame.Op == w[0] }); ok {
		p.failf("the client sent another %s frame", w[0])
	}
}

// same compares a field of the last two frames.
func (p *play) same(w []string) {
	a, b := p.before, p.last
	switch {
	case w[0] == "request_id" && a.RequestID != b.RequestID:
		p.failf("the command was repeated with the request_id %q instead of %q", b.RequestID, a.RequestID)
	case w[0] == "data" && !bytes.Equal(a.Data, b.Data):
		p.failf("the command was repeated with the data %s instead of %s", b.Data, a.Data)
	}
}

// ack answers the last command: "ack", "ack replayed", "ack noop".
func (p *play) ack(w []string) {
	seq := "[4,4]"
	if slices.Contains(w, "noop") {
		seq = "[]"
	}
	p.current.send(fmt.Sprintf(`{"op":"ack","id":%q,"receipt":{"stream":%q,"seq":%s,"event_ids":["01a20890-80c6-7618-bf0e-67f63fc7e04a"],`+
		`"at":"2026-11-23T13:20:17.606381Z","chain":"%064x","replayed":%t}}`,
		p.last.ID, p.last.Stream, seq, 7, slices.Contains(w, "replayed")), "", 0)
}

// reject answers the last frame with a problem: "reject 429 rate_limited 600", with
// the retry_after_ms.
func (p *play) reject(w []string) {
	text := problemJSON(number(w[0]), w[1])
	if len(w) > 2 {
		text = text[:len(text)-1] + `,"retry_after_ms":` + w[2] + "}"
	}
	p.current.send(fmt.Sprintf(`{"op":"error","id":%q,"stream":%q,"problem":%s}`, p.last.ID, p.last.Stream, text), "", 0)
}

// answer requires the answer to a command, once: "answer 1 ok", "answer 1 forbidden",
// "answer 1 failed" for any code.
func (p *play) answer(w []string) {
	match := func(i item) bool { return i.line != nil && i.line.Event == "answer" && i.line.Ref == w[0] }
	l := p.await("answer to the command "+w[0], match).line
	if l.OK != (w[1] == "ok") || !l.OK && w[1] != "failed" && w[1] != l.Code {
		p.failf("the answer to the command %s was ok=%t code=%q instead of %s", w[0], l.OK, l.Code, w[1])
	}
	p.settle()
	if _, ok := p.find(match); ok {
		p.failf("the command %s got two answers", w[0])
	}
}

// command sends a command to the adapter: "do follow a@start", "do unfollow a",
// "do page pageshow", "do close".
func (p *play) command(w []string) {
	c := command{Cmd: w[0]}
	switch w[0] {
	case "page":
		c.Event = w[1]
	case "follow", "unfollow":
		list, _ := p.places(w[1:])
		c.Stream, c.From = list[0].Stream, list[0].From
	}
	p.do(c)
	p.settle()
}

// streamOf returns the stream that the first word names, or "".
func streamOf(w []string) string {
	if len(w) == 0 {
		return ""
	}
	return name(w[0])
}

// noLine requires that the adapter has printed no such line so far.
func (p *play) noLine(w []string) {
	p.settle()
	if i, ok := p.find(func(i item) bool { return i.line != nil && i.line.Event == w[0] }); ok {
		p.failf("the client reported %s of %s", w[0], i.line.Stream)
	}
}

// quiet requires that the client makes no request for so many beats. Requests that
// were under way before do not count.
func (p *play) quiet(w []string) {
	request := func(i item) bool { return i.attempt != nil || i.refused != nil }
	for range 3 {
		p.within(1, func(item) bool { return false })
	}
	p.early = slices.DeleteFunc(p.early, request)
	if _, ok := p.within(number(w[0]), request); ok {
		p.failf("the client sent another request")
	}
}

// apartFrom requires that something came at least so many ms after the mark.
func (p *play) apartFrom(at time.Time, least string) {
	if ms := at.Sub(p.marked).Milliseconds(); ms < int64(number(least)) {
		p.failf("the client waited %d ms instead of at least %s", ms, least)
	}
}

// covered sends a frame without events: "covered a 1 3".
func (p *play) covered(w []string) {
	p.server.show(name(w[0]), number(w[1]), number(w[2]))
	frame := fmt.Sprintf(`{"op":"events","stream":%q,"from":%s,"to":%s,"events":[]}`, name(w[0]), w[1], w[2])
	p.current.send(frame, name(w[0]), number(w[2]))
}

// overLimit follows one stream too many. The client may reject it by itself.
func (p *play) overLimit(w []string) {
	p.do(command{Cmd: "follow", Stream: name(w[0])})
	s := p.aim()
	i := p.await("subscription, or end of the stream", func(i item) bool {
		return i.socket == s && i.frame.Op == "subscribe" || i.line != nil && slices.Contains([]string{"failed", "revoked"}, i.line.Event)
	})
	if i.frame != nil {
		p.last = i.frame
		p.reject([]string{"409", "state_conflict"})
		p.line(name(w[0]), "failed", "revoked")
	}
}

// leaves still sends an event of a stream that the client leaves, and answers.
func (p *play) leaves(w []string) {
	if s, ok := p.current.(*socket); ok {
		p.last = p.next(s, "unsubscribe")
	}
	if _, ok := p.current.(*polls); !ok {
		p.events(name(w[0]), 1, 2, math.MaxInt)
	}
	if s, ok := p.current.(*socket); ok {
		s.send(fmt.Sprintf(`{"op":"unsubscribed","id":%q,"stream":%q}`, p.last.ID, name(w[0])), "", 0)
	}
}

// without cuts the connection. The next one must follow these streams alone.
func (p *play) without(w []string) {
	p.current.cut()
	p.opens(p.kase.transport(), w)
	if p.kase.transport() == ws {
		p.none([]string{"subscribe"})
	}
}

// leave ends the connection after going_away.
func (p *play) leave([]string) {
	if s, ok := p.current.(*socket); ok {
		p.close(s, 1012, "")
	}
	p.current.finish()
}

// pages writes events of 500 bytes each.
func (p *play) pages(w []string) {
	for range number(w[1]) {
		p.server.write(name(w[0]), `{"body":"`+strings.Repeat("x", 200)+`"}`)
	}
}

// body requires that the next event that the client handles has a body that begins so.
func (p *play) body(w []string) {
	var data struct {
		Body string `json:"body"`
	}
	if l := p.line(name(w[0]), "event"); json.Unmarshal(l.Data, &data) != nil || !strings.HasPrefix(data.Body, w[1]) {
		p.failf("the client handled the data %s, whose body does not begin with %s", l.Data, w[1])
	}
}

// wants looks at the cursor of the last frame.
func (p *play) wants(w []string) {
	if p.last.Cursor != w[0] {
		p.failf("the client subscribed with the cursor %q instead of %q", p.last.Cursor, w[0])
	}
}

// rejected rejects the token of every request until the client ends.
func (p *play) rejected([]string) {
	for requests := 0; ; requests++ {
		i := p.await("end of a client without a token", func(i item) bool {
			return i.attempt != nil || i.refused != nil || i.line != nil && i.line.Event == "ended"
		})
		switch {
		case i.line != nil:
			return
		case requests >= maxRejected:
			p.failf("the client sent %d requests with rejected tokens", requests)
		case i.attempt != nil:
			s := p.accept(i.attempt)
			if s.token == "" {
				p.next(s, "auth")
			}
			p.close(s, 4401, "unauthorized")
		}
	}
}

// single requires that the client keeps one connection: all but the newest end.
func (p *play) single(w []string) {
	for _, s := range []*socket{p.aim()} {
		i, ok := p.within(20, func(i item) bool { return i.attempt != nil })
		if !ok {
			return
		}
		p.early = append(p.early, i)
		p.opens(ws, w)
		if _, ok := p.within(40, func(i item) bool { return i.over == s }); !ok {
			p.failf("the client opened a second connection and kept the first")
		}
	}
	p.quiet([]string{"20"})
}

// token requires that the client sent this token, and never in an address.
func (p *play) token(w []string) {
	var a *attempt
	switch c := p.current.(type) {
	case *socket:
		a = c.attempt
	case *stream:
		a = c.attempt
	case *polls:
		a = c.attempt
	}
	if a.token != w[0] {
		p.failf("the client sent the token %q instead of %q", a.token, w[0])
	}
	for key := range a.r.URL.Query() {
		if !slices.Contains([]string{"stream", "cursor", "wait", "ticket"}, key) {
			p.failf("the client sent the unknown parameter %s", key)
		}
	}
}

// The refusals that have no status of the protocol.
var oddities = map[string]refusal{
	"html":     {http.StatusOK, []string{"Content-Type", "text/html"}, "<!DOCTYPE html><title>Sign in to this network</title>"},
	"gateway":  {http.StatusBadGateway, []string{"Content-Type", "text/html"}, "<!DOCTYPE html><title>502 Bad Gateway</title>"},
	"redirect": {http.StatusFound, []string{"Location", "/elsewhere"}, ""},
	"nothing":  {},
	"upgraded": {status: http.StatusSwitchingProtocols},
	"ends":     {http.StatusOK, []string{"Content-Type", "text/event-stream"}, ""},
}

// refuse refuses requests until allow: "refuse it 503 busy", "refuse sse html",
// "refuse it 429 rate_limited retry-after=1", "refuse it 401 unauthorized token=t1",
// "refuse it 409 epoch_changed epoch=k3f9", "refuse it ends".
func (p *play) refuse(w []string) {
	kinds := strings.Split(p.kind(w[0]), ",")
	_, options := p.places(w[1:])
	f, odd := oddities[w[1]]
	if !odd {
		var header []string
		if wait := options["retry-after"]; wait != "" {
			header = []string{"Retry-After", wait}
		}
		f = problem(number(w[1]), w[2], header...)
	}
	p.server.stand(func(a *attempt) *refusal {
		list, _ := a.positions()
		f := f
		if w[1] == "ends" && a.kind == poll {
			f = answerJSON(fmt.Sprintf(`{"cursor":%q,"frames":[]}`, cursorText(list)))
		}
		asks := slices.Contains(kinds, a.kind) || a.kind == ticket && slices.Contains(kinds, ws) && !odd
		epoch := options["epoch"]
		if !asks || options["token"] != "" && options["token"] != a.token ||
			epoch != "" && !slices.ContainsFunc(list, func(at *position) bool { return at.epoch == epoch }) {
			return nil
		}
		return &f
	})
}

// paced requires that the client gives up, or waits before each further attempt:
// "paced 10" looks at ten waits, and "paced 2 1000" requires each to be at least
// 1000 ms.
func (p *play) paced(w []string) {
	p.waits = nil
	var tried []*attempt
	over := false
	take := func(i item) bool {
		switch {
		case i.refused != nil:
			tried = append(tried, i.refused)
		case i.line == nil:
			return false
		case i.line.Event == "waiting":
			p.waits = append(p.waits, i.line.WaitMS)
		case slices.Contains([]string{"ended", "revoked", "failed"}, i.line.Event):
			over = true
		default:
			return false
		}
		return true
	}
	for !over && len(p.waits) < number(w[0]) {
		p.await("wait or further attempt", take)
		if len(tried) > 3*len(p.waits)+8 {
			p.settle()
			p.early = slices.DeleteFunc(p.early, take)
		}
		if len(tried) > 3*len(p.waits)+8 {
			p.failf("after %d requests, the client had reported %d waits", len(tried), len(p.waits))
		}
	}
	if over {
		p.quiet([]string{"10"})
		return
	}
	if len(w) > 1 {
		p.apart(tried, float64(number(w[1])))
		return
	}
	p.honestWaits(tried)
}

// apart requires that requests of one kind are at least so many ms apart.
func (p *play) apart(tried []*attempt, least float64) {
	before := map[string]time.Time{}
	for _, a := range tried {
		if last, ok := before[a.kind]; ok && a.at.Sub(last).Seconds()*1000 < least {
			p.failf("the client tried again after %s, though the server had named %.0f ms", a.at.Sub(last), least)
		}
		before[a.kind] = a.at
	}
}

// honestWaits requires that the client has waited as long as it reports, and that
// this is not nothing.
func (p *play) honestWaits(tried []*attempt) {
	p.settle()
	sum := 0.0
	for _, wait := range p.waits[:len(p.waits)-1] {
		sum += wait
	}
	if len(tried) == 0 {
		p.failf("the client made no request")
	}
	if took := time.Since(tried[0].at).Seconds() * 1000; took < sum-float64(len(p.waits)) {
		p.failf("the client reported waits of %.0f ms in all, but waited at most %.0f ms", sum, took)
	}
	if least := 2000 * p.kase.scale; len(p.waits) >= 10 && sum < least {
		p.failf("the client waited %.1f ms in all between %d attempts, where full jitter waits more than %.1f", sum, len(p.waits), least)
	}
}

// jitter requires that the waits that paced has collected are random, between 0 and
// 0.5 s that double up to 30 s.
func (p *play) jitter([]string) {
	low, grown := false, false
	for n, wait := range p.waits {
		ceiling := min(0.5*math.Exp2(float64(n)), 30) * p.kase.scale * 1000
		if wait > ceiling*1.01+1 {
			p.failf("wait %d was %.1f ms, more than %.1f ms at the scale %v", n+1, wait, ceiling, p.kase.scale)
		}
		low = low || n >= 4 && wait < ceiling/2
		grown = grown || wait > 4*p.kase.scale*1000
	}
	if !low || !grown {
		p.failf("the waits have no full jitter, or do not grow; in ms they were %.1f", p.waits)
	}
}
