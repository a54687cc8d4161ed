package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

func (c *chat) markRoutes(api *httpapi.API) {
	const base = "/v1/chat/threads/{id}"
	httpapi.Register(api, httpapi.Route{
		ID: "get-read-cursor", Method: http.MethodGet, Path: base + "/read-cursor", Tag: tagReading,
		Summary: "Get your read mark", Description: "For members; 404 if you have not set a mark yet.",
	}, c.getMark)
	httpapi.Register(api, httpapi.Route{
		ID: "set-read-cursor", Method: http.MethodPost, Path: base + "/read-cursor", Tag: tagReading, Write: true,
		Summary: "Mark as read up to a message, or as unread from one",
		Description: "Within a generation, the mark only moves forward: an older message does not change it. " +
			"Marking as unread begins a new generation. " +
			"A request that names an older generation changes nothing. The server keeps your last 8 keys per thread.",
	}, c.setMark)
	httpapi.Register(api, httpapi.Route{
		ID: "read-all", Method: http.MethodPost, Path: "/v1/chat/unread/read", Tag: tagReading, Write: true,
		Summary: "Mark all threads as read",
		Description: "Or those of a scope. Archived threads are left out. No record of the Idempotency-Key is kept, because marks are no " +
			"events and only move forward: a late repetition also marks what arrived in between.",
	}, c.readAll)
	httpapi.Register(api, httpapi.Route{
		ID: "total-unread", Method: http.MethodGet, Path: "/v1/chat/unread/total", Tag: tagReading,
		Summary:     "Count unread messages in all threads",
		Description: "In total and by scope; the counts of each thread are counted to 999.",
	}, c.totalUnread)
	httpapi.Register(api, httpapi.Route{
		ID: "list-unread", Method: http.MethodGet, Path: "/v1/chat/unread", Tag: tagReading,
		Summary:     "Count unread messages",
		Description: "For each of your threads that is not archived, newest thread first.",
	}, c.listUnread)
	httpapi.Register(api, httpapi.Route{
		ID: "get-presence", Method: http.MethodGet, Path: base + "/presence", Tag: tagReading,
		Summary: "List the users who are present", Description: "The users who follow the thread now, as far as this node knows.",
	}, c.presence)
}

// ReadMarks is the collection of registers (user id, thread id) → mark.
const ReadMarks = "read_marks"

// mark is how far a user has read in a thread. It only moves forward, unless the user
// marks messages as unread, with which the next generation begins.
type mark struct {
	position
	Mute int64   `json:"mute,omitempty"` // the user muted the thread until this time, for themselves; [gotong.MaxTimeMS] is without an end
	Keys []keyed `json:"keys,omitempty"` // of the last requests, newest last
}

// position is a message and when it was marked.
type position struct {
	Generation uint64         `json:"generation,omitempty"`
	N          uint64         `json:"n"`
	Seq        uint64         `json:"seq"`
	MessageID  gotong.EventID `json:"message_id,omitzero"` // zero if no message was named
	At         gotong.Instant `json:"at"`
}

// Mark is how far a user has read in a thread. Of two, the one with the higher
// generation holds or, in the same, the one with the higher n.
type Mark struct {
	Generation uint64 `json:"generation" doc:"Incremented when messages are marked as unread."`
	N          uint64 `json:"n" doc:"The ordinal of the last message that was read; 0: none."`
}

func (m position) short() Mark { return Mark{m.Generation, m.N} }

// signal is the data of the signal read.
type signal struct {
	N          uint64         `json:"n"`
	Seq        uint64         `json:"seq"`
	MessageID  gotong.EventID `json:"message_id,omitzero"`
	Generation uint64         `json:"generation"`
}

// ReadCursor is how far a user has read in a thread.
type ReadCursor struct {
	ThreadID          string         `json:"thread_id"`
	UserID            string         `json:"user_id"`
	LastReadMessageID gotong.EventID `json:"last_read_message_id,omitzero" doc:"Absent after the user marked a message as unread, or all threads as read."`
	LastReadAtMS      int64          `json:"last_read_at_ms"`
	Seq               uint64         `json:"seq"`
	Mark
}

