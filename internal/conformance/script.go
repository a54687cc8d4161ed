package conformance

import (
	_ "embed"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// scripts holds the cases. Its head describes its form.
//
//go:embed cases.txt
var scripts string

// Cases returns all cases, in the order of the file.
func Cases() []Case {
	var list []Case
	for _, block := range strings.Split(scripts, "\n\n== ")[1:] {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		id, section, _ := strings.Cut(lines[0], " ")
		c := Case{Section: section, Rule: lines[1], Server: strings.TrimPrefix(lines[2], "> "), scale: usualScale}
		for _, text := range lines[3:] {
			switch verb, rest, _ := strings.Cut(text, " "); verb {
			case "needs":
				c.Needs = rest
			case "scale":
				c.scale, _ = strconv.ParseFloat(rest, 64)
			default:
				c.Script = append(c.Script, text)
			}
		}
		for _, id := range alternatives(id) {
			c.ID = id
			list = append(list, c)
		}
	}
	return list
}

// alternatives returns the ids that "{a,b}.c" stands for.
func alternatives(id string) []string {
	head, rest, found := strings.Cut(id, "{")
	if !found {
		return []string{id}
	}
	choices, end, _ := strings.Cut(rest, "}")
	var list []string
	for choice := range strings.SplitSeq(choices, ",") {
		list = append(list, alternatives(head+choice+end)...)
	}
	return list
}

// perform plays the script. It returns why the client failed, or "".
func (p *play) perform() (reason string) {
	step := ""
	defer func() {
		if fault := recover(); fault != nil {
			f, ok := fault.(failure)
			if !ok {
				panic(fault)
			}
			reason = string(f) + step
		}
	}()
	for _, text := range p.kase.Script {
		step = " (at `" + text + "`)"
		p.server.notef("script: %s", text)
		words := strings.Fields(text)
		verb, ok := verbs[words[0]]
		if !ok {
			panic("no verb " + words[0])
		}
		verb(p, p.named(words[1:]))
	}
	step = ""
	p.leftovers()
	return ""
}

// named puts the last part of the case's id in the place of NAMED.
func (p *play) named(words []string) []string {
	_, last, _ := strings.Cut(p.kase.ID[strings.LastIndex(p.kase.ID, "."):], ".")
	var list []string
	for _, word := range words {
		switch code, ok := codes[last]; {
		case word != "NAMED":
			list = append(list, word)
		case ok:
			list = append(list, last, code)
		default:
			list = append(list, last)
		}
	}
	return list
}

// codes are problems by status, as far as ids of cases name them.
var codes = map[string]string{
	"400": "bad_request", "403": "forbidden", "404": "not_found", "409": "request_in_progress", "503": "busy", "507": "storage_full",
}

// name returns the stream that a script calls by a letter or number.
func name(text string) string {
	const known = "thread/5a6638c5-6bf5-89d8-9b41-e0459fc4fa02"
	return known[:len(known)-len(text)] + text
}

// places reads "a@start", "a@3", "1..33@now".
func (p *play) places(words []string) (list []place, options map[string]string) {
	options = map[string]string{}
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			options[key] = value
			continue
		}
		who, at, _ := strings.Cut(word, "@")
		first, last, several := strings.Cut(who, "..")
		if !several {
			list = append(list, place{name(who), p.cursor(at)})
			continue
		}
		for n := number(first); n <= number(last); n++ {
			list = append(list, place{name(strconv.Itoa(n)), p.cursor(at)})
		}
	}
	return list, options
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// kind returns the transport that a script calls "it", or by its name.
func (p *play) kind(word string) string {
	if word == "it" {
		return p.kase.transport()
	}
	return word
}

// verbs are the steps of scripts.
var verbs = map[string]func(p *play, w []string){
	"write":      (*play).write,
	"epoch":      func(p *play, w []string) { p.server.begin(w[0]) },
	"connect":    (*play).connect,
	"open":       func(p *play, w []string) { p.opens(p.kase.transport(), w) },
	"socket":     func(p *play, w []string) { p.opens(ws, w) },
	"upgrade":    func(p *play, _ []string) { p.current = p.accept(p.attempt(ws)) },
	"ignore":     func(p *play, w []string) { p.attempt(w[0]) },
	"again":      (*play).again,
	"events":     func(p *play, w []string) { p.events(name(w[0]), number(w[1]), number(w[2]), math.MaxInt) },
	"frame":      func(p *play, w []string) { p.current.send(p.fill(strings.Join(w, " ")), "", 0) },
	"drop":       func(p *play, w []string) { p.current.send(p.fill(strings.Join(w[1:], " ")), name(w[0]), -1) },
	"handles":    func(p *play, w []string) { p.handles(name(w[0]), number(w[1]), number(w[2])) },
	"one-by-one": (*play).oneByOne,
	"every-cut":  (*play).everyCut,
	"bytewise":   (*play).bytewise,
	"fragments":  (*play).fragments,
	"sse-forms":  (*play).forms,
	"cursors":    (*play).cursors,
	"cut":        func(p *play, _ []string) { p.current.cut() },
	"silence":    func(p *play, _ []string) { p.aim().deaf.Store(true) },
	"close":      func(p *play, w []string) { p.close(p.aim(), number(w[0]), strings.Join(w[1:], " ")) },
	"next":       func(p *play, w []string) { p.before, p.last = p.last, p.next(p.aim(), w[0]) },
	"none":       (*play).none,
	"same":       (*play).same,
	"ack":        (*play).ack,
	"reject":     (*play).reject,
	"send": func(p *play, w []string) {
		p.do(command{Cmd: "send", Ref: w[0], Stream: name(w[1]), Type: "message.post", Data: json.RawMessage(strings.Join(w[2:], " "))})
	},
	"answer":            (*play).answer,
	"do":                (*play).command,
	"line":              func(p *play, w []string) { p.line(streamOf(w[1:]), strings.Split(w[0], "|")...) },
	"no-line":           (*play).noLine,
	"quiet":             (*play).quiet,
	"mark":              func(p *play, _ []string) { p.marked = time.Now() },
	"since":             func(p *play, w []string) { p.apartFrom(p.at, w[0]) },
	"refuse":            (*play).refuse,
	"allow":             func(p *play, _ []string) { p.server.stand(nil) },
	"honest":            func(p *play, w []string) { p.server.trust(w) },
	"paced":             (*play).paced,
	"jitter":            (*play).jitter,
	"down":              func(p *play, _ []string) { p.server.notef("the server is down"); p.server.proxy.Refuse() },
	"up":                func(p *play, _ []string) { p.server.notef("the server is up"); p.server.proxy.Accept() },
	"covered":           (*play).covered,
	"over-limit":        (*play).overLimit,
	"leaves":            (*play).leaves,
	"without":           (*play).without,
	"pages":             (*play).pages,
	"body":              (*play).body,
	"rejected-for-good": (*play).rejected,
	"frame-since":       func(p *play, w []string) { p.apartFrom(p.last.at, w[0]) },
	"leave":             (*play).leave,
	"wants":             (*play).wants,
	"token":             (*play).token,
	"single":            (*play).single,
}
