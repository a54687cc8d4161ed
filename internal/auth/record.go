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

// Entry is one line of the record of an account.
type Entry struct {
	ID        gotong.EventID // sorts by time
	At        gotong.Instant
	UserID    string // of the account; empty where there was none
	Action    string
	Address   string // of the client; empty for what was done to the account
	RequestID string
	LoginID   string
	By        string      // who did it, where it was done to the account
	Role      gotong.Role // the one that was given
	More      int         // so many more of the sort came later that day and were not kept; of failed sign-ins an estimate
}

// Record is what happened to an account, newest first: sign-ins and what
// belongs to them for 90 days, and what admins did for ever. It returns at
// most limit entries from before the one with this id, all of them where it
// is zero, and whether there is more. The record of
// [gotong.RoleAnonymous] is of attempts on addresses that nobody has.
func (s *Service) Record(ctx context.Context, userID string, before gotong.EventID, limit int) ([]Entry, bool, error) {
	if before.IsZero() {
		before = gotong.NewEventID(s.now().Add(24*time.Hour), 0) // of now are all before
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

// someDays is how many days are read at once.
const someDays = 4

// noted is the newest entries of the registers, one more than the limit where
// there are so many.
func (s *Service) noted(ctx context.Context, userID string, before gotong.EventID, limit int) (list []Entry, err error) {
	to := auditKey(userID, before.At()).Name
	for {
		days, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
			Collection: auditName, Owner: userID, From: "0", To: to, Descending: true, Limit: someDays,
		})
		if err != nil {
			return nil, err
		}
		for _, reg := range days {
			var day auditDay
			if err := read(reg, &day); err != nil {
				return nil, err
			}
			for _, h := range append(day.Failed, day.Happened...) {
				if h.ID.Compare(before) < 0 {
					list = append(list, h.entry(userID))
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

func (h happened) entry(userID string) Entry {
	if userID == string(gotong.RoleAnonymous) {
		userID = ""
	}
	return Entry{
		ID: h.ID, At: h.ID.At(), UserID: userID, Action: h.Action, Address: h.Address,
		RequestID: h.RequestID, LoginID: h.LoginID, More: h.More,
	}
}

// doneTo is the newest of the account's own events after the first, one more
// than the limit where there are so many.
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