func (m position) view(stream gotong.Stream, userID string) ReadCursor {
	return ReadCursor{
		ThreadID: stream.ID(), UserID: userID, LastReadMessageID: m.MessageID, LastReadAtMS: m.At.Milli(),
		Seq: m.Seq, Mark: m.short(),
	}
}

func markKey(userID string, stream gotong.Stream) gotong.Key {
	return gotong.Key{Collection: ReadMarks, Owner: userID, Name: stream.ID()}
}

// mark returns a user's mark and the version of its register; the zero mark and
// version 0 if the user has not set one.
func (c *chat) mark(ctx context.Context, userID string, stream gotong.Stream) (mark, uint64, error) {
	reg, err := store.ReadRegister(ctx, c.Store, markKey(userID, stream))
	if err != nil {
		return mark{}, 0, err
	}
	m, err := markOf(reg)
	return m, reg.Version, err
}

// markOf returns the mark in a register; the zero mark if there is none.
func markOf(reg store.Register) (m mark, err error) {
	if reg.Version > 0 {
		if err = json.Unmarshal(reg.Body, &m); err != nil {
			err = fmt.Errorf("chat: parse a read mark: %w", err)
		}
	}
	return m, err
}

type markOut = httpapi.Out[ReadCursor]

func (c *chat) getMark(ctx context.Context, in *InThread) (*markOut, error) {
	me := viewer(ctx)
	if _, err := c.Views.Read(ctx, me, view.Query{Stream: in.stream}); err != nil {
		return nil, err
	}
	m, _, err := c.mark(ctx, me.UserID, in.stream)
	if err == nil && m.At == 0 {
		err = gotong.NotFound()
	}
	return httpapi.Reply(m.view(in.stream, me.UserID), err)
}

// SetMark is the body of marking as read.
type SetMark struct {
	MessageID  gotong.EventID `json:"message_id"`
	Unread     bool           `json:"unread,omitempty" doc:"Marks this message and all after it as unread."`
	Generation *uint64        `json:"generation,omitempty" doc:"The generation of the mark that you know: with an older one than the present, the request changes nothing. Absent: any."`
}

type setMarkIn struct {
	InThread
	JSON httpapi.Body[SetMark]
}

// setMark moves a mark. A repeated request gets the first response, even if the user
// may no longer read the thread, because the mark is their own.
func (c *chat) setMark(ctx context.Context, in *setMarkIn) (*markOut, error) {
	to, found := in.JSON.Value, position{}
	m, err := c.move(ctx, in.stream, newPrint(ctx, in.JSON.Raw), func(m position) (position, error) {
		if found.N == 0 {
			message, _, err := c.find(ctx, in.stream, to.MessageID)
			if err != nil {
				return m, err
			}
			found = position{N: message.N, Seq: message.Seq, MessageID: message.MessageID}
		}
		switch {
		case to.Generation != nil && *to.Generation > m.Generation:
			return m, gotong.Invalid("generation", "must not be newer than that of the mark")
		case to.Generation != nil && *to.Generation < m.Generation:
			return m, nil
		case to.Unread:
			return position{Generation: m.Generation + 1, N: found.N - 1, Seq: found.Seq - 1}, nil
		default:
			return position{Generation: m.Generation, N: found.N, Seq: found.Seq, MessageID: found.MessageID}, nil
		}
	})
	return httpapi.Reply(m.view(in.stream, viewer(ctx).UserID), err)
}

