package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

const ticketLife = 30 * time.Second

// Ticket authenticates a principal once, within 30 seconds.
type Ticket struct {
	Text     string
	Expires  gotong.Instant
	Replayed bool // an earlier request got the same
}

// ticket is the register of a ticket. The text of the ticket is derived from At
// and the server's key, so that a repeated request gets it again although it is
// not stored.
type ticket struct {
	Principal
	At   gotong.Instant `json:"at"`
	Used bool           `json:"used,omitempty"` // kept until the ticket expires, so that no retry makes it valid again
}

func ticketKey(id string) gotong.Key {
	return gotong.Key{Collection: ticketsName, Owner: "ticket", Name: id}
}

func (s *Service) ticketText(id string, at gotong.Instant) string {
	mac := s.tokens.derive("ticket", id, strconv.FormatInt(int64(at), 10))
	return id + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// Ticket returns a ticket for a browser, which cannot set a header on a WebSocket.
// Until it expires or is used, the same request id of the same login returns the
// same ticket.
func (s *Service) Ticket(ctx context.Context, requestID string, p Principal) (t Ticket, err error) {
	defer func() { s.attempted("ticket", err) }()
	if !gotong.ValidRequestID(requestID) {
		return t, gotong.Invalid("request_id", "must be 1 to 128 of A-Za-z0-9._:-")
	}
	key := ticketKey(hex.EncodeToString(s.tokens.derive("ticket id", p.UserID, p.LoginID, requestID)[:16]))
	err = retry(func() error {
		var held ticket
		version, err := load(ctx, s.opts.Store, key, &held)
		if err != nil {
			return err
		}
		if t.Replayed = version > 0 && !held.Used; !t.Replayed {
			// A used ticket is replaced: the request may be a retry whose first
			// response was lost. Another instant makes another text.
			held = ticket{Principal: p, At: max(s.now(), held.At+1)}
			err = save(ctx, s.opts.Store, key, version, held, held.At.Add(ticketLife))
		}
		t.Text, t.Expires = s.ticketText(key.Name, held.At), held.At.Add(ticketLife)
		return err
	})
	return t, err
}

// UseTicket returns the principal of a ticket and spends it: of several calls at
// once, exactly one succeeds. The login behind the ticket must not have ended.
func (s *Service) UseTicket(ctx context.Context, text string) (p Principal, err error) {
	defer func() { s.attempted("use_ticket", err) }()
	t, err := s.takeTicket(ctx, text)
	if err != nil {
		return p, err
	}
	if t.Expires <= s.now() {
		return p, unauthorized("The token has expired.")
	}
	return s.admit(ctx, t.Principal)
}

func (s *Service) takeTicket(ctx context.Context, text string) (t ticket, err error) {
	bad := unauthorized("The ticket is not valid, or no longer.")
	id, _, ok := strings.Cut(text, ".")
	if !ok || !gotong.ValidID(id) {
		return t, bad
	}
	key := ticketKey(id)
	version, err := load(ctx, s.opts.Store, key, &t)
	switch {
	case err != nil:
		return t, err
	case version == 0 || t.Used || s.now() >= t.At.Add(ticketLife),
		subtle.ConstantTimeCompare([]byte(s.ticketText(id, t.At)), []byte(text)) != 1:
		return t, bad
	}
	t.Used = true
	err = save(ctx, s.opts.Store, key, version, t, t.At.Add(ticketLife))
	if errors.Is(err, store.ErrConflict) {
		return t, bad
	}
	return t, store.CodedWrite(err)
}

// Recheck verifies a principal again without its token: the error is
// [gotong.CodeUnauthorized] if [Service.Verify] would reject the token now.
func (s *Service) Recheck(ctx context.Context, p Principal) error {
	_, err := s.admit(ctx, p)
	return err
}

// Lives reports whether the login of a principal has not ended, even if its token has
// expired; for a token of another issuer, whether the token is still valid.
func (s *Service) Lives(ctx context.Context, p Principal) (bool, error) {
	if p.Foreign {
		_, err := s.admitForeign(ctx, p)
		if gotong.CodeOf(err) == gotong.CodeUnauthorized {
			err = nil
			p.Expires = 0
		}
		return err == nil && p.Expires > s.now(), err
	}
	l, version, err := s.login(ctx, p.UserID, p.LoginID)
	if err != nil || version == 0 {
		return false, err
	}
	st, known, err := s.standing(ctx, p.UserID)
	return known && st.Enabled && st.Version == l.Standing, err
}
