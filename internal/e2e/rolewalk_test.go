package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// walk is a random history of five threads. Some users follow all of them; others
// read them in every way there is.
type walk struct {
	*oracle
	t       *testing.T
	ctx     context.Context //nolint:containedctx // of one test
	url     string
	http    *http.Client
	rnd     *rand.Rand
	group   gotong.Stream
	users   []string
	sockets map[string]*line // for commands
	ears    []*ear
	hooks   []*hookEar
	sent    []sent
	banned  map[string]bool // of the group
	n       int
}

// sent is a post over REST, to be repeated.
type sent struct {
	user, path, body, key string
}

// TestRoleWalk walks at random through posts, edits, deletions, reactions,
// changes of policy, comings (also by request and by invitation), goings and bans, and
// after each step has users read. An oracle that was written apart says what each may
// be shown; everything that is said once carries a canary, which is looked for
// in every byte. Nothing that has to happen is left to chance: comeGoBanKnock does to
// a user all that can be done to a member, and each tour has a user in every state read
// in every way.
func TestRoleWalk(t *testing.T) {
	n := startNode(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWalk(t, n.url, seed)
	steps := size(800, 500)
	deeds := w.beginHooks()
	for step := range steps {
		if step == steps/2 {
			w.comeGoBanKnock()
		} else {
			w.step()
		}
		w.settle()
		if n := steps / (len(deeds) + 2); step > 0 && step%n == 0 && step/n <= len(deeds) {
			w.settleHooks()
			deeds[step/n-1]()
			w.settle()
		}
		w.look()
		if (step+1)%(steps/4) == 0 {
			w.tour()
		}
		w.check(step)
	}
	w.settleHooks()
	w.check(steps)
	t.Logf("%d steps, %d answers and frames read, %d requests to webhooks, %d canaries, 0 leaked",
		steps, w.answers.Load(), w.hooks[0].checked+w.hooks[1].checked, len(w.texts))
}

// check ends the walk where something leaked, or was not as the oracle says.
func (w *walk) check(step int) {
	w.t.Helper()
	for _, leak := range w.leaks[:min(5, len(w.leaks))] {
		w.t.Error(leak)
	}
	if w.t.Failed() {
		w.t.Fatalf("after step %d", step)
	}
}

func newWalk(t *testing.T, url string, seed uint64) *walk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &walk{
		oracle: &oracle{emojis: map[string][]spot{}}, t: t, banned: map[string]bool{}, ctx: ctx, url: url, http: forgetful(t),
		rnd:     rand.New(rand.NewPCG(seed, 1)),
		users:   []string{"ani", "budi", "citra", "dewi", "eko", "fitri", "gita", "mod-hadi", stranger, latecomer},
		sockets: map[string]*line{},
	}
	for _, user := range w.users {
		w.sockets[user] = socket(ctx, t, w.http, url, user)
		t.Cleanup(func() { _ = w.sockets[user].CloseNow() })
	}
	ani := dial(t, url, "ani")
	g := must(ani.CreateGroup(ctx, client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "undangan"}))(t)
	must(ani.AddGroupMember(ctx, g.GroupID, "budi", ""))(t)
	must(ani.AddGroupMember(ctx, g.GroupID, "joko", ""))(t) // who registers a webhook, and neither comes nor goes
	w.group = g.Stream()
	home := map[string]bool{"ani": true, "budi": true, "joko": true}
	w.begin("own private", client.NewThread{ScopeID: "rt05", Privacy: "private", History: "all"}, nil)
	w.begin("own public", client.NewThread{ScopeID: "rt05", Privacy: "public", History: "from_join"}, nil)
	w.begin("home private", client.NewThread{ScopeID: g.GroupID, Privacy: "private", History: "from_join", Members: "home"}, home)
	w.begin("home public", client.NewThread{ScopeID: g.GroupID, Privacy: "public", History: "all", Members: "home"}, home)
	w.beginOrphan("own orphan", "citra")
	for _, user := range w.users[:6] {
		w.ears = append(w.ears, newEar(w, user, user == "eko" || user == "fitri"))
	}
	t.Cleanup(func() {
		for _, e := range w.ears {
			e.close()
		}
	})
	return w
}

