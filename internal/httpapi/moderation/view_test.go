package moderation_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi/moderation"
)

// TestACursorOfTheQueueNamesNoHiddenThread: it begins after a line that the caller
// sees, and otherwise at the time of the next line, before all lines of that time.
func TestACursorOfTheQueueNamesNoHiddenThread(t *testing.T) {
	last, next := gotong.EntryName(7, "0192aa"), gotong.EntryName(9, "0192bb")
	if got := moderation.Resume(last, next, true); got != last {
		t.Errorf("after a line that is shown: %q", got)
	}
	if got := moderation.Resume(last, next, false); got != gotong.EntryName(9, "0") || got <= last || got >= next {
		t.Errorf("after one that is not: %q", got)
	}
}
