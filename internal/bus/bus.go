// Package bus is the port between nodes: wake-ups, which report that a partition
// has grown, signals, which are ephemeral, and hints that a login may be over.
// The suite bustest defines the port.
//
// # Caveats
//
// Nothing that travels here is trusted or needed: a lost message costs
// latency, a doubled or forged one a read of the store. Permission, order and
// content always come from the store.
//
// # Dependencies
//
// Package gotong and the standard library.
package bus

import (
	"context"
	"encoding/json"

	"gotong.dev/gotong"
)

// Message is what one node sends to the others: exactly one of the fields
// beside Node is set.
type Message struct {
	Node   string  `json:"node"` // the sender; random, new with each start
	Wake   *Wake   `json:"wake,omitempty"`
	Signal *Signal `json:"signal,omitempty"`
	Ended  *Ended  `json:"ended,omitempty"`
}

// Wake reports that a partition has a commit at Position, with its newest event.
type Wake struct {
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
	Stream    gotong.Stream    `json:"stream"`
	Seq       uint64           `json:"seq"`
}

// Signal is an ephemeral sign to the subscribers of a stream. Data is a JSON
// object or nil. One that is Bulk is sent again later: it is the first to be
// dropped where there are many.
type Signal struct {
	Stream gotong.Stream   `json:"stream"`
	Type   string          `json:"type"`
	Actor  gotong.Actor    `json:"actor"`
	Data   json.RawMessage `json:"data,omitempty"`
	Bulk   bool            `json:"bulk,omitempty"`
}

// Ended reports that logins of a user may have ended. The receiver reads them in
// the store, and believes that.
type Ended struct {
	UserID string `json:"user_id"`
}

// Bus is one node's end of it.
type Bus interface {
	// Publish hands a message to the other nodes. It never blocks: what cannot
	// be queued is dropped.
	Publish(m Message)

	// Run hands what other nodes publish to handle, from one goroutine, until
	// ctx ends; it comes back by itself after a loss of connection and returns
	// nil when ctx ended. It never hands back what this end published.
	Run(ctx context.Context, handle func(Message)) error
}
