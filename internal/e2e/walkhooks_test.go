package e2e_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// hookEar is a webhook. The walk compares each request that it receives with the oracle.
type hookEar struct {
	w       *walk
	name    string
	r       *receiver
	open    *talk          // every webhook of its place reads it
	joined  map[*talk]bool // it is a member
	off     bool           // it is disabled, and waits
	ended   bool
	checked int // of what the receiver got
}

// hook registers a webhook in a group or scope. It reads the public thread there.
func (w *walk) hook(user, scope string, open *talk) *hookEar {
	w.t.Helper()
	h := &hookEar{w: w, r: newReceiver(w.t, nil), open: open, joined: map[*talk]bool{}}
	h.name, _ = register(w.t, w.url, user, scope, h.r, "")
	h.place()
	w.hooks = append(w.hooks, h)
	return h
}

// place writes down what the webhook reads now.
func (h *hookEar) place() {
	for _, k := range h.w.talks {
		k.hooks[h.name] = !h.ended && (k == h.open || h.joined[k])
	}
}

// join has the leader of a thread add the webhook.
func (h *hookEar) join(k *talk) {
	h.w.t.Helper()
	demand(h.w.t, h.w.url, k.lead, "PUT", k.path+"/webhooks/"+h.name, "", 200)
	h.joined[k] = true
	h.place()
	k.note(fact{by: k.lead})
}

// leave has the leader of a thread remove the webhook, as they remove any member.
func (h *hookEar) leave(k *talk) {
	h.w.t.Helper()
	demand(h.w.t, h.w.url, k.lead, "DELETE", k.path+"/members/"+h.name, "", 200)
	h.joined[k] = false
	h.place()
	k.note(fact{by: k.lead})
}

// act has a user do something to the webhook, which it survives or not.
func (h *hookEar) act(user, method, do string, ended bool) {
	h.w.t.Helper()
	demand(h.w.t, h.w.url, user, method, "/v1/webhooks/"+h.name+do, "", 200)
	h.ended = ended
	h.place()
}

// rank sets the role of joko, who registered a webhook in the group.
func (w *walk) rank(role string) {
	w.t.Helper()
	must(dial(w.t, w.url, "ani").SetGroupRole(w.ctx, w.group.ID(), "joko", role))(w.t)
}

// lapse takes the right from the registrant, and waits until the webhook has ended.
func (h *hookEar) lapse() {
	h.w.t.Helper()
	h.w.rank("anggota")
	h.ended = true
	h.place()
	becomes(h.w.t, h.w.url, "ani", h.name, "ended", "lapsed")
}

// settle waits until the webhook has all that it may see, and looks for what it may
// not. Nothing that it reads changes in between, so what it may see now is what it
// could see when each request was made.
func (h *hookEar) settle() {
	h.w.t.Helper()
	all := h.r.until(h.name, func(all []got) bool {
		had := map[string]bool{}
		for _, g := range all {
			had[fmt.Sprint(g.stream, g.seq)] = true
		}
		return h.off || !slices.ContainsFunc(h.w.talks, func(k *talk) bool {
			return slices.ContainsFunc(k.visible(h.name, 0, false), func(seq int) bool { return !had[fmt.Sprint(k.stream, seq)] })
		})
	})
	for _, g := range all[h.checked:] {
		h.w.answers.Add(1)
		if why := h.leak(g); why != "" {
			h.w.leaks = append(h.w.leaks, fmt.Sprintf("%s got %s: %.400s", h.name, why, g.body))
		}
	}
	order(h.w.t, all)
	h.checked = len(all)
}

// leak returns what a request shows that the webhook may not see; empty if nothing.
func (h *hookEar) leak(g got) string {
	i := slices.IndexFunc(h.w.talks, func(k *talk) bool { return string(k.stream) == g.stream })
	if i < 0 {
		own := h.open.lent() && g.stream == string(h.w.group)
		if !own || canary.MatchString(g.body) {
			return "an event of " + g.stream
		}
		return ""
	}
	k, seq := h.w.talks[i], int(g.seq)
	if !k.sees(h.name, seq) {
		return fmt.Sprintf("event %d of %s", seq, k.name)
	}
	of := func(n int) int { // the message that an event is about
		if target := k.fact(n).target; target > 0 {
			return target
		}
		return n
	}
	for _, m := range canary.FindAllStringSubmatch(g.body, -1) {
		n, _ := strconv.Atoi(m[1])
		if s := h.w.texts[n]; s.talk != k || !k.sees(h.name, s.seq) || of(s.seq) != of(seq) {
			return m[0]
		}
	}
	for emoji, spots := range h.w.emojis {
		may := func(s spot) bool { return s.talk == k && s.seq <= len(k.facts) && k.sees(h.name, s.seq) }
		if strings.Contains(g.body, emoji) && !slices.ContainsFunc(spots, may) {
			return emoji
		}
	}
	return ""
}

// beginHooks registers a webhook of the group and one of the scope, and returns what
// is done with them in the course of the walk, one after the other.
func (w *walk) beginHooks() []func() {
	w.t.Helper()
	private, lentPrivate, orphan := w.talks[0], w.talks[2], w.talks[4]
	w.rank("admin")
	g, s := w.hook("joko", w.group.ID(), w.talks[3]), w.hook("boss-indra", "rt05", w.talks[1])
	disable := func(off bool) func() {
		return func() {
			g.act("ani", "POST", map[bool]string{true: "/disable", false: "/enable"}[off], false)
			g.off = off
		}
	}
	return []func(){
		func() { g.join(lentPrivate) }, func() { s.join(private) }, func() { s.join(orphan) },
		func() { g.leave(lentPrivate) }, func() { s.leave(private) }, func() { g.join(lentPrivate) },
		disable(true), disable(false), func() { s.join(private) },
		g.lapse, func() { g.act("ani", "POST", "/take-over", false) },
		func() { g.leave(lentPrivate) }, func() { s.leave(orphan) }, func() { g.join(lentPrivate) },
		func() { w.rank("admin"); g.act("joko", "POST", "/take-over", false) },
		func() { g.act("ani", "DELETE", "", true) },
	}
}

// settleHooks holds what the webhooks got against the oracle.
func (w *walk) settleHooks() {
	w.t.Helper()
	for _, h := range w.hooks {
		h.settle()
	}
}