// forgetful is a client that keeps nothing.
func forgetful(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// begin makes a thread with two founders.
func (w *walk) begin(name string, in client.NewThread, home map[string]bool) {
	w.t.Helper()
	k := w.talkOf(name, "ani", in.History == "all")
	k.members, k.banned = home, w.banned
	k.since = map[string]string{"ani": "founder", "budi": "founder"}
	_, k.stream = makeThread(w.t, w.url, "ani", in)
	k.path = "/v1/chat/threads/" + k.stream.ID()
	if home != nil {
		k.note(fact{by: "ani"})
		return
	}
	k.members, k.banned = map[string]bool{"ani": true}, map[string]bool{}
	k.note(fact{by: "ani"})
	k.members["budi"] = true
	w.command("ani", k, "member.add", map[string]any{"user_id": "budi"})
	k.note(fact{by: "ani"})
}

// talkOf is one more thread, of which nothing is known yet.
func (w *walk) talkOf(name, lead string, open bool) *talk {
	k := &talk{
		name: name, lead: lead, open: open, muted: map[string]bool{}, later: map[int][]int{},
		hooks: map[string]bool{}, emojis: menagerie[len(w.talks)*20:][:20], came: map[string]int{}, marks: map[string]int{}, from: map[string]int{},
	}
	w.talks = append(w.talks, k)
	return k
}

func (k *talk) lent() bool { return k.name[:4] == "home" }

// command has a user ask something of a stream, and is the seq of the event that
// came of it, 0 where nothing had to change, and the code of a refusal.
func (w *walk) command(user string, k *talk, typ string, data any) (int, string) {
	w.t.Helper()
	return w.commandOn(user, k.stream, typ, data)
}

func (w *walk) commandOn(user string, s gotong.Stream, typ string, data any) (int, string) {
	w.t.Helper()
	w.n++
	r, err := ask(w.ctx, w.sockets[user], s, typ, fmt.Sprint("walk-", w.n), encode(data))
	if err != nil {
		w.t.Fatalf("%s by %s: %v", typ, user, err)
	}
	w.watch(user, typ, []byte(encode(r)))
	if r.Op == "error" {
		return 0, r.Problem.Code
	}
	if len(r.Receipt.Seq) == 0 {
		return 0, ""
	}
	return int(r.Receipt.Seq[0]), ""
}

// noted is a command whose event is the next of a thread.
func (w *walk) noted(user string, k *talk, typ string, data any, f fact) (string, bool) {
	w.t.Helper()
	seq, code := w.command(user, k, typ, data)
	if seq == 0 {
		return code, false
	}
	if seq != len(k.facts)+1 {
		w.t.Fatalf("%s is event %d of %s, after %d", typ, seq, k.name, len(k.facts))
	}
	k.note(f)
	return "", true
}

func (w *walk) pick(list []string) string { return list[w.rnd.IntN(len(list))] }

func (w *walk) talk() *talk { return w.talks[w.rnd.IntN(len(w.talks))] }

// message is some message of a thread, more often a late one; 0 for none.
func (w *walk) message(k *talk) int {
	list := k.messages()
	if len(list) == 0 {
		return 0
	}
	if n := len(list); n > 12 && w.rnd.IntN(2) == 0 {
		list = list[n-12:]
	}
	return list[w.rnd.IntN(len(list))]
}

// step is one thing that happens.
func (w *walk) step() {
	w.t.Helper()
	k, n := w.talk(), w.rnd.IntN(100)
	switch {
	case n < 22:
		w.post(k)
	case n < 42:
		w.edit(k)
	case n < 49:
		w.delete(k)
	case n < 69:
		w.react(k)
	case n < 75:
		w.policy(k)
	case n < 79:
		w.mute(k)
	case n < 81:
		w.noted(k.lead, k, "member.role", map[string]any{
			"user_id": w.pick(w.users[1:]), "role": w.pick([]string{"admin", "member"}),
		}, fact{by: k.lead})
	default:
		w.comeOrGo(k)
	}
}

// judged holds an answer to a member against what the oracle says: what the
// target's state is does not matter to who cannot see it.
func (w *walk) judged(user string, k *talk, target int, code string, did, may bool) {
	w.t.Helper()
	writes := k.members[user] && !k.muted[user]
	switch {
	case did && (!writes || target > 0 && !k.sees(user, target)):
		w.t.Errorf("%s acted on event %d of %s, which they do not see", user, target, k.name)
	case writes && target > 0 && !k.sees(user, target) && code != "not_found":
		w.t.Errorf("%s was told %q of event %d of %s, which they do not see", user, code, target, k.name)
	case writes && may && code != "":
		w.t.Errorf("%s was refused (%s) with event %d of %s", user, code, target, k.name)
	}
}

func (w *walk) post(k *talk) {
	w.t.Helper()
	user, target := w.pick(w.users), 0
	data := map[string]any{"body": w.text(k)}
	if w.rnd.IntN(4) == 0 { // an item in the inbox of each member
		data["body"] = fmt.Sprint("@here ", data["body"])
	}
	if w.rnd.IntN(3) == 0 {
		if target = w.message(k); target > 0 {
			data["reply_to"] = k.fact(target).id
		}
	}
	may := target == 0 || k.sees(user, target) && k.newest(target) > 0
	id, code := w.say(user, k, data)
	w.judged(user, k, target, code, id != "", may)
	if id != "" {
		k.note(fact{what: "posted", by: user, reply: target, text: data["body"].(string), id: id})
	}
}

// say posts over either transport; the id of the message.
func (w *walk) say(user string, k *talk, data map[string]any) (id, code string) {
	w.t.Helper()
	w.n++
	key := fmt.Sprint("post-", w.n)
	if w.rnd.IntN(2) == 0 {
		r := must(ask(w.ctx, w.sockets[user], k.stream, "message.post", key, encode(data)))(w.t)
		w.watch(user, "message.post", []byte(encode(r)))
		if r.Op == "error" {
			return "", r.Problem.Code
		}
		return r.Receipt.EventIDs[0], ""
	}
	return w.send(user, k, encode(data), key)
}

// send posts over REST; the id of the message.
func (w *walk) send(user string, k *talk, body, key string) (id, code string) {
	w.t.Helper()
	s := sent{user, k.path + "/messages/send", body, key}
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodPost, s.path, s.body, "Idempotency-Key", key))(w.t)
	if a.status != http.StatusCreated {
		w.watch(user, "send", a.body)
		return "", a.str("code")
	}
	w.sent = append(w.sent, s)
	return a.str("message_id"), ""
}

