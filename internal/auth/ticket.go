package auth

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// ticketLife is how long a ticket can be used.
const ticketLife = 30 * time.Second

// ticket is the register of one: the principal that it stands for.
type ticket struct {
	UserID    string         `json:"user_id"`
	Role      gotong.Role    `json:"role"`
	SessionID string         `json:"session_id"`
	TokenID   string         `json:"token_id"`
	Expires   gotong.Instant `json:"expires"` // of the token, not of the ticket
	Foreign   bool           `json:"foreign,omitempty"`
}

func ticketKey(text string) gotong.Key {
	return gotong.Key{Collection: ticketsName, Owner: "ticket", Name: hex.EncodeToString(hashOf(text))}
}

// Ticket makes a ticket for a browser, which cannot set a header on a
// WebSocket: it stands for the principal, once, within 30 seconds.
func (s *Service) Ticket(ctx context.Context, p Principal) (text string, expires gotong.Instant, err error) {
	defer func() { s.attempted("ticket", err) }()
	body, err := json.Marshal(ticket{p.UserID, p.Role, p.SessionID, p.TokenID, p.Expires, p.foreign})
	if err != nil {
		return "", 0, err
	}
	text = base64.RawURLEncoding.EncodeToString(random(32))
	expires = s.opts.Now().Add(ticketLife)
	err = s.opts.Store.SetRegister(ctx, ticketKey(text), 0, body, expires)
	return text, expires, asStorage(err)
}

// UseTicket tells who a ticket stands for and uses it up: of several tries
// exactly one gets in. The session behind it must still be good.
func (s *Service) UseTicket(ctx context.Context, text string) (p Principal, err error) {
	defer func() { s.attempted("use_ticket", err) }()
	bad := unauthorized("The ticket is not valid, or no longer.")
	reg, err := s.opts.Store.Register(ctx, ticketKey(text))
	now := s.opts.Now()
	switch {
	case err != nil:
		return p, asStorage(err)
	case reg.Version == 0 || now >= reg.Expires:
		return p, bad
	}
	var t ticket
	if err := read(reg, &t); err != nil {
		return p, err
	}
	switch err := s.opts.Store.SetRegister(ctx, reg.Key, reg.Version, nil, 0); {
	case errors.Is(err, store.ErrConflict):
		return p, bad
	case err != nil:
		return p, asStorage(err)
	}
	if t.Expires <= now {
		return p, unauthorized("The token has expired.")
	}
	p, err = s.admit(ctx, Principal{
		UserID: t.UserID, Role: t.Role, SessionID: t.SessionID, TokenID: t.TokenID, Expires: t.Expires, foreign: t.Foreign,
	})
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// Recheck tells whether a principal is still good, as [Service.Verify] does for
// who holds no token: [gotong.CodeUnauthorized] where not.
func (s *Service) Recheck(ctx context.Context, p Principal) error {
	_, err := s.admit(ctx, p)
	return err
}
