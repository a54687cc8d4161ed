package thread

import (
	"time"

	"gotong.dev/gotong"
)

// Paces is the collection of when members posted last in slow mode: (thread id, user
// id) → Pace.
const Paces = "thread_paces"

// MaxSlow is the most seconds of slow mode.
const MaxSlow = 6 * 60 * 60

// Slowed is the data of thread.slowed: the seconds between two messages of an
// ordinary member; 0 ends the slow mode.
type Slowed struct {
	Seconds int `json:"seconds"`
}

// Pace is when a member posted last, by the clock.
type Pace struct {
	At gotong.Instant `json:"at"`
}

// PaceKey is the key of a member's pace.
func PaceKey(id, userID string) gotong.Key {
	return gotong.Key{Collection: Paces, Owner: id, Name: userID}
}

// slowed reports whether the slow mode concerns the actor.
func (r ruling) slowed() bool {
	return r.thread.SlowS > 0 && r.me.role == MemberRole && !r.cmd.Actor.Role.CanModerate()
}

// tooSoon rejects a post that follows the actor's last one too soon. A last one in the
// future, because the clock was set back, counts as now.
func (r ruling) tooSoon() error {
	if !r.slowed() {
		return nil
	}
	last, ok := gotong.Doc[Pace](r.state, PaceKey(r.state.Stream.ID(), r.me.userID))
	if !ok {
		return nil
	}
	slow := time.Duration(r.thread.SlowS) * time.Second
	passed := max(r.cmd.Now.Sub(last.At), 0)
	if passed >= slow {
		return nil
	}
	err := gotong.NewError(gotong.CodeRateLimited, "The thread is in slow mode: wait before the next message.")
	err.RetryAfterS = int((slow - passed + time.Second - 1) / time.Second)
	return err
}

func paced(e gotong.Event, d Posted) []gotong.Change {
	if !d.Slow {
		return nil
	}
	return []gotong.Change{{Key: PaceKey(e.Stream.ID(), e.Actor.UserID), Doc: Pace{d.Now}}}
}
