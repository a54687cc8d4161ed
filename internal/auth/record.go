package auth

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Entry is one line of the record of an account, as callers see it and as the
// registers keep it.
type Entry struct {
	ID        gotong.EventID `json:"id"` // sorts by time
	At        gotong.Instant `json:"-"`  // the time in ID
	UserID    string         `json:"-"`  // of the account; empty if there was none
	Action    string         `json:"action"`
	Address   string         `json:"ip,omitempty"` // of the client; empty for a change by an admin
	RequestID string         `json:"request_id,omitempty"`
	LoginID   string         `json:"login_id,omitempty"`
	By        string         `json:"-"`              // the admin who made the change
	Role      gotong.Role    `json:"-"`              // the new role
	More      int            `json:"more,omitempty"` // later entries of this sort on the same day, which were not kept; an estimate for failed sign-ins
}

// Record returns the newest entries of an account's record, newest first: sign-ins,
// failures and logouts of the last 90 days, and all changes by admins. It returns at
// most limit entries older than before, or the newest if before is zero, and whether
// there are more. The record of [gotong.RoleAnonymous] holds sign-ins with addresses
// that no account has.
func (s *Service) Record(ctx context.Context, userID string, before gotong.EventID, limit int) ([]Entry, bool, error) {
	if before.IsZero() {
		before = gotong.NewEventID(s.now().Add(24*time.Hour), 0) // entries of now are all older
	}
	list, err := s.noted(ctx, userID, before, limit)
	if err != nil {
		return nil, false, store.CodedWrite(err)
	}
	done, err := s.doneTo(ctx, userID, before, limit)
	if err != nil {
		return nil, false, store.CodedWrite(err)
	}
	list = append(list, done...)
	slices.SortFunc(list, func(a, b Entry) int { return b.ID.Compare(a.ID) })
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}

// someDays is how many days one read returns.
const someDays = 4

// noted returns the newest entries of the registers: more than limit if there are as
// many.
func (s *Service) noted(ctx context.Context, userID string, before gotong.EventID, limit int) (list []Entry, err error) {
	to, of := auditKey(userID, before.At()).Name, userID
	if userID == string(gotong.RoleAnonymous) {
		of = ""
	}
	for {
		days, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
			Collection: auditName, Owner: userID, From: "0", To: to, Descending: true, Limit: someDays,
		})
		if err != nil {
			return nil, err
		}
		for _, reg := range days {
			var day auditDay
			if err := decode(reg, &day); err != nil {
				return nil, err
			}
			for _, e := range append(day.Failed, day.Happened...) {
				if e.ID.Compare(before) < 0 {
					e.At, e.UserID = e.ID.At(), of
					list = append(list, e)
				}
			}
		}
		if len(days) < someDays || len(list) > limit {
			return list, nil
		}
		last, err := time.Parse(dayLayout, days[len(days)-1].Key.Name)
		if err != nil {
			return nil, err
		}
		to = last.AddDate(0, 0, -1).Format(dayLayout)
	}
}

// doneTo returns the newest changes of the account by admins: more than limit if
// there are as many.
func (s *Service) doneTo(ctx context.Context, userID string, before gotong.EventID, limit int) (list []Entry, err error) {
	stream := userStream(userID)
	snap, err := s.opts.Store.Load(ctx, store.Need{Heads: []gotong.Stream{stream}})
	if err != nil {
		return nil, err
	}
	for to := snap.Heads[stream].Seq; to > 1 && len(list) <= limit; {
		rows, err := s.opts.Store.Load(ctx, store.Need{Events: []store.EventRange{
			{Stream: stream, From: 1, To: to, Descending: true, Limit: limit + 1},
		}})
		if err != nil || len(rows.Events[0]) == 0 {
			return nil, err
		}
		for i := range rows.Events[0] {
			e := &rows.Events[0][i]
			if to = e.Seq - 1; e.ID.Compare(before) >= 0 {
				continue
			}
			entry, err := doneEntry(e)
			if err != nil {
				return nil, err
			}
			list = append(list, entry)
		}
	}
	return list, nil
}

func doneEntry(e *store.Event) (Entry, error) {
	var d store.Envelope[struct {
		Role gotong.Role `json:"role"`
	}]
	err := json.Unmarshal(e.Data, &d)
	return Entry{
		ID: e.ID, At: e.At, UserID: e.Stream.ID(), Action: strings.TrimPrefix(e.Type, userKind+"."),
		RequestID: d.RequestID, By: d.Actor.UserID, Role: d.Payload.Role,
	}, err
}
