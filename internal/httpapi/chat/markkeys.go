package chat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// maxMarkKeys is how many requests a mark remembers. Clients set marks often and
// repeat a request at once or not at all, so a record that is kept for ever, like
// that of an event, would cost more than it is worth.
const maxMarkKeys = 8

// keyed is the record of one request: its key, its body and the response. It is
// part of the mark's own register, and so written together with its effect.
type keyed struct {
	Key    []byte   `json:"k"`
	Body   []byte   `json:"b"`
	Answer position `json:"a"`
}

// fingerprint identifies a request: the first 128 bits of the SHA-256 of its key
// and of its body. They keep a register small; neither is a secret.
type fingerprint struct{ key, body []byte }

// newPrint returns the fingerprint of a call; without a key if the client sent none.
func newPrint(ctx context.Context, raw []byte) fingerprint {
	call := httpapi.CallOf(ctx)
	if !call.Keyed {
		return fingerprint{}
	}
	return fingerprint{short([]byte(call.RequestID)), short(raw)}
}

func short(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:16]
}

// answered returns the first response to a request, if the mark remembers it; it
// fails with [gotong.CodeReused] if the key was used for another request.
func (m mark) answered(p fingerprint) (position, bool, error) {
	for _, k := range m.Keys {
		switch {
		case p.key == nil || !bytes.Equal(k.Key, p.key):
		case !bytes.Equal(k.Body, p.body):
			return position{}, false, gotong.NewError(gotong.CodeReused,
				"This request id was used for another request; use a new one.")
		default:
			return k.Answer, true, nil
		}
	}
	return position{}, false, nil
}

// keep returns the mark with the record of this request, whose response it is.
func (m mark) keep(p fingerprint) mark {
	if p.key != nil {
		last := m.Keys[max(0, len(m.Keys)-maxMarkKeys+1):]
		m.Keys = append(slices.Clip(last), keyed{p.key, p.body, m.position})
	}
	return m
}
