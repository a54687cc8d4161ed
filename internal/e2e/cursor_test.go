package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// frame is what a server tells of a stream, as far as this test looks.
type frame struct {
	Op     string `json:"op"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Events []struct {
		Seq uint64 `json:"seq"`
	} `json:"events"`
	Problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	} `json:"problem"`
}

// resumer asks for a stream from a cursor, over one transport, and hands over
// frames until take returns false. The answer is that of a request that was
// refused.
type resumer func(ctx context.Context, t *testing.T, url string, stream gotong.Stream, cursor string, take func(frame) bool) answer

func resumers() map[string]resumer {
	return map[string]resumer{"websocket": resumeWS, "sse": resumeSSE, "poll": resumePoll}
}

func resumeWS(ctx context.Context, t *testing.T, url string, stream gotong.Stream, cursor string, take func(frame) bool) answer {
	t.Helper()
	ws := socket(ctx, t, new(tap).http(t), url, "ann")
	defer func() { _ = ws.CloseNow() }()
	if err := tell(ctx, ws, map[string]any{"op": "subscribe", "id": "1", "stream": stream, "cursor": cursor}); err != nil {
		t.Fatal(err)
	}
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var f frame
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Op == "error" {
			return answer{status: f.Problem.Status, body: []byte(encode(map[string]string{"code": f.Problem.Code}))}
		}
		if f.Op == "events" && !take(f) {
			return answer{}
		}
	}
}

// several is the cursor of a request over several streams.
func several(stream gotong.Stream, cursor string) url.Values {
	if c, err := gotong.ParseCursor(cursor); err == nil {
		cursor = gotong.FormatCursors([]gotong.StreamCursor{{Stream: stream, Cursor: c}})
	}
	return url.Values{"cursor": {cursor}, "stream": {string(stream)}}
}

func resumeSSE(ctx context.Context, t *testing.T, url string, stream gotong.Stream, cursor string, take func(frame) bool) answer {
	t.Helper()
	v := &victim{tb: t, url: url, user: "ann"}
	res, err := v.open(ctx, new(tap).http(t), "/v1/realtime/sse", several(stream, cursor))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		return answer{status: res.StatusCode, body: b}
	}
	in := bufio.NewReader(res.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		data, ok := strings.CutPrefix(line, "data:")
		var f frame
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &f); err != nil {
			t.Fatal(err)
		}
		if f.Op == "events" && !take(f) {
			return answer{}
		}
	}
}

func resumePoll(ctx context.Context, t *testing.T, url string, stream gotong.Stream, cursor string, take func(frame) bool) answer {
	t.Helper()
	query := several(stream, cursor)
	query.Set("wait", "20s")
	v := &victim{tb: t, url: url, user: "ann"}
	h := new(tap).http(t)
	for {
		res, err := v.open(ctx, h, "/v1/realtime/poll", query)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return answer{status: res.StatusCode, body: b}
		}
		var a struct {
			Cursor string  `json:"cursor"`
			Frames []frame `json:"frames"`
		}
		if err == nil {
			err = json.Unmarshal(b, &a)
		}
		if err != nil {
			t.Fatal(err)
		}
		query.Set("cursor", a.Cursor)
		for _, f := range a.Frames {
			if f.Op == "events" && !take(f) {
				return answer{}
			}
		}
	}
}

// TestResume follows from every cursor there is, over every transport, without
// a client that would forgive a duplicate: exactly what lies after the cursor
// comes, in frames that join (contract D6 to D8). A bad cursor is refused as
// D10 says.
func TestResume(t *testing.T) {
	n := startNode(t)
	th, stream := makeThread(t, n.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, "ann")
	owner := dial(t, n.url, "owner")
	for i := range 10 {
		must(owner.Send(t.Context(), th.ThreadID, client.NewMessage{Body: fmt.Sprint("text ", i)}))(t)
	}
	th = must(owner.Thread(t.Context(), th.ThreadID))(t)
	head, epoch := th.Seq, must(gotong.ParseCursor(string(th.AsOf)))(t).Epoch
	for name, resume := range resumers() {
		for from := range head {
			at := from
			resume(t.Context(), t, n.url, stream, gotong.Cursor{Epoch: epoch, Seq: from}.String(), func(f frame) bool {
				if f.From != at || f.To <= at {
					t.Errorf("%s from %d: a frame from %d to %d after %d", name, from, f.From, f.To, at)
				}
				for _, e := range f.Events {
					if at++; e.Seq != at {
						t.Errorf("%s from %d: seq %d, not %d", name, from, e.Seq, at)
					}
				}
				if at != f.To {
					t.Errorf("%s from %d: a frame to %d ends with %d", name, from, f.To, at)
				}
				return f.To < head
			})
			if at != head {
				t.Errorf("%s from %d: ended at %d of %d", name, from, at, head)
			}
		}
		nothing := func(f frame) bool { t.Errorf("%s: a bad cursor gave %+v", name, f); return false }
		for cursor, code := range map[string]gotong.Code{
			gotong.Cursor{Epoch: epoch, Seq: head + 1}.String(): gotong.CodeCursorAhead,
			gotong.Cursor{Epoch: "other", Seq: 1}.String():      gotong.CodeEpochChanged,
			"nonsense": gotong.CodeCursorInvalid,
		} {
			status := http.StatusConflict
			if code == gotong.CodeCursorInvalid {
				status = http.StatusBadRequest
			}
			resume(t.Context(), t, n.url, stream, cursor, nothing).want(t, status, code)
		}
	}
}
