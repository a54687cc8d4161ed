package memory_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		var s *memory.Store
		return storetest.Harness{
			Properties: memory.Properties,
			Open: func(o storetest.Options) (store.Whole, error) {
				s = memory.New("", memory.Options{Now: o.Now})
				return s, nil
			},
			Lose: func(stream gotong.Stream, seq uint64) error { return s.Lose(stream, seq) },
		}
	})
}
