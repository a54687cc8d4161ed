package gotong_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// vectors are what the log's format is for ever. They were computed by another
// implementation, in another language, from the contract's words.
type vectors struct {
	Headers []struct {
		Name      string           `json:"name"`
		Epoch     string           `json:"epoch"`
		Partition gotong.Partition `json:"partition"`
		Stream    string           `json:"stream"`
		Seq       uint64           `json:"seq"`
		ID        string           `json:"id"`
		Type      string           `json:"type"`
		At        int64            `json:"at"`
		Audience  string           `json:"audience"`
		Count     uint64           `json:"count"`
		Prev      gotong.Hash      `json:"prev"`
		Data      gotong.Hash      `json:"data"`
		Content   gotong.Hash      `json:"content"`
		Encoded   string           `json:"encoded"`
		Chain     gotong.Hash      `json:"chain"`
	} `json:"headers"`
	Commitments []struct {
		Salt    string      `json:"salt"`
		Body    string      `json:"body"`
		Data    gotong.Hash `json:"data"`
		Content gotong.Hash `json:"content"`
	} `json:"commitments"`
	EventIDs []struct {
		At     int64  `json:"at"`
		Random string `json:"random"`
		ID     string `json:"id"`
	} `json:"event_ids"`
	DerivedIDs []struct {
		Kind      string `json:"kind"`
		Actor     string `json:"actor"`
		RequestID string `json:"request_id"`
		ID        string `json:"id"`
	} `json:"derived_ids"`
	Partitions []struct {
		Home      gotong.Stream    `json:"home"`
		Partition gotong.Partition `json:"partition"`
	} `json:"partitions"`
	Cursors []struct {
		Streams [][2]string `json:"streams"`
		Text    string      `json:"text"`
	} `json:"cursors"`
	Instants []struct {
		At   int64  `json:"at"`
		Text string `json:"text"`
	} `json:"instants"`
}

func golden(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/chain.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoldenHeaders(t *testing.T) {
	list := golden(t).Headers
	for _, g := range list {
		h := gotong.Header{
			Epoch: gotong.Epoch(g.Epoch), Partition: g.Partition, Stream: gotong.Stream(g.Stream), Seq: g.Seq, Type: g.Type,
			At: gotong.Instant(g.At), Audience: gotong.Audience(g.Audience), Count: g.Count,
			Prev: g.Prev, Data: g.Data, Content: g.Content,
		}
		if _, err := hex.Decode(h.ID[:], []byte(strings.ReplaceAll(g.ID, "-", ""))); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Append(nil)); got != g.Encoded {
			t.Errorf("%s: encoded as\n%s, want\n%s", g.Name, got, g.Encoded)
		}
		if got := h.Append([]byte("before")); !bytes.HasPrefix(got, []byte("before\x02")) {
			t.Errorf("%s: Append does not append", g.Name)
		}
		if got := h.Chain(); got != g.Chain {
			t.Errorf("%s: chain %s, want %s", g.Name, got, g.Chain)
		}
	}
	if len(list) < 9 || list[1].Prev != list[0].Chain {
		t.Error("the vectors do not chain")
	}
}

func TestGoldenCommitments(t *testing.T) {
	for _, g := range golden(t).Commitments {
		var salt gotong.Salt
		if _, err := hex.Decode(salt[:], []byte(g.Salt)); err != nil {
			t.Fatal(err)
		}
		if got := gotong.CommitData(salt, []byte(g.Body)); got != g.Data {
			t.Errorf("data %.20s: %s, want %s", g.Body, got, g.Data)
		}
		if got := gotong.CommitContent(salt, []byte(g.Body)); got != g.Content {
			t.Errorf("content %.20s: %s, want %s", g.Body, got, g.Content)
		}
	}
}

