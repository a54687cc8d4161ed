package memory

import "gotong.dev/gotong/internal/store"

// Properties are what a [Store] promises where stores differ.
var Properties = store.Properties{
	Durable:  store.Property{Holds: false, Why: "everything ends with the process"},
	Synced:   store.Property{Holds: false, Why: "nothing is on a disk"},
	Shared:   store.Property{Holds: false, Why: "only its own process can reach it"},
	Definite: store.Property{Holds: true, Why: "no connection can lose an answer"},
	Undoes:   store.Property{Holds: false, Why: "rows are changed in place, one after the other"},
	Resumes:  store.Property{Holds: false, Why: "half of the batch may be there"},
	Forgets:  store.Property{Holds: true, Why: "there are no files"},
}
