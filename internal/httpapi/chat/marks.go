package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gotong.dev/gotong"
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
		Summary:     "Mark as read up to a message",
		Description: "The mark only moves forward: an older message does not change it. The server keeps your last 8 keys per thread.",
	}, c.setMark)
	httpapi.Register(api, httpapi.Route{
		ID: "list-unread", Method: http.MethodGet, Path: "/v1/chat/unread", Tag: tagReading,
		Summary:     "Count unread messages",
		Description: "For each of your threads that is not archived, newest thread first; counted to 999.",
	}, c.listUnread)
	httpapi.Register(api, httpapi.Route{
		ID: "get-presence", Method: http.MethodGet, Path: base + "/presence", Tag: tagReading,
		Summary: "List the users who are present", Description: "The users who follow the thread now, as far as this node knows.",
	}, c.presence)
}

// readMarks is the collection of registers (user id, thread id) → mark.
const readMarks = "read_marks"

// mark is how far a user has read in a thread. It only moves forward.
type mark struct {
	position
	Mute int64   `json:"mute,omitempty"` // the user muted the thread until this time, for themselves; [gotong.MaxTimeMS] is without an end
	Keys []keyed `json:"keys,omitempty"` // of the last requests, newest last
}

// position is a message and when it was marked.
type position struct {
	N         uint64         `json:"n"`
	Seq       uint64         `json:"seq"`
	MessageID gotong.EventID `json:"message_id,omitzero"` // zero in a register that holds a mute alone
	At        gotong.Instant `json:"at"`
}

// ReadCursor is how far a user has read in a thread.
type ReadCursor struct {
	ThreadID          string         `json:"thread_id"`
	UserID            string         `json:"user_id"`
	LastReadMessageID gotong.EventID `json:"last_read_message_id"`
	LastReadAtMS      int64          `json:"last_read_at_ms"`
	Seq               uint64         `json:"seq"`
	N                 uint64         `json:"n"`
}

func (m position) view(stream gotong.Stream, userID string) ReadCursor {
	return ReadCursor{
		ThreadID: stream.ID(), UserID: userID, LastReadMessageID: m.MessageID, LastReadAtMS: m.At.Milli(),
		Seq: m.Seq, N: m.N,
	}
}

func markKey(userID string, stream gotong.Stream) gotong.Key {
	return gotong.Key{Collection: readMarks, Owner: userID, Name: stream.ID()}
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

type getMarkIn struct {
	InThread
}

type markOut struct {
	Body ReadCursor
}

func (c *chat) getMark(ctx context.Context, in *getMarkIn) (*markOut, error) {
	me := viewer(ctx)
	if _, err := c.Views.Read(ctx, me, view.Query{Stream: in.stream}); err != nil {
		return nil, err
	}
	m, _, err := c.mark(ctx, me.UserID, in.stream)
	if err == nil && m.N == 0 {
		err = gotong.NotFound()
	}
	return &markOut{m.view(in.stream, me.UserID)}, err
}

// SetMark is the body of marking as read.
type SetMark struct {
	MessageID gotong.EventID `json:"message_id"`
}

type setMarkIn struct {
	InThread
	JSON httpapi.Body[SetMark]
}

// setMark moves a mark forward. A repeated request gets the first response, even
// if the user may no longer read the thread, because the mark is their own.
func (c *chat) setMark(ctx context.Context, in *setMarkIn) (*markOut, error) {
	me, asked := viewer(ctx).UserID, newPrint(ctx, in.JSON.Raw)
	var next position
	for range markTries {
		m, version, err := c.mark(ctx, me, in.stream)
		if err != nil {
			return nil, err
		}
		first, replayed, err := m.answered(asked)
		if err != nil {
			return nil, err
		}
		if replayed {
			httpapi.Replayed(ctx)
			return &markOut{first.view(in.stream, me)}, nil
		}
		if next.N == 0 {
			found, _, err := c.find(ctx, in.stream, in.JSON.Value.MessageID)
			if err != nil {
				return nil, err
			}
			next = position{N: found.N, Seq: found.Seq, MessageID: found.MessageID, At: c.Now()}
		}
		moved := m.N < next.N
		if moved {
			m.position = next
		}
		if moved || asked.key != nil {
			err = c.keepMark(ctx, markKey(me, in.stream), version, m.keep(asked))
		}
		switch {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return nil, err
		case moved:
			c.Signals.Whisper(in.stream, httpapi.CallOf(ctx).Principal.Actor(),
				fmt.Appendf(nil, `{"n":%d,"seq":%d,"message_id":%q}`, next.N, next.Seq, next.MessageID))
		}
		return &markOut{m.view(in.stream, me)}, nil
	}
	return nil, gotong.NewError(gotong.CodeBusy, "Another device is marking the same thread; try again.")
}

// markTries bounds how often setMark tries again because another device of the
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

type presenceOut struct {
	Body Presence
}

func (c *chat) presence(ctx context.Context, in *getMarkIn) (*presenceOut, error) {
	page, err := c.Views.Read(ctx, viewer(ctx), view.Query{Stream: in.stream})
	if err != nil {
		return nil, err
	}
	ids := c.Signals.Present(in.stream)
	names := c.Names(ctx, ids)
	out := &presenceOut{Presence{Users: []Present{}, AsOf: httpapi.AsOf(ctx, page.Head.Seq)}}
	for _, id := range ids {
		out.Body.Users = append(out.Body.Users, Present{UserID: id, Name: names[id]})
	}
	return out, nil
}
