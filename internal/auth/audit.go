package auth

import (
	"context"
	"math/rand/v2"
	"time"

	"gotong.dev/gotong"
)

// The actions in the record of an account. Changes by admins are read from the
// log.
const (
	ActSignedUp      = "signed_up"
	ActSignedIn      = "signed_in"
	ActSignInFailed  = "sign_in_failed"
	ActRefreshReused = "refresh_reused" // a spent refresh token was used again, and the login ended
	ActLoggedOut     = "logged_out"
	ActRoleChanged   = "role_changed"
	ActDisabled      = "disabled"
	ActEnabled       = "enabled"
)

const auditName = "auth_audit"

// The limits of the record of one account: its age, and for each day the number
// of failed sign-ins and of other entries. Entries beyond a limit are only counted,
// in the last entry of their sort, so that guessing neither fills the store nor
// hides what else happened. Of the failures beyond the limit, one in failedStep,
// chosen at random, is written and counts for all: many clients that guess must not
// make the store sync 50 times a second, because posts wait for each sync.
const (
	auditLife   = 90 * 24 * time.Hour
	maxFailed   = 100
	failedStep  = 16
	maxHappened = 200
)

// Origin is the source of a request, for the record.
type Origin struct {
	Address   string
	RequestID string
	Agent     string // what the client calls itself
}

type originKey struct{}

// WithOrigin returns a context whose calls record this origin.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

type auditDay struct {
	Failed   []Entry `json:"failed,omitempty"`
	Happened []Entry `json:"happened,omitempty"`
}

const dayLayout = time.DateOnly

func auditKey(owner string, at gotong.Instant) gotong.Key {
	return gotong.Key{Collection: auditName, Owner: owner, Name: at.Time().UTC().Format(dayLayout)}
}

// note adds an entry to the record of an account, or of anonymous if there is
// none. If it cannot be written, the request goes on and the server logs a warning.
func (s *Service) note(ctx context.Context, owner, action, loginID string) {
	origin, _ := ctx.Value(originKey{}).(Origin)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now := s.now()
	entry := Entry{ID: newID(now), Action: action, Address: origin.Address, RequestID: origin.RequestID, LoginID: loginID}
	err := retry(func() error { return s.addToDay(ctx, auditKey(owner, now), now, entry) })
	if err != nil {
		s.opts.Log.WarnContext(ctx, "an entry could not be added to the record of an account", "action", action, "error", err)
	}
}

func (s *Service) addToDay(ctx context.Context, key gotong.Key, now gotong.Instant, entry Entry) error {
	var day auditDay
	version, err := load(ctx, s.opts.Store, key, &day)
	switch {
	case err != nil:
		return err
	case entry.Action != ActSignInFailed:
		day.Happened = added(day.Happened, entry, maxHappened, 1)
	case len(day.Failed) == maxFailed && rand.N(failedStep) > 0: //nolint:gosec // no secret
		return nil
	default:
		day.Failed = added(day.Failed, entry, maxFailed, failedStep)
	}
	return save(ctx, s.opts.Store, key, version, day, now.Add(auditLife))
}

// added returns list with entry. If list is full, it adds step to More of the last
// entry instead.
func added(list []Entry, entry Entry, most, step int) []Entry {
	if len(list) < most {
		return append(list, entry)
	}
	list[len(list)-1].More += step
	return list
}
