package conformance

import (
	_ "embed"
	"strconv"
	"strings"
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

// perform plays the script, with the last part of the case's id in the place of
// NAMED. It returns why the client failed, or "".
func (p *play) perform() (reason string) {
	step := ""
	named := p.kase.ID[strings.LastIndex(p.kase.ID, ".")+1:]
	named = strings.TrimSpace(named + " " + codes[named])
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
		text = strings.ReplaceAll(text, "NAMED", named)
		step = " (at `" + text + "`)"
		p.server.notef("script: %s", text)
		words := strings.Fields(text)
		verb, ok := verbs[words[0]]
		if !ok {
			panic("no verb " + words[0])
		}
		verb(p, words[1:])
	}
	step = ""
	p.leftovers()
	return ""
}

// codes are problems by status, as far as ids of cases name them.
var codes = map[string]string{
	"400": "bad_request", "403": "forbidden", "404": "not_found", "409": "request_in_progress", "503": "busy", "507": "storage_full",
}

// name returns the stream that a script calls by a letter or number; "" is none.
func name(text string) string {
	const known = "thread/5a6638c5-6bf5-89d8-9b41-e0459fc4fa02"
	if text == "" {
		return ""
	}
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
