package signal

import (
	"encoding/json"
	"slices"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// Active is the type of the signals by which nodes report to each other that a
// session's user looks at a stream. No session receives it.
const Active = "active"

const (
	activeLife = time.Minute // after which a look must have been repeated
	maxLooks   = 16          // of one user
	maxLooking = 50_000      // users
)

// look is the stream that the user of one session looks at.
type look struct {
	Session string `json:"session"`
	Away    bool   `json:"away,omitempty"` // the user looks at nothing any more
	stream  gotong.Stream
	till    clock.Moment
}

// Look notes that the user of a session looks at a stream, for a minute, and no longer
// at the one before; an empty stream: at none.
func (x *Exchange) Look(userID, session string, stream gotong.Stream) {
	l := look{Session: session, Away: stream == "", stream: stream}
	was := x.note(userID, l)
	if l.Away && was == "" {
		return
	}
	if l.Away {
		stream = was
	}
	data, err := json.Marshal(l)
	if err == nil { // ids always have a JSON form
		x.publish(&bus.Signal{Stream: stream, Type: Active, Actor: gotong.Actor{UserID: userID}, Data: data})
	}
}

// note keeps a look, and returns the stream of the session's look before it.
func (x *Exchange) note(userID string, l look) (was gotong.Stream) {
	now := x.opt.Clock.Mono()
	l.till = now.Add(activeLife)
	x.mu.Lock()
	defer x.mu.Unlock()
	list := slices.DeleteFunc(x.looks[userID], func(o look) bool {
		if o.Session == l.Session {
			was = o.stream
		}
		return o.Session == l.Session || o.till < now
	})
	if !l.Away {
		list = append(list, l)
	}
	if x.looks[userID] == nil && len(x.looks) >= maxLooking { // unknown means that pushes are sent
		clear(x.looks)
	}
	if x.looks[userID] = list[max(0, len(list)-maxLooks):]; len(list) == 0 {
		delete(x.looks, userID)
	}
	return was
}

// Looks reports whether a session of the user, on any node as far as this one knows,
// reported within the last minute that the user looks at the stream.
func (x *Exchange) Looks(userID string, stream gotong.Stream) bool {
	now := x.opt.Clock.Mono()
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.looks[userID], func(l look) bool { return l.stream == stream && l.till >= now })
}

// hearLook keeps what another node reports.
func (x *Exchange) hearLook(m *bus.Signal) {
	var l look
	if validData(m.Data) && json.Unmarshal(m.Data, &l) == nil && gotong.ValidID(m.Actor.UserID) {
		l.stream = m.Stream
		x.note(m.Actor.UserID, l)
	}
}
