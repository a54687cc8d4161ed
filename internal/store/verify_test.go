package store_test

import (
	"errors"
	"fmt"
	"slices"
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

// TestVerifyRejectsEveryAlteration: whatever of a row is changed, it is not served; only an erasure
// may take content and its salt.
func TestVerifyRejectsEveryAlteration(t *testing.T) {
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

// TestVerifyRejectsTheIDOfAnotherInstant: an id of another instant is corrupt even where the chain was
// made of it.
func TestVerifyRejectsTheIDOfAnotherInstant(t *testing.T) {
	e := storetest.Build(epoch, storetest.Draft{Stream: "thread/a", Events: 1}).Events[0]
	e.ID = gotong.NewEventID(e.At+1, 7)
	e.Chain = e.Header(epoch).Chain()
	if err := e.Verify(epoch); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// TestOtherHeaderVersionsAreRejected: a log says its header version, and there is one answer to
// every other.
func TestOtherHeaderVersionsAreRejected(t *testing.T) {
	for version, want := range map[string]error{"2": nil, "": store.ErrHeader, "1": store.ErrHeader, "3": store.ErrHeader} {
		if err := store.CheckHeader(version); !errors.Is(err, want) {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

// TestErasedMarksMatchWhatLaterEventsName: an event may be marked erased where a later one of its stream
// names it, and must be where one does.
func TestErasedMarksMatchWhatLaterEventsName(t *testing.T) {
	made := storetest.NewMaker(epoch)
	next := func(erase ...uint64) store.Event {
		return made.Next(storetest.Draft{Stream: "thread/a", Events: 1, Erase: erase}).Events[0]
	}
	list := []store.Event{next(), next(), next(), next(1), next(1, 3)}
	for name, tt := range map[string]struct {
		marked  []int
		fails   bool
		unnamed uint64
	}{
		"as named":      {marked: []int{0, 2}},
		"one not":       {marked: []int{0}, fails: true},
		"one more":      {marked: []int{0, 1, 2}, unnamed: 2},
		"the eraser":    {marked: []int{0, 2, 4}, unnamed: 5},
		"nobody's mark": {marked: []int{1}, fails: true},
	} {
		seen, err := store.Erasures{}, error(nil)
		for i := range list {
			e := list[i]
			e.Erased = slices.Contains(tt.marked, i)
			if err == nil {
				err = seen.See(&e)
			}
		}
		if errors.Is(err, store.ErrCorrupt) != tt.fails || !tt.fails && seen.Unnamed() != tt.unnamed {
			t.Errorf("%s: %v, unnamed %d", name, err, seen.Unnamed())
		}
	}
}

// TestErasesIsReadFromItsExactPlace: the list stands at the top of the data, under its exact name.
func TestErasesIsReadFromItsExactPlace(t *testing.T) {
	for data, want := range map[string]string{
		`{"payload":{}}`: "[] <nil>", `{"erases":[1,2],"payload":{}}`: "[1 2] <nil>",
		`{"Erases":[1],"payload":{"erases":[2]}}`: "[] <nil>", `{"payload":"\"erases\""}`: "[] <nil>",
		`{"erases":[2,1]}`: "[] corrupt", `{"erases":[0]}`: "[] corrupt", `{"erases":[9]}`: "[] corrupt",
		`{"erases":["1"]}`: "[] corrupt", `{"erases":[-1]}`: "[] corrupt", `{"erases":[1],`: "[] corrupt",
	} {
		e := store.Event{Seq: 9, Data: []byte(data)}
		seqs, err := e.Erases()
		if errors.Is(err, store.ErrCorrupt) {
			err = errors.New("corrupt")
		}
		if got := fmt.Sprint(seqs, err); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
}
