package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verbs are the steps of scripts.
var verbs = map[string]func(p *play, w []string){
	"write":   (*play).write,
	"epoch":   func(p *play, w []string) { p.server.begin(w[0]) },
	"connect": (*play).connect,
	"open":    func(p *play, w []string) { p.opens(p.kase.transport(), w) },
	"socket":  func(p *play, w []string) { p.opens(ws, w) },
	"upgrade": func(p *play, _ []string) { p.current = p.accept(p.attempt(ws)) },
	"ignore":  func(p *play, w []string) { p.attempt(w[0]) },
	"again":   (*play).again,
	"events":  func(p *play, w []string) { p.events(name(w[0]), number(w[1]), number(w[2])) },
	"covered": func(p *play, w []string) {
		frame := fmt.Sprintf(`{"op":"events","stream":%q,"from":%s,"to":%s,"events":[]}`, name(w[0]), w[1], w[2])
		p.covered(frame, name(w[0]), number(w[1]), number(w[2]))
	},
	"frame":      func(p *play, w []string) { p.send(p.fill(w), "", 0, whole) },
	"drop":       func(p *play, w []string) { p.send(p.fill(w[1:]), name(w[0]), -1, whole) },
	"every-cut":  (*play).everyCut,
	"bytewise":   (*play).bytewise,
	"fragments":  (*play).fragments,
	"sse-forms":  (*play).forms,
	"silence":    func(p *play, _ []string) { p.aim().deaf.Store(true) },
	"cut":        func(p *play, _ []string) { p.current.cut() },
	"close":      (*play).closes,
	"down":       func(p *play, _ []string) { p.server.notef("the server is down"); p.server.proxy.Refuse() },
	"up":         func(p *play, _ []string) { p.server.notef("the server is up"); p.server.proxy.Accept() },
	"next":       (*play).nexts,
	"none":       (*play).none,
	"same":       (*play).same,
	"ack":        (*play).ack,
	"reject":     (*play).reject,
	"over-limit": (*play).overLimit,
	"token":      (*play).token,
	"single":     (*play).single,

	"refuse":            (*play).refuse,
	"allow":             func(p *play, _ []string) { p.allow(nil) },
	"honest":            func(p *play, w []string) { p.server.locked(func() { p.server.honest = w }) },
	"rejected-for-good": (*play).rejected,
	"paced":             (*play).paced,
	"jitter":            (*play).jitter,
	"quiet":             (*play).quiet,
	"mark":              func(p *play, _ []string) { p.marked = time.Now() },
	"since":             (*play).since,

	"asks":     (*play).asks,
	"call":     (*play).call,
	"gives":    (*play).gives,
	"same-key": (*play).sameKey,
	"uploads":  (*play).uploads,
	"uploaded": (*play).uploaded,

	"do":         (*play).command,
	"send":       (*play).sends,
	"answer":     (*play).answer,
	"handles":    func(p *play, w []string) { p.handles(name(w[0]), number(w[1]), number(w[2])) },
	"one-by-one": (*play).oneByOne,
	"cursors":    (*play).cursors,
	"line":       func(p *play, w []string) { p.line(name(strings.Join(w[1:], "")), strings.Split(w[0], "|")...) },
}

// write appends messages: "write a 3", or "write a 3 {data}".
func (p *play) write(w []string) {
	for range number(w[1]) {
		data := fmt.Sprintf(`{"n":%d,"body":"message"}`, p.server.head(name(w[0]))+1)
		p.server.write(name(w[0]), cmp.Or(strings.Join(w[2:], " "), data))
	}
}

// connect connects the client, over the case's transport or those of over=.
func (p *play) connect(w []string) {
	list, options := p.places(w)
	open, _ := strconv.Atoi(options["open"])
	p.do(command{
		Cmd: "connect", URL: p.server.proxy.URL(), Scale: p.kase.scale, Streams: list, OpenMS: open,
		Tokens:     strings.Split(cmp.Or(options["tokens"], "t1"), ","),
		Transports: strings.Split(cmp.Or(options["over"], p.kase.transport()), ","),
	})
}

// opens waits for a connection: "open a@3 b@start token=t2 heartbeat=200".
func (p *play) opens(kind string, w []string) {
	list, options := p.places(w)
	p.open(kind, list, options["token"], number(cmp.Or(options["heartbeat"], "25000")))
}

// again waits for a subscription from a cursor, on the socket or on a new one; over
// other transports, for a new request.
func (p *play) again(w []string) {
	if s, ok := p.current.(*socket); ok {
		next := p.await("new subscription", func(i item) bool {
			return i.attempt != nil || i.socket == s && i.frame.Op == "subscribe"
		})
		p.early = append(p.early, next)
		if next.attempt == nil {
			list, _ := p.places(w)
			for _, at := range list {
				p.subscribe(s, at)
			}
			return
		}
	}
	p.opens(p.kase.transport(), w)
}

// events sends the events with from < seq <= to.
func (p *play) events(stream string, from, to int) {
	p.covered(p.server.events(stream, from, to), stream, from, to)
}

