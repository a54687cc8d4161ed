// Package communitytest runs the rules of kinds over maps, without a store or
// an engine, and checks after every command what must hold of each kind:
//
//   - Needs named all that Decide and Project looked at, AccessNeeds all that
//     Access looked at, each with the stream that writes it;
//   - Decide and Project are deterministic and change nothing they are handed;
//   - payloads, commands and documents survive JSON, and the names of data and
//     content do not overlap;
//   - the documents folded from the first event on equal the live ones;
//   - Affects names every viewer whose access an event changed;
//   - overlays keep who, what and when of an event;
//   - rejections are errors with a code.
//
// A kind's tests begin with [Run] and then execute commands:
//
//	w := communitytest.Run(t, thread.Kind())
//	w.Do(ani, s, thread.Post{Body: "Halo"})
//	w.Refuse(budi, s, thread.Post{Body: "Halo"}, gotong.CodeForbidden)
//
// # Caveats
//
// One command at a time: idempotency, lanes and races are the engine's and are
// tested there.
package communitytest
