package auth

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth/argon"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
)

// Store is what this package keeps things in.
type Store interface {
	store.Registers
	Load(ctx context.Context, need store.Need) (store.Snapshot, error)
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Observer is told what happens; every method must return at once.
type Observer interface {
	Attempted(action, result string) // "ok" or the code of the error
	Verified(result string)          // cached, checked, refused
	Hashed(took time.Duration)
	HashWaiting(change int)
}

// Users is what this package must know of the kind user.
type Users struct {
	Command    string                                        // the type of the command that registers
	Register   func(email, username, communityID string) any // its data
	EmailClaim func(email string) gotong.Claim
	Document   func(userID string) gotong.Key

	// Standing reads what an account may do from the head of its stream and its
	// document.
	Standing func(head gotong.Head, document []byte) (Standing, error)
}

// Standing is what an account may do now. Version changes with each change of
// the rest; logins of another version are over.
type Standing struct {
	Role    gotong.Role
	Enabled bool
	Version uint64
}

// Options configure a [Service]. Store, Executor, Users, Clock and Secret are
// required.
type Options struct {
	Store    Store
	Executor Executor
	Users    Users
	Clock    clock.Clock

	Secret []byte // signs access tokens and derives refresh tokens; see [SigningKey]
	Keys   []Key  // of others whose tokens are accepted
	Bypass bool   // takes [BypassToken]; for development on one machine only

	AccessLife  time.Duration // of an access token; 0 is 30 minutes
	RefreshLife time.Duration // of a login that is not used; 0 is 30 days

	Hashes int        // passwords hashed at once; 0 is half of the processors, and more is never used
	Queue  int        // hashes that may wait; 0 is 128
	Cost   argon.Cost // zero is [DefaultCost]

	// HashProgram is started as the process that hashes passwords, with the
	// argument [argon.Command]; empty: they are hashed in this process.
	HashProgram string

	// Busy reports that commands are under way; nil: none ever are. A hash begins
	// when none are, or after 100 ms.
	Busy func() bool

	// Shared says that other nodes work on the same store: what ends here is then
	// written down for them, and a [Watch] finds what ended there.
	Shared bool

	// Connected is the logins of a user that have an open connection on this
	// node; nil: none has. They are the last to go where an account has too many.
	Connected func(userID string) map[string]bool

	// OnLoginEnd and OnUserEnd are told of what ended on this node, so that
	// live connections are closed. They must return at once.
	OnLoginEnd func(loginID, userID string)
	OnUserEnd  func(userID string)

	Observer Observer
	Log      *slog.Logger
}

// Service is the door. It is safe for concurrent use.
type Service struct {
	opts      Options
	tokens    *tokens
	passwords *passwords
	addresses *guesses
	accounts  *guesses
	verified  *verified
	names     *names
	revoked   *revocations
	stop      context.CancelFunc
}

// New makes a service. It fetches published key sets once, and goes on
// refreshing them until [Service.Close] or the end of ctx.
func New(ctx context.Context, opts Options) (*Service, error) {
	if len(opts.Secret) < minSecret {
		return nil, errors.New("auth: the signing key needs at least 16 bytes")
	}
	opts = withDefaults(opts)
	ctx, stop := context.WithCancel(ctx)
	t, err := newTokens(ctx, &opts)
	if err != nil {
		stop()
		return nil, err
	}
	var shared Store
	if opts.Shared {
		shared = opts.Store
	}
	keys := argon.NewPool(ctx, opts.HashProgram, func(err error) {
		opts.Log.WarnContext(ctx, "a password is hashed in the server's own process", "cause", err)
	})
	return &Service{
		opts: opts, tokens: t, stop: stop,
		passwords: newPasswords(&opts, keys),
		addresses: &guesses{newFailures(20, 5*time.Minute), "address", shared, t.derive, opts.Clock},
		accounts:  &guesses{newFailures(10, 30*time.Second), "account", shared, t.derive, opts.Clock},
		verified:  newVerified(),
		names:     &names{recent: recent[string, named]{half: maxNames}},
		revoked:   &revocations{seen: map[string]clock.Moment{}},
	}, nil
}

func (s *Service) now() gotong.Instant { return s.opts.Clock.Now() }

func (s *Service) mono() clock.Moment { return s.opts.Clock.Mono() }

// age is how long ago a stored instant was; one in the future counts as now.
func (s *Service) age(at gotong.Instant) time.Duration {
	return max(0, time.Duration(s.now()-at)*time.Microsecond)
}

const minSecret = 16

func withDefaults(o Options) Options {
	if o.AccessLife == 0 {
		o.AccessLife = 30 * time.Minute
	}
	if o.RefreshLife == 0 {
		o.RefreshLife = 30 * 24 * time.Hour
	}
	if most := max(1, runtime.GOMAXPROCS(0)/2); o.Hashes == 0 || o.Hashes > most {
		o.Hashes = most
	}
	if o.Queue == 0 {
		o.Queue = 128
	}
	if o.Cost == (argon.Cost{}) {
		o.Cost = DefaultCost
	}
	if o.Busy == nil {
		o.Busy = func() bool { return false }
	}
	if o.Connected == nil {
		o.Connected = func(string) map[string]bool { return nil }
	}
	if o.OnLoginEnd == nil {
		o.OnLoginEnd = func(string, string) {}
	}
	if o.OnUserEnd == nil {
		o.OnUserEnd = func(string) {}
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close ends the refreshing of published key sets and the processes that hash
// passwords.
func (s *Service) Close() {
	s.passwords.keys.Close()
	s.stop()
}

// silent is the observer of nobody.
type silent struct{}

func (silent) Attempted(string, string) {}
func (silent) Verified(string)          {}
func (silent) Hashed(time.Duration)     {}
func (silent) HashWaiting(int)          {}

// attempted tells the observer how an action ended.
func (s *Service) attempted(action string, err error) {
	result := "ok"
	if err != nil {
		result = string(gotong.CodeOf(err))
	}
	s.opts.Observer.Attempted(action, result)
}

// The kind whose streams are accounts; collections of registers.
const (
	userKind       = "user"
	accountsName   = "auth_accounts"
	loginsName     = "auth_logins"
	ticketsName    = "auth_tickets"
	begunName      = "auth_begun"
	revocationName = "auth_revoked"
	devicesName    = "auth_devices"
	cutoffName     = "auth_cutoff"
)

func userStream(id string) gotong.Stream { return gotong.NewStream(userKind, id) }

// standing reads what an account may do; known is false where there is none.
func (s *Service) standing(ctx context.Context, userID string) (st Standing, known bool, err error) {
	stream, key := userStream(userID), s.opts.Users.Document(userID)
	snap, err := s.opts.Store.Load(ctx, store.Need{Heads: []gotong.Stream{stream}, Documents: []gotong.Key{key}})
	if err != nil {
		return st, false, store.CodedWrite(err)
	}
	body, ok := snap.Documents[key]
	if !ok {
		return st, false, nil
	}
	st, err = s.opts.Users.Standing(snap.Heads[stream], body)
	return st, true, err
}

func unauthorized(detail string) error { return gotong.NewError(gotong.CodeUnauthorized, detail) }

// waitError is an error that knows when to come back.
type waitError struct {
	err  *gotong.Error
	wait time.Duration
}

func later(wait time.Duration, detail string) error {
	return &waitError{gotong.NewError(gotong.CodeRateLimited, detail), wait}
}

// Error implements error.
func (w *waitError) Error() string { return w.err.Error() }

// Unwrap lets errors.As find the [gotong.Error].
func (w *waitError) Unwrap() error { return w.err }

// RetryAfter is the whole seconds to wait, at least 1.
func (w *waitError) RetryAfter() int { return max(1, int((w.wait+time.Second-1)/time.Second)) }

// random is n bytes for a secret or an id; crypto/rand never fails.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// newID returns a random id that sorts by the instant in it. It is no secret:
// tokens carry a MAC beside it.
func newID(at gotong.Instant) gotong.EventID {
	return gotong.NewEventID(at, binary.BigEndian.Uint64(random(8)))
}
