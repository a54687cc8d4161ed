package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gotong.dev/gotong"
)

// The oracle of the role walk knows nothing of stretches, overlays or
// documents. It writes down who was there when an event came, and answers from
// that.

// fact is one event of a thread.
type fact struct {
	what   string // posted, edited, deleted, reacted, pinned, unpinned, or empty for anything else
	by     string
	target int    // seq of the message that it is about
	reply  int    // seq of the message that it answers
	text   string // with a canary
	emoji  string // a canary too
	on     bool
	in     map[string]bool // who is a member, with it
	hooks  map[string]bool // which webhooks read it
	open   bool            // the history policy is all, with it
	id     string
}

// talk is one thread: facts[i] is the event i+1.
type talk struct {
	name    string
	stream  gotong.Stream
	path    string
	emojis  []string
	lead    string          // who leads it
	members map[string]bool // now; those of the group where they are borrowed
	hooks   map[string]bool // the webhooks that read it now
	banned  map[string]bool
	from    map[string]int // of an outsider who was appointed: the seq of that
	open    bool
	muted   map[string]bool
	facts   []fact
	later   map[int][]int // by message: what came after it
	since   map[string]string
	came    map[string]int // how many messages there were when a user last came
	marks   map[string]int // how many a user has marked as read
}

func (k *talk) note(f fact) {
	f.in, f.hooks, f.open = maps.Clone(k.members), maps.Clone(k.hooks), k.open
	k.facts = append(k.facts, f)
	if f.target > 0 {
		k.later[f.target] = append(k.later[f.target], len(k.facts))
	}
}

func (k *talk) fact(seq int) fact { return k.facts[seq-1] }

// sees: a member sees what was said while all could see it or they were there,
// if they see what it is about; an outsider who was appointed, what came since. A
// webhook sees what was said while it was there, whatever all can see.
func (k *talk) sees(user string, seq int) bool {
	f := k.fact(seq)
	if strings.HasPrefix(user, "whk-") {
		return k.hooks[user] && f.hooks[user] && (f.target == 0 || k.sees(user, f.target))
	}
	return k.members[user] && seq >= k.from[user] && (f.open || f.in[user]) && (f.target == 0 || k.sees(user, f.target))
}

// newest is the seq of the event with the newest text of a message; 0 where it
// was deleted.
func (k *talk) newest(seq int) int {
	newest := seq
	for _, n := range k.later[seq] {
		switch k.fact(n).what {
		case "edited":
			newest = n
		case "deleted":
			return 0
		}
	}
	return newest
}

// shown is a message as an answer or a frame tells it.
type shown struct {
	Body      string
	Withheld  bool
	Deleted   bool
	Revision  int
	Reactions string
}

// message is what a user who sees a message must be shown of it.
func (k *talk) message(user string, seq int) shown {
	var s shown
	likes := map[string]bool{}
	for _, n := range k.later[seq] {
		switch f := k.fact(n); f.what {
		case "edited":
			s.Revision++
		case "deleted":
			s.Revision, s.Deleted = s.Revision+1, true
		case "reacted":
			likes[f.emoji+f.by] = f.on && k.sees(user, n)
		}
	}
	if s.Deleted {
		return s
	}
	if newest := k.newest(seq); k.sees(user, newest) {
		s.Body = k.fact(newest).text
	} else {
		s.Withheld = true
	}
	var list []string
	for like, on := range likes {
		if on {
			list = append(list, like)
		}
	}
	slices.Sort(list)
	s.Reactions = strings.Join(list, " ")
	return s
}

// replies is the seqs of the replies to a message that a user sees.
func (k *talk) replies(user string, seq int) []int {
	return slices.DeleteFunc(k.visible(user, seq, true), func(n int) bool { return k.fact(n).reply != seq })
}

// pins is the seqs of the messages that a user sees as pinned, the newest pin first.
func (k *talk) pins(user string) (list []int) {
	for n, f := range slices.Backward(k.facts) {
		newest := func(seq int) bool { what := k.fact(seq).what; return what == "pinned" || what == "unpinned" }
		if f.what == "pinned" && k.newest(f.target) > 0 && k.sees(user, n+1) &&
			!slices.ContainsFunc(k.later[f.target], func(seq int) bool { return seq > n+1 && newest(seq) }) {
			list = append(list, f.target)
		}
	}
	return list
}

