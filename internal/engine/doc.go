// Package engine is the write path: it decides commands by the rules of their
// kind and commits the decisions, many to one sync.
//
// A command goes to the lane of its stream. There it is decided, in order, on
// the state that the commands before it will leave. The decision is submitted
// to the store, whose writer puts many commits into one transaction. When the
// transaction is durable, the commits are announced, and then the callers are
// answered.
//
// # Caveats
//
// An acceptance may rest on the lane's cached documents, because the commit
// checks them. A rejection or a no-op is only answered from documents that were
// read again, in the same snapshot as the idempotency record, after every
// commit in flight on the stream has its outcome.
//
// The callback of [Engine.Submit] and the Committed hook run on the goroutine
// of the store's writer that answers: they must not block. The engine itself
// queues only commands that are not decided yet.
package engine
