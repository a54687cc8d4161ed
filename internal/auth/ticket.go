package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// ticketLife is how long a ticket can be used.
const ticketLife = 30 * time.Second

// Ticket is what stands for a principal, once, within 30 seconds.
type Ticket struct {
	Text     string
	Expires  gotong.Instant
	Replayed bool // the same as before
}

// ticket is the register of one: the principal that it stands for. Its text is
// derived from At and the server's key, so that the same request can be
// answered with it again without its being stored.
type ticket struct {
	UserID  string         `json:"user_id"`
	Role    gotong.Role    `json:"role"`
	LoginID string         `json:"login_id"`
	TokenID string         `json:"token_id"`
	Expires gotong.Instant `json:"expires"` // of the token, not of the ticket
	Foreign bool           `json:"foreign,omitempty"`
	Issued  gotong.Instant `json:"issued,omitempty"`
	At      gotong.Instant `json:"at"`
	Used    bool           `json:"used,omitempty"` // kept until it expires, so that no repetition revives it
}

func ticketKey(id string) gotong.Key {
	return gotong.Key{Collection: ticketsName, Owner: "ticket", Name: id}
}

// ticketText is the ticket with this id that was made at this instant.
func (s *Service) ticketText(id string, at gotong.Instant) string {
	mac := s.tokens.derive("ticket", id, strconv.FormatInt(int64(at), 10))
	return id + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// Ticket makes a ticket for a browser, which cannot set a header on a
// WebSocket. While it has neither expired nor been used, the same request id of
// the same login gets the same ticket again.
func (s *Service) Ticket(ctx context.Context, requestID string, p Principal) (t Ticket, err error) {
	defer func() { s.attempted("ticket", err) }()
	if !gotong.ValidRequestID(requestID) {
		return t, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	key := ticketKey(hex.EncodeToString(s.tokens.derive("ticket id", p.UserID, p.LoginID, requestID)[:16]))
	for range maxTries {
		reg, err := store.ReadRegister(ctx, s.opts.Store, key)
		if err != nil {
			return t, store.CodedWrite(err)
		}
		var held ticket
		if reg.Version > 0 {
			if err := read(reg, &held); err != nil {
				return t, err
			}
		}
		if reg.Version > 0 && !held.Used {
			return Ticket{Text: s.ticketText(key.Name, held.At), Expires: reg.Expires, Replayed: true}, nil
		}
		// A used ticket is replaced: the request may be a retry whose first
		// response was lost. The next one has another instant, and so another
		// text.
		t, err = s.makeTicket(ctx, key, reg.Version, max(s.now(), held.At+1), p)
		if !errors.Is(err, store.ErrConflict) {
			return t, store.CodedWrite(err)
		}
	}
	return t, store.CodedWrite(store.ErrConflict)
}

// makeTicket is one try to write a ticket; an error of the store is returned as
// it is.
func (s *Service) makeTicket(ctx context.Context, key gotong.Key, version uint64, at gotong.Instant, p Principal) (Ticket, error) {
	body, err := json.Marshal(ticket{
		UserID: p.UserID, Role: p.Role, LoginID: p.LoginID, TokenID: p.TokenID, Expires: p.Expires,
		Foreign: p.foreign, Issued: p.issued, At: at,
	})
	if err != nil {
		return Ticket{}, err
	}
	if err := s.opts.Store.SetRegister(ctx, key, version, body, at.Add(ticketLife)); err != nil {
		return Ticket{}, err
	}
	return Ticket{Text: s.ticketText(key.Name, at), Expires: at.Add(ticketLife)}, nil
}

// UseTicket tells who a ticket stands for and uses it up: of several tries
// exactly one gets in. The login behind it must still be good.
func (s *Service) UseTicket(ctx context.Context, text string) (p Principal, err error) {
	defer func() { s.attempted("use_ticket", err) }()
	t, err := s.takeTicket(ctx, text)
	if err != nil {
		return p, err
	}
	now := s.now()
	if t.Expires <= now {
		return p, unauthorized("The token has expired.")
	}
	p, err = s.admit(ctx, Principal{
		UserID: t.UserID, Role: t.Role, LoginID: t.LoginID, TokenID: t.TokenID, Expires: t.Expires,
		foreign: t.Foreign, issued: t.Issued,
	})
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// takeTicket finds the register of a ticket and marks it as used.
func (s *Service) takeTicket(ctx context.Context, text string) (t ticket, err error) {
	bad := unauthorized("The ticket is not valid, or no longer.")
	id, _, ok := strings.Cut(text, ".")
	if !ok || !gotong.ValidID(id) {
		return t, bad
	}
	reg, err := store.ReadRegister(ctx, s.opts.Store, ticketKey(id))
	switch {
	case err != nil:
		return t, store.CodedWrite(err)
	case reg.Version == 0 || s.now() >= reg.Expires:
		return t, bad
	}
	if err := read(reg, &t); err != nil {
		return t, err
	}
	if t.Used || subtle.ConstantTimeCompare([]byte(s.ticketText(id, t.At)), []byte(text)) != 1 {
		return t, bad
	}
	t.Used = true
	body, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	err = s.opts.Store.SetRegister(ctx, reg.Key, reg.Version, body, reg.Expires)
	if errors.Is(err, store.ErrConflict) {
		return t, bad
	}
	return t, store.CodedWrite(err)
}

// Recheck tells whether a principal is still good, as [Service.Verify] does for
// who holds no token: [gotong.CodeUnauthorized] where not.
func (s *Service) Recheck(ctx context.Context, p Principal) error {
	_, err := s.admit(ctx, p)
	return err
}
