package bustest

import "gotong.dev/gotong/internal/bus"

// Waiting is how many messages wait at an end.
func Waiting(b bus.Bus) int { return len(b.(*port).in.Take()) }
