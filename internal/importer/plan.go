package importer

import (
	"hash/maphash"
	"iter"

	"gotong.dev/gotong"
)

// Op is the operation of a step.
type Op string

// The operations of an import.
const (
	Add    Op = "add"    // make Member a member
	Remove Op = "remove" // end the membership of Member
	Post   Op = "post"   // post Text as written by Name at SentAt
	Pin    Op = "pin"    // pin the message Target
	Title  Op = "title"  // name the thread Text
)

// Step is one command of an import.
type Step struct {
	Op        Op
	RequestID string         // unique within the plan, the same in every run
	Name      string         // as in the export
	UserID    string         // "import:" and a UUID derived from thread and name
	Text      string         // of a Post: 1 to MaxText characters, trimmed
	SentAt    gotong.Instant // its time in the export
	Line      int            // of the export
	Implied   bool           // not in the export, but required by what is
	Named     bool           // a later step may name this Post
	Target    string         // RequestID of the message to answer or to pin
	Edited    bool           // a Post whose text is not the first
	Media     []Medium       // of a Post: files that the export holds, and that Text names
	Upload    Upload         // what sends them
	Filed     bool           // a Post with files that the thread has: it is not sent again

	message gotong.EventID // that Target is
}

// Fault is a line that could not be read.
type Fault struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// MaxFaults bounds the faults that a summary lists; all are counted.
const MaxFaults = 1000

// Summary describes the part of a plan that was made so far.
type Summary struct {
	Entries        int            `json:"entries"`
	Messages       int            `json:"messages"`
	Actions        int            `json:"actions"`
	Joins          int            `json:"joins"`
	Leaves         int            `json:"leaves"`
	Renames        int            `json:"renames"`
	Notices        int            `json:"notices"`   // modes, topics, settings: not imported
	Deletions      int            `json:"deletions"` // messages with only a mark left: not imported
	Retitles       int            `json:"retitles"`
	Replies        int            `json:"replies"`
	Pins           int            `json:"pins"`
	Reactions      int            `json:"reactions"`         // kinds of reaction on a message: listed under its text
	Edited         int            `json:"edited"`            // messages whose last text is imported
	Files          int            `json:"files"`             // attached files
	Media          int            `json:"media"`             // of Files, those that the export holds
	Bytes          int64          `json:"bytes"`             // of Media
	Absent         []string       `json:"absent,omitempty"`  // other Files that have a name: the first MaxFaults
	Damaged        []string       `json:"damaged,omitempty"` // those that the export holds and that cannot be read
	Empty          int            `json:"empty"`             // messages without any text: not imported
	Split          int            `json:"split"`             // texts too long for one message
	Recoded        int            `json:"recoded"`           // entries that were not UTF-8
	Unreadable     int            `json:"unreadable"`
	ImpliedAdds    int            `json:"implied_adds"`
	ImpliedRemoves int            `json:"implied_removes"`
	Steps          int            `json:"steps"`
	Faults         []Fault        `json:"faults,omitempty"` // the first MaxFaults of Unreadable
	First          gotong.Instant `json:"first"`
	Last           gotong.Instant `json:"last"`
}

// Plan is the state of planning one export for one thread. The steps of an
// entry depend on the entries before it and on nothing else, so a longer export
// has the same steps and then more.
type Plan struct {
	thread  string
	present map[string]bool
	sum     Summary
	out     []Step

	// Names makes renames of the chat rename the thread.
	Names bool
	// Targets are the request ids that later entries name.
	Targets Set
}

// Set is a set of strings that keeps 64 bits of each, so that an export of any size fits.
// With a million strings in the set, the chance that one of a million others seems to be
// in it is less than one in ten million.
type Set map[uint64]struct{}

var seed = maphash.MakeSeed()

// Hash returns 64 bits that stand for a string as long as the program runs.
func Hash(s string) uint64 { return maphash.String(seed, s) }

// Add adds a string.
func (s Set) Add(v string) { s[Hash(v)] = struct{}{} }

// Has reports whether a string was added.
func (s Set) Has(v string) bool {
	_, ok := s[Hash(v)]
	return ok
}

// NewPlan returns the plan of an import into the thread with this id.
func NewPlan(thread string) *Plan {
	return &Plan{thread: thread, present: make(map[string]bool)}
}

// UserID returns the id under which this name of an export is a member of the
// thread.
func UserID(thread, name string) string {
	return "import:" + gotong.DeriveID("import", thread, name)
}

// Summary describes what was planned so far. It is complete when Steps has
// ended.
func (p *Plan) Summary() Summary {
	s := p.sum
	s.Faults = append([]Fault(nil), p.sum.Faults...)
	return s
}

