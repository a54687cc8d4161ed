package conformance

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// command sends a command to the adapter: "do unfollow a", "do page pageshow",
// "do close".
func (p *play) command(w []string) {
	c := command{Cmd: w[0]}
	switch word := strings.Join(w[1:], ""); w[0] {
	case "page":
		c.Event = word
	default:
		c.Stream = name(word)
	}
	p.do(c)
	p.settle()
}

// sends gives the client a message to send: "send 1 a {data}".
func (p *play) sends(w []string) {
	p.do(command{Cmd: "send", Ref: w[0], Stream: name(w[1]), Type: "message.post", Data: json.RawMessage(strings.Join(w[2:], " "))})
}

// answer requires the answer to a command, once: "answer 1 ok", "answer 1 ok 7 8" with
// the ids of these messages, "answer 1 forbidden", "answer 1 failed" for any code.
func (p *play) answer(w []string) {
	match := func(i item) bool { return i.line != nil && i.line.Event == "answer" && i.line.Ref == w[0] }
	l := p.await("answer to the command "+w[0], match).line
	if l.OK != (w[1] == "ok") || !l.OK && w[1] != "failed" && w[1] != l.Code {
		p.failf("the answer to the command %s was ok=%t code=%q instead of %s", w[0], l.OK, l.Code, w[1])
	}
	var ids []string
	for _, text := range w[2:] {
		ids = append(ids, messageID(text))
	}
	if !slices.Equal(ids, l.IDs) {
		p.failf("the answer to the command %s has the ids %q instead of %q", w[0], l.IDs, ids)
	}
	p.settle()
	if _, ok := p.find(match); ok {
		p.failf("the command %s got two answers", w[0])
	}
}

// handles requires that the next events that the client handles of a stream are
// those with from < seq <= to.
func (p *play) handles(stream string, from, to int) {
	for seq := from + 1; seq <= to; seq++ {
		l := p.line(stream, "event")
		if l.Seq != uint64(seq) { //nolint:gosec // the script's own
			p.failf("the client handled event %d of %s instead of %d", l.Seq, stream, seq)
		}
		if got, want := body(l.Data), p.server.body(stream, seq); got != want {
			p.failf("the client handled event %d of %s with the body %q instead of %q", seq, stream, got, want)
		}
	}
}

// body returns the body of a message, "" if there is none.
func body(data []byte) string {
	var d struct {
		Body string `json:"body"`
	}
	_ = json.Unmarshal(data, &d)
	return d.Body
}

// oneByOne sends events one by one, and looks at the cursor during and after each.
func (p *play) oneByOne(w []string) {
	stream := name(w[0])
	for seq := 1; seq <= number(w[1]); seq++ {
		p.events(stream, seq-1, seq)
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
		p.pause(1) // the client is still storing it
	}
}

// pause lets some beats pass.
func (p *play) pause(beats int) { p.within(beats, func(item) bool { return false }) }

// quiet requires that the client makes no request for so many beats. Requests that
// were under way before do not count.
func (p *play) quiet(w []string) {
	request := func(i item) bool { return i.attempt != nil || i.refused != nil }
	p.pause(3)
	p.early = slices.DeleteFunc(p.early, request)
	if _, ok := p.within(number(w[0]), request); ok {
		p.failf("the client sent another request")
	}
}

// since requires that the last request or frame came at least so many ms after the mark.
func (p *play) since(w []string) {
	if ms := p.at.Sub(p.marked).Milliseconds(); ms < int64(number(w[0])) {
		p.failf("the client waited %d ms instead of at least %s", ms, w[0])
	}
}
