package store_test

import (
	"errors"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
)

const epoch = gotong.Epoch("k3f9")

// altered is what can be done to one event without a new chain.
var altered = map[string]func(*store.Event){
	"stream":         func(e *store.Event) { e.Stream += "x" },
	"seq":            func(e *store.Event) { e.Seq++ },
	"partition":      func(e *store.Event) { e.Partition = (e.Partition + 1) % gotong.Partitions },
	"id":             func(e *store.Event) { e.ID[15]++ },
	"id of another":  func(e *store.Event) { e.ID = gotong.NewEventID(e.At+1, 7) },
	"type":           func(e *store.Event) { e.Type = "message.edited" },
	"at":             func(e *store.Event) { e.At++ },
	"audience":       func(e *store.Event) { e.Audience = "user/eve" },
	"count":          func(e *store.Event) { e.Count++ },
	"data":           func(e *store.Event) { e.Data = []byte(`{}`) },
	"content":        func(e *store.Event) { e.Content = []byte(`{"body":"forged"}`) },
	"no content":     func(e *store.Event) { e.Content = nil },
	"empty content":  func(e *store.Event) { e.Content = []byte{} },
	"data salt":      func(e *store.Event) { e.DataSalt[0]++ },
	"content salt":   func(e *store.Event) { e.ContentSalt[0]++ },
	"content commit": func(e *store.Event) { e.ContentCommit[0]++ },
	"prev":           func(e *store.Event) { e.Prev[0]++ },
	"chain":          func(e *store.Event) { e.Chain[0]++ },
	"erased":         func(e *store.Event) { e.Erased = true },
	"erased, forged": func(e *store.Event) { e.Erased, e.Content = true, []byte(`{"body":"forged"}`) },
	"erased, salted": func(e *store.Event) { e.Erased, e.Content = true, nil },
}

// TestVerify: whatever of a row is changed, it is not served; only an erasure
// may take content and its salt.
func TestVerify(t *testing.T) {
	c := storetest.Build(epoch, storetest.Draft{Stream: "thread/a", Events: 1, Audience: "user/u1"})
	if err := c.Events[0].Verify(epoch); err != nil {
		t.Fatal(err)
	}
	if err := c.Events[0].Verify("abcd"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("another epoch: %v", err)
	}
	for name, alter := range altered {
		e := c.Events[0]
		if alter(&e); !errors.Is(e.Verify(epoch), store.ErrCorrupt) {
			t.Errorf("%s can be changed", name)
		}
	}
	e := c.Events[0]
	e.Erased, e.Content, e.ContentSalt = true, nil, gotong.Salt{}
	if err := e.Verify(epoch); err != nil {
		t.Errorf("erased: %v", err)
	}
}

// TestVerifyTime: an id of another instant is corrupt even where the chain was
// made of it.
func TestVerifyTime(t *testing.T) {
	e := storetest.Build(epoch, storetest.Draft{Stream: "thread/a", Events: 1}).Events[0]
	e.ID = gotong.NewEventID(e.At+1, 7)
	e.Chain = e.Header(epoch).Chain()
	if err := e.Verify(epoch); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// TestCheckHeader: a log says its header version, and there is one answer to
// every other.
func TestCheckHeader(t *testing.T) {
	for version, want := range map[string]error{"2": nil, "": store.ErrHeader, "1": store.ErrHeader, "3": store.ErrHeader} {
		if err := store.CheckHeader(version); !errors.Is(err, want) {
			t.Errorf("version %q: %v", version, err)
		}
	}
}