// move sets the caller's mark of a thread to what next makes of the present one, if
// that is further on, and returns the mark that holds then, or held at the first such
// request.
func (c *chat) move(
	ctx context.Context, stream gotong.Stream, asked fingerprint, next func(position) (position, error),
) (position, error) {
	m, moved, err := c.changeMark(ctx, stream, asked, func(m *mark) (bool, error) {
		to, err := next(m.position)
		if err != nil || to.Generation <= m.Generation && to.N <= m.N {
			return false, err
		}
		to.At = c.Now()
		m.position = to
		return true, nil
	})
	if err != nil || !moved {
		return m.position, err
	}
	data, err := json.Marshal(signal{m.N, m.Seq, m.MessageID, m.Generation})
	if err != nil {
		return position{}, fmt.Errorf("chat: encode a read mark: %w", err)
	}
	c.Signals.Whisper(stream, httpapi.CallOf(ctx).Principal.Actor(), data)
	return m.position, nil
}

// changeMark applies a change to the caller's mark of a thread and returns the mark and
// whether it changed. To a repeated request, it returns the mark with the first response.
func (c *chat) changeMark(
	ctx context.Context, stream gotong.Stream, asked fingerprint, change func(*mark) (bool, error),
) (mark, bool, error) {
	me := viewer(ctx).UserID
	for range markTries {
		m, version, err := c.mark(ctx, me, stream)
		if err != nil {
			return mark{}, false, err
		}
		first, replayed, err := m.answered(asked)
		if replayed {
			httpapi.Replayed(ctx)
			m.position = first
		}
		if replayed || err != nil {
			return m, false, err
		}
		changed, err := change(&m)
		if err == nil && (changed || asked.key != nil) {
			err = c.keepMark(ctx, markKey(me, stream), version, m.keep(asked))
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, changed, err
		}
	}
	return mark{}, false, gotong.NewError(gotong.CodeBusy, "Another device is marking the same thread; try again.")
}

// ReadAll is the body of marking all threads as read.
type ReadAll struct {
	ScopeID string `json:"scope_id,omitempty" maxLength:"128" doc:"Only the threads of this scope."`
}

type readAllIn struct {
	JSON httpapi.OptionalBody[ReadAll]
}

// HaveRead is the answer to marking all threads as read.
type HaveRead struct {
	Threads int `json:"threads" doc:"How many marks moved."`
}

// readAll marks as read what each thread holds when it is counted. A repetition marks
// what came since, too.
func (c *chat) readAll(ctx context.Context, in *readAllIn) (*httpapi.Out[HaveRead], error) {
	out := &httpapi.Out[HaveRead]{}
	return out, c.everyUnread(ctx, in.JSON.Value.ScopeID, func(v Unread) error {
		if v.Mark.N >= v.N {
			return nil
		}
		stream := gotong.NewStream(thread.Name, v.ThreadID)
		at, err := gotong.ParseCursor(v.AsOf)
		if err != nil {
			return err //nolint:wrapcheck // the server wrote it
		}
		_, err = c.move(ctx, stream, fingerprint{}, func(m position) (position, error) {
			if m.Generation != v.Mark.Generation { // another device marked as unread meanwhile
				return m, nil
			}
			return position{Generation: m.Generation, N: v.N, Seq: at.Seq}, nil
		})
		if err == nil {
			out.Body.Threads++
		}
		return err
	})
}

// markTries bounds how often a mark is tried again because another device of the
// same user was faster.
const markTries = 10

// keepMark writes a mark if its register has this version.
func (c *chat) keepMark(ctx context.Context, key gotong.Key, version uint64, m mark) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("chat: encode a read mark: %w", err)
	}
	return c.Marks.SetRegister(ctx, key, version, body, 0)
}

// Present is a user who follows a thread now.
type Present struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
}

// Presence is who follows a thread now.
type Presence struct {
	Users []Present `json:"users"`
	AsOf  string    `json:"as_of"`
}

func (c *chat) presence(ctx context.Context, in *InThread) (*httpapi.Out[Presence], error) {
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream})
	if err != nil {
		return nil, err
	}
	ids := c.Signals.Present(in.stream)
	names := c.Names(ctx, ids)
	out := Presence{Users: []Present{}, AsOf: httpapi.AsOf(ctx, page.Head.Seq)}
	for _, id := range ids {
		out.Users = append(out.Users, Present{UserID: id, Name: names[id]})
	}
	return httpapi.Reply(out, nil)
}
