package chat

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
)

func (c *chat) searchRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "search", Method: http.MethodGet, Path: "/v1/search", Tag: tagReading, Summary: "Search",
		Description: "Messages that you may read, newest first, and on the first page the names of your groups, cases and threads that " +
			"fit. The query has words, \"phrases\", from:NAME, in:THREAD, before:DATE, after:DATE, has:link and has:file; " +
			"each part must fit. Words are found in texts and in names of files, in other forms too (menemukan finds temu), " +
			"those in quotes only as they are. A message that was changed after the index last followed the log is left out; " +
			"as_of says how far the index was. A search that takes more than 5 s ends with 503 busy, " +
			"or with what it has found and a next_cursor.",
	}, c.search)
}

type searchIn struct {
	Query  string `query:"query" doc:"At most 256 characters and 16 words. 422 if it is empty."`
	Limit  int    `query:"limit" minimum:"1" maximum:"50" default:"20" doc:"The maximum number of messages."`
	Cursor string `query:"cursor" doc:"The next_cursor of the previous page."`
}

// Found is a page of what a search found.
type Found struct {
	Items      []FoundMessage    `json:"items"`
	Names      []FoundName       `json:"names" doc:"Your groups, cases and threads whose names fit, at most 20; on the first page alone."`
	NextCursor string            `json:"next_cursor,omitempty" doc:"Absent on the last page. A page may have fewer messages than its limit."`
	AsOf       []search.Position `json:"as_of" doc:"How far the index had read the partitions of the threads that were searched."`
}

// NextPage implements [httpapi.Paged].
func (f Found) NextPage() (parameter, value string) { return "cursor", f.NextCursor }

// FoundMessage is a message that fits, as it reads now.
type FoundMessage struct {
	ThreadID  string         `json:"thread_id"`
	MessageID gotong.EventID `json:"message_id"`
	Seq       uint64         `json:"seq"`
	N         uint64         `json:"n" doc:"The ordinal among the thread's messages."`
	Author    Author         `json:"author"`
	At        gotong.Instant `json:"at" format:"date-time"`
	SentAtMS  int64          `json:"sent_at_ms,omitempty" doc:"Of an imported message: its original time."`
	SentBy    string         `json:"sent_by,omitempty" doc:"Of an imported message: its original sender."`
	Revision  uint64         `json:"revision"`
	Snippet   search.Snippet `json:"snippet"`

	FileNames []search.Snippet `json:"file_names,omitempty" doc:"The names of the message's files."`
}

// FoundName is a name that fits.
type FoundName struct {
	Kind    string         `json:"kind" doc:"The kind of the stream: group, case or thread."`
	ID      string         `json:"id"`
	Snippet search.Snippet `json:"snippet"`
}

// maxFoundNames bounds the names of one answer, and maxSearched the threads that are
// searched.
const maxFoundNames, maxSearched = 20, 20_000

// search bounds how long the whole answer takes.
func (c *chat) search(ctx context.Context, in *searchIn) (*httpapi.Out[Found], error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Patience, search.Patience))
	defer cancel()
	out, err := c.answer(ctx, in)
	return out, search.Late(ctx, err)
}

func (c *chat) answer(ctx context.Context, in *searchIn) (*httpapi.Out[Found], error) {
	q, err := search.Parse(in.Query)
	if err != nil {
		return nil, err
	}
	var before gotong.EventID
	if in.Cursor != "" {
		name, err := httpapi.ByID.Name(ctx, in.Cursor)
		if err != nil {
			return nil, err
		}
		if before, err = gotong.ParseEventID(name); err != nil {
			return nil, gotong.NewError(gotong.CodeCursorInvalid, "The cursor is malformed; leave it out for the first page.")
		}
	}
	author, err := c.authorOf(ctx, q.From)
	if err != nil {
		return nil, err
	}
	extents, names, err := c.extents(ctx, q)
	if err != nil {
		return nil, err
	}
	page, err := search.Search{Store: c.Texts, Views: c.Views}.Find(ctx, q, author, extents, before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := Found{Items: c.found(ctx, page.Hits), Names: []FoundName{}, AsOf: page.AsOf}
	if in.Cursor == "" {
		lenders, err := c.lenderNames(ctx, q)
		if err != nil {
			return nil, err
		}
		names = append(lenders, names...)
		out.Names = names[:min(len(names), maxFoundNames)]
	}
	if !page.Next.IsZero() {
		out.NextCursor = httpapi.ByID.Cursor(ctx, page.Next.String())
	}
	return httpapi.Reply(out, nil)
}

func (c *chat) found(ctx context.Context, hits []search.Hit) []FoundMessage {
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.Event.Actor.UserID)
	}
	names, list := c.Names(ctx, slices.Compact(slices.Sorted(slices.Values(ids)))), make([]FoundMessage, 0, len(hits))
	for _, h := range hits {
		if m, ok := messageOf(h.Event, names); ok {
			list = append(list, FoundMessage{
				m.ThreadID, m.MessageID, m.Seq, m.N, m.Author, m.At, m.SentAtMS, m.SentBy, m.Revision, h.Snippet, h.Files,
			})
		}
	}
	return list
}

