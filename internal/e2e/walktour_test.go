package e2e_test

import (
	"fmt"
	"slices"
	"strings"
)

// Two users to whom nothing happens by chance: one never comes, and one comes in a tour
// and stays.
const (
	stranger  = "boss-indra"
	latecomer = "lina"
)

// The states of a viewer of a thread: six, in threads with members of their own
// and in those that borrow them. With each is a user who can be brought into it.
var states = []struct{ sort, is, user string }{
	{"own", "stranger", stranger}, {"own", "founder", "ani"}, {"own", "newcomer", latecomer},
	{"own", "gone", "gita"}, {"own", "returned", "gita"}, {"own", "muted", "gita"},
	{"home", "stranger", stranger}, {"home", "founder", "ani"}, {"home", "newcomer", latecomer},
	{"home", "gone", "gita"}, {"home", "returned", "gita"}, {"home", "muted", "gita"},
}

func (k *talk) state(user string) string {
	switch {
	case !k.members[user] && k.since[user] == "":
		return "stranger"
	case !k.members[user]:
		return "gone"
	case k.muted[user]:
		return "muted"
	default:
		return k.since[user]
	}
}

// tour has a user in every state read in every way.
func (w *walk) tour() {
	w.t.Helper()
	for _, s := range states {
		var talks []*talk
		for _, k := range w.talks {
			if strings.HasPrefix(k.name, s.sort) && (s.is != "founder" || k.since[s.user] == s.is) {
				talks = append(talks, k)
			}
		}
		k := talks[w.rnd.IntN(len(talks))]
		w.bring(s.user, k, s.is)
		for _, read := range ways {
			read(w, s.user, k)
		}
	}
}

// bring takes a user into a state, in a thread where there is something to read and,
// except for strangers, something that they sent.
func (w *walk) bring(user string, k *talk, state string) {
	w.t.Helper()
	for range 20 {
		is := k.state(user)
		has := slices.ContainsFunc(w.sent, func(m sent) bool { return m.user == user && strings.HasPrefix(m.path, k.path) })
		switch {
		case !slices.ContainsFunc(w.sent, func(s sent) bool { return strings.HasPrefix(s.path, k.path) }):
			w.speak(k.lead, k)
		case is == state && (has || state == "stranger"):
			return
		case k.banned[user]:
			w.have(k, user, "unban")
		case !k.members[user]:
			w.have(k, user, "come")
		case is == "muted":
			w.hush(k, user, false)
		case !has:
			w.speak(user, k)
		case state == "muted":
			w.hush(k, user, true)
		default:
			w.have(k, user, "go")
		}
		w.settle()
	}
	w.t.Fatalf("%s is %s in %s, and should be %s", user, k.state(user), k.name, state)
}

// have does something to a user of a thread, or of the group.
func (w *walk) have(k *talk, user, do string) {
	w.t.Helper()
	if k.lent() {
		w.ofGroup(user, do)
	} else {
		w.ofThread(k, user, do)
	}
}

// speak has a member post over REST.
func (w *walk) speak(user string, k *talk) {
	w.t.Helper()
	w.n++
	text := w.text(k)
	id, code := w.send(user, k, encode(map[string]any{"body": text}), fmt.Sprint("post-", w.n))
	if id == "" {
		w.t.Fatalf("%s was refused (%s) in %s", user, code, k.name)
	}
	k.note(fact{what: "posted", by: user, text: text, id: id})
}
