package chat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// maxMarkKeys is how many requests a mark remembers. Marks come often and are
// repeated at once or not at all, so that a record that lives for ever, as an
// event's does, would cost more than it is worth.
const maxMarkKeys = 8

// keyed is the record of one marking: the key, what was asked, and the answer.
// It is part of the mark's own register, and so written with its effect.
type keyed struct {
	Key    []byte   `json:"k"`
	Body   []byte   `json:"b"`
	Answer position `json:"a"`
}

// fingerprint is what tells one marking from another: of key and body the first
// 128 bits of SHA-256, which keep a register small. Neither is a secret.
type fingerprint struct{ key, body []byte }

// newPrint is that of a call; without a key where the client sent none.
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

// answered is the first answer to a request that is remembered;
// [gotong.CodeReused] where its key was used for another one.
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

// keep is the mark with the record of this request, whose answer it is.
func (m mark) keep(p fingerprint) mark {
	if p.key != nil {
		last := m.Keys[max(0, len(m.Keys)-maxMarkKeys+1):]
		m.Keys = append(slices.Clip(last), keyed{p.key, p.body, m.position})
	}
	return m
}
