package client

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tmaxmax/go-sse"
)

func readAll(r io.Reader) ([]string, error) {
	in := newEventReader(r)
	var list []string
	for {
		data, err := in.next()
		if err != nil {
			return list, err
		}
		list = append(list, string(data))
	}
}

func TestEventStream(t *testing.T) {
	for text, want := range map[string][]string{
		"data: a\n\n":                                         {"a"},
		"data:a\n\ndata:  b\n\n":                              {"a", " b"},
		"data: a\ndata: b\n\n":                                {"a\nb"},
		"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n":             {"a", "b", "c"},
		"\ufeffdata: a\n\n":                                   {"a"},
		": comment\n\nid: 3\nevent: x\ndata: a\nretry: 5\n\n": {"a"},
		"data\n\n":               {""},
		"data: a\n\ndata: cut":   {"a"},
		"data: a\n\ndata: cut\n": {"a"},
		"id: 3\n\n":              nil,
		"":                       nil,
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)),
		} {
			got, err := readAll(r)
			if !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
				t.Errorf("%q by %s: %q, %v, want %q", text, name, got, err, want)
			}
		}
	}
}

// FuzzEventStream compares eventReader with go-sse on any input.
func FuzzEventStream(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data:a\r\rdata\n\n", "\ufeffid: 1\ndata: x\r\n\r\n: c\n\nevent: e\n\n", "data: cut"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want []string
		for ev, err := range sse.Read(strings.NewReader(text), nil) {
			if err != nil {
				break
			}
			want = append(want, ev.Data)
		}
		got, _ := readAll(iotest.HalfReader(strings.NewReader(text)))
		// go-sse also gives events without data, as browsers do not.
		empty := func(s string) bool { return s == "" }
		if !slices.Equal(slices.DeleteFunc(got, empty), slices.DeleteFunc(want, empty)) {
			t.Errorf("%q: got %q, go-sse %q", text, got, want)
		}
	})
}

// FuzzFrame: no frame makes the Conn panic, and what it takes is in order.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		`{"op":"events","stream":"thread/a","from":0,"to":2,"events":[{"seq":1},{"seq":2}]}`,
		`{"op":"subscribed","id":"1","stream":"thread/a","cursor":"k3f9:0"}`, `{"op":"ack","id":"2"}`,
		`{"op":"error","stream":"thread/a","problem":{"status":404,"code":"not_found"}}`,
		`{"op":"access_revoked","stream":"thread/a"}`, `[]`, `null`,
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		c, err := New(Options{BaseURL: "http://gotong.test"})
		if err != nil {
			t.Fatal(err)
		}
		conn := c.NewConn(ConnOptions{})
		if err := conn.Subscribe("thread/a", "k3f9:0"); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{one, two, one} {
			if fr, err := decodeFrame([]byte(text)); err == nil {
				_ = conn.receive(fr, len(text), false)
			}
		}
		last := uint64(0)
		for _, it := range conn.inbox.items {
			for _, e := range it.events {
				if e.Seq <= last {
					t.Errorf("seq %d after %d", e.Seq, last)
				}
				last = e.Seq
			}
		}
	})
}