// authorOf returns the id of the user with this user name or, if there is none, the
// name itself, which may be an id. It reveals nothing: only what the caller may read is
// found.
func (c *chat) authorOf(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	claim := gotong.Claim{Space: user.ClaimUsername, Name: user.Username(name)}
	snap, err := c.Store.Load(ctx, store.Need{Claims: []gotong.Claim{claim}})
	return cmp.Or(snap.Claims[claim].ID(), name), err
}

// extents returns the threads that the caller may search, those created last first,
// and those of their names that fit.
func (c *chat) extents(ctx context.Context, q search.Query) (list []search.Extent, names []FoundName, err error) {
	ids, err := c.ownThreads(ctx)
	if err != nil {
		return nil, nil, err
	}
	me, names := viewer(ctx), []FoundName{}
	for part := range slices.Chunk(ids, store.MaxOwners) {
		looks, _, err := c.Views.Look(ctx, me, c.All(part), nil, nil)
		if err != nil {
			return nil, nil, err
		}
		for i := range looks {
			l, t := &looks[i], docOf(looks[i].State)
			if !l.Grant.Readable || q.In != "" && q.In != l.Stream.ID() && text.Fold(q.In) != text.Fold(t.Name) {
				continue
			}
			access, err := c.places.Resolve(ctx, c.Store, l.Stream, []gotong.Viewer{me}, []gotong.Grant{l.Grant})
			if err != nil {
				return nil, nil, err
			}
			list = append(list, search.Extent{Stream: l.Stream, Partition: gotong.PartitionOf(l.Head.Home), Access: access[0]})
			if marked, ok := q.MatchName(strings.TrimSpace(t.Name + " " + t.Topic)); ok && len(names) < maxFoundNames {
				names = append(names, FoundName{thread.Name, l.Stream.ID(), marked})
			}
		}
	}
	return list, names, nil
}

// lenderNames returns the names that fit among the lenders, groups and cases, that have
// the caller as a member: the newest of each kind.
func (c *chat) lenderNames(ctx context.Context, q search.Query) (names []FoundName, err error) {
	names = []FoundName{}
	for i := range c.Rules.Lenders {
		kind := &c.Rules.Lenders[i]
		of := httpapi.Newest(kind.Lends.OfUser, viewer(ctx).UserID, "", store.MaxOwners)
		snap, err := c.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{of}})
		if err != nil {
			return nil, err
		}
		var streams []gotong.Stream
		for _, line := range httpapi.Lines(snap.Ranges[0], "") {
			streams = append(streams, gotong.NewStream(kind.Name, line.ID))
		}
		looks, _, err := c.Views.Look(ctx, viewer(ctx), streams, func(s gotong.State, _ gotong.Viewer) []gotong.Ref {
			return []gotong.Ref{{Stream: s.Stream, Key: gotong.StreamKey(s.Stream)}}
		}, nil)
		if err != nil {
			return nil, err
		}
		for i := range looks {
			title := titleOf(looks[i].State)
			if marked, ok := q.MatchName(title); ok && looks[i].Grant.Readable && q.In == "" {
				names = append(names, FoundName{kind.Name, looks[i].Stream.ID(), marked})
			}
		}
	}
	return names, nil
}

// titleOf returns the name of a stream with members; empty if its kind has none.
func titleOf(s gotong.State) string {
	key := gotong.StreamKey(s.Stream)
	if c, ok := gotong.Doc[cases.Case](s, key); ok {
		return c.Title
	}
	if named, ok := gotong.Doc[members.Titled](s, key); ok {
		return named.Title()
	}
	return ""
}

// ownThreads returns the ids of the threads that may have the caller as a member,
// newest first, each once: all, or [maxSearched].
func (c *chat) ownThreads(ctx context.Context) (ids []string, err error) {
	ranges, err := c.listings(ctx, "", "")
	if err != nil {
		return nil, err
	}
	var lines []httpapi.Line
	for len(ranges) > 0 && len(lines) < maxSearched {
		part := ranges[:min(len(ranges), maxListings)]
		ranges = ranges[len(part):]
		snap, err := c.Store.Load(ctx, store.Need{Ranges: part})
		if err != nil {
			return nil, err
		}
		for i, rows := range snap.Ranges {
			lines = append(lines, httpapi.Lines(rows, "")...)
			if len(rows) == store.MaxRead {
				part[i].To = rows[len(rows)-1].Key.Name // which comes again, and is dropped below
				ranges = append(ranges, part[i])
			}
		}
	}
	slices.SortFunc(lines, func(a, b httpapi.Line) int { return cmp.Compare(b.Name, a.Name) })
	lines = slices.Compact(lines)
	for _, line := range lines[:min(len(lines), maxSearched)] {
		ids = append(ids, line.ID)
	}
	return ids, nil
}
