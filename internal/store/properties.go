package store

// Property is whether a promise holds on a store, with the reason in one line.
type Property struct {
	Holds bool
	Why   string
}

// Properties are the promises that hold on some stores and not on others. Every
// other promise of this package holds on each adapter.
type Properties struct {
	Durable  Property // what was acknowledged outlives the process
	Synced   Property // it outlives a power loss too, for certain
	Shared   Property // several processes may have the store open at once
	Definite Property // an error of a write says that nothing was written, or that the store has failed
	Undoes   Property // a batch whose writing breaks off leaves nothing behind
	Resumes  Property // after such a batch, later writes are accepted without a restart
	Forgets  Property // the store itself removes an erased text from its files
}
