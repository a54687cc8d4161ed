package conformance

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"gotong.dev/gotong"
)

// refusal is an answer that is not a success of the protocol.
type refusal struct {
	status int
	header []string // names and values in turn
	body   string
}

// problem returns the refusal that the server of this protocol sends.
func problem(status int, code string) refusal {
	return refusal{status, []string{"Content-Type", "application/problem+json"}, problemJSON(status, code)}
}

func problemJSON(status int, code string) string {
	return fmt.Sprintf(`{"type":"/problems/%s","title":%q,"status":%d,"code":%q,"detail":"By the script of this case."}`,
		code, code, status, code)
}

func answerJSON(body string) refusal {
	return refusal{http.StatusOK, []string{"Content-Type", "application/json"}, body}
}

// The refusals that have no status of the protocol. Status 0 closes the connection
// without a byte, 101 after an upgrade.
var oddities = map[string]refusal{
	"html":     {http.StatusOK, []string{"Content-Type", "text/html"}, "<!DOCTYPE html><title>Sign in to this network</title>"},
	"gateway":  {http.StatusBadGateway, []string{"Content-Type", "text/html"}, "<!DOCTYPE html><title>502 Bad Gateway</title>"},
	"redirect": {http.StatusFound, []string{"Location", "/elsewhere"}, ""},
	"nothing":  {},
	"upgraded": {status: http.StatusSwitchingProtocols},
	"ends":     {http.StatusOK, []string{"Content-Type", "text/event-stream"}, ""},
}

// refuse answers an attempt.
func (a *attempt) refuse(f refusal) {
	if f.status == http.StatusSwitchingProtocols {
		_, _ = websocket.Accept(a.w, a.r, &websocket.AcceptOptions{Subprotocols: []string{"gotong.v1"}, InsecureSkipVerify: true})
	}
	if f.status == 0 || f.status == http.StatusSwitchingProtocols {
		a.cut()
		return
	}
	a.server.notef("%s #%d ← %d %.120s", a.kind, a.n, f.status, strings.Join(append(f.header, f.body), " "))
	for i := 0; i+1 < len(f.header); i += 2 {
		a.w.Header().Set(f.header[i], f.header[i+1])
	}
	a.w.WriteHeader(f.status)
	_, _ = io.WriteString(a.w, f.body)
	a.finish()
}

// refuse refuses requests until allow: "refuse it 503 busy", "refuse sse html",
// "refuse it 429 rate_limited retry-after=1", "refuse it 401 unauthorized token=t1",
// "refuse it 409 epoch_changed epoch=k3f9", "refuse it ends".
func (p *play) refuse(w []string) {
	kinds := strings.Split(strings.Replace(w[0], "it", p.kase.transport(), 1), ",")
	_, options := p.places(w[1:])
	f, odd := oddities[w[1]]
	if !odd {
		f = problem(number(w[1]), w[2])
		if wait := options["retry-after"]; wait != "" {
			f.header = append(f.header, "Retry-After", wait)
		}
	}
	p.allow(func(a *attempt) *refusal {
		f := f
		if w[1] == "ends" && a.kind == poll {
			f = answerJSON(pollAnswer(gotong.FormatCursors(a.list), ""))
		}
		asks := slices.Contains(kinds, a.kind) || a.kind == ticket && slices.Contains(kinds, ws) && !odd
		epoch := options["epoch"]
		if !asks || options["token"] != "" && options["token"] != a.token ||
			epoch != "" && !slices.ContainsFunc(a.list, func(at gotong.StreamCursor) bool { return string(at.Cursor.Epoch) == epoch }) {
			return nil
		}
		return &f
	})
}

// allow sets the refusals that need no script; nil is none.
func (p *play) allow(but func(*attempt) *refusal) {
	p.server.locked(func() { p.server.standing = but })
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
			p.close(p.admit(i.attempt), 4401, "unauthorized")
		}
	}
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
	switch {
	case over:
		p.quiet([]string{"10"})
	case len(w) > 1:
		p.apart(tried, float64(number(w[1])))
	default:
		p.honestWaits(tried)
	}
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
