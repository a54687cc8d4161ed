package edgepod

import (
	"crypto/sha256"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/edgepod"
)

// again keeps the newest answers of this node to requests without a stream, so that a repeated request gets the
// first outcome. An answer changes nothing, so a lost one is only asked for again.
type again struct {
	mu    sync.Mutex
	kept  map[askKey]kept
	order []askKey // oldest first
}

type askKey struct{ contract, actor, request string }

type kept struct {
	body   [sha256.Size]byte
	answer edgepod.Answer
}

const maxKept = 1000

// find returns the first answer to this request, or [gotong.CodeReused] if the
// first request with this id had another body.
func (a *again) find(key askKey, body []byte) (edgepod.Answer, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.kept[key]
	if ok && k.body != sha256.Sum256(body) {
		return edgepod.Answer{}, false, gotong.NewError(gotong.CodeReused, "This request id was used for another request; use a new one.")
	}
	return k.answer, ok, nil
}

func (a *again) keep(key askKey, body []byte, answer edgepod.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = map[askKey]kept{}
	}
	if _, ok := a.kept[key]; ok { // another request with this id was first
		return
	}
	if len(a.order) >= maxKept {
		delete(a.kept, a.order[0])
		a.order = a.order[1:]
	}
	a.kept[key], a.order = kept{sha256.Sum256(body), answer}, append(a.order, key)
}
