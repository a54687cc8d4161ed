package inbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what a [Box] works with; all are required.
type Options struct {
	Store interface {
		store.Loader
		store.Registers
	}
	Views   *view.Views
	Codec   *store.Codec
	Now     func() gotong.Instant
	Changed func(userID string) // signals that a mark moved
}

// Box reads and marks the inboxes of users. All methods are safe for concurrent use.
type Box struct{ Options }

// ID names an item of a user, and is its place in the order of their inbox. No item has
// the zero ID.
type ID struct {
	Number    uint64
	Partition gotong.Partition
}

// String returns the id as clients see it.
func (id ID) String() string { return fmt.Sprintf("%d-%d", id.Number, id.Partition) }

// ParseID parses an id. The error has [gotong.CodeNotFound]: there is no such item.
func ParseID(s string) (ID, error) {
	number, partition, _ := strings.Cut(s, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	p, err2 := strconv.ParseUint(partition, 10, 8)
	id := ID{n, gotong.Partition(p)}
	if err != nil || err2 != nil || id.Partition >= gotong.Partitions || n == 0 || n > maxNumber || id.String() != s {
		return ID{}, gotong.NotFound()
	}
	return id, nil
}

func compare(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Partition, b.Partition))
}

const (
	maxNumber = 9_999_999_999_999_999 // the greatest whose name sorts as a number
	maxLists  = 1000                  // wide streams of a user whose lists are merged in
	leastRead = 25                    // items of each list that are read at once, however few are asked for

	// MaxUnread is the number up to which unread items are counted.
	MaxUnread = 99
)

// looks is how many items one call looks at. Tests lower it.
var looks = 1000

// Query selects items of an inbox, newest first.
type Query struct {
	Before ID     // only older items; zero: from the newest
	Since  uint64 // only items with this number or a greater one
	Limit  int
	Unread bool // only unread items
}

// Page is a part of an inbox.
type Page struct {
	Items []Shown
	Next  ID // continue before it; zero: there is no more
}

// look is one read of a user's inbox.
type look struct {
	*Box
	me     gotong.Viewer
	set    user.Settings
	marks  marks
	wide   []wide
	hidden map[gotong.Stream]bool // what the user may not read now
	quiet  map[gotong.Stream]bool // threads where emergencies alone alert the user
}

// wide is a wide stream that has, or had, the user as a member.
type wide struct {
	stream    gotong.Stream
	partition gotong.Partition
	belongs
}

// listed is an item with its place.
type listed struct {
	ID
	Item
	of *belongs // of the wide stream in whose list it is; nil: it is in the user's own
}

// List returns the items of a user that they may see now. It looks at 1,000 items at most,
// so the page may have less than the limit, even nothing, and yet not be the last.
func (b *Box) List(ctx context.Context, me gotong.Viewer, q Query) (Page, error) {
	var page Page
	l, err := b.look(ctx, me)
	for looked, more := 0, true; more && err == nil; {
		var some []listed
		var floor ID
		if some, floor, err = l.next(ctx, q, min(max(q.Limit+1, leastRead), 100)); err != nil {
			break
		}
		more = floor != ID{}
		for _, i := range some {
			if compare(i.ID, floor) < 0 {
				break
			}
			shown, ok, err := l.show(ctx, i)
			if err != nil {
				return Page{}, err
			}
			if looked++; looked >= looks || ok && len(page.Items) == q.Limit {
				page.Next = q.Before
				return page, nil
			}
			if q.Before = i.ID; ok {
				page.Items = append(page.Items, shown)
			}
		}
	}
	return page, err
}

// Find lists as often as it takes until the page is full or there is no more, however many
// items are hidden between those that are shown.
func (b *Box) Find(ctx context.Context, me gotong.Viewer, q Query) (Page, error) {
	var all []Shown
	for limit := q.Limit; ; {
		q.Limit = limit - len(all)
		page, err := b.List(ctx, me, q)
		if all = append(all, page.Items...); err != nil || len(all) == limit || page.Next == (ID{}) {
			page.Items = all
			return page, err
		}
		q.Before = page.Next
	}
}

// Unread returns the number of unread items that the user may see now, up to [MaxUnread].
func (b *Box) Unread(ctx context.Context, me gotong.Viewer) (int, error) {
	page, err := b.Find(ctx, me, Query{Limit: MaxUnread, Unread: true})
	return len(page.Items), err
}

// Members returns the users among the given ones who may read a stream now: all streams
// with items show their events to members alone.
func (b *Box) Members(ctx context.Context, of gotong.Stream, ids []string) (members []string, err error) {
	viewers := make([]gotong.Viewer, len(ids))
	for i, id := range ids {
		viewers[i] = gotong.Viewer{UserID: id, Role: gotong.RoleUser}
	}
	snap, err := b.Views.Load(ctx, of, viewers, view.Span{}, store.Need{}, nil)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if snap.Grants[i].Readable {
			members = append(members, id)
		}
	}
	return members, nil
}