// reacted reports whether a user's reaction is on a message.
func (k *talk) reacted(user string, seq int, emoji string) bool {
	on := false
	for _, n := range k.later[seq] {
		if f := k.fact(n); f.what == "reacted" && f.by == user && f.emoji == emoji {
			on = f.on
		}
	}
	return on
}

// visible is the seqs that a user sees, of messages alone where asked.
func (k *talk) visible(user string, after int, messages bool) []int {
	var list []int
	for seq := after + 1; seq <= len(k.facts); seq++ {
		if k.sees(user, seq) && (!messages || k.fact(seq).what == "posted") {
			list = append(list, seq)
		}
	}
	return list
}

// messages is the seqs of all messages.
func (k *talk) messages() []int {
	var list []int
	for i := range k.facts {
		if k.facts[i].what == "posted" {
			list = append(list, i+1)
		}
	}
	return list
}

// unread is how many messages of others a user sees above what they marked, and
// above what was there when they came.
func (k *talk) unread(user string) int {
	unread := 0
	for i, seq := range k.messages() {
		if i >= max(k.marks[user], k.came[user]) && k.sees(user, seq) && k.newest(seq) > 0 && k.fact(seq).by != user {
			unread++
		}
	}
	return unread
}

// oracle is all threads, and where each canary is.
type oracle struct {
	talks   []*talk
	texts   []spot // by number of the canary
	emojis  map[string][]spot
	answers atomic.Int64
	leaks   []string
}

// spot is an event of a thread.
type spot struct {
	talk *talk
	seq  int
}

var canary = regexp.MustCompile(`canary-(\d{6})`)

// text is words with a canary of their own, for the next event of a thread.
func (o *oracle) text(k *talk) string {
	o.texts = append(o.texts, spot{k, len(k.facts) + 1})
	return fmt.Sprintf("canary-%06d", len(o.texts)-1)
}

// menagerie is the emoji that reactions are made of: each is one code point.
var menagerie = func() []string {
	var list []string
	for _, r := range [...][2]rune{{0x1f345, 0x1f37c}, {0x1f400, 0x1f43e}} {
		for c := r[0]; c <= r[1]; c++ {
			list = append(list, string(c))
		}
	}
	return list
}()

// may reports whether a user may be shown what the event at a spot says: they
// see the event, and it was neither edited nor deleted since.
func (o *oracle) may(user string, s spot) bool {
	if s.seq > len(s.talk.facts) || !s.talk.sees(user, s.seq) {
		return false
	}
	f := s.talk.fact(s.seq)
	switch f.what {
	case "posted":
		return s.talk.newest(s.seq) == s.seq
	case "edited":
		return s.talk.newest(f.target) == s.seq
	default:
		return true
	}
}

// watch looks for canaries in what a user got that they may not see.
func (o *oracle) watch(user, how string, got []byte) {
	o.answers.Add(1)
	for _, m := range canary.FindAllSubmatch(got, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		if n >= len(o.texts) || !o.may(user, o.texts[n]) {
			o.leaks = append(o.leaks, fmt.Sprintf("%s got %s by %s: %.400s", user, m[0], how, got))
		}
	}
	for emoji, spots := range o.emojis {
		if bytes.Contains(got, []byte(emoji)) && !slices.ContainsFunc(spots, func(s spot) bool { return o.may(user, s) }) {
			o.leaks = append(o.leaks, fmt.Sprintf("%s got %s by %s: %.400s", user, emoji, how, got))
		}
	}
}

// come and go note who is a member of threads now.
func come(talks []*talk, user string) {
	for _, k := range talks {
		k.came[user] = len(k.messages())
		if k.members[user] = true; k.since[user] == "" {
			k.since[user] = "newcomer"
		} else {
			k.since[user] = "returned"
		}
	}
}

func leave(talks []*talk, user string) {
	for _, k := range talks {
		delete(k.members, user)
	}
}
