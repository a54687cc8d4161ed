package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"path/filepath"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// logbook is a whole log, read from the store and checked.
type logbook struct {
	streams  map[gotong.Stream][]store.Event
	requests map[gotong.RequestKey][]*store.Event
	events   int
}

// readLog opens the database that a server left behind and reads all of it.
func readLog(tb testing.TB, dir string) *logbook {
	tb.Helper()
	address := backendOf(tb, dir).store
	if address == "" {
		address = "sqlite:" + filepath.Join(dir, "gotong.db")
	}
	s := openStore(tb, address)
	defer func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	}()
	return checkLog(tb, s)
}

// checkLog reads a log and checks what must hold of any: positions and seqs
// without a gap, links that verify, three orders that are one, and one commit
// per request.
func checkLog(tb testing.TB, s store.Whole) *logbook {
	tb.Helper()
	l := &logbook{streams: map[gotong.Stream][]store.Event{}, requests: map[gotong.RequestKey][]*store.Event{}}
	for p := range gotong.Partition(gotong.Partitions) {
		l.partition(tb, s, p)
	}
	for stream, events := range l.streams {
		for i := range events {
			checkLink(tb, s.Epoch(), stream, events, i)
			l.note(tb, &events[i])
		}
	}
	return l
}

func (l *logbook) partition(tb testing.TB, s store.Whole, p gotong.Partition) {
	tb.Helper()
	const page = 500
	for last := uint64(0); ; {
		rows, err := s.ReadPartition(context.Background(), p, last, math.MaxInt64, page)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range rows {
			e := &rows[i]
			if e.Position != last && e.Position != last+1 {
				tb.Fatalf("partition %d: position %d after %d", p, e.Position, last)
			}
			last = e.Position
			if n := uint64(len(l.streams[e.Stream])); e.Seq != n+1 {
				tb.Fatalf("%s: seq %d after %d", e.Stream, e.Seq, n)
			}
			l.streams[e.Stream] = append(l.streams[e.Stream], *e)
			l.events++
		}
		if len(rows) == 0 {
			break
		}
	}
}

// checkLink checks event i against the one before it.
func checkLink(tb testing.TB, epoch gotong.Epoch, stream gotong.Stream, events []store.Event, i int) {
	tb.Helper()
	e := &events[i]
	if err := e.Verify(epoch); err != nil {
		tb.Errorf("%s %d: %v", stream, e.Seq, err)
	}
	if e.ID.At() != e.At {
		tb.Errorf("%s %d: the id is of %s, the event of %s", stream, e.Seq, e.ID.At(), e.At)
	}
	if i == 0 {
		return
	}
	prev := &events[i-1]
	if e.Prev != prev.Chain {
		tb.Errorf("%s %d: not linked to the event before", stream, e.Seq)
	}
	byTuple := cmp.Or(cmp.Compare(prev.At, e.At), prev.ID.Compare(e.ID))
	if byTuple >= 0 || prev.ID.Compare(e.ID) >= 0 || prev.At >= e.At {
		tb.Errorf("%s %d: the order by seq is not that by (at, id), or not that by id", stream, e.Seq)
	}
}

// note files an event under its request, which must have made one commit.
func (l *logbook) note(tb testing.TB, e *store.Event) {
	tb.Helper()
	env := envelope(tb, e)
	key := gotong.RequestKey{Stream: e.Stream, Actor: env.Actor.UserID, RequestID: env.RequestID}
	if twin := l.requests[key]; len(twin) > 0 && twin[0].Position != e.Position {
		tb.Errorf("%s: request %s of %s made the events %d and %d", e.Stream, key.RequestID, key.Actor, twin[0].Seq, e.Seq)
	}
	l.requests[key] = append(l.requests[key], e)
}

func envelope(tb testing.TB, e *store.Event) store.Envelope[json.RawMessage] {
	tb.Helper()
	var env store.Envelope[json.RawMessage]
	if err := json.Unmarshal(e.Data, &env); err != nil {
		tb.Fatal(err)
	}
	return env
}

// payload is data and content of a row, as the wire merges them.
func payload(tb testing.TB, e *store.Event) string {
	tb.Helper()
	all := map[string]any{}
	for _, part := range [][]byte{envelope(tb, e).Payload, e.Content} {
		if part == nil {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal(part, &m); err != nil {
			tb.Fatal(err)
		}
		maps.Copy(all, m)
	}
	return encode(all)
}

// canonical is a JSON object with its names in order.
func canonical(raw []byte) string {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return "unreadable: " + string(raw)
	}
	return encode(m)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// payloadBody is the text of a message.
func payloadBody(tb testing.TB, e *store.Event) string {
	tb.Helper()
	var c struct {
		Body string `json:"body"`
	}
	if err := json.Unmarshal(e.Content, &c); err != nil {
		tb.Fatal(err)
	}
	return c.Body
}

func unmarshal(text string, into any) error { return json.Unmarshal([]byte(text), into) }

// upToLastWords is a log as far as followers go: what was under way when the
// writers stopped may come behind.
func upToLastWords(tb testing.TB, rows []store.Event) []store.Event {
	tb.Helper()
	for i := range rows {
		if rows[i].Type == "message.posted" && payloadBody(tb, &rows[i]) == lastWords {
			return rows[:i+1]
		}
	}
	tb.Error("nobody said the last words")
	return rows
}
