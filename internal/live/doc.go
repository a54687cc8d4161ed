// Package live delivers what was committed: a tail per partition follows the
// log, a hub keeps the recent frames of followed streams, sessions pull them
// at their own pace, and sessions that lag read pages from the store through
// package view, as REST does.
//
// A transport is a thin loop around a [Session]:
//
//	s, err := hub.Open(reader, live.SessionOptions{Wake: wake, Kill: conn.Kill})
//	s.Subscribe(live.Subscription{ID: "1", Stream: stream, Start: live.At(cursor)})
//	for each wake-up {
//		frames, more := s.Take(frames[:0], 64<<10)
//		write them in one write
//		s.Written()
//		again while more
//	}
//
// Who may see an event is decided by [gotong.Access.Sees] and
// [gotong.Access.SeesAll] alone, on documents read in the same snapshot as the
// page, or before any newer event of the partition that changes them is
// handed out. DESIGN.md shows why this holds.
//
// # Caveats
//
// Take, Written, Next and Cursors of a session belong to one goroutine at a
// time, its writer. Wake is called with locks held: it must only note that
// there is work. Frames are shared between sessions: never write to their
// bytes. A session that is not closed is a leak.
package live
