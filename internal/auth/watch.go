package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/trouble"
)

// endedName is the collection of notices, with which a node announces that logins of
// a user end. The other nodes read them each second. A notice is written before its
// login ends and remains for longer than any call of the store may last, and a node
// checks the login again as long as the notice remains. So a crash between the two
// writes cannot hide the end of a login.
const endedName = "auth_ended"

const (
	// noticeLife is how long a notice remains.
	noticeLife = time.Minute
	// noticeSkew is by how much the clocks of two nodes may differ.
	noticeSkew = 15 * time.Second
	// roundEvery is the time between two rounds.
	roundEvery = time.Second
	// roundWithin bounds a round, and what follows hints.
	roundWithin = 5 * time.Second
	// maxLook is the number of logins whose accounts one round reads.
	maxLook = 4000
	// rechecks is the number of logins that are checked at once.
	rechecks = 8
	// maxHints is the number of users whose hints may wait.
	maxHints = 4096
)

type notice struct {
	UserID string `json:"user_id"`
}

func noticeKey(name string) gotong.Key {
	return gotong.Key{Collection: endedName, Owner: "all", Name: name}
}

// announce writes a notice for the other nodes, before a login of the user ends.
func (s *Service) announce(ctx context.Context, userID string) error {
	if !s.opts.Shared {
		return nil
	}
	at := s.now()
	return save(ctx, s.opts.Store, noticeKey(newID(at).String()), 0, notice{userID}, at.Add(noticeLife+noticeSkew))
}

// Watch finds the logins with open connections here that ended on other nodes
// (contract D13). [Watch.Run] does the work; Hint and Seen are safe for
// concurrent use.
type Watch struct {
	service *Service
	logins  func() []Principal
	end     func(Principal)
	turn    int          // where the next round begins among the logins
	seen    atomic.Int64 // the moment at which the latest complete round began
	trouble trouble.State

	mu    sync.Mutex
	hints map[string]struct{}
	wake  chan struct{}
}

// NewWatch returns a watch. logins returns the principals with open connections on
// this node; end closes the connections of one.
func (s *Service) NewWatch(logins func() []Principal, end func(Principal)) *Watch {
	return &Watch{
		service: s, logins: logins, end: end, hints: map[string]struct{}{}, wake: make(chan struct{}, 1),
		trouble: trouble.State{
			Log: s.opts.Log, Clock: s.opts.Clock, Level: slog.LevelWarn, Begins: "the logins that ended on other nodes cannot be read",
			Ends: "the logins that ended on other nodes can be read again",
		},
	}
}

// Seen returns the moment at which the latest round without an error began:
// every login that had ended before it has no connection here. It is 0 before
// the first such round, and always if nodes share no store.
func (w *Watch) Seen() clock.Moment { return clock.Moment(w.seen.Load()) }

// Hint reports that logins of a user may have ended; the watch checks them. It does
// not block.
func (w *Watch) Hint(userID string) {
	w.service.verified.forget(userID)
	w.mu.Lock()
	if len(w.hints) < maxHints { // a round finds what is dropped
		w.hints[userID] = struct{}{}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run follows hints and, if nodes share the store, does a round each second.
// It returns nil when ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	var again <-chan time.Time
	if w.service.opts.Shared {
		every := time.NewTicker(roundEvery)
		defer every.Stop()
		again = every.C
		w.round(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
			w.follow(ctx)
		case <-again:
			w.round(ctx)
		}
	}
}

// round reads the logins that ended, and notes when it began.
func (w *Watch) round(ctx context.Context) {
	began := w.service.mono()
	limited, cancel := context.WithTimeout(ctx, roundWithin)
	defer cancel()
	if err := w.read(limited); err == nil {
		w.seen.Store(int64(began))
		w.trouble.Over(ctx)
	} else if ctx.Err() == nil {
		w.trouble.Met(ctx, "cause", err)
	}
}

// read is one round. It reads the accounts of at most maxLook logins: with
// 20,000 logins, a changed account is found in the fifth round at the latest.
func (w *Watch) read(ctx context.Context) error {
	logins := w.logins()
	if len(logins) == 0 {
		return nil
	}
	suspects, err := w.service.noticed(ctx)
	if err != nil {
		return err
	}
	turn := w.turn % len(logins)
	some := slices.Concat(logins[turn:], logins[:turn])
	some = some[:min(maxLook, len(some))]
	w.turn = turn + len(some)
	if err := w.service.changed(ctx, some, suspects); err != nil {
		return err
	}
	return w.look(ctx, logins, suspects)
}

// follow checks the users of the hints that wait.
func (w *Watch) follow(ctx context.Context) {
	w.mu.Lock()
	suspects := w.hints
	w.hints = map[string]struct{}{}
	w.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, roundWithin)
	defer cancel()
	_ = w.look(limited, w.logins(), suspects) // a round finds what fails here
}

// look checks the logins of these users, and closes the connections of those that
// have ended.
func (w *Watch) look(ctx context.Context, logins []Principal, suspects map[string]struct{}) error {
	if len(suspects) == 0 {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rechecks)
	for _, p := range logins {
		if _, ok := suspects[p.UserID]; !ok {
			continue
		}
		group.Go(func() error {
			err := w.service.Recheck(ctx, p)
			if gotong.CodeOf(err) == gotong.CodeUnauthorized {
				w.service.verified.forget(p.UserID)
				w.end(p)
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

func (s *Service) noticed(ctx context.Context) (map[string]struct{}, error) {
	found := map[string]struct{}{}
	from := gotong.NewEventID(s.now().Add(-noticeLife-noticeSkew), 0).String()
	err := s.each(ctx, endedName, noticeKey("").Owner, from, func(reg store.Register) error {
		var n notice
		err := decode(reg, &n)
		found[n.UserID] = struct{}{}
		return err
	})
	return found, err
}

// maxHeads is how many heads one read returns.
const maxHeads = 1000

// changed adds the users whose account has changed since their login was verified.
func (s *Service) changed(ctx context.Context, logins []Principal, to map[string]struct{}) error {
	for part := range slices.Chunk(logins, maxHeads) {
		need := store.Need{Heads: make([]gotong.Stream, 0, len(part))}
		for _, p := range part {
			if gotong.ValidID(p.UserID) {
				need.Heads = append(need.Heads, userStream(p.UserID))
			}
		}
		snap, err := s.opts.Store.Load(ctx, need)
		if err != nil {
			return errors.Join(errors.New("auth: accounts cannot be read"), err)
		}
		for _, p := range part {
			if snap.Heads[userStream(p.UserID)].Seq != p.standing {
				to[p.UserID] = struct{}{}
			}
		}
	}
	return nil
}
