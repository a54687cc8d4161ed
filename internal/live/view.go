package live

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Query names what to read of one stream.
type Query struct {
	Stream gotong.Stream

	// The events with From < seq <= To that the reader may see, oldest first or
	// Descending; To 0 is the end. At most Limit of the log are looked at (500
	// at most, 0 reads none): Page says how far it came.
	From, To   uint64
	Descending bool
	Limit      int

	// More is read in the same snapshot. Its Documents and Ranges are not
	// filtered: name only what every reader of the stream may know.
	More store.Need

	// MinSeq waits until the stream has this event: CodeNotYet after 5 s
	// (contract D21). 0 waits for nothing.
	MinSeq uint64
}

// Page is one authorised read.
type Page struct {
	Epoch  gotong.Epoch
	Head   gotong.Head   // of the stream in the snapshot: "as_of" is its Seq
	Access gotong.Access // what the reader may see
	State  gotong.State  // the documents that decided it
	Events []Event       // visible, overlaid, in the order asked for

	// From < seq <= To was looked at. Done says that nothing of the query is
	// left; else go on after To, or, Descending, up to From.
	From, To uint64
	Done     bool

	Snapshot store.Snapshot // Documents, Ranges and Heads of Query.More
}

// Event is one visible event, as a fresh read shows it.
type Event struct {
	gotong.Event
	Position uint64
	Chain    gotong.Hash
	Erased   bool
}
