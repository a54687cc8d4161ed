package surreal

import "gotong.dev/gotong/internal/store"

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable: store.Property{Holds: true, Why: "everything is on the server"},
	Synced: store.Property{Holds: false, Why: "the server does not report whether it syncs each commit: " +
		"3.x does with sync=every (its default), 2.6 with SURREAL_SYNC_DATA=true"},
	Shared:   store.Property{Holds: true, Why: "transactions of several nodes that rest on the same rows collide"},
	Definite: store.Property{Holds: false, Why: "a connection can be lost after the server received a transaction"},
	Undoes:   store.Property{Holds: true, Why: "a batch is one transaction, which the server rolls back"},
	Resumes:  store.Property{Holds: true, Why: "a node keeps no state that a failed write can spoil"},
	Forgets:  store.Property{Holds: false, Why: "RocksDB keeps old values until it compacts its files"},
}