// covered sends a frame about the seqs with from < seq <= to.
func (p *play) covered(frame, stream string, from, to int) {
	p.current.request() // before it has arrived, a poll would get the events without the script
	p.server.show(stream, from, to)
	p.send(frame, stream, to, whole)
}

// fill replaces $a by the name of the stream a, and $id by the id of the last frame.
func (p *play) fill(w []string) string {
	text := strings.NewReplacer("$a", name("a"), "$b", name("b")).Replace(strings.Join(w, " "))
	if p.last != nil {
		text = strings.ReplaceAll(text, "$id", p.last.ID)
	}
	return text
}

// everyCut sends one whole event on each connection, and of the next event one
// byte more each time.
func (p *play) everyCut(w []string) {
	stream, at := name(w[0]), "start"
	for seq := 0; ; seq++ {
		for p.server.head(stream) < seq+2 {
			p.write([]string{w[0], "1"})
		}
		p.opens(p.kase.transport(), []string{w[0] + "@" + at})
		p.events(stream, seq, seq+1)
		p.handles(stream, seq, seq+1)
		if all := p.send(p.server.events(stream, seq+1, seq+2), stream, seq+2, seq+1); all == seq+1 {
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
	b := p.current.encode(p.server.events(name(w[0]), number(w[1]), number(w[2])), name(w[0]), number(w[2]))
	for i := range b {
		p.current.write(b[i:i+1], len(b))
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
		p.aim().write(b, 0)
	}
}

// forms sends three events in forms that the format of server-sent events allows.
func (p *play) forms(w []string) {
	for i, change := range []func(text string) string{
		func(text string) string { return ": a comment\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n") },
		func(text string) string {
			return "retry\nunknown: field\n\n" + strings.NewReplacer(": {", ":{", "\n", "\r").Replace(text)
		},
		func(text string) string { return ":\n" + strings.Replace(text, `,"events"`, ",\ndata: \"events\"", 1) },
	} {
		text := p.current.encode(p.server.events(name(w[0]), i, i+1), name(w[0]), i+1)
		p.current.write([]byte(change(string(text))), 0)
	}
}

// closes ends the connection, a WebSocket with a code: "close 4401 token expired".
func (p *play) closes(w []string) {
	if s, ok := p.current.(*socket); ok {
		p.close(s, number(w[0]), strings.Join(w[1:], " "))
	}
	p.current.finish()
}

// nexts waits for the next frame of a socket: "next command", "next subscribe k3f9:3"
// with this cursor.
func (p *play) nexts(w []string) {
	p.before, p.last = p.last, p.next(p.aim(), w[0])
	p.at = p.last.at
	if len(w) > 1 && p.last.Cursor != w[1] {
		p.failf("the client subscribed with the cursor %q instead of %q", p.last.Cursor, w[1])
	}
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
	is, was := p.last.RequestID, p.before.RequestID
	if w[0] == "data" {
		is, was = string(p.last.Data), string(p.before.Data)
	}
	if is != was {
		p.failf("the command was repeated with the %s %s instead of %s", w[0], is, was)
	}
}

// ack answers the last command: "ack", "ack replayed", "ack noop".
func (p *play) ack(w []string) {
	seq := "[4,4]"
	if slices.Contains(w, "noop") {
		seq = "[]"
	}
	p.aim().sendf(`{"op":"ack","id":%q,"receipt":{"stream":%q,"seq":%s,"event_ids":["01a20890-80c6-7618-bf0e-67f63fc7e04a"],`+
		`"at":"2026-11-23T13:20:17.606381Z","chain":"%064x","replayed":%t}}`,
		p.last.ID, p.last.Stream, seq, 7, slices.Contains(w, "replayed"))
}

// reject answers the last frame with a problem: "reject 429 rate_limited 600", with
// the retry_after_ms.
func (p *play) reject(w []string) {
	text := problemJSON(number(w[0]), w[1])
	if len(w) > 2 {
		text = text[:len(text)-1] + `,"retry_after_ms":` + w[2] + "}"
	}
	p.aim().sendf(`{"op":"error","id":%q,"stream":%q,"problem":%s}`, p.last.ID, p.last.Stream, text)
}

// overLimit waits for a subscription too many and rejects it, unless the client has
// rejected it by itself.
func (p *play) overLimit(w []string) {
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

// token requires that the client sent this token, and never in an address.
func (p *play) token(w []string) {
	a := p.current.request()
	if a.token != w[0] {
		p.failf("the client sent the token %q instead of %q", a.token, w[0])
	}
	for key := range a.r.URL.Query() {
		if !slices.Contains([]string{"stream", "cursor", "wait", "ticket"}, key) {
			p.failf("the client sent the unknown parameter %s", key)
		}
	}
}

// single requires that the client keeps one connection: all but the newest end.
func (p *play) single(w []string) {
	s := p.aim()
	i, ok := p.within(20, func(i item) bool { return i.attempt != nil })
	if !ok {
		return
	}
	p.early = append(p.early, i)
	p.opens(ws, w)
	if _, ok := p.within(40, func(i item) bool { return i.over == s }); !ok {
		p.failf("the client opened a second connection and kept the first")
	}
	p.quiet([]string{"20"})
}
