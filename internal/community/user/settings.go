package user

import (
	"maps"
	"slices"

	"gotong.dev/gotong"
)

// The types of event about what a user has set for themselves. The user alone sees
// them.
const (
	EvBlocked   = "user.blocked"
	EvUnblocked = "user.unblocked"
	EvPreferred = "user.preferred"
)

// MaxSet bounds the users whom a user blocks, and the threads with a level of their own.
const MaxSet = 1000

// Level says which items of a thread alert a user; a closed set.
type Level string

// The levels.
const (
	Everything   Level = "all"      // every message; what holds if nothing is set
	MentionsOnly Level = "mentions" // mentions and replies
	Nothing      Level = "none"     // emergencies alone
)

// Optional returns the kinds of items that a user can switch off. The others are rare
// and concern the user's own rights.
func Optional() []string {
	return []string{"mention", "reply", "added", "invited", "gate_opened", "gate_closing"}
}

// Settings is the document of what a user has set for themselves.
type Settings struct {
	Blocked []string         `json:"blocked,omitempty"` // in order
	Off     []string         `json:"off,omitempty"`     // kinds of items, in order
	Threads map[string]Level `json:"threads,omitempty"` // by thread id; absent: all
}

// Blocks reports whether the user has blocked another one.
func (s Settings) Blocks(userID string) bool {
	_, is := slices.BinarySearch(s.Blocked, userID)
	return is
}

// Stops reports whether a block stops a message of a thread that borrows its members from
// the lender, if from any. An emergency broadcast passes it among the members of a group
// alone: there, to send one is an office. In a thread or a case of their own, everybody can.
func (s Settings) Stops(by string, siaga bool, lender gotong.Stream) bool {
	return s.Blocks(by) && (!siaga || lender.Kind() != "group")
}

// Block makes the messages of a user cause the actor no items and no pushes, and lets
// that user neither start nor write in a direct thread with the actor. They do not
// learn of it.
type Block struct {
	UserID string `json:"user_id"`
}

// Unblock ends a block.
type Unblock struct {
	UserID string `json:"user_id"`
}

// Blocked is the data of user.blocked and user.unblocked.
type Blocked struct {
	UserID string `json:"user_id"`
	On     bool   `json:"on"`
}

// Prefer sets preferences, and is the data of user.preferred: those that it names
// replace what was set.
type Prefer struct {
	Kinds   map[string]bool  `json:"kinds,omitempty"`   // by kind of item: false switches it off
	Threads map[string]Level `json:"threads,omitempty"` // by thread id
}

func (c Block) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c Unblock) Validate(check *gotong.Check) { check.ID("user_id", c.UserID) }

func (c Prefer) Validate(check *gotong.Check) {
	check.That(len(c.Threads) <= 100, "threads", "must be at most 100")
	for kind := range c.Kinds {
		check.That(slices.Contains(Optional(), kind), "kinds", "must be kinds of items that can be switched off")
	}
	for id, l := range c.Threads {
		check.That(gotong.ValidID(id), "threads", "must be ids of threads")
		check.That(l == Everything || l == MentionsOnly || l == Nothing, "threads", "must have the level all, mentions or none")
	}
}

func own(data any) bool {
	switch data.(type) {
	case Block, Unblock, Blocked, Prefer:
		return true
	}
	return false
}

// set decides the commands about what users have set for themselves; what changes
// nothing is a no-op.
func set(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	id := s.Stream.ID()
	if u, ok := gotong.Doc[User](s, UserKey(id)); !ok || !u.Enabled || cmd.Actor.UserID != id {
		return gotong.Decision{}, gotong.NotFound()
	}
	now, _ := gotong.Doc[Settings](s, gotong.SettingsRef(id).Key)
	fact := gotong.Fact{Type: EvPreferred, Audience: gotong.ForUser(id), Data: cmd.Data}
	switch c := cmd.Data.(type) {
	case Block:
		if c.UserID == id {
			return gotong.Decision{}, gotong.Invalid("user_id", "must be another user")
		}
		fact.Type, fact.Data = EvBlocked, Blocked{c.UserID, true}
	case Unblock:
		fact.Type, fact.Data = EvUnblocked, Blocked{c.UserID, false}
	}
	next := now.after(fact.Data)
	switch {
	case len(next.Blocked) > MaxSet || len(next.Threads) > MaxSet:
		return gotong.Reject(gotong.CodeConflict, "There would be more than 1,000 entries; remove others first.")
	case slices.Equal(now.Blocked, next.Blocked) && slices.Equal(now.Off, next.Off) && maps.Equal(now.Threads, next.Threads):
		return gotong.Accept()
	default:
		return gotong.Accept(fact)
	}
}

// after returns the settings after an event; s does not change.
func (s Settings) after(data any) Settings {
	switch d := data.(type) {
	case Blocked:
		s.Blocked = with(s.Blocked, d.UserID, d.On)
	case Prefer:
		for kind, on := range d.Kinds {
			s.Off = with(s.Off, kind, !on)
		}
		threads := maps.Clone(s.Threads)
		for id, level := range d.Threads {
			if threads == nil {
				threads = map[string]Level{}
			}
			if threads[id] = level; level == Everything {
				delete(threads, id)
			}
		}
		if s.Threads = threads; len(threads) == 0 {
			s.Threads = nil
		}
	}
	return s
}

// with returns an ordered list with or without an item.
func with(list []string, item string, in bool) []string {
	at, is := slices.BinarySearch(list, item)
	switch {
	case in && !is:
		return slices.Insert(slices.Clone(list), at, item)
	case is && !in && len(list) == 1:
		return nil
	case is && !in:
		return slices.Delete(slices.Clone(list), at, at+1)
	}
	return list
}

func settled(s gotong.State, e gotong.Event) []gotong.Change {
	key := gotong.SettingsRef(e.Stream.ID()).Key
	now, _ := gotong.Doc[Settings](s, key)
	return []gotong.Change{{Key: key, Doc: now.after(e.Data)}}
}
