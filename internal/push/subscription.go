package push

import (
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/store"
)

// Subscriptions is the collection of registers (user id, "") → account.
const Subscriptions = "push_subscriptions"

// The bounds of subscriptions. Beyond them, the oldest of the login, or of the user,
// makes room.
const (
	perLogin    = 3
	perUser     = 16
	maxEndpoint = 1024
	lasts       = 60 * 24 * time.Hour // after it was last put
)

// Subscription is where a device of a user gets pushes.
type Subscription struct {
	ID       string         `json:"id"` // follows from the endpoint
	Endpoint string         `json:"endpoint"`
	P256dh   []byte         `json:"p256dh"`
	Auth     []byte         `json:"auth"`
	Withdraw bool           `json:"withdraw,omitempty"` // also send it the count 0
	At       gotong.Instant `json:"at"`                 // when it was first put
	Expires  gotong.Instant `json:"expires"`
	Login    auth.Principal `json:"login"`
	Key      string         `json:"key"` // of the server: another one cannot send to it
}

// account is the register of a user's subscriptions, the last put last.
type account struct {
	List []Subscription `json:"list"`
}

func accountKey(userID string) gotong.Key {
	return gotong.Key{Collection: Subscriptions, Owner: userID}
}

// tries bounds how often a register is read again because another request changed
// it.
const tries = 8

// change changes a user's subscriptions. The function returns false if there is
// nothing to write.
func (p *Pusher) change(ctx context.Context, userID string, change func(*account) bool) error {
	for range tries {
		reg, err := store.ReadRegister(ctx, p.Store, accountKey(userID))
		if err != nil {
			return store.CodedWrite(err)
		}
		var a account
		if err := parse(reg, &a); err != nil || !change(&a) {
			return err
		}
		var body []byte // nil deletes
		if len(a.List) > 0 {
			if body, err = json.Marshal(a); err != nil {
				return err
			}
		}
		expires := p.Clock.Now().Add(lasts)
		if err = p.Store.SetRegister(ctx, reg.Key, reg.Version, body, expires); !errors.Is(err, store.ErrConflict) {
			return store.CodedWrite(err)
		}
	}
	return gotong.NewError(gotong.CodeBusy, "Another device is changing its subscription; try again.")
}

// Subscribe keeps a subscription of a login, in place of the one that the login had
// for the same endpoint. Keys are in base64url, as browsers give them.
func (p *Pusher) Subscribe(
	ctx context.Context, login auth.Principal, endpoint, p256dh, secret string, withdraw bool,
) (Subscription, error) {
	var check gotong.Check
	_, err := p.Guard.URL(endpoint)
	check.That(err == nil && len(endpoint) <= maxEndpoint, "endpoint",
		"must be the URL of a push service that this server may call, of at most 1,024 characters")
	key, err := decode(p256dh)
	_, err2 := ecdh.P256().NewPublicKey(key)
	check.That(err == nil && err2 == nil, "p256dh", "must be a public key of P-256 in base64url")
	authSecret, err := decode(secret)
	check.That(err == nil && len(authSecret) == 16, "auth", "must be 16 bytes in base64url")
	if err := check.Err(); err != nil {
		return Subscription{}, err
	}
	now, sum := p.Clock.Now(), sha256.Sum256([]byte(endpoint))
	made := Subscription{
		ID: hex.EncodeToString(sum[:16]), Endpoint: endpoint, P256dh: key, Auth: authSecret, Withdraw: withdraw,
		At: now, Expires: now.Add(lasts), Login: login, Key: p.Keys.Public(),
	}
	err = p.change(ctx, login.UserID, func(a *account) bool {
		made.At = now
		own, list := 1, []Subscription{}
		for i := range slices.Backward(a.List) { // newest first
			s := &a.List[i]
			switch mine := s.Login.LoginID == login.LoginID; {
			case s.ID == made.ID && mine:
				made.At = s.At
			case s.ID == made.ID, s.over(now, made.Key), mine && own == perLogin:
			case mine:
				own++
				fallthrough
			default:
				list = append(list, *s)
			}
		}
		list = append([]Subscription{made}, list...)
		a.List = list[:min(len(list), perUser)]
		slices.Reverse(a.List)
		return true
	})
	return made, err
}

// decode reads base64url, with or without its padding.
func decode(text string) ([]byte, error) {
	if len(text) > maxEndpoint {
		return nil, base64.CorruptInputError(0)
	}
	return b64.DecodeString(strings.TrimRight(text, "="))
}

// over reports whether nothing can be sent to the subscription any more, whatever
// its login.
func (s *Subscription) over(now gotong.Instant, key string) bool {
	return s.Expires <= now || s.Key != key
}

// Unsubscribe ends a subscription of a login. The error has [gotong.CodeNotFound] if
// the login has no such subscription.
func (p *Pusher) Unsubscribe(ctx context.Context, login auth.Principal, id string) error {
	found := false
	err := p.change(ctx, login.UserID, func(a *account) bool {
		before := len(a.List)
		a.List = slices.DeleteFunc(a.List, func(s Subscription) bool { return s.ID == id && s.Login.LoginID == login.LoginID })
		found = len(a.List) < before
		return found
	})
	if err == nil && !found {
		err = gotong.NotFound()
	}
	return err
}

// Subscriptions returns those of a login, oldest first.
func (p *Pusher) Subscriptions(ctx context.Context, login auth.Principal) ([]Subscription, error) {
	var a account
	reg, err := store.ReadRegister(ctx, p.Store, accountKey(login.UserID))
	if err := cmp.Or(err, parse(reg, &a)); err != nil {
		return nil, store.CodedWrite(err)
	}
	return slices.DeleteFunc(a.List, func(s Subscription) bool {
		return s.Login.LoginID != login.LoginID || s.over(p.Clock.Now(), p.Keys.Public())
	}), nil
}

func (p *Pusher) drop(ctx context.Context, userID string, which func(*Subscription) bool) error {
	return p.change(ctx, userID, func(a *account) bool {
		before := len(a.List)
		a.List = slices.DeleteFunc(a.List, func(s Subscription) bool { return which(&s) })
		return len(a.List) < before
	})
}

// alive returns those of a user's subscriptions to which something can be sent, and
// deletes those whose login has ended.
func (u *user) alive(ctx context.Context) ([]Subscription, error) {
	now, key, lives := u.Clock.Now(), u.Keys.Public(), map[string]bool{}
	var alive []Subscription
	for i := range u.List {
		s := &u.List[i]
		if _, known := lives[s.Login.LoginID]; !known {
			var err error
			if lives[s.Login.LoginID], err = u.Lives(ctx, s.Login); err != nil {
				return nil, err
			}
		}
		if lives[s.Login.LoginID] && !s.over(now, key) {
			alive = append(alive, *s)
		}
	}
	if len(alive) == len(u.List) {
		return alive, nil
	}
	return alive, u.drop(ctx, u.id, func(s *Subscription) bool {
		known, ok := lives[s.Login.LoginID]
		return ok && !known || s.over(now, key)
	})
}
