package members

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Sight is how a viewer looks at members.
type Sight int

// The ways to look.
const (
	Passing Sight = iota // at the stream itself, whether or not its members may be listed
	Listing              // at all active members
	Acting               // at one member whom the viewer acted on; CodeNotFound: the receipt is all there is to say
	Oneself              // at one's own membership, also of a stream that one may no longer know
)

// Book reads the members of streams of one kind.
type Book[V any] struct {
	Options

	// Needs names what See and Show look at beside what decides access. See
	// returns an error where the viewer may not look in this way.
	Needs func(gotong.State, gotong.Viewer) []gotong.Ref
	See   func(l view.Look, as Sight) error

	// Chain is the streams of which a user must be a member to be one of the
	// stream, as [gotong.Chain] returns them. The first is the lender, in which
	// members come and go. Nil: the stream itself alone.
	Chain func(gotong.State) []gotong.Stream

	// Webhooks is set where webhooks can be members of the stream itself.
	Webhooks bool

	// Guests returns the names of users who have no account; nil where there are none.
	Guests func(ctx context.Context, s gotong.Stream, seats []Seat) (map[string]string, error)

	Show func(l view.Look, seat Seat) *V // nil for a user who is not shown
}

// Roll is a stream as the caller sees it, with its chain.
type Roll struct {
	view.Look
	Chain []gotong.Stream
	rows  [][]store.Document // of webhooks if there can be any, of members of the stream, and of its lender if that is another
}

// HomeAsOf returns the cursor of the home in the snapshot of the roll; empty if it
// has no part in who is a member.
func (r Roll) HomeAsOf(ctx context.Context) string {
	return r.asOf(ctx, func(s gotong.Stream) bool { return s == r.Head.Home })
}

// LenderAsOf returns the cursor of the lender in the snapshot of the roll; empty if
// the stream has members of its own or borrows those of its home.
func (r Roll) LenderAsOf(ctx context.Context) string {
	return r.asOf(ctx, func(s gotong.Stream) bool { return s != r.Head.Home })
}

func (r Roll) asOf(ctx context.Context, of func(gotong.Stream) bool) string {
	for _, s := range r.Chain {
		if head, ok := r.HeadOf(s); ok && s != r.Stream && of(s) {
			return httpapi.AsOf(ctx, head.Seq)
		}
	}
	return ""
}

// Seat is one user or webhook in a roll.
type Seat struct {
	UserID, Name string
	Username     string
	Webhook      bool // UserID is the id of a webhook
	gotong.Membership
	Own Row // the stream's own row of the user, also where it borrows its members; nil where there is none
}

// Row is the document of one member: a membership, or what adds to one.
type Row interface{ Base() gotong.Membership }

// open reads a stream for the caller and, in the same snapshot, what ask names of
// the members of the stream and of its lender.
func (b Book[V]) open(
	ctx context.Context, s gotong.Stream, as Sight, ask func(of gotong.Stream) ([]gotong.Ref, []store.KeyRange),
) (Roll, error) {
	both := func(state gotong.State) (refs []gotong.Ref, need store.Need) {
		refs, need.Ranges = ask(s)
		for i, of := range b.chain(state) {
			if of == s {
				continue
			}
			more, rows := ask(of)
			if refs = append(refs, more...); i == 0 {
				need.Ranges = append(need.Ranges, rows...)
			}
		}
		return refs, need
	}
	looks, snap, err := b.Views.Look(ctx, viewer(ctx), []gotong.Stream{s},
		func(state gotong.State, v gotong.Viewer) []gotong.Ref {
			refs, _ := both(state)
			return append(refs, b.Needs(state, v)...)
		},
		func(states []gotong.State) store.Need { _, need := both(states[0]); return need })
	if err != nil {
		return Roll{}, err
	}
	return Roll{looks[0], b.chain(looks[0].State), snap.Ranges}, b.See(looks[0], as)
}

func (b Book[V]) chain(state gotong.State) []gotong.Stream {
	if b.Chain == nil {
		return []gotong.Stream{state.Stream}
	}
	return b.Chain(state)
}

