package thread

import (
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// Title is what a thread is recognised by: the content of thread.created and of
// thread.updated. Each text may be empty.
type Title struct {
	Name  string `json:"name,omitempty"`
	Topic string `json:"topic,omitempty"`
	Icon  string `json:"icon,omitempty"` // one emoji
}

// Titled is the title in a thread's document, with the event that holds each text.
type Titled struct {
	Title
	NameSeq  uint64 `json:"name_seq,omitempty"`
	TopicSeq uint64 `json:"topic_seq,omitempty"`
	IconSeq  uint64 `json:"icon_seq,omitempty"`
}

// Update changes what is set. An empty text removes the one that the thread has.
type Update struct {
	Name     *string `json:"name,omitempty"`
	Topic    *string `json:"topic,omitempty"`
	Icon     *string `json:"icon,omitempty"`
	Archived *bool   `json:"archived,omitempty"`
	SlowS    *int    `json:"slow_mode_s,omitempty"` // see [Slowed]
}

// Updated is the data of thread.updated. The content has the new texts; one that is
// in Changed alone was removed, or erased.
type Updated struct {
	Changed []string `json:"changed"` // of name, topic, icon
}

// Archived is the data of thread.archived: the thread becomes read-only.
type Archived struct{}

// Unarchived is the data of thread.unarchived.
type Unarchived struct{}

// part is one text of a title.
type part struct {
	name string
	sort text.Sort
	of   func(*Title) *string
	seq  func(*Titled) *uint64
}

var parts = []part{
	{"name", text.Name, func(t *Title) *string { return &t.Name }, func(t *Titled) *uint64 { return &t.NameSeq }},
	{"topic", text.Topic, func(t *Title) *string { return &t.Topic }, func(t *Titled) *uint64 { return &t.TopicSeq }},
	{"icon", text.Emoji, func(t *Title) *string { return &t.Icon }, func(t *Titled) *uint64 { return &t.IconSeq }},
}

func (t Title) clean() Title {
	for _, p := range parts {
		*p.of(&t) = p.sort.Clean(*p.of(&t))
	}
	return t
}

func (t Title) check(check *gotong.Check) {
	for _, p := range parts {
		if s := *p.of(&t); s != "" {
			p.sort.Check(check, p.name, s)
		}
	}
}

// content returns the title as the content of an event; nil if it has no text.
func (t Title) content() any {
	if t == (Title{}) {
		return nil
	}
	return t
}

// set returns the title after an event that changed these texts.
func (t Titled) set(e gotong.Event, changed func(name string) bool) Titled {
	texts, _ := e.Content.(Title) // empty if it was erased
	for _, p := range parts {
		if changed(p.name) {
			*p.of(&t.Title), *p.seq(&t) = *p.of(&texts), e.Seq
		}
	}
	return t
}

// erase returns the title without the texts of an event. An older text does not
// reappear.
func (t Titled) erase(seq uint64) Titled {
	for _, p := range parts {
		if *p.seq(&t) == seq {
			*p.of(&t.Title) = ""
		}
	}
	return t
}

// update keeps of the command what differs from the thread; nothing is a no-op.
func (r ruling) update(c Update) (gotong.Decision, error) {
	if !r.moderates() {
		return gotong.Reject(gotong.CodeForbidden, "Only owners, admins and moderators can change the thread.")
	}
	var facts []gotong.Fact
	var changed []string
	now, next := r.thread.Title, Title{}
	for i, want := range []*string{c.Name, c.Topic, c.Icon} {
		if p := parts[i]; want != nil && *want != *p.of(&now) {
			changed, *p.of(&next) = append(changed, p.name), *want
		}
	}
	if changed != nil {
		facts = append(facts, gotong.Fact{Type: EvUpdated, Data: Updated{changed}, Content: next.content()})
	}
	switch is := r.thread.ArchivedAt != 0; {
	case c.Archived == nil || *c.Archived == is:
	case is:
		facts = append(facts, gotong.Fact{Type: EvUnarchived, Data: Unarchived{}})
	default:
		facts = append(facts, gotong.Fact{Type: EvArchived, Data: Archived{}})
	}
	if c.SlowS != nil && *c.SlowS != r.thread.SlowS {
		facts = append(facts, gotong.Fact{Type: EvSlowed, Data: Slowed{*c.SlowS}})
	}
	return gotong.Accept(facts...)
}

// retitled projects the events that change the title or the archive.
func retitled(s gotong.State, e gotong.Event) []gotong.Change {
	key := ThreadKey(e.Stream.ID())
	t, _ := gotong.Doc[Thread](s, key)
	switch d := e.Data.(type) {
	case Updated:
		t.Titled = t.set(e, func(name string) bool { return slices.Contains(d.Changed, name) })
	case gotong.Erased:
		t.Titled = t.erase(d.Seq)
	case Archived:
		t.ArchivedAt = e.At
	case Unarchived:
		t.ArchivedAt = 0
	case Slowed:
		t.SlowS = d.Seconds
	}
	return []gotong.Change{{Key: key, Doc: t}}
}

func (c Create) Clean() any { c.Title = c.clean(); return c }

func (c Update) Clean() any {
	for i, s := range []**string{&c.Name, &c.Topic, &c.Icon} {
		if *s != nil {
			clean := parts[i].sort.Clean(**s)
			*s = &clean
		}
	}
	return c
}

func (c Update) Validate(check *gotong.Check) {
	check.That(c != Update{}, "name", "or another field must be there")
	for i, s := range []*string{c.Name, c.Topic, c.Icon} {
		if s != nil && *s != "" {
			parts[i].sort.Check(check, parts[i].name, *s)
		}
	}
	check.That(c.SlowS == nil || *c.SlowS >= 0 && *c.SlowS <= MaxSlow, "slow_mode_s", "must be 0 to 21600")
}
