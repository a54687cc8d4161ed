// Package bus is the port between nodes: wake-ups, which report that a
// partition has grown, signals, which are ephemeral, and hints that a login may
// have ended. The suite bustest defines the port.
//
// # Caveats
//
// No message of a bus is trusted or needed: a lost one costs latency, a doubled
// or forged one a read of the store. Permission, order and content always come
// from the store.
package bus

import (
	"context"
	"encoding/json"

	"gotong.dev/gotong"
)

// Message is what one node sends to the others. Exactly one field beside Node
// is set.
type Message struct {
	Node   string  `json:"node"` // the sender; random, new with each start
	Wake   *Wake   `json:"wake,omitempty"`
	Signal *Signal `json:"signal,omitempty"`
	Ended  *Ended  `json:"ended,omitempty"`
}

// Wake reports that a partition has a commit at Position, with its newest
// event.
type Wake struct {
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
	Stream    gotong.Stream    `json:"stream"`
	Seq       uint64           `json:"seq"`
}

// Signal is an ephemeral notice to the subscribers of a stream. Data is a JSON
// object or nil. Users are those whom it concerns, where not everybody. A Bulk
// signal is sent again later, and is therefore dropped first if too many wait.
type Signal struct {
	Stream gotong.Stream   `json:"stream"`
	Type   string          `json:"type"`
	Actor  gotong.Actor    `json:"actor"`
	Data   json.RawMessage `json:"data,omitempty"`
	Users  []string        `json:"users,omitempty"`
	Bulk   bool            `json:"bulk,omitempty"`
}

// Ended reports that logins of a user may have ended. The receiver reads them
// in the store and trusts only the store.
type Ended struct {
	UserID string `json:"user_id"`
}

// Bus is one node's end of a bus.
type Bus interface {
	// Publish sends a message to the other nodes. It never blocks: a message
	// that cannot be queued is dropped.
	Publish(m Message)

	// Run calls handle, from one goroutine, with the messages that other nodes
	// publish, until ctx ends; it then returns nil. It reconnects by itself. It
	// never delivers what this end published.
	Run(ctx context.Context, handle func(Message)) error
}
