package realtime

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
)

// A ticket opens one event stream, and nothing else.
func TestEventStreamByTicket(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann", "bob")
	w.door.tickets["once"], w.door.tickets["polled"], w.door.tickets["other"] = "bob", "bob", "eve"
	query := "?stream=" + string(stream)

	e := w.sse("", query+"&ticket=once", "")
	e.want("subscribed")
	refused(t, w.get("/v1/realtime/sse"+query+"&ticket=once"), http.StatusUnauthorized, gotong.CodeUnauthorized)
	refused(t, w.get("/v1/realtime/sse"+query+"&ticket="), http.StatusUnprocessableEntity, gotong.CodeInvalid)
	refused(t, w.get("/v1/realtime/sse"+query+"&ticket=other"), http.StatusNotFound, gotong.CodeNotFound)
	refused(t, w.get("/v1/realtime/sse"+query+"&ticket=t-bob"), http.StatusUnauthorized, gotong.CodeUnauthorized)
	refused(t, w.get("/v1/realtime/sse"+query+"&access_token=t-bob"), http.StatusBadRequest, httpapi.CodeBadRequest)
	refused(t, w.get("/v1/realtime/poll"+query+"&ticket=polled"), http.StatusUnprocessableEntity, gotong.CodeInvalid)

	// The browser's own retry repeats the spent ticket. A new stream with a new
	// ticket and the last id continues.
	seen := w.post("ann", stream, "one")
	id := e.want("events").id
	e.close()
	w.post("ann", stream, "two")
	if source := w.trySSE("", query+"&ticket=once", id); source.status != http.StatusUnauthorized {
		t.Errorf("a repeated ticket got %d", source.status)
	}
	w.door.tickets["again"] = "bob"
	e = w.sse("", "?ticket=again&cursor="+id, "")
	e.want("subscribed")
	if f := e.want("events"); f.From != seen.Last {
		t.Errorf("got %s after %d", f.raw, seen.Last)
	}
}

// A header counts more than a ticket, which stays good.
func TestEventStreamByHeaderAndTicket(t *testing.T) {
	w := newWorld(t)
	stream := w.thread("ann")
	w.door.tickets["kept"] = "ann"
	refused(t, w.get("/v1/realtime/sse?ticket=kept&stream="+string(stream), bearer("eve")...), http.StatusNotFound, gotong.CodeNotFound)
	w.sse("", "?ticket=kept&stream="+string(stream), "").want("subscribed")
}

// An event stream that was opened by a ticket ends at the logout, even if that
// came between the use of the ticket and the opening, and when its token does.
func TestEventStreamByTicketEnds(t *testing.T) {
	ended := func(o *Options) {
		o.Recheck = func(_ context.Context, p auth.Principal) error {
			if p.UserID == "eve" {
				return gotong.NewError(gotong.CodeUnauthorized, "The login has ended.")
			}
			return nil
		}
	}
	w := newWorld(t, with(ended))
	stream := w.thread("ann", "bob", "eve")
	query := "?stream=" + string(stream) + "&ticket="
	w.door.tickets["a"], w.door.tickets["b"], w.door.tickets["e"] = "ann", "bob", "eve"
	refused(t, w.get("/v1/realtime/sse"+query+"e"), http.StatusUnauthorized, gotong.CodeUnauthorized)

	ann, bob := w.sse("", query+"a", ""), w.sse("", query+"b", "")
	ann.want("subscribed")
	bob.want("subscribed")
	w.server.EndLogin("s-ann")
	ann.over()
	w.post("bob", stream, "still here")
	bob.want("events")
}

// The stream of a ticket lasts as long as the token behind it.
func TestEventStreamByTicketExpires(t *testing.T) {
	life := 50 * time.Millisecond
	short := func(o *Options) {
		ticket := o.Ticket
		o.Ticket = func(ctx context.Context, text string) (auth.Principal, error) {
			p, err := ticket(ctx, text)
			p.Expires = o.Clock.Now().Add(life)
			return p, err
		}
	}
	w := newWorld(t, with(short))
	stream := w.thread("ann")
	for ; ; life *= 4 { // a slow machine needs more time to accept the ticket
		w.door.tickets["a"] = "ann"
		e := w.trySSE("", "?ticket=a&stream="+string(stream), "")
		if e.status == http.StatusUnauthorized && life < time.Minute {
			continue
		}
		if e.status != http.StatusOK {
			t.Fatalf("got %d", e.status)
		}
		go e.read()
		e.over()
		return
	}
}