// Newest returns the number of the newest item for all members of a wide stream; 0 if
// there is none.
func (b *Box) Newest(ctx context.Context, of gotong.Stream) (uint64, error) {
	snap, err := b.Store.Load(ctx, store.Need{
		Ranges: []store.KeyRange{{Collection: lists, Owner: string(of), To: "~", Descending: true, Limit: 1}},
	})
	if err != nil || len(snap.Ranges[0]) == 0 {
		return 0, err
	}
	i, err := itemOf(snap.Ranges[0][0])
	return i.Number, err
}

// look reads what the user has set, their marks and their wide streams.
func (b *Box) look(ctx context.Context, me gotong.Viewer) (*look, error) {
	l := &look{Box: b, me: me, hidden: map[gotong.Stream]bool{}, quiet: map[gotong.Stream]bool{}}
	set, mark := gotong.SettingsRef(me.UserID).Key, marksKey(me.UserID)
	snap, err := b.Store.Load(ctx, store.Need{
		Documents: []gotong.Key{set}, Registers: []gotong.Key{mark},
		Ranges: []store.KeyRange{{Collection: spans, Owner: me.UserID, To: "~", Limit: maxLists}},
	})
	if err != nil {
		return nil, err
	}
	if body, ok := snap.Documents[set]; ok {
		d, err := b.Codec.Document(set.Collection, body)
		if err != nil {
			return nil, err
		}
		l.set, _ = d.(user.Settings)
	}
	if l.marks, err = marksOf(snap.Registers[mark]); err != nil {
		return nil, err
	}
	for _, row := range snap.Ranges[0] {
		p, s, _ := strings.Cut(row.Key.Name, "-")
		n, err := strconv.ParseUint(p, 10, 8)
		w := wide{stream: gotong.Stream(s), partition: gotong.Partition(n)}
		if err == nil {
			err = json.Unmarshal(row.Body, &w.belongs)
		}
		if err != nil {
			return nil, fmt.Errorf("inbox: the spans %s: %w", row.Key.Name, err)
		}
		l.wide = append(l.wide, w)
	}
	return l, nil
}

// next returns the next items of each list that a query selects, at most size of one,
// newest first. Below the floor, a list may have more that were not read; it is zero if
// none has.
func (l *look) next(ctx context.Context, q Query, size int) (items []listed, floor ID, err error) {
	var need store.Need
	add := func(owner string, p gotong.Partition) {
		from, to := q.Since, uint64(maxNumber)
		if q.Unread {
			from = max(from, l.marks.number(p)+1)
		}
		if b := q.Before; b.Number > 0 {
			if to = b.Number; p >= b.Partition {
				to--
			}
		}
		from, to = min(from, maxNumber), min(to, maxNumber) // beyond it, names do not sort as numbers
		need.Ranges = append(need.Ranges, store.KeyRange{
			Collection: lists, Owner: owner, From: prefix(p) + gotong.SeqName(from), To: prefix(p) + gotong.SeqName(to),
			Descending: true, Limit: size,
		})
	}
	for p := range gotong.Partition(gotong.Partitions) {
		add(l.me.UserID, p)
	}
	for _, w := range l.wide {
		add(string(w.stream), w.partition)
	}
	snap, err := l.Store.Load(ctx, need)
	if err != nil {
		return nil, floor, err
	}
	for n, rows := range snap.Ranges {
		var of *belongs
		if n >= gotong.Partitions {
			of = &l.wide[n-gotong.Partitions].belongs
		}
		for _, row := range rows {
			i, err := itemOf(row)
			if err != nil {
				return nil, floor, err
			}
			i.of = of
			items = append(items, i)
		}
		if len(rows) == size {
			if last := items[len(items)-1].ID; compare(last, floor) > 0 {
				floor = last
			}
		}
	}
	slices.SortFunc(items, func(a, b listed) int { return compare(b.ID, a.ID) })
	return items, floor, nil
}

func itemOf(row store.Document) (i listed, err error) {
	p, n, _ := strings.Cut(row.Key.Name, "-")
	number, err1 := strconv.ParseUint(n, 10, 64)
	partition, err2 := strconv.ParseUint(p, 10, 8)
	i.ID = ID{number, gotong.Partition(partition)}
	if err = cmp.Or(err1, err2, json.Unmarshal(row.Body, &i.Item)); err != nil {
		err = fmt.Errorf("inbox: the item %s of %s: %w", row.Key.Name, row.Key.Owner, err)
	}
	return i, err
}