// Steps turns entries into steps, in order. An author, or a member who leaves,
// without a join before is added just before; a member who joins while present
// is removed just before, because the export must have missed the leave. So
// every join and every leave of an export becomes an event of the thread. A
// rename is a leave and a join. An error of the entries ends the steps.
func (p *Plan) Steps(entries iter.Seq2[Entry, error]) iter.Seq2[Step, error] {
	return func(yield func(Step, error) bool) {
		for e, err := range entries {
			if err != nil {
				yield(Step{}, err)
				return
			}
			for _, step := range p.steps(e) {
				if !yield(step, nil) {
					return
				}
			}
		}
	}
}

// steps are valid until the next call.
func (p *Plan) steps(e Entry) []Step {
	p.out = p.out[:0]
	p.note(e)
	switch e.Kind {
	case Message:
		p.post(e, e.body())
	case Action:
		p.post(e, e.body())
	case Join:
		p.come(e, e.Author, "")
	case Leave:
		p.leave(e, e.Author, "")
	case Rename:
		p.leave(e, e.Author, ".old")
		p.come(e, e.Text, ".new")
	case Pinned:
		p.pin(e, e.ReplyTo)
	case Retitle:
		if p.Names && isName(e.Text) {
			step := p.step(e, Title, e.Author, "")
			step.Text = e.Text
			p.out = append(p.out, step)
		}
	case Named, Deletion, Notice, Unreadable, day, own:
	}
	p.sum.Steps += len(p.out)
	return p.out
}

// pin pins a message, if the export holds it.
func (p *Plan) pin(e Entry, target string) {
	step := p.step(e, Pin, "", ".pin")
	step.Target = requestOf(target)
	p.out = append(p.out, step)
	p.sum.Pins++
}

func (p *Plan) post(e Entry, text string) {
	parts := split(text)
	if len(parts) == 0 {
		p.sum.Empty++
		return
	}
	if len(parts) > 1 {
		p.sum.Split++
	}
	p.presume(e, e.Author, true, "")
	p.sum.Reactions += len(e.Reactions)
	media := p.media(e)
	for i, part := range parts {
		step := p.step(e, Post, e.Author, partSuffix(i))
		step.Text, step.Edited = part, e.Edited
		if i == 0 {
			step.Target, step.Named = requestOf(e.ReplyTo), e.Pin || p.Targets.Has(step.RequestID)
		}
		if i == len(parts)-1 { // the names are at the end of a text
			step.Media = media
		}
		p.out = append(p.out, step)
	}
	if e.ReplyTo != "" {
		p.sum.Replies++
	}
	if e.Edited {
		p.sum.Edited++
	}
	if e.Pin {
		p.pin(e, e.ID)
	}
}

func (p *Plan) come(e Entry, name, suffix string) {
	p.presume(e, name, false, suffix)
	p.out = append(p.out, p.step(e, Add, name, suffix))
	p.present[firstOf(e.Person, name)] = true
}

func (p *Plan) leave(e Entry, name, suffix string) {
	p.presume(e, name, true, suffix)
	p.out = append(p.out, p.step(e, Remove, name, suffix))
	delete(p.present, firstOf(e.Person, name))
}

// presume makes name present, or absent, before the event of the entry.
func (p *Plan) presume(e Entry, name string, present bool, suffix string) {
	who := firstOf(e.Person, name)
	if p.present[who] == present {
		return
	}
	var step Step
	if present {
		p.present[who] = true
		p.sum.ImpliedAdds++
		step = p.step(e, Add, name, suffix+".in")
	} else {
		delete(p.present, who)
		p.sum.ImpliedRemoves++
		step = p.step(e, Remove, name, suffix+".out")
	}
	step.Implied = true
	p.out = append(p.out, step)
}

func (p *Plan) step(e Entry, op Op, name, suffix string) Step {
	return Step{
		Op: op, RequestID: e.RequestID() + suffix, Name: name, UserID: UserID(p.thread, firstOf(e.Person, name)),
		SentAt: e.At, Line: e.Line,
	}
}

func (p *Plan) note(e Entry) {
	s := &p.sum
	if e.Kind == Named { // tells of no event
		return
	}
	s.Entries++
	if e.Recoded {
		s.Recoded++
	}
	if e.Kind == Unreadable {
		s.Unreadable++
		if len(s.Faults) < MaxFaults {
			s.Faults = append(s.Faults, Fault{e.Line, e.Text})
		}
		return
	}
	if e.At != 0 && (s.First == 0 || e.At < s.First) {
		s.First = e.At
	}
	s.Last = max(s.Last, e.At)
	switch e.Kind {
	case Message:
		s.Messages++
	case Action:
		s.Actions++
	case Join:
		s.Joins++
	case Leave:
		s.Leaves++
	case Rename:
		s.Renames++
	case Deletion:
		s.Deletions++
	case Retitle:
		s.Retitles++
	case Notice:
		s.Notices++
	case Named, Pinned, Unreadable, day, own:
	}
}