func (w *walk) edit(k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	f := k.fact(seq)
	user := f.by
	if w.rnd.IntN(5) == 0 || w.sockets[user] == nil { // whose account is disabled does nothing
		user = w.pick(w.users)
	}
	text, revision := w.text(k), k.message(user, seq).Revision
	data := map[string]any{"message_id": f.id, "revision": revision, "body": text}
	may := k.sees(user, seq) && user == f.by && k.newest(seq) > 0
	code, did := w.noted(user, k, "message.edit", data, fact{what: "edited", by: user, target: seq, text: text})
	w.judged(user, k, seq, code, did, may)
}

func (w *walk) delete(k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	user := w.pick([]string{k.fact(seq).by, "ani", "mod-hadi", w.pick(w.users)})
	if w.sockets[user] == nil {
		return
	}
	data := map[string]any{"message_id": k.fact(seq).id, "revision": k.message(user, seq).Revision}
	code, did := w.noted(user, k, "message.delete", data, fact{what: "deleted", by: user, target: seq})
	if k.members[user] && !k.sees(user, seq) && (did || code != "not_found") {
		w.t.Errorf("%s was told %q when deleting event %d of %s, which they do not see", user, code, seq, k.name)
	}
}

func (w *walk) react(k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	user, emoji, on := w.pick(w.users), w.pick(k.emojis), w.rnd.IntN(4) > 0
	w.emojis[emoji] = append(w.emojis[emoji], spot{k, len(k.facts) + 1})
	had := k.reacted(user, seq, emoji)
	data := map[string]any{"message_id": k.fact(seq).id, "emoji": emoji, "on": on}
	f := fact{what: "reacted", by: user, target: seq, emoji: emoji, on: on}
	code, did := w.noted(user, k, "message.react", data, f)
	w.judged(user, k, seq, code, did, k.sees(user, seq) && k.newest(seq) > 0)
	if did && had == on {
		w.t.Errorf("%s reacted twice", user)
	}
}

func (w *walk) policy(k *talk) {
	w.t.Helper()
	k.open = !k.open
	name := map[bool]string{true: "all", false: "from_join"}[k.open]
	if code, did := w.noted(k.lead, k, "thread.history", map[string]any{"policy": name}, fact{by: k.lead}); !did {
		k.open = !k.open
		if code != "state_conflict" { // changed too often
			w.t.Errorf("policy: %s", code)
		}
	}
}

func (w *walk) mute(k *talk) {
	w.t.Helper()
	user := w.pick(w.users[1:])
	if user != k.lead {
		w.hush(k, user, w.rnd.IntN(3) == 0)
	}
}

// hush mutes a member, or lifts that.
func (w *walk) hush(k *talk, user string, on bool) {
	w.t.Helper()
	data := map[string]any{"user_id": user, "until_ms": map[bool]int64{true: 4_000_000_000_000}[on]}
	if _, did := w.noted(k.lead, k, "member.mute", data, fact{by: k.lead}); did {
		k.muted[user] = on
	}
}
