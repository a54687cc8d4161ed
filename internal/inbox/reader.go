package inbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// narrow is the number of members up to which an item for all of them is written to
// the list of each. Tests lower it.
var narrow = 200

// clock is the newest number of a partition.
type clock struct {
	N uint64 `json:"n"`
}

// roster is the members of a stream by user id, each with their roles; once there are
// more than 200, it stays wide and has those with a special role alone.
type roster struct {
	Wide  bool                `json:"wide,omitempty"`
	Roles map[string][]string `json:"roles"`
}

// belongs is when a user belonged to a wide stream, by the numbers of the partition.
type belongs struct {
	Spans []span `json:"spans"`
}

// span is from a number on, before another; To 0 is open.
type span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to,omitempty"`
}

func (b belongs) now() bool { n := len(b.Spans); return n > 0 && b.Spans[n-1].To == 0 }

// at reports whether the user belonged to the stream at one of these numbers.
func (b belongs) at(numbers ...uint64) bool {
	return slices.ContainsFunc(b.Spans, func(v span) bool {
		return slices.ContainsFunc(numbers, func(n uint64) bool { return v.From <= n && (v.To == 0 || n < v.To) })
	})
}

// maxWide is how many items about one message the list of a wide stream has: edits add
// them for members who have joined meanwhile.
const maxWide = 8

// reach is who has an item about a message.
type reach struct {
	Users []string `json:"users,omitempty"` // in order
	Wide  []uint64 `json:"wide,omitempty"`  // the numbers of its items in the list of the wide stream
	Siaga bool     `json:"siaga,omitempty"` // it is an emergency broadcast
}

// Reader returns the reader that writes the lists.
func Reader(kinds []gotong.Kind) reader.Reader {
	codec := store.NewCodec(kinds)
	return reader.Reader{
		Name: "inbox", Collections: []string{lists, clocks, rosters, spans, authors, reaches},
		Needs: func(c reader.Commit) (keys []gotong.Key) {
			if !concerns(c.Events[0].Stream) {
				return nil
			}
			keys = []gotong.Key{clockKey(c.Partition)}
			for i := range c.Events {
				if e, err := codec.Event(&c.Events[i]); err == nil { // else Read fails
					keys = append(keys, needs(c.Partition, e)...)
				}
			}
			return keys
		},
		Read: func(docs map[gotong.Key][]byte, run []reader.Commit) (reader.Step, error) {
			w := &writer{docs: docs, made: map[gotong.Key]any{}}
			for i := range run {
				if w.p = run[i].Partition; !concerns(run[i].Events[0].Stream) {
					continue
				}
				for j := range run[i].Events {
					e, err := codec.Event(&run[i].Events[j])
					if err == nil {
						w.read(e)
						err = w.err
					}
					if err != nil {
						return reader.Step{}, err
					}
				}
			}
			return w.step()
		},
	}
}

func concerns(s gotong.Stream) bool {
	k := s.Kind()
	return k == thread.Name || k == group.Name || k == cases.Name
}

// needs names the documents that an event reads.
func needs(p gotong.Partition, e gotong.Event) (keys []gotong.Key) {
	s := e.Stream
	switch d := e.Data.(type) {
	case thread.Posted:
		keys = append(keys, authorsKey(s, e.Seq))
		if d.ReplySeq > 0 {
			keys = append(keys, authorsKey(s, d.ReplySeq))
		}
		if d.Siaga || d.ReplySeq > 0 || len(d.Mentions) > 0 {
			keys = append(keys, rosterKey(whose(s, d.Lender)))
		}
	case thread.Edited:
		of := whose(s, d.Lender)
		keys = append(keys, reachKey(s, d.TargetSeq), rosterKey(of))
		for _, m := range d.Mentions {
			keys = append(keys, spansKey(m.UserID, p, of))
		}
	case thread.Held:
		keys = append(keys, authorsKey(s, d.TargetSeq), reachKey(s, d.TargetSeq))
	case thread.Blocked:
		keys = append(keys, authorsKey(s, d.TargetSeq), reachKey(s, d.TargetSeq))
	case thread.Released:
		keys = append(keys, authorsKey(s, d.TargetSeq), reachKey(s, d.TargetSeq))
	case thread.Deleted:
		keys = append(keys, authorsKey(s, d.TargetSeq), reachKey(s, d.TargetSeq))
	case thread.Created, group.Created, cases.Created:
		keys = append(keys, rosterKey(s), spansKey(e.Actor.UserID, p, s))
	case cases.Proposed:
		keys = append(keys, rosterKey(s))
	default:
		if userID, _ := seat(e); userID != "" {
			keys = append(keys, rosterKey(s), spansKey(userID, p, s))
		}
	}
	return keys
}

