package storetest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Draft describes a commit; a field that is left out gets a valid default.
type Draft struct {
	Stream    gotong.Stream
	Home      gotong.Stream // the stream itself where empty
	Actor     string        // "u1" where empty
	RequestID string        // a fresh one where empty
	Prev      gotong.Head
	Events    int // 0 is a no-op
	Type      string
	Audience  gotong.Audience
	Bare      bool           // events without content
	Body      string         // text in each event's content; a fresh one where empty
	At        gotong.Instant // of the first event, at the earliest
	Others    []store.Expectation
	Changes   []store.Change
	Claims    []gotong.Claim
	Registers []gotong.RegisterChange
	Erase     []uint64 // named by the last event; ascending
}

// Build returns the commit of a draft: its events are numbered, stamped, salted
// and chained from Prev on.
func Build(epoch gotong.Epoch, d Draft) store.Commit {
	d = d.filled()
	c := store.Commit{
		Request: gotong.RequestKey{Stream: d.Stream, Actor: d.Actor, RequestID: d.RequestID},
		Salt:    random(32), Home: d.Home, Prev: d.Prev,
		Others: d.Others, Changes: d.Changes, Claims: d.Claims, Registers: d.Registers, Erase: d.Erase, At: d.At,
	}
	fingerprint := sha256.Sum256(append(slices.Clone(c.Salt), d.RequestID...))
	c.Fingerprint = fingerprint[:]
	head := d.Prev
	for i := range d.Events {
		e := d.event(epoch, head, i)
		head = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: d.Home}
		c.Events = append(c.Events, e)
	}
	c.At = max(head.At, d.At)
	return c
}

func (d Draft) filled() Draft {
	if d.Home == "" {
		d.Home = d.Stream
	}
	if d.Actor == "" {
		d.Actor = "u1"
	}
	if d.RequestID == "" {
		d.RequestID = fresh("r")
	}
	if d.Type == "" {
		d.Type = "message.posted"
	}
	if d.At == 0 {
		d.At = 1_764_000_000_000_000
	}
	return d
}

func (d Draft) event(epoch gotong.Epoch, head gotong.Head, i int) store.Event {
	at := gotong.NextInstant(d.At, head.At)
	e := store.Event{
		Stream: d.Stream, Seq: head.Seq + 1, Partition: gotong.PartitionOf(d.Home),
		ID: gotong.NewEventID(at, binary.BigEndian.Uint64(random(8))), Type: d.Type, At: at,
		Audience: d.Audience, Count: head.Count + 1, Prev: head.Chain,
	}
	var erases []uint64
	if i == d.Events-1 {
		erases = d.Erase
	}
	e.Data = must(json.Marshal(store.Envelope[map[string]int]{
		Actor:     gotong.Actor{UserID: d.Actor, Role: gotong.RoleUser},
		RequestID: d.RequestID, CorrelationID: "c", Erases: erases, Payload: map[string]int{"i": i},
	}))
	copy(e.DataSalt[:], random(32))
	copy(e.ContentSalt[:], random(32))
	if !d.Bare {
		body := d.Body
		if body == "" {
			body = fresh("text")
		}
		e.Content = must(json.Marshal(map[string]string{"body": body}))
	}
	e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
	e.Chain = e.Header(epoch).Chain()
	return e
}

// Maker makes commits one after the other and keeps the head of each stream,
// as if every commit it made had been committed. It is safe for concurrent
// use.
type Maker struct {
	Epoch gotong.Epoch

	mu    sync.Mutex
	heads map[gotong.Stream]gotong.Head
}

// NewMaker returns a maker for an empty log of this epoch.
func NewMaker(epoch gotong.Epoch) *Maker {
	return &Maker{Epoch: epoch, heads: map[gotong.Stream]gotong.Head{}}
}

// Next returns the commit of a draft on the stream's head and moves the head.
func (m *Maker) Next(d Draft) store.Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.build(d)
	m.heads[d.Stream] = c.Head()
	return c
}

// Peek returns the commit of a draft on the stream's head and leaves the head
// where it is.
func (m *Maker) Peek(d Draft) store.Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.build(d)
}

func (m *Maker) build(d Draft) store.Commit {
	d.Prev = m.heads[d.Stream]
	if d.Home == "" {
		d.Home = d.Prev.Home
	}
	return Build(m.Epoch, d)
}

// Took moves a stream's head past a commit that [Maker.Peek] returned.
func (m *Maker) Took(c store.Commit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[c.Request.Stream] = c.Head()
}

// Head returns the stream's head after the commits made so far.
func (m *Maker) Head(s gotong.Stream) gotong.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heads[s]
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func fresh(prefix string) string { return prefix + "-" + hex.EncodeToString(random(8)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("storetest: %v", err))
	}
	return v
}
