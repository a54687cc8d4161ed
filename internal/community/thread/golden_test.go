package thread_test

import (
	"flag"
	"os"
	"testing"

	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

var update = flag.Bool("update", false, "write testdata/events.golden anew")

// TestEventsKeepTheirForm: the data and the content of events are in logs for
// ever, so their JSON never changes.
func TestEventsKeepTheirForm(t *testing.T) {
	got := communitytest.Forms(t, thread.Kind(group.Kind()))
	const name = "testdata/events.golden"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || got != string(want) {
		t.Errorf("%v; the events are\n%s", err, got)
	}
}
