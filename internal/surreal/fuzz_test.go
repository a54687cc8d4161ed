package surreal

import (
	"testing"
)

// Any bytes of a server are decoded or rejected. They never end the process, and
// no notification or result has values that are not in the bytes.
func FuzzReply(f *testing.F) {
	seeds := []any{
		map[string]any{"id": 1, "result": []any{map[string]any{"status": "OK", "time": "1µs", "result": Record("a", 1)}}},
		map[string]any{"id": 1, "result": []any{map[string]any{"status": "ERR", "kind": "Thrown", "result": "An error occurred: x"}}},
		map[string]any{"id": 1, "error": map[string]any{"code": -32000, "message": "no", "kind": "Validation"}},
		map[string]any{"result": map[string]any{"id": UUID{1}, "action": "CREATE", "record": Record("a", "s", 1), "result": None{}}},
		map[string]any{"id": 1, "result": "surrealdb-3.0.2"},
		map[string]any{"id": 1, "result": Range{From: 1, To: []any{Time{}}}},
	}
	for _, seed := range seeds {
		data, err := encoding.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xbf, 0xff})
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReply(data)
		if err != nil {
			return
		}
		raw, err := r.answer()
		if err == nil && raw == nil {
			t.Error("an answer of nothing")
		}
		if err != nil {
			_ = err.Error()
			return
		}
		if results, err := decodeResults(raw); err == nil {
			if err := results.Err(); err != nil {
				_, _, _, _ = err.Error(), Conflict(err), Exists(err), Unknown(err)
			}
			for i := range results {
				_ = results[i].Decode(new(any))
				_ = results[i].Decode(new([]RecordID))
			}
			_ = inner(results, 3)
		}
		var into struct {
			At   Time
			ID   RecordID
			Of   UUID
			Body []byte
		}
		_ = Unmarshal(raw, &into)
		_ = (&Live{notes: make(chan Notification, 1)}).take(raw)
	})
}
