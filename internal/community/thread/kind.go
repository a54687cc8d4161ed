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

// Kind is the rules of threads, for accounts of any issuer.
func Kind() gotong.Kind { return KindFor(gotong.AnyIssuer) }

// KindFor is the rules of threads for these accounts.
func KindFor(accounts gotong.Accounts) gotong.Kind {
	return gotong.Kind{
		Name:        Name,
		Commands:    commands(),
		Events:      events(),
		Documents:   documents(),
		Signals:     []string{SignalTyping, SignalPresence, SignalRead},
		Home:        home,
		Needs:       needs,
		Decide:      func(s gotong.State, cmd gotong.Command) (gotong.Decision, error) { return decide(s, cmd, accounts) },
		Project:     project,
		AccessNeeds: accessNeeds,
		Access:      access,
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
