package sqlite

import "gotong.dev/gotong/internal/store"

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable:  store.Property{Holds: true, Why: "everything is in one file"},
	Synced:   store.Property{Holds: true, Why: "the WAL is synced before each answer"},
	Shared:   store.Property{Holds: false, Why: "a lock on the file keeps other processes out"},
	Definite: store.Property{Holds: true, Why: "no connection can lose an answer"},
	Undoes:   store.Property{Holds: true, Why: "a batch is one transaction, which is rolled back"},
	Resumes:  store.Property{Holds: false, Why: "after a failed sync only a restart shows what the file holds"},
	Forgets:  store.Property{Holds: true, Why: "deleting overwrites it, and the WAL is emptied once nobody reads old pages"},
}
