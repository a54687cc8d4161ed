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

// Store holds accounts, logins and everything else that this package keeps.
type Store interface {
	store.Registers
	Load(ctx context.Context, need store.Need) (store.Snapshot, error)
}

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Observer counts what happens. Its methods must return at once.
type Observer interface {
	Attempted(action, result string) // "ok" or the code of the error
	Verified(result string)          // cached, checked, refused
	Hashed(took time.Duration)
	HashWaiting(change int)
}

// Users describes the kind user to this package.
type Users struct {
	Command    string                                        // the type of the command that registers a user
	Register   func(email, username, communityID string) any // its data
	EmailClaim func(email string) gotong.Claim               // that accounts of earlier versions have; its name is how addresses compare
	Change     func(what Change, seq uint64) (string, any)   // the command that records a change of an account, with its type
	Document   func(userID string) gotong.Key
	Keeps      []string // the types of events that leave the standing as it is

	// Standing returns the standing of an account, by its head and document.
	Standing func(head gotong.Head, document []byte) (Standing, error)
}

// Standing is what an account may do. Version grows with each change of the
// rest, and a login lasts only as long as the version at its beginning.
type Standing struct {
	Role    gotong.Role
	Enabled bool
	Version uint64
}

// Options configure a [Service]. All but Keys, Bypass, Hashes, Queue, Cost,
// HashProgram and Shared are required.
type Options struct {
	Store    Store
	Executor Executor
	Users    Users
	Clock    clock.Clock

	Secret []byte // signs access tokens and derives refresh tokens; see [SigningKey]
	Keys   []Key  // of other issuers whose tokens are accepted
	Bypass bool   // accept [BypassToken]; only for development on one machine

	AccessLife  time.Duration // of an access token
	RefreshLife time.Duration // of a login that is not used

	Hashes int        // passwords hashed at once; 0 is half of the processors, which is also the most
	Queue  int        // hashes that may wait; 0 is 128
	Cost   argon.Cost // zero is [DefaultCost]

	// HashProgram is started with the argument [argon.Command] and hashes passwords
	// in a process of its own. If it is empty, this process hashes them.
	HashProgram string

	// Busy reports whether commands are in progress. A hash waits for them, for at
	// most 100 ms.
	Busy func() bool

	// Personal are the collections of registers that other packages keep by user id. A
	// user's end with their account.
	Personal []string

	// Shared states that other nodes use the same store. Logins that end on this
	// node are then recorded for them, and a [Watch] finds those that ended there.
	Shared bool

	// Connected returns the logins of a user that have an open connection on this
	// node. They are the last to end if an account has too many.
	Connected func(userID string) map[string]bool

	// OnLoginEnd and OnUserEnd close live connections. They are called when a login,
	// or every login of a user, has ended on this node, and must return at once.
	OnLoginEnd func(loginID, userID string)
	OnUserEnd  func(userID string)

	Observer Observer
	Log      *slog.Logger
}

// Service creates, checks and ends accounts, logins and tokens. It is safe for
// concurrent use.
type Service struct {
	opts      Options
	tokens    *tokens
	passwords *passwords
	addresses *guesses
	accounts  *guesses
	resets    *guesses // requests for reset tokens, by e-mail address
	verified  *verified
	names     *names
	revoked   *revocations
	stop      context.CancelFunc
	accept    func([]Key) error
}

// New returns a service. It fetches published key sets once, and refreshes them
// until [Service.Close] or the end of ctx.
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
	newGuesses := func(space string, free int, first, longest time.Duration) *guesses {
		g := &guesses{space: space, free: free, first: first, longest: longest, here: map[[16]byte]tries{}}
		g.derive, g.clock = t.derive, opts.Clock
		if opts.Shared {
			g.shared = opts.Store
		}
		return g
	}
	keys := argon.NewPool(ctx, opts.HashProgram, func(err error) {
		opts.Log.WarnContext(ctx, "a password is hashed in the server's own process", "cause", err)
	})
	return &Service{
		opts: opts, tokens: t, stop: stop, accept: func(keys []Key) error { return t.accept(ctx, keys, opts.Log) },
		passwords: newPasswords(&opts, keys),
		addresses: newGuesses("address", 20, time.Second, 5*time.Minute),
		accounts:  newGuesses("account", 10, time.Second, 30*time.Second),
		resets:    newGuesses("reset", 3, 5*time.Minute, time.Hour),
		verified:  newVerified(),
		names:     &names{recent: recent[string, named]{half: maxNames}},
		revoked:   &revocations{seen: map[string]clock.Moment{}},
	}, nil
}

func (s *Service) now() gotong.Instant { return s.opts.Clock.Now() }

func (s *Service) mono() clock.Moment { return s.opts.Clock.Mono() }

// age returns how long ago a stored instant was; 0 for one in the future.
func (s *Service) age(at gotong.Instant) time.Duration { return max(0, s.now().Sub(at)) }

// minSecret is the least length of a signing key, in bytes.
const minSecret = 16

func withDefaults(o Options) Options {
	if most := max(1, runtime.GOMAXPROCS(0)/2); o.Hashes == 0 || o.Hashes > most {
		o.Hashes = most
	}
	if o.Queue == 0 {
		o.Queue = 128
	}
	if o.Cost == (argon.Cost{}) {
		o.Cost = DefaultCost
	}
	return o
}

// AcceptKeys replaces the keys of other issuers. On an error, those from before remain. A
// token of a key that was removed is accepted for up to a second more, and a connection that
// it opened remains until the token expires.
func (s *Service) AcceptKeys(keys []Key) error { return s.accept(keys) }

// Close stops the refreshing of published key sets and the processes that hash
// passwords.
func (s *Service) Close() {
	s.passwords.keys.Close()
	s.stop()
}

func (s *Service) attempted(action string, err error) {
	result := "ok"
	if err != nil {
		result = string(gotong.CodeOf(err))
	}
	s.opts.Observer.Attempted(action, result)
}

// The kind whose streams are accounts, and collections of registers.
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

// standing returns the standing of an account; known is false if there is none.
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

type waitError struct {
	err  *gotong.Error
	wait time.Duration
}

// Later returns an error with [gotong.CodeRateLimited] and the time after which
// the client may try again.
func Later(wait time.Duration, detail string) error {
	return &waitError{gotong.NewError(gotong.CodeRateLimited, detail), wait}
}

func (w *waitError) Error() string { return w.err.Error() }

func (w *waitError) Unwrap() error { return w.err }

// RetryAfter returns how many whole seconds to wait, at least 1.
func (w *waitError) RetryAfter() int { return max(1, int((w.wait+time.Second-1)/time.Second)) }

// random returns n random bytes; crypto/rand never fails.
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
