package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// Unread is how much of one thread its viewer has not read.
type Unread struct {
	ThreadID string `json:"thread_id"`
	ScopeID  string `json:"scope_id"`
	Count
	Mark  Mark   `json:"mark"`
	N     uint64 `json:"n" doc:"The ordinal of the newest message."`
	AsOf  string `json:"as_of"`
	Muted bool   `json:"muted,omitempty" doc:"True while you mute the thread for yourself; its unread messages still count."`
}

// Count is how many messages a viewer has not read, and how many of them mention the
// viewer.
type Count struct {
	Unread   int `json:"unread" minimum:"0" doc:"Of each thread, counted to 999."`
	Mentions int `json:"mentions" minimum:"0" doc:"Of these messages, those that mention you."`

	floor uint64 // what is not above it counts as read
}

func (c *Count) add(more Count) {
	c.Unread, c.Mentions = c.Unread+more.Unread, c.Mentions+more.Mentions
}

// UnreadTotal is what a viewer has not read in all their threads.
type UnreadTotal struct {
	Count
	Scopes []ScopeUnread `json:"scopes" doc:"Those with unread messages."`
}

// ScopeUnread is the same of the threads of one scope.
type ScopeUnread struct {
	ScopeID string `json:"scope_id"`
	Count
}

func (c *chat) totalUnread(ctx context.Context, _ *struct{}) (*httpapi.Out[UnreadTotal], error) {
	scopes, out := map[string]Count{}, UnreadTotal{Scopes: []ScopeUnread{}}
	err := c.everyUnread(ctx, "", func(v Unread) error {
		n := scopes[v.ScopeID]
		n.add(v.Count)
		scopes[v.ScopeID] = n
		out.add(v.Count)
		return nil
	})
	for _, id := range slices.Sorted(maps.Keys(scopes)) {
		if scopes[id].Unread > 0 {
			out.Scopes = append(out.Scopes, ScopeUnread{id, scopes[id]})
		}
	}
	return httpapi.Reply(out, err)
}