// whose returns the stream whose members a message addresses.
func whose(s, lender gotong.Stream) gotong.Stream {
	if lender != "" {
		return lender
	}
	return s
}

// seat returns the user whose roles an event sets, and the roles; none: they are no
// member.
func seat(e gotong.Event) (userID string, roles []string) {
	one := func(userID, role string) (string, []string) { return userID, []string{role} }
	switch d := e.Data.(type) {
	case thread.Joined:
		return one(d.UserID, string(d.Role))
	case thread.Added:
		return one(d.UserID, string(d.Role))
	case thread.RoleChanged:
		return one(d.UserID, string(d.Role))
	case thread.Appointed:
		return one(d.UserID, string(d.Role))
	case thread.Left:
		return d.UserID, nil
	case thread.Removed:
		return d.UserID, nil
	case group.Member:
		return one(d.UserID, string(d.Role))
	case group.Appointed:
		return one(d.UserID, string(d.Role))
	case group.Gone:
		return d.UserID, nil
	case group.Removed:
		return d.UserID, nil
	case cases.Seated:
		for _, r := range d.TrackRoles {
			roles = append(roles, string(r))
		}
		return d.UserID, roles
	case cases.Removed:
		return d.UserID, nil
	}
	return "", nil
}

// ordinary reports whether roles give a member no special standing: those of a wide
// stream who hold no others are not in its roster.
func ordinary(roles []string) bool {
	return !slices.ContainsFunc(roles, func(r string) bool {
		return r != string(thread.MemberRole) && r != string(group.Anggota) && r != string(cases.Participant) && r != string(cases.Saksi)
	})
}

// Given returns to whom these changes of documents add items, of these kinds if any are
// named, and the time of the first item of each: the accounts of users, and the streams of
// items that are for all members of a wide stream.
func Given(changes []store.Change, kinds ...Kind) map[gotong.Stream]gotong.Instant {
	streams := map[gotong.Stream]gotong.Instant{}
	for _, ch := range changes {
		if ch.Key.Collection != lists || ch.Body == nil {
			continue
		}
		if i, err := itemOf(store.Document(ch)); err == nil && (len(kinds) == 0 || slices.Contains(kinds, i.Kind)) {
			s := i.Stream
			if !strings.Contains(ch.Key.Owner, "/") {
				s = gotong.NewStream(user.Name, ch.Key.Owner)
			}
			if at, ok := streams[s]; !ok || i.At < at {
				streams[s] = i.At
			}
		}
	}
	return streams
}

// Changed returns the users for whom these changes add items, or may change how one is
// shown, because a message was edited or somebody decided about it. The key is a
// stream: of the users listed there, only its members learn of the change. An empty list
// stands for all its members.
// Items with a closed view, which former members see too, are under the stream of the
// user's account.
func Changed(changes []store.Change) map[gotong.Stream][]string {
	streams := map[gotong.Stream][]string{}
	add := func(s gotong.Stream, users ...string) {
		was, ok := streams[s]
		if users = append(was, users...); ok && was == nil {
			users = nil // all
		}
		slices.Sort(users)
		streams[s] = slices.Compact(users)
	}
	for _, ch := range changes {
		owner := ch.Key.Owner
		switch {
		case ch.Body == nil:
		case ch.Key.Collection == lists:
			switch i, err := itemOf(store.Document(ch)); {
			case err != nil:
			case strings.Contains(owner, "/"):
				streams[i.Stream] = nil
			case i.Kind == Removed, i.Kind == Invited, i.Kind == Declined, i.Kind == Decided:
				streams[gotong.NewStream(user.Name, owner)] = nil
			default:
				add(i.Stream, owner)
			}
		case ch.Key.Collection == reaches:
			var r reach
			switch err := json.Unmarshal(ch.Body, &r); {
			case err != nil:
			case len(r.Wide) > 0:
				streams[gotong.Stream(owner)] = nil
			case len(r.Users) > 0:
				add(gotong.Stream(owner), r.Users...)
			}
		}
	}
	return streams
}

// writer makes the step of one run.
type writer struct {
	p    gotong.Partition
	docs map[gotong.Key][]byte
	made map[gotong.Key]any // what the run leaves of each document
	err  error

	number uint64 // of the items of the present event; 0: none yet
	own    bool   // the next event is the effect of a decision about a message of the decider
}