func (b Book[V]) seat(ctx context.Context, s gotong.Stream, as Sight, userID string) (Roll, Seat, error) {
	hook := gotong.WebhookKey(s, userID)
	roll, err := b.open(ctx, s, as, func(of gotong.Stream) ([]gotong.Ref, []store.KeyRange) {
		refs := []gotong.Ref{{Stream: of, Key: gotong.MemberKey(of, userID)}}
		if b.Webhooks && of == s {
			refs = append(refs, gotong.Ref{Stream: s, Key: hook})
		}
		return refs, nil
	})
	if err != nil {
		return roll, Seat{}, err
	}
	seat := Seat{UserID: userID}
	seat.Own, _ = gotong.Doc[Row](roll.State, gotong.MemberKey(s, userID))
	seat.Membership = gotong.MembershipOf(roll.State, roll.Chain[0], userID)
	for _, home := range roll.Chain[1:] {
		switch m := gotong.MembershipOf(roll.State, home, userID); {
		case m.Role == "":
			seat.Membership = gotong.Membership{}
		case seat.Active():
			seat.LeftAt = m.LeftAt
		}
	}
	if m, ok := gotong.Doc[gotong.Membership](roll.State, hook); ok && seat.Role == "" {
		seat.Membership, seat.Webhook = m, true
	}
	return roll, seat, nil
}

// within returns those of the seats whose users are active members of these
// streams too, and those of webhooks. What it reads is not older than the seats.
func (b Book[V]) within(ctx context.Context, chain []gotong.Stream, seats []Seat) ([]Seat, error) {
	for _, home := range chain {
		var need store.Need
		for _, seat := range seats {
			need.Documents = append(need.Documents, gotong.MemberKey(home, seat.UserID))
		}
		snap, err := b.Store.Load(ctx, need)
		if err != nil {
			return nil, err
		}
		var kept []Seat
		for _, seat := range seats {
			m, ok, err := httpapi.Document[Row](b.Codec, snap, gotong.MemberKey(home, seat.UserID))
			if err != nil {
				return nil, err
			}
			if seat.Webhook || ok && m.Base().Active() {
				kept = append(kept, seat)
			}
		}
		seats = kept
	}
	return seats, nil
}

// Active reads a page of the active members of a stream, in order of id: those after
// an id, or the first ones where it is empty. There may be more after the id last,
// unless it is empty.
func (b Book[V]) Active(ctx context.Context, s gotong.Stream, as Sight, after string) (roll Roll, seats []Seat, last string, err error) {
	page := func(key gotong.Key) store.KeyRange {
		// No id has a byte below \x01; SurrealDB 2.6 takes no NUL in a key.
		return store.KeyRange{Collection: key.Collection, Owner: key.Owner, From: after + "\x01", To: "~", Limit: store.MaxRead}
	}
	roll, err = b.open(ctx, s, as, func(of gotong.Stream) ([]gotong.Ref, []store.KeyRange) {
		if b.Webhooks && of == s {
			return nil, []store.KeyRange{page(gotong.WebhookKey(s, "")), page(gotong.MemberKey(s, ""))}
		}
		return nil, []store.KeyRange{page(gotong.MemberKey(of, ""))}
	})
	if err != nil {
		return roll, nil, "", err
	}
	users, own := 0, map[string]Row{}
	if b.Webhooks {
		users = 1
	}
	for i, rows := range roll.rows {
		for _, row := range rows {
			m, _, err := httpapi.Decode[Row](b.Codec, row)
			if err != nil {
				return roll, nil, "", err
			}
			if i == users {
				own[row.Key.Name] = m
			}
			if hook := i < users; m.Base().Active() && (hook || i == len(roll.rows)-1) {
				seats = append(seats, Seat{UserID: row.Key.Name, Webhook: hook, Membership: m.Base(), Own: own[row.Key.Name]})
			}
		}
		if n := len(rows); n == store.MaxRead && (last == "" || rows[n-1].Key.Name < last) {
			last = rows[n-1].Key.Name
		}
	}
	seats = slices.DeleteFunc(seats, func(s Seat) bool { return last != "" && s.UserID > last })
	slices.SortFunc(seats, func(a, b Seat) int { return strings.Compare(a.UserID, b.UserID) })
	seats, err = b.within(ctx, roll.Chain[1:], seats)
	return roll, seats, last, err
}

// Done is an executed command about a user.
type Done[V any] struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the call
	book    Book[V]
	Receipt gotong.Receipt
	UserID  string
}

// Executed returns a command about a user that a kind's own route executed.
func Executed[V any](ctx context.Context, book Book[V], receipt gotong.Receipt, userID string) *Done[V] {
	return &Done[V]{ctx, book, receipt, userID}
}

// Now returns the user as a member now, or the bare receipt if the caller may not
// see that.
func (d *Done[V]) Now() (httpapi.Written[V], error) {
	roll, seat, err := d.book.seat(d.ctx, d.Receipt.Stream, Acting, d.UserID)
	if gotong.CodeOf(err) == gotong.CodeNotFound {
		return httpapi.Bare[V](d.Receipt), nil
	}
	return d.written(roll, seat, err)
}

