package thread

import "gotong.dev/gotong"

// The signals of a thread. Members send typing; presence, which says who
// follows the thread, and read, which tells a user's other sessions what was
// marked, come from the server alone.
const (
	SignalTyping   = "typing"
	SignalPresence = "presence"
	SignalRead     = "read"
)

// Rules are the rules of threads for these accounts, in homes of these kinds.
type Rules struct {
	Accounts gotong.Accounts
	Homes    gotong.Homes
}

// Kind is the rules of threads in homes of these kinds, for accounts of any
// issuer.
func Kind(homes ...gotong.Kind) gotong.Kind { return Rules{Homes: homes}.Kind() }

// Kind is the rules as the engine and delivery ask them.
func (r Rules) Kind() gotong.Kind {
	return gotong.Kind{
		Name:        Name,
		Commands:    commands(),
		Events:      events(),
		Documents:   documents(),
		Signals:     []string{SignalTyping, SignalPresence, SignalRead},
		Home:        r.home,
		Needs:       r.needs,
		Decide:      r.decide,
		Project:     project,
		AccessNeeds: accessNeeds,
		Access:      r.access,
		Affects:     affects,
		About:       about,
		Overlays:    Overlays,
		Laid:        laid,
		Overlay:     overlay,
		Amends:      amends,
	}
}

func documents() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Thread](Threads), gotong.TypeOf[Member](Members),
		gotong.TypeOf[Overlay](Overlays), gotong.TypeOf[gotong.Entry](Deletions),
		gotong.TypeOf[gotong.Entry](OfUser), gotong.TypeOf[gotong.Entry](OfScope),
		gotong.TypeOf[gotong.Entry](OfHome),
	}
}