// everyUnread calls f for the caller's threads, a page after the other.
func (c *chat) everyUnread(ctx context.Context, scope string, f func(Unread) error) error {
	for cursor := ""; ; {
		page, err := c.unreadPage(ctx, httpapi.Page{Limit: 200, Cursor: cursor}, scope)
		if err != nil {
			return err
		}
		for _, v := range page.Body {
			if err := f(v); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

func (c *chat) listUnread(ctx context.Context, in *httpapi.Page) (*httpapi.Listed[Unread], error) {
	return c.unreadPage(ctx, *in, "")
}

// unreadPage returns a page of the caller's threads, or of those in a scope.
func (c *chat) unreadPage(ctx context.Context, page httpapi.Page, scope string) (*httpapi.Listed[Unread], error) {
	lines, more, err := c.lines(ctx, page, scope)
	if err != nil {
		return nil, err
	}
	return httpapi.List(ctx, lines, more, func(ctx context.Context, ids []string) (map[string]Unread, error) {
		looks, err := c.known(ctx, ids)
		if err != nil {
			return nil, err
		}
		counts, err := c.unread(ctx, looks)
		list := map[string]Unread{}
		for _, l := range looks {
			in := scope == "" || l.thread.ScopeID == scope
			if id := l.Stream.ID(); in && l.Grant.Readable && l.thread.ArchivedAt == 0 {
				muted, _ := l.mark.muted(c.Now())
				list[id] = Unread{
					id, l.thread.ScopeID, counts[l.Stream], l.mark.short(), l.Head.Count, httpapi.AsOf(ctx, l.Head.Seq), muted,
				}
			}
		}
		return list, err
	})
}

// unread counts, in each of these threads that the viewer may read, the messages
// of others above the viewer's mark that they may see and that were not deleted and
// are not held. Messages from before the viewer last joined, or was added, count as
// read.
func (c *chat) unread(ctx context.Context, looks []look) (map[gotong.Stream]Count, error) {
	var open []*tally
	var places []store.Place
	for _, l := range looks {
		if l.Grant.Readable && l.mark.N < l.Head.Count {
			t := &tally{look: l}
			open = append(open, t)
			t.above(func(at store.Place) uint64 { places = append(places, at); return 0 })
		}
	}
	spots, err := c.places.Find(ctx, c.Store, places)
	if err != nil {
		return nil, err
	}
	for _, t := range open {
		t.above(func(at store.Place) uint64 { return spots[at].Count })
		t.begin(c.authors.of(t.Stream))
	}
	if err := c.fill(ctx, slices.Clone(open)); err != nil {
		return nil, err
	}
	counts := map[gotong.Stream]Count{}
	for _, t := range open {
		slices.Reverse(t.newer)
		slices.Reverse(t.texts)
		written := t.authors.with(t.newer, t.texts, t.Head.Seq)
		c.authors.put(t.Stream, written)
		out := append(written.of(t.Viewer.UserID, t.floor, t.Head.Count), t.hidden...)
		slices.Sort(out)
		out = slices.Compact(out)
		n := Count{Unread: thread.Unread(t.floor, t.Head.Count, t.visible, out), floor: t.floor}
		if n.Unread > 0 {
			n.Mentions = t.mentions(written, out)
		}
		counts[t.Stream] = n
	}
	return counts, nil
}

// tally is what counting the unread messages of one thread takes.
type tally struct {
	look
	visible []thread.Ordinals
	floor   uint64 // what is not above it counts as read

	hidden   []uint64 // ordinals of deleted and held messages above the floor,
	hiddenTo uint64   // read up to this one

	authors  authors    // that were known,
	newer    []authored // those read since, newest first,
	texts    []wording  // with the texts,
	from, to uint64     // and the events that are still to be read
	damaged  int
}

// mentions counts the unread messages whose newest text mentions the viewer. They were a
// member at all of these texts, because earlier messages count as read; the roles in
// which they are mentioned are those that they have now. A block stops mentions, and
// leaves the count of unread messages as it is.
func (t *tally) mentions(written authors, out []uint64) (n int) {
	roles := gotong.RolesOf(t.State, thread.Chain(t.thread, t.Stream)[0], t.Viewer.UserID)
	blocked := written.blocked(t.set, t.thread.Lender)
	for at, text := range written.newest() {
		if at > t.floor && !blocked[at] && slices.ContainsFunc(text.mentions, func(m thread.Mention) bool {
			return m.UserID == t.Viewer.UserID || m.Group != "" || m.Role != "" && slices.Contains(roles, m.Role)
		}) {
			n += thread.Unread(at-1, at, t.visible, out)
		}
	}
	return min(n, thread.MaxUnread)
}

// The bounds of one read, for all threads together; each has a page of its own.
const (
	fillRows, leastRows   = 10_000, 50
	fillBytes, leastBytes = 4 << 20, 8 << 10
)

// fill reads what the tallies lack, a page of each with one read, until nothing
// is left. A damaged event has no author.
func (c *chat) fill(ctx context.Context, open []*tally) error {
	for {
		open = slices.DeleteFunc(open, (*tally).done)
		if len(open) == 0 {
			return nil
		}
		rows, bytes := max(fillRows/len(open), leastRows), max(fillBytes/len(open), leastBytes)
		var need store.Need
		for _, t := range open {
			t.ask(&need, rows, bytes)
		}
		snap, err := c.Store.Load(ctx, need)
		switch damaged := errors.Is(err, store.ErrCorrupt); {
		case damaged && len(open) > 1: // one of them
			for i := range open {
				if err := c.fill(ctx, slices.Clone(open[i:i+1])); err != nil {
					return err
				}
			}
			return nil
		case damaged && open[0].damaged < maxDamaged:
			open[0].damaged++
			open[0].to--
			continue
		case err != nil:
			return err
		}
		for i, t := range open {
			if err := cmp.Or(t.dropped(snap.Ranges[i], rows), t.wrote(snap.Events[i])); err != nil {
				return err
			}
		}
	}
}

// maxDamaged is how many damaged events of a thread are stepped over.
const maxDamaged = 100

// above finds out which messages are visible, and above which ordinal they
// count. before gives the number of messages before an event of the thread's
// home.
func (t *tally) above(before func(store.Place) uint64) {
	ofHome := func(home gotong.Stream, seq uint64) uint64 {
		return before(store.Place{Stream: t.Stream, Other: home, Seq: seq})
	}
	last := t.Head.Count
	t.visible = thread.VisibleOrdinals(t.thread, t.own(), t.Grant, ofHome)
	t.floor = max(t.mark.N, thread.AtLatestJoin(t.State, t.thread, t.Viewer.UserID, ofHome), last-min(last, counted))
}

// begin starts from the authors that are known, if those above the floor are.
func (t *tally) begin(known authors) {
	if known.base > t.floor {
		known = authors{}
	}
	t.authors, t.from, t.to, t.hiddenTo = known, known.seq, t.Head.Seq, t.floor
}

func (t *tally) done() bool { return t.hiddenTo >= t.Head.Count && t.from >= t.to }

// ask names a page of what is still to be read.
func (t *tally) ask(need *store.Need, rows, bytes int) {
	need.Ranges = append(need.Ranges, store.KeyRange{
		Collection: thread.Deletions, Owner: t.Stream.ID(), Limit: rows,
		From: gotong.SeqName(t.hiddenTo + 1), To: gotong.SeqName(t.Head.Count),
	})
	need.Events = append(need.Events, store.EventRange{Stream: t.Stream, From: t.from, To: t.to, Descending: true, MaxBytes: bytes})
}

// dropped takes a page of the messages that do not count.
func (t *tally) dropped(page []store.Document, limit int) error {
	for _, row := range page {
		n, err := strconv.ParseUint(row.Key.Name, 10, 64)
		if err != nil {
			return fmt.Errorf("chat: the mark of a hidden message: %w", err)
		}
		t.hidden, t.hiddenTo = append(t.hidden, n), n
	}
	if len(page) < limit {
		t.hiddenTo = t.Head.Count
	}
	return nil
}

// wrote takes a page of the events.
func (t *tally) wrote(page []store.Event) error {
	for i := range page {
		e := &page[i]
		if e.Count <= t.floor { // no older one counts either
			t.authors, t.from, t.to = authors{base: t.floor}, e.Seq, e.Seq
			return nil
		}
		if e.Type == thread.EvPosted {
			author, err := authorOf(e)
			if err != nil {
				return err
			}
			t.newer = append(t.newer, author)
		}
		switch text, ok, err := wordingOf(e); {
		case err != nil:
			return err
		case ok:
			t.texts = append(t.texts, text)
		}
		t.to = e.Seq - 1
	}
	if len(page) == 0 {
		t.to = t.from
	}
	return nil
}