// Then returns the user as a member at the instant of the receipt: the same for
// ever, however often they joined and left since.
func (d *Done[V]) Then() (httpapi.Written[V], error) {
	roll, seat, err := d.book.seat(d.ctx, d.Receipt.Stream, Oneself, d.UserID)
	if err != nil {
		return httpapi.Written[V]{}, err
	}
	stretch, err := httpapi.StretchAt(d.ctx, d.book.Store, roll.Chain[0], seat.Membership, d.Receipt.At)
	seat.Membership = gotong.Membership{Role: seat.Role, JoinedAt: stretch.Joined, LeftAt: stretch.Left}
	seat.Own = nil
	return d.written(roll, seat, err)
}

func (d *Done[V]) written(roll Roll, seat Seat, err error) (httpapi.Written[V], error) {
	if err != nil {
		return httpapi.Written[V]{}, err
	}
	views, err := d.book.Shown(d.ctx, roll, []Seat{seat})
	if err != nil {
		return httpapi.Written[V]{}, err
	}
	if len(views) > 0 {
		return httpapi.Written[V]{View: &views[0]}, nil
	}
	return httpapi.Bare[V](d.Receipt), nil
}

// Shown returns the views of seats, with the names of the users; not of one who was never
// a member, because a ban would reveal who has an id.
func (b Book[V]) Shown(ctx context.Context, roll Roll, seats []Seat) ([]V, error) {
	ids := make([]string, len(seats))
	for i := range seats {
		ids[i] = seats[i].UserID
	}
	names, users := b.Names(ctx, ids), b.Users(ctx, ids)
	var guests map[string]string
	if b.Guests != nil {
		var err error
		if guests, err = b.Guests(ctx, roll.Stream, seats); err != nil {
			return nil, err
		}
	}
	views := make([]V, 0, len(seats))
	for _, seat := range seats {
		if seat.JoinedAt != 0 {
			seat.Name, seat.Username = cmp.Or(names[seat.UserID], guests[seat.UserID]), users[seat.UserID]
		}
		if view := b.Show(roll.Look, seat); view != nil {
			views = append(views, *view)
		}
	}
	return views, nil
}

type listIn struct {
	httpapi.In
	httpapi.Page
}

type listOut[V any] struct {
	AsOf string `header:"X-As-Of"`
	httpapi.Next
	Body []V
}

type listLentOut[V any] struct {
	AsOf     string `header:"X-As-Of"`
	HomeAsOf string `header:"X-As-Of-Home"`
	Lender   string `header:"X-As-Of-Lender"`
	httpapi.Next
	Body []V
}

// list reads rows until the page is full; rows of former members do not count.
func (r *routes[V, A, S, L, R, B]) list(ctx context.Context, in *listIn) (*listLentOut[V], error) {
	stream, err := r.streams.Stream(in.ID)
	if err != nil {
		return nil, err
	}
	after, err := httpapi.ByID.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &listLentOut[V]{}
	var first Roll
	var found []Seat
	for more := true; more && len(found) <= in.Limit; more = after != "" {
		roll, seats, last, err := r.Active(ctx, stream, Listing, after)
		if err != nil {
			return nil, err
		}
		if first.Chain == nil { // a later change may be shown twice, but is never missed
			first = roll
		}
		found, after = append(found, seats...), last
	}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Next = httpapi.Next{HasMore: true, NextCursor: httpapi.ByID.Cursor(ctx, found[in.Limit-1].UserID)}
	}
	out.AsOf, out.HomeAsOf, out.Lender = httpapi.AsOf(ctx, first.Head.Seq), first.HomeAsOf(ctx), first.LenderAsOf(ctx)
	out.Body, err = r.Shown(ctx, first, found)
	return out, err
}

func (r *routes[V, A, S, L, R, B]) listOwn(ctx context.Context, in *listIn) (*listOut[V], error) {
	out, err := r.list(ctx, in)
	if err != nil {
		return nil, err
	}
	return &listOut[V]{out.AsOf, out.Next, out.Body}, nil
}

// Led describes a kind whose streams have leaders, among their members. A
// stream's document is a [Roster]; the command that appoints a leader is
// member.appoint.
type Led struct {
	Kind     string
	OfUser   string        // the listing of a user's streams
	Imported string        // prefix of the user ids that a roster does not count; empty if it counts all
	Op       httpapi.Route // the appointment's ID, Path and Summary

	Appoint func(userID string, members []string) any
}

// Roster is the document of a stream with leaders. One that has a title too
// implements [Titled].
type Roster interface{ Leadership() gotong.Roster }

// Titled is the document of a stream that has a title.
type Titled interface{ Title() string }

// Counts reports whether the roster of a stream counts this member.
func (l Led) Counts(userID string, row Row) bool {
	return row.Base().Active() && (l.Imported == "" || !strings.HasPrefix(userID, l.Imported))
}
