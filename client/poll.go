package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
)

var noReceipt gotong.Receipt

type answer struct {
	Cursor string            `json:"cursor"`
	Frames []json.RawMessage `json:"frames"`
}

// polling follows streams by repeated requests for 32 streams each.
type polling struct {
	conn   *Conn
	token  string
	groups [][]gotong.Stream
}

func (c *Conn) dialPoll(ctx context.Context, token string) (link, error) {
	groups, err := c.placed(ctx, token)
	if err != nil {
		return nil, err
	}
	for _, group := range groups[:min(1, len(groups))] { // one request shows whether polling works
		a, err := c.poll(ctx, token, nil, gotong.FormatCursors(c.cursorsOf(group)), 0)
		if err == nil {
			err = c.process(a)
		}
		if err != nil {
			return nil, c.isolate(ctx, token, group, err)
		}
	}
	return &polling{conn: c, token: token, groups: groups}, nil
}

func (l *polling) close() {}

func (l *polling) serve(ctx context.Context) error {
	return l.conn.together(ctx, len(l.groups), func(ctx context.Context, i int) error {
		for {
			if !l.conn.inbox.room(ctx) {
				return ctx.Err()
			}
			cursors := l.conn.cursorsOf(l.groups[i])
			if len(cursors) == 0 {
				return errChanged
			}
			err := l.ask(ctx, cursors)
			if err != nil {
				return l.conn.isolate(ctx, l.token, l.groups[i], err)
			}
		}
	})
}

// errHasty is the end of a request that was answered at once, with nothing. To
// repeat it at once would be a loop without delay.
var errHasty = errors.New("client: an empty answer before the wait was over")

// ask sends one request that waits for events, and processes its answer.
func (l *polling) ask(ctx context.Context, cursors []gotong.StreamCursor) error {
	c := l.conn
	wait := c.client.scaled(pollWait)
	ctx, cancel := context.WithTimeout(ctx, c.client.scaled(pollWithin))
	defer cancel()
	waited := time.AfterFunc(wait/2, func() {})
	a, err := c.poll(ctx, l.token, nil, gotong.FormatCursors(cursors), wait)
	hasty := waited.Stop()
	switch {
	case err != nil:
		return err
	case len(a.Frames) == 0 && hasty:
		return errHasty
	case len(a.Frames) == 0:
		c.wentWell()
	}
	return c.process(a)
}

// wentWell ends a series of failures.
func (c *Conn) wentWell() {
	c.mu.Lock()
	c.tries = 0
	c.mu.Unlock()
}

// together runs n loops until one of them ends or the set of streams changes.
// It returns the reason.
func (c *Conn) together(ctx context.Context, n int, loop func(ctx context.Context, i int) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { cancel(loop(inner, i)) })
	}
	select {
	case <-inner.Done():
	case <-c.change:
		cancel(errChanged)
	}
	group.Wait()
	return context.Cause(inner)
}

