package members

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// Open reads a stream for the caller and, in the same snapshot, what more asks
// for once it is known in which stream the members come and go. An error where
// the caller may not see the members in this way.
type Open[V any] func(ctx context.Context, s gotong.Stream, as Sight, more func(lender gotong.Stream) store.Need) (Roll[V], error)

// Sight is how somebody looks at members.
type Sight int

// The ways to look.
const (
	Listing Sight = iota // at all active members
	Acting               // at one member whom the caller acted on; CodeNotFound: the receipt is all there is to say
	Oneself              // at one's own membership, also of a stream that one may no longer know
)

// Roll is the members of one stream.
type Roll[V any] struct {
	Lender         gotong.Stream // where members come and go: the stream itself or its home
	Snapshot       store.Snapshot
	AsOf, HomeAsOf string
	Show           func(Seat) *V // nil for a user who is not shown
}

// Seat is one user in a roll.
type Seat struct {
	UserID, Name string
	gotong.Membership
	Own Row // the stream's own row of the user, also where it borrows its members; nil where there is none
}

// Row is the document of one member: a membership, or what adds to one.
type Row interface{ Base() gotong.Membership }

// Book reads the members of streams of one kind.
type Book[V any] struct {
	Options
	Open Open[V]
}

// Done is a command that was executed, about a user.
type Done[V any] struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the call
	book    Book[V]
	Receipt gotong.Receipt
	UserID  string
}

// Now is the user as a member now, or the bare receipt where that is not for
// the caller.
func (d *Done[V]) Now() (httpapi.Written[V], error) {
	roll, seat, err := d.book.seat(d.ctx, d.Receipt.Stream, Acting, d.UserID)
	if gotong.CodeOf(err) == gotong.CodeNotFound {
		return httpapi.Bare[V](d.Receipt), nil
	}
	return d.written(roll, seat, err)
}

// Then is the user as a member at the instant of the receipt, the same for
// ever, however often they came and went since.
func (d *Done[V]) Then() (httpapi.Written[V], error) {
	roll, seat, err := d.book.seat(d.ctx, d.Receipt.Stream, Oneself, d.UserID)
	if err != nil {
		return httpapi.Written[V]{}, err
	}
	stretch, err := httpapi.StretchAt(d.ctx, d.book.Store, roll.Lender, seat.Membership, d.Receipt.At)
	seat.Membership = gotong.Membership{Role: seat.Role, JoinedAt: stretch.Joined, LeftAt: stretch.Left}
	seat.Own = nil
	return d.written(roll, seat, err)
}

func (d *Done[V]) written(roll Roll[V], seat Seat, err error) (httpapi.Written[V], error) {
	if err != nil {
		return httpapi.Written[V]{}, err
	}
	if views := d.book.Views(d.ctx, roll, []Seat{seat}); len(views) > 0 {
		return httpapi.Written[V]{View: &views[0]}, nil
	}
	return httpapi.Bare[V](d.Receipt), nil
}

// seat reads what a stream and its lender keep of one user.
func (b Book[V]) seat(ctx context.Context, s gotong.Stream, as Sight, userID string) (Roll[V], Seat, error) {
	own := gotong.MemberKey(s, userID)
	roll, err := b.Open(ctx, s, as, func(lender gotong.Stream) store.Need {
		if lender == s {
			return store.Need{Documents: []gotong.Key{own}}
		}
		return store.Need{Documents: []gotong.Key{own, gotong.MemberKey(lender, userID)}}
	})
	if err != nil {
		return roll, Seat{}, err
	}
	seat := Seat{UserID: userID}
	if seat.Own, _, err = httpapi.Document[Row](b.Codec, roll.Snapshot, own); err != nil {
		return roll, seat, err
	}
	base, _, err := httpapi.Document[Row](b.Codec, roll.Snapshot, gotong.MemberKey(roll.Lender, userID))
	if base != nil {
		seat.Membership = base.Base()
	}
	return roll, seat, err
}

// Rows names a page of the rows of a stream and of its lender, by user id; the
// first page where after is empty.
func Rows(s gotong.Stream, after string) func(lender gotong.Stream) store.Need {
	of := func(s gotong.Stream) store.KeyRange {
		key := gotong.MemberKey(s, "")
		// No id has a byte below \x01; SurrealDB 2.6 takes no NUL in a key.
		return store.KeyRange{Collection: key.Collection, Owner: key.Owner, From: after + "\x01", To: "~", Limit: store.MaxRead}
	}
	return func(lender gotong.Stream) store.Need {
		if lender == s {
			return store.Need{Ranges: []store.KeyRange{of(s)}}
		}
		return store.Need{Ranges: []store.KeyRange{of(s), of(lender)}}
	}
}

// Active is the seats of the active members among the rows that [Rows] named;
// last is the user id after which there may be more, empty at the end.
func (b Book[V]) Active(roll Roll[V]) (seats []Seat, last string, err error) {
	own, ranges := map[string]Row{}, roll.Snapshot.Ranges
	for i, rows := range ranges {
		for _, row := range rows {
			m, _, err := httpapi.Decode[Row](b.Codec, row)
			if err != nil {
				return nil, "", err
			}
			if i == 0 {
				own[row.Key.Name] = m
			}
			if i == len(ranges)-1 && m.Base().Active() {
				seats = append(seats, Seat{UserID: row.Key.Name, Membership: m.Base(), Own: own[row.Key.Name]})
			}
		}
	}
	if rows := ranges[len(ranges)-1]; len(rows) == store.MaxRead {
		last = rows[len(rows)-1].Key.Name
	}
	return seats, last, nil
}

// Views shows seats, with the names of the users.
func (b Book[V]) Views(ctx context.Context, roll Roll[V], seats []Seat) []V {
	ids := make([]string, len(seats))
	for i := range seats {
		ids[i] = seats[i].UserID
	}
	names := b.Names(ctx, ids)
	views := make([]V, 0, len(seats))
	for _, seat := range seats {
		seat.Name = names[seat.UserID]
		if view := roll.Show(seat); view != nil {
			views = append(views, *view)
		}
	}
	return views
}

type listIn struct {
	In
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
	httpapi.Next
	Body []V
}

// list reads rows until the page is full; rows of those who left do not count.
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
	var first Roll[V]
	var found []Seat
	for more := true; more && len(found) <= in.Limit; more = after != "" {
		roll, err := r.Open(ctx, stream, Listing, Rows(stream, after))
		if err != nil {
			return nil, err
		}
		if first.Show == nil { // a later change may be shown twice, but is never missed
			first = roll
		}
		var seats []Seat
		if seats, after, err = r.Active(roll); err != nil {
			return nil, err
		}
		found = append(found, seats...)
	}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Next = httpapi.Next{HasMore: true, NextCursor: httpapi.ByID.Cursor(ctx, found[in.Limit-1].UserID)}
	}
	out.AsOf, out.HomeAsOf, out.Body = first.AsOf, first.HomeAsOf, r.Views(ctx, first, found)
	return out, nil
}

func (r *routes[V, A, S, L, R, B]) listOwn(ctx context.Context, in *listIn) (*listOut[V], error) {
	out, err := r.list(ctx, in)
	if err != nil {
		return nil, err
	}
	return &listOut[V]{out.AsOf, out.Next, out.Body}, nil
}
