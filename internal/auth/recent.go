package auth

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
)

// recent is a cache of two halves with at most half entries each. When the newer
// half is full, it replaces the older one. An entry that is used moves from the
// older half to the newer one.
type recent[K comparable, V any] struct {
	half     int
	mu       sync.RWMutex
	now, old map[K]V
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	v, ok := r.now[key]
	_, older := r.old[key]
	r.mu.RUnlock()
	if ok || !older {
		return v, ok
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok = r.now[key]; ok { // put meanwhile
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.add(key, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(key, v)
}

// add is put for a caller that holds r.mu.
func (r *recent[K, V]) add(key K, v V) {
	if r.now == nil || len(r.now) >= r.half {
		r.old, r.now = r.now, map[K]V{}
	}
	r.now[key] = v
}

// once returns the result of look, which runs once for all callers that wait
// for the same key. A caller whose context ends gets [gotong.CodeBusy]; look goes
// on for the others, for at most five seconds.
func once[T any](ctx context.Context, flight *singleflight.Group, key string, look func(context.Context) (T, error)) (T, error) {
	done := flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return look(ctx)
	})
	select {
	case r := <-done:
		v, _ := r.Val.(T)
		return v, r.Err
	case <-ctx.Done():
		var none T
		return none, gotong.NewError(gotong.CodeBusy, "The request ended before its token was verified.")
	}
}