// doc returns a document as the run has left it so far.
func doc[T any](w *writer, key gotong.Key) (d T) {
	if made, ok := w.made[key]; ok {
		d, _ = made.(T)
		return d
	}
	if body, ok := w.docs[key]; ok && w.err == nil {
		if err := json.Unmarshal(body, &d); err != nil {
			w.err = fmt.Errorf("inbox: %s of %s: %w", key.Collection, key.Owner, err)
		}
	}
	return d
}

// step returns one change for each document, in order.
func (w *writer) step() (step reader.Step, err error) {
	for _, key := range slices.SortedFunc(maps.Keys(w.made), func(a, b gotong.Key) int {
		return strings.Compare(a.Collection+"\x00"+a.Owner+"\x00"+a.Name, b.Collection+"\x00"+b.Owner+"\x00"+b.Name)
	}) {
		body, err := json.Marshal(w.made[key])
		if err != nil {
			return step, err
		}
		step.Changes = append(step.Changes, store.Change{Key: key, Body: body})
	}
	return step, nil
}

// next returns the number of the present event.
func (w *writer) next(e gotong.Event) uint64 {
	if w.number == 0 {
		c := doc[clock](w, clockKey(w.p))
		w.number = max(uint64(e.At), c.N+1) //nolint:gosec // a time since 1970
		w.made[clockKey(w.p)] = clock{w.number}
	}
	return w.number
}

// give puts an item into a user's list, unless they caused it themselves.
func (w *writer) give(userID string, e gotong.Event, i Item) {
	if userID == "" || userID == e.Actor.UserID || strings.HasPrefix(userID, thread.ImportedPrefix) {
		return
	}
	i.Stream, i.At = e.Stream, e.At
	w.made[itemKey(userID, w.p, w.next(e))] = i
}

// giveAll puts an item into the lists of those members of a stream who hold a role, or
// of all, but not of those whom r reaches. If the stream is wide, the item goes into its
// own list.
func (w *writer) giveAll(of gotong.Stream, e gotong.Event, i Item, role string, r *reach) {
	members := doc[roster](w, rosterKey(of))
	if members.Wide && (role == "" || ordinary([]string{role})) {
		if len(r.Wide) < maxWide && !slices.Contains(r.Wide, w.next(e)) {
			i.Stream, i.At, i.Except, i.Since = e.Stream, e.At, slices.Clone(r.Users), slices.Clone(r.Wide)
			w.made[itemKey(string(of), w.p, w.next(e))] = i
			r.Wide = append(r.Wide, w.number)
		}
		return
	}
	for _, userID := range slices.Sorted(maps.Keys(members.Roles)) {
		if roles := members.Roles[userID]; role == "" || slices.Contains(roles, role) {
			w.reach(userID, of, e, i, r)
		}
	}
}

// sit sets a member's roles; none end the membership. It returns whether they were a
// member before.
func (w *writer) sit(e gotong.Event, userID string, roles []string) (was bool) {
	s := e.Stream
	r := doc[roster](w, rosterKey(s))
	_, was = r.Roles[userID]
	all := maps.Clone(r.Roles)
	if all == nil {
		all = map[string][]string{}
	}
	if r.Wide {
		was = w.stretch(e, userID, len(roles) > 0)
	}
	if delete(all, userID); len(roles) > 0 && (!r.Wide || !ordinary(roles)) {
		all[userID] = roles
	}
	if !r.Wide && len(all) > narrow {
		r.Wide = true
		for id := range all {
			w.made[spansKey(id, w.p, s)] = belongs{[]span{{From: w.next(e)}}}
		}
		maps.DeleteFunc(all, func(_ string, roles []string) bool { return ordinary(roles) })
	}
	r.Roles = all
	w.made[rosterKey(s)] = r
	return was
}

// stretch begins or ends a span of a user's membership of a wide stream. It returns
// whether they were a member before.
func (w *writer) stretch(e gotong.Event, userID string, in bool) (was bool) {
	key := spansKey(userID, w.p, e.Stream)
	b := doc[belongs](w, key)
	b.Spans = slices.Clone(b.Spans[max(0, len(b.Spans)-gotong.MaxStretches+1):])
	if was = b.now(); was == in {
		return was
	}
	if in {
		b.Spans = append(b.Spans, span{From: w.next(e)})
	} else {
		b.Spans[len(b.Spans)-1].To = w.next(e)
	}
	w.made[key] = b
	return was
}
