package memory_test

import (
	"testing"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		return storetest.Harness{Open: func(o storetest.Options) (store.Store, error) {
			return memory.New("", memory.Options{Now: o.Now}), nil
		}}
	})
}