func TestGoldenIDs(t *testing.T) {
	v := golden(t)
	for _, g := range v.EventIDs {
		random, err := strconv.ParseUint(g.Random, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		id := gotong.NewEventID(gotong.Instant(g.At), random)
		if id.String() != g.ID || id.At() != gotong.Instant(g.At) {
			t.Errorf("at %d: %s of %d, want %s", g.At, id, id.At(), g.ID)
		}
		if parsed, err := gotong.ParseEventID(g.ID); err != nil || parsed != id {
			t.Errorf("%s was read as %s, %v", g.ID, parsed, err)
		}
	}
	for _, g := range v.DerivedIDs {
		if got := gotong.DeriveID(g.Kind, g.Actor, g.RequestID); got != g.ID {
			t.Errorf("derived from %s %s %s: %s, want %s", g.Kind, g.Actor, g.RequestID, got, g.ID)
		}
	}
	for _, g := range v.Partitions {
		if got := gotong.PartitionOf(g.Home); got != g.Partition {
			t.Errorf("partition of %s: %d, want %d", g.Home, got, g.Partition)
		}
	}
}

func TestGoldenTexts(t *testing.T) {
	v := golden(t)
	for _, g := range v.Cursors {
		var list []gotong.StreamCursor
		for _, s := range g.Streams {
			c, err := gotong.ParseCursor(s[1])
			if err != nil || c.String() != s[1] {
				t.Errorf("cursor %s: %v", s[1], err)
			}
			list = append(list, gotong.StreamCursor{Stream: gotong.Stream(s[0]), Cursor: c})
		}
		if got := gotong.FormatCursors(list); got != g.Text {
			t.Errorf("%v: %s, want %s", g.Streams, got, g.Text)
		}
		if got, err := gotong.ParseCursors(g.Text); err != nil || gotong.FormatCursors(got) != g.Text {
			t.Errorf("%s: %v, %v", g.Text, got, err)
		}
	}
	for _, g := range v.Instants {
		var at gotong.Instant
		if err := at.UnmarshalText([]byte(g.Text)); err != nil || at != gotong.Instant(g.At) || at.String() != g.Text {
			t.Errorf("%s: %d, %v", g.Text, at, err)
		}
	}
}

// TestEveryFieldCounts: a change of any field of a header changes its link.
func TestEveryFieldCounts(t *testing.T) {
	base := gotong.Header{Epoch: "k3f9", Stream: "thread/a", Seq: 1, Type: "x", At: 5}
	for name, change := range map[string]func(*gotong.Header){
		"epoch": func(h *gotong.Header) { h.Epoch = "k3f8" }, "partition": func(h *gotong.Header) { h.Partition++ },
		"stream": func(h *gotong.Header) { h.Stream = "thread/b" }, "seq": func(h *gotong.Header) { h.Seq++ },
		"id": func(h *gotong.Header) { h.ID[15]++ }, "type": func(h *gotong.Header) { h.Type = "y" },
		"at": func(h *gotong.Header) { h.At++ }, "audience": func(h *gotong.Header) { h.Audience = "user/b" },
		"count": func(h *gotong.Header) { h.Count++ }, "prev": func(h *gotong.Header) { h.Prev[31]++ },
		"data": func(h *gotong.Header) { h.Data[0]++ }, "content": func(h *gotong.Header) { h.Content[0]++ },
		"swap": func(h *gotong.Header) { h.Epoch, h.Type = "x", "k3f9" },
	} {
		changed := base
		change(&changed)
		if changed.Chain() == base.Chain() {
			t.Errorf("%s does not count", name)
		}
	}
	if gotong.CommitData(gotong.Salt{}, nil) == gotong.CommitContent(gotong.Salt{}, nil) {
		t.Error("data and content commit to the same")
	}
}

// TestEventIDOrder: ids of increasing instants increase, whatever is random in
// them, and give the instant back.
func TestEventIDOrder(t *testing.T) {
	prev := gotong.EventID{}
	for _, from := range []gotong.Instant{0, 1_764_000_000_000_000} {
		for at := from; at < from+5000; at++ {
			random := ^uint64(0)
			if at%2 == 0 {
				random = 0
			}
			id := gotong.NewEventID(at, random)
			if id.At() != at {
				t.Fatalf("%s is of %d, was made at %d", id, id.At(), at)
			}
			if id.Compare(prev) <= 0 || at > 0 && id.String() <= prev.String() {
				t.Fatalf("%s does not come after %s", id, prev)
			}
			prev = id
		}
	}
}

// decodeHeader reads an encoded header back: that it can be done for every
// header is what makes the encoding injective.
func decodeHeader(b []byte) (h gotong.Header, ok bool) {
	if len(b) == 0 || b[0] != 2 {
		return h, false
	}
	var fields [12][]byte
	b = b[1:]
	for i := range fields {
		if len(b) < 4 {
			return h, false
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(len(b)-4) < uint64(n) {
			return h, false
		}
		fields[i], b = b[4:4+n], b[4+n:]
	}
	h = gotong.Header{
		Epoch: gotong.Epoch(fields[0]), Partition: gotong.Partition(binary.BigEndian.Uint64(fields[1])),
		Stream: gotong.Stream(fields[2]), Seq: binary.BigEndian.Uint64(fields[3]), Type: string(fields[5]),
		At: gotong.Instant(binary.BigEndian.Uint64(fields[6])), Audience: gotong.Audience(fields[7]),
		Count: binary.BigEndian.Uint64(fields[8]),
	}
	copy(h.ID[:], fields[4])
	copy(h.Prev[:], fields[9])
	copy(h.Data[:], fields[10])
	copy(h.Content[:], fields[11])
	return h, len(b) == 0
}

func FuzzHeader(f *testing.F) {
	f.Add("k3f9", byte(3), "thread/a", uint64(1), []byte{4}, "message.posted", int64(5), "user/u1", uint64(1), []byte{1}, []byte{2}, []byte{3})
	f.Add("", byte(0), "", uint64(0), []byte{}, "", int64(-1), "", uint64(0), []byte{}, []byte{}, []byte{})
	f.Fuzz(func(
		t *testing.T, epoch string, partition byte, stream string, seq uint64, id []byte, typ string, at int64,
		audience string, count uint64, prev, data, content []byte,
	) {
		h := gotong.Header{
			Epoch: gotong.Epoch(epoch), Partition: gotong.Partition(partition), Stream: gotong.Stream(stream), Seq: seq,
			Type: typ, At: gotong.Instant(at), Audience: gotong.Audience(audience), Count: count,
		}
		copy(h.ID[:], id)
		copy(h.Prev[:], prev)
		copy(h.Data[:], data)
		copy(h.Content[:], content)
		got, ok := decodeHeader(h.Append(nil))
		if !ok || got != h {
			t.Errorf("%+v came back as %+v, %v", h, got, ok)
		}
	})
}

func FuzzParseEventID(f *testing.F) {
	f.Add("019ab697-e800-7000-80e6-0970b35a292d")
	f.Add("019AB697-e800-7000-80e6-0970b35a292d")
	f.Add("{019ab697-e800-7000-80e6-0970b35a292d}")
	f.Add(strings.Repeat("-", 36))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := gotong.ParseEventID(s)
		if err != nil {
			if gotong.CodeOf(err) != gotong.CodeInvalid || !id.IsZero() {
				t.Errorf("%q: %v, %v", s, id, err)
			}
			return
		}
		if id.String() != s {
			t.Errorf("%q came back as %s", s, id)
		}
		b, err := json.Marshal(id)
		var back gotong.EventID
		if err != nil || json.Unmarshal(b, &back) != nil || back != id {
			t.Errorf("%q does not survive JSON: %s", s, b)
		}
	})
}
