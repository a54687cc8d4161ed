package realtime

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// received is what a client's bytes mean, if they arrive in pieces of these
// sizes, in turns.
func received(b []byte, sizes ...int) (messages []string, end error) {
	var in inbound
	b = bytes.Clone(b)
	for i := 0; len(b) > 0 && end == nil; i++ {
		n := min(len(b), sizes[i%len(sizes)])
		end = in.feed(b[:n:n], func(opcode byte, payload []byte) error {
			messages = append(messages, fmt.Sprintf("%x %q", opcode, payload))
			if opcode == opClose {
				return goodbye(payload)
			}
			return nil
		})
		b = b[n:]
	}
	return messages, end
}

func all(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// What a client sends means the same in whatever pieces it arrives.
func TestFramesInPieces(t *testing.T) {
	long := bytes.Repeat([]byte("é"), maxFrame/2)
	for name, test := range map[string]struct {
		sent []byte
		want []string
		end  int
	}{
		"texts": {all(clientFrame(0x81, []byte("one")), clientFrame(0x81, nil), clientFrame(0x81, []byte("three"))), []string{`1 "one"`, `1 ""`, `1 "three"`}, -1},
		"fragments around a ping": {all(clientFrame(0x01, []byte("a\xc3")), clientFrame(0x89, []byte("p")), clientFrame(0x00, []byte("\xa9")), clientFrame(0x80, []byte("z"))),
			[]string{`9 "p"`, `1 "aéz"`}, -1},
		"the longest":               {clientFrame(0x81, long), []string{fmt.Sprintf("1 %q", long)}, -1},
		"a close, and then no more": {all(clientFrame(0x88, []byte("\x03\xe9bye")), clientFrame(0x81, []byte("late"))), []string{`8 "\x03\xe9bye"`}, 1001},
		"a fault after a text":      {all(clientFrame(0x81, []byte("one")), clientFrame(0x83, nil)), []string{`1 "one"`}, 1002},
	} {
		for _, sizes := range [][]int{{1 << 20}, {1}, {2}, {3, 7}, {1000, 1, 14}} {
			got, err := received(test.sent, sizes...)
			code := -1
			if end := (*ending)(nil); errors.As(err, &end) {
				code = end.code
			}
			if !reflect.DeepEqual(got, test.want) || code != test.end {
				t.Errorf("%s in pieces of %v: %.200q, %v", name, sizes, got, err)
			}
		}
	}
}

// A client that announces much and sends little costs what it sent.
func TestUnfinishedFrameCostsWhatArrived(t *testing.T) {
	var in inbound
	frame := clientFrame(0x81, make([]byte, maxFrame))
	if err := in.feed(frame[:100], nil); err != nil || cap(in.part) > 256 {
		t.Errorf("%d bytes kept, %v", cap(in.part), err)
	}
	if err := in.feed(frame[100:], func(byte, []byte) error { return nil }); err != nil || !in.empty() {
		t.Errorf("%d bytes kept, %v", cap(in.part), err)
	}
}

// FuzzFeed: whatever a client sends, it means the same in one piece and in
// others, no message is longer than the bound, and texts are UTF-8.
func FuzzFeed(f *testing.F) {
	f.Add(clientFrame(0x81, []byte("text")), uint8(1), uint8(2))
	f.Add(all(clientFrame(0x01, []byte("a")), clientFrame(0x89, nil), clientFrame(0x80, []byte("b"))), uint8(3), uint8(1))
	f.Add(clientFrame(0x88, []byte{3, 0xe8, 'x'}), uint8(200), uint8(1))
	f.Add([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, uint8(5), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint8) {
		whole, wholeEnd := received(b, max(len(b), 1))
		pieces, end := received(b, int(one)+1, int(two)+1)
		if !reflect.DeepEqual(whole, pieces) || fmt.Sprint(wholeEnd) != fmt.Sprint(end) {
			t.Errorf("%q, %v; in pieces %q, %v", whole, wholeEnd, pieces, end)
		}
	})
}
