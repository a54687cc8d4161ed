package thread

import "gotong.dev/gotong"

// The signals of a thread. Members send typing. The server alone sends presence,
// which lists the users who follow the thread, and read, which informs a user's
// other sessions of a mark.
const (
	SignalTyping   = "typing"
	SignalPresence = "presence"
	SignalRead     = "read"
)

// Rules are the rules of threads for these accounts, which borrow members from
// streams of these kinds.
type Rules struct {
	Accounts gotong.Accounts
	Lenders  gotong.Lenders

	// Claim returns the claim of a user name, with which a text mentions a user. Nil:
	// no text does.
	Claim func(name string) gotong.Claim
}

// Kind returns the rules of threads that borrow members from streams of these
// kinds, for accounts of any issuer.
func Kind(lenders ...gotong.Kind) gotong.Kind { return Rules{Lenders: lenders}.Kind() }

// Kind returns the rules in the form that the engine and delivery use.
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
		Webhooks:    &gotong.Webhooks{Open: open, Admits: r.admits},
		Affects:     affects,
		Timers:      timers,
		Timed:       []string{EvHeld},
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
		gotong.TypeOf[gotong.Entry](OfLender), gotong.TypeOf[Pending](Reviews),
		gotong.TypeOf[Queued](Queue), gotong.TypeOf[Moderation](Moderations), gotong.TypeOf[Pace](Paces),
		gotong.TypeOf[Attached](Uploads), gotong.TypeOf[gotong.Entry](Replies), gotong.TypeOf[Pins](Pinboards),
	}
}
