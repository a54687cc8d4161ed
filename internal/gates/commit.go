package gates

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// prober is what probes need of a store.
type prober interface {
	store.Committer
	store.Log
}

// draft says what a commit of a probe shall be.
type draft struct {
	stream, home gotong.Stream
	request      string
	prev         gotong.Head
	events       int
	others       []store.Expectation
}

const probeUser = "gates"

// commit makes the commit of a draft: numbered, stamped, salted and chained as
// the engine does it.
func (r *run) commit(epoch gotong.Epoch, d draft) (store.Commit, error) {
	c := store.Commit{
		Request: gotong.RequestKey{Stream: d.stream, Actor: probeUser, RequestID: d.request},
		Home:    d.home, Prev: d.prev, Others: d.others,
	}
	data, err := json.Marshal(store.Envelope[struct{}]{
		Actor: gotong.Actor{UserID: probeUser, Role: gotong.RoleSystem}, RequestID: d.request, CorrelationID: d.request,
	})
	if err != nil {
		return c, err
	}
	head := d.prev
	for range d.events {
		at := gotong.NextInstant(r.o.Now(), head.At)
		e := store.Event{
			Stream: d.stream, Seq: head.Seq + 1, Partition: gotong.PartitionOf(d.home), ID: gotong.NewEventID(at, randomNumber()),
			Type: "gate.tried", At: at, Count: head.Count + 1, Data: data, Content: []byte(`{"body":"Halo, tetangga!"}`),
			DataSalt: randomSalt(), ContentSalt: randomSalt(), Prev: head.Chain,
		}
		e.ContentCommit = gotong.CommitContent(e.ContentSalt, e.Content)
		e.Chain = e.Header(epoch).Chain()
		head = gotong.Head{Seq: e.Seq, Chain: e.Chain, At: e.At, Count: e.Count, Home: d.home}
		c.Events = append(c.Events, e)
	}
	c.At = max(head.At, r.o.Now())
	return c, nil
}

func randomNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func randomSalt() (salt gotong.Salt) {
	_, _ = rand.Read(salt[:]) // never fails
	return salt
}

// unused is a stream that nobody has used.
func unused() gotong.Stream {
	return gotong.NewStream("gate", strings.ToLower(rand.Text()))
}

// errBusy is that somebody else was faster: to be tried again on a new head.
var errBusy = errors.New("somebody else was faster")

// tryCommit commits one draft on the stream's present head; errBusy where the
// head moved meanwhile.
func (r *run) tryCommit(ctx context.Context, s prober, d draft) (store.Commit, error) {
	snap, err := s.Load(ctx, store.Need{Heads: []gotong.Stream{d.stream}})
	if err != nil {
		return store.Commit{}, err
	}
	d.prev = snap.Heads[d.stream]
	c, err := r.commit(s.Epoch(), d)
	if err != nil {
		return c, err
	}
	out, err := s.Commit(ctx, []store.Commit{c})
	switch {
	case err != nil:
		return c, err
	case out[0].Status == store.Moved:
		return c, errBusy
	case out[0].Status != store.Committed && out[0].Status != store.Replayed:
		return c, fmt.Errorf("a commit of a probe was given fate %d", out[0].Status)
	}
	return c, nil
}

// readPage is how many events a probe reads at a time.
const readPage = 500

// streamOf reads the whole of a stream, page by page.
func streamOf(ctx context.Context, s prober, stream gotong.Stream) (events []store.Event, head gotong.Head, err error) {
	for {
		from := uint64(len(events))
		snap, err := s.Load(ctx, store.Need{
			Heads:  []gotong.Stream{stream},
			Events: []store.EventRange{{Stream: stream, From: from, To: from + readPage, Limit: readPage}},
		})
		if err != nil {
			return nil, gotong.Head{}, err
		}
		page := snap.Events[0]
		events = append(events, page...)
		if len(page) == 0 {
			return events, snap.Heads[stream], nil
		}
	}
}

// partitionOf reads a partition from one position to another.
func partitionOf(ctx context.Context, s prober, p gotong.Partition, from, to uint64) (events []store.Event, err error) {
	for from < to {
		page, err := s.ReadPartition(ctx, p, from, to, readPage)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return events, nil
		}
		events = append(events, page...)
		from = page[len(page)-1].Position
	}
	return events, nil
}
