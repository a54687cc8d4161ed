package auth

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"gotong.dev/gotong"
)

// recent is a cache of two halves with at most half entries each. When the newer
// half is full, it replaces the older one.
type recent[K comparable, V any] struct {
	half     int
	mu       sync.RWMutex
	now, old map[K]V
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok := r.now[key]
	if !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