// placed finds the cursor of every stream that has none yet, and groups the
// streams into sets that one request may follow.
func (c *Conn) placed(ctx context.Context, token string) ([][]gotong.Stream, error) {
	select { // the loop below includes all changes so far
	case <-c.change:
	default:
	}
	for _, start := range [...]bool{true, false} {
		for group := range slices.Chunk(c.unplaced(start), gotong.MaxCursors) {
			cursor := ""
			if start {
				cursor = string(Start)
			}
			a, err := c.poll(ctx, token, group, cursor, 0)
			if err == nil {
				a.Frames = slices.DeleteFunc(a.Frames, isEvents)
				err = c.process(a) // it may end streams
			}
			if err == nil {
				err = c.begin(group, start, a)
			}
			if err != nil {
				if err = c.isolate(ctx, token, group, err); !errors.Is(err, errChanged) {
					return nil, err
				}
				return c.placed(ctx, token) // fewer streams now
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	names := slices.Sorted(maps.Keys(c.subs))
	return slices.Collect(slices.Chunk(names, gotong.MaxCursors)), nil
}

func (c *Conn) unplaced(start bool) []gotong.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []gotong.Stream
	for name, s := range c.subs {
		if !s.placed && s.start == start {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func isEvents(raw json.RawMessage) bool {
	f, err := decodeFrame(raw)
	return err == nil && f.Op == "events"
}

// begin gives streams their cursors. A stream that begins now gets the cursor
// of the answer. A stream that begins at the start gets the place before its
// first event, because events that the viewer may not see are covered without
// content. The frames of the answer are dropped: the next request asks for them
// from a known cursor, as after any lost connection.
func (c *Conn) begin(group []gotong.Stream, start bool, a *answer) error {
	cursors, err := gotong.ParseCursors(a.Cursor)
	if err != nil {
		return protocolError("a poll without a cursor")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range cursors {
		s := c.subs[entry.Stream]
		if s == nil || s.placed || !slices.Contains(group, entry.Stream) {
			continue
		}
		if start {
			entry.Cursor.Seq = 0
		}
		s.place(entry.Cursor)
	}
	for _, name := range group {
		if s := c.subs[name]; s != nil && !s.placed {
			return protocolError("an answer without a cursor for one of its streams")
		}
	}
	return nil
}

func (c *Conn) cursorsOf(group []gotong.Stream) []gotong.StreamCursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []gotong.StreamCursor
	for _, name := range group {
		if s := c.subs[name]; s != nil && s.placed {
			list = append(list, gotong.StreamCursor{Stream: name, Cursor: gotong.Cursor{Epoch: s.epoch, Seq: s.got}})
		}
	}
	return list
}

func (c *Conn) process(a *answer) error {
	var gone *awayError
	for _, raw := range a.Frames {
		f, err := decodeFrame(raw)
		if err != nil {
			return err
		}
		if f.Op == "going_away" && gone == nil {
			gone = away(f.retryAfter(), func(error) {})
			continue
		}
		if err := c.receive(f, len(raw), false); err != nil {
			return err
		}
	}
	if gone != nil {
		return gone
	}
	if len(a.Frames) > 0 {
		c.wentWell()
	}
	return nil
}

// isolate ends the streams that made a request fail. It requests each of several
// streams by itself to find them. It returns errChanged if it ended any, and
// failure if not.
func (c *Conn) isolate(ctx context.Context, token string, group []gotong.Stream, failure error) error {
	p := problemIn(failure)
	if p == nil || !p.fromServer || p.passes() || p.Status == http.StatusUnauthorized {
		return failure
	}
	found := false
	for _, name := range group {
		err := failure
		if len(group) > 1 {
			err = c.probe(ctx, token, name)
		}
		if p := problemIn(err); p != nil && p.fromServer && !p.passes() && p.Status != http.StatusUnauthorized {
			found = true
			c.mu.Lock()
			if s := c.subs[name]; s != nil {
				c.end(s, refused(name, p))
			}
			c.mu.Unlock()
		}
	}
	if found {
		return errChanged
	}
	return failure
}

// probe requests one stream alone and returns the error.
func (c *Conn) probe(ctx context.Context, token string, name gotong.Stream) error {
	cursor := ""
	if list := c.cursorsOf([]gotong.Stream{name}); len(list) > 0 {
		cursor = gotong.FormatCursors(list)
	}
	_, err := c.poll(ctx, token, []gotong.Stream{name}, cursor, 0)
	return err
}

func (c *Conn) poll(ctx context.Context, token string, names []gotong.Stream, cursor string, wait time.Duration) (*answer, error) {
	query := url.Values{"wait": {wait.String()}}
	res, err := c.get(ctx, "/v1/realtime/poll", "application/json", token, names, cursor, query)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or dropped
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFrameIn))
	if err != nil {
		return nil, fmt.Errorf("client: read: %w", err)
	}
	a := &answer{}
	if json.Unmarshal(b, a) != nil {
		return nil, protocolError("an answer that cannot be decoded")
	}
	return a, nil
}

// get requests streams. It returns the answer of a success, or a [Problem].
func (c *Conn) get(
	ctx context.Context, path, accept, token string, names []gotong.Stream, cursor string, query url.Values,
) (*http.Response, error) {
	for _, name := range names {
		query.Add("stream", string(name))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.client.address(path, query), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept+", application/problem+json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.client.stream.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close() //nolint:errcheck // dropped
		return nil, problemOf(res)
	}
	return res, nil
}
