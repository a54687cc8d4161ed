package realtime

import (
	"testing"

	"gotong.dev/gotong"
)

// A client reports what its user looks at; the end of its connection ends that.
func TestActive(t *testing.T) {
	w := newWorld(t)
	ann := w.connect("ann")
	looks := func(want bool) {
		t.Helper()
		ann.send("op", "ping")
		ann.want("pong") // so the frame before it was handled
		if got := w.hub.Signals().Looks("ann", "thread/1"); got != want {
			t.Errorf("ann looks: %v, want %v", got, want)
		}
	}
	ann.send("op", "active", "stream", "thread/1") // needs no permission, and reveals nothing
	looks(true)
	ann.raw(`{"op":"active"}`)
	looks(false)
	ann.send("op", "active", "stream", "thread/1")
	ann.send("op", "active", "stream", "")
	looks(false)
	ann.send("op", "active", "id", "x", "stream", "thread")
	ann.problem("x", gotong.CodeInvalid)
	ann.send("op", "active", "stream", "thread/1")
	looks(true)
	_ = ann.ws.CloseNow()
	w.until("the end of the connection ends it", func() bool { return !w.hub.Signals().Looks("ann", "thread/1") })
}
