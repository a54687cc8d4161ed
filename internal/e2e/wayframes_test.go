package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// wire is a frame.
type wire struct {
	Op      string        `json:"op"`
	Epoch   string        `json:"epoch"`
	Stream  gotong.Stream `json:"stream"`
	Cursor  string        `json:"cursor"`
	From    int           `json:"from"`
	To      int           `json:"to"`
	Problem struct {
		Code string `json:"code"`
	} `json:"problem"`
	Events []struct {
		Seq  int    `json:"seq"`
		Type string `json:"type"`
		Data struct {
			Body      string              `json:"body"`
			Withheld  bool                `json:"withheld"`
			DeletedMS int64               `json:"deleted_at_ms"`
			Revision  int                 `json:"revision"`
			Reactions map[string][]string `json:"reactions"`
		} `json:"data"`
	} `json:"events"`
}

// events holds an events frame against the oracle: exactly what the user sees,
// each as it reads now.
func (w *walk) events(user, how string, k *talk, f wire) {
	w.t.Helper()
	want := slices.DeleteFunc(k.visible(user, f.From, false), func(seq int) bool { return seq > f.To })
	var got []int
	for _, e := range f.Events {
		got = append(got, e.Seq)
		if e.Seq > len(k.facts) {
			continue
		}
		is := shown{Body: e.Data.Body, Withheld: e.Data.Withheld, Deleted: e.Data.DeletedMS > 0, Revision: e.Data.Revision}
		var list []string
		for emoji, users := range e.Data.Reactions {
			for _, user := range users {
				list = append(list, emoji+user)
			}
		}
		slices.Sort(list)
		is.Reactions = strings.Join(list, " ")
		switch fact := k.fact(e.Seq); fact.what {
		case "posted":
			if want := k.message(user, e.Seq); is != want {
				w.t.Errorf("%s of %s over %s: event %d is %+v, want %+v", user, k.name, how, e.Seq, is, want)
			}
		case "edited":
			if is.Body != "" != (k.newest(fact.target) == e.Seq) {
				w.t.Errorf("%s of %s over %s: the edit %d says %q", user, k.name, how, e.Seq, is.Body)
			}
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s, %s, over %s: got (%d, %d] %v, want %v", user, k.state(user), how, f.From, f.To, got, want)
	}
}

func (w *walk) pollAll(user string, k *talk) {
	w.t.Helper()
	at := w.rnd.IntN(len(k.facts) + 1)
	for from := -1; from < at; {
		from = at
		cursor := gotong.FormatCursors([]gotong.StreamCursor{{Stream: k.stream, Cursor: gotong.Cursor{
			Epoch: gotong.Epoch(w.ears[0].epoch), Seq: uint64(at),
		}}})
		a, ok := w.get(user, k, "/v1/realtime/poll?wait=0&cursor="+cursor)
		if !ok {
			return
		}
		var p struct {
			Frames []wire `json:"frames"`
		}
		if err := json.Unmarshal(a.body, &p); err != nil {
			w.t.Fatal(err)
		}
		for _, f := range p.Frames {
			if f.Op == "events" {
				w.events(user, "poll", k, f)
				at = f.To
			}
		}
	}
	if at != len(k.facts) {
		w.t.Errorf("poll ended at %d of %d", at, len(k.facts))
	}
}

// sseAll and wsAll follow from the first event until the end is there.
func (w *walk) sseAll(user string, k *talk) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	path := "/v1/realtime/sse?cursor=start&stream=" + string(k.stream)
	if !k.members[user] {
		w.get(user, k, path)
		return
	}
	next := w.openSSE(ctx, user, path)
	w.toEnd(user, "sse", k, next)
}

func (w *walk) wsAll(user string, k *talk) {
	w.t.Helper()
	ws := socket(w.ctx, w.t, w.http, w.url, user)
	defer func() { _ = ws.CloseNow() }()
	if err := tell(w.ctx, ws, map[string]any{"op": "subscribe", "stream": k.stream, "cursor": "start"}); err != nil {
		w.t.Fatal(err)
	}
	w.toEnd(user, "ws", k, func() []byte { return w.readWS(ws) })
}

func (w *walk) readWS(ws *line) []byte {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	_, b, err := ws.Read(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// openSSE is a function that waits for the next frame.
func (w *walk) openSSE(ctx context.Context, user, path string) func() []byte {
	w.t.Helper()
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody))(w.t)
	req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	res := must(w.http.Do(req))(w.t) //nolint:bodyclose // with the context, below
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s follows over SSE: %d", user, res.StatusCode)
	}
	context.AfterFunc(ctx, func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	return func() []byte {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return []byte(data)
			}
		}
		w.t.Fatalf("the SSE of %s ended: %v", user, lines.Err())
		return nil
	}
}

func (w *walk) toEnd(user, how string, k *talk, next func() []byte) {
	w.t.Helper()
	// A reader who asks for the start begins where there is something to see.
	visible := k.visible(user, 0, false)
	for at := -1; at < len(k.facts); {
		b := next()
		w.watch(user, how, b)
		var f wire
		if err := json.Unmarshal(b, &f); err != nil {
			w.t.Fatal(err)
		}
		switch f.Op {
		case "subscribed":
			at = int(must(gotong.ParseCursor(f.Cursor))(w.t).Seq)
			if len(visible) > 0 && at >= visible[0] {
				w.t.Errorf("%s over %s begins after %d, and sees %d", user, how, at, visible[0])
			}
		case "events":
			w.events(user, how, k, f)
			at = f.To
		case "welcome", "signal":
		case "error":
			if k.members[user] || f.Problem.Code != "not_found" {
				w.t.Fatalf("%s, %s, over %s: %s", user, k.state(user), how, b)
			}
			return
		default:
			w.t.Fatalf("%s, %s, over %s: %s", user, k.state(user), how, b)
		}
	}
}
