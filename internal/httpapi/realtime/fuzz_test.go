package realtime

import (
	"testing"

	"gotong.dev/gotong"
)

// FuzzDecodeFrame: whatever comes, the decoder neither panics nor lets through
// what does not belong, and its refusal is one of two codes.
func FuzzDecodeFrame(f *testing.F) {
	for _, seed := range []string{
		`{"op":"ping","id":"1"}`, `{"op":"auth","token":"x"}`, `{"op":"subscribe","stream":"thread/1","cursor":"start"}`,
		`{"op":"command","id":"3","request_id":"r","stream":"thread/1","type":"message.post","data":{"body":"Halo"}}`,
		`{"op":"signal","stream":"thread/1","type":"typing"}`, `{"op":"ping","id":null}`, `{"op":"ping","data":null}`, `[]`, `{"op":`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := decodeFrame(b)
		if len(in.ID) > maxFrameID {
			t.Errorf("an id of %d bytes", len(in.ID))
		}
		if err != nil {
			code := gotong.CodeOf(err)
			if code != gotong.CodeBadJSON && code != gotong.CodeInvalid && code != gotong.CodeTooLarge {
				t.Errorf("code %s: %v", code, err)
			}
			return
		}
		allowed, ok := ops[in.Op]
		if !ok {
			t.Fatalf("op %q", in.Op)
		}
		for _, field := range []struct {
			bit int
			set bool
		}{
			{fToken, in.Token != ""}, {fStream, in.Stream != ""}, {fCursor, in.Cursor != nil}, {fRequest, in.RequestID != ""},
			{fRequest, in.CorrelationID != ""}, {fRequest, in.Traceparent != ""}, {fType, in.Type != ""}, {fData, in.Data != nil},
		} {
			if field.set && allowed&field.bit == 0 {
				t.Errorf("%s has field %d", in.Op, field.bit)
			}
		}
	})
}
