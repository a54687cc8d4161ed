package copy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The rows as lines of a file: instants in microseconds since 1970, hashes in
// hex, all other bytes in base64.

type streamLine struct {
	Stream gotong.Stream `json:"stream"`
	Home   gotong.Stream `json:"home"`
	Seq    uint64        `json:"seq"`
	Chain  gotong.Hash   `json:"chain"`
	At     int64         `json:"at"`
	Count  uint64        `json:"count"`
}

type eventLine struct {
	Stream        gotong.Stream    `json:"stream"`
	Seq           uint64           `json:"seq"`
	Partition     gotong.Partition `json:"partition"`
	Position      uint64           `json:"position"`
	ID            []byte           `json:"id"`
	Type          string           `json:"type"`
	At            int64            `json:"at"`
	Audience      gotong.Audience  `json:"audience"`
	Count         uint64           `json:"count"`
	Data          []byte           `json:"data"`
	Content       []byte           `json:"content"` // null: none
	DataSalt      []byte           `json:"data_salt"`
	ContentSalt   []byte           `json:"content_salt"`
	ContentCommit gotong.Hash      `json:"content_commit"`
	Erased        bool             `json:"erased"`
	Prev          gotong.Hash      `json:"prev"`
	Chain         gotong.Hash      `json:"chain"`
	Record        *commitLine      `json:"record,omitempty"` // of the commit that begins with the event
}

// commitLine is a record without what the event beside it says.
type commitLine struct {
	Actor       string `json:"actor"`
	RequestID   string `json:"request_id"`
	Salt        []byte `json:"salt"`        // null: not kept
	Fingerprint []byte `json:"fingerprint"` // null: not kept
	Last        uint64 `json:"last"`
	At          int64  `json:"at"`
}

type noopLine struct {
	Stream      gotong.Stream    `json:"stream"`
	Actor       string           `json:"actor"`
	RequestID   string           `json:"request_id"`
	Salt        []byte           `json:"salt"`        // null: not kept
	Fingerprint []byte           `json:"fingerprint"` // null: not kept
	Partition   gotong.Partition `json:"partition"`
	At          int64            `json:"at"`
}

type claimLine struct {
	Space  string        `json:"space"`
	Name   string        `json:"name"`
	Stream gotong.Stream `json:"stream"`
}

type registerLine struct {
	Collection string `json:"collection"`
	Owner      string `json:"owner"`
	Name       string `json:"name"`
	Version    uint64 `json:"version"`
	Body       []byte `json:"body"`
	Expires    int64  `json:"expires"`
}

type cursorLine struct {
	Reader    string           `json:"reader"`
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
}

type jobLine struct {
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	Due     int64  `json:"due"`
	Attempt int    `json:"attempt"`
	Crashes int    `json:"crashes"`
	Dead    bool   `json:"dead"`
	Error   string `json:"error"`
	Body    []byte `json:"body"`
}

// linesOf yields all rows of a page except events.
func linesOf(r *store.Rows) iter.Seq2[Part, any] {
	return func(yield func(Part, any) bool) {
		ok := true
		for i := 0; ok && i < len(r.Streams); i++ {
			s, h := r.Streams[i].Stream, r.Streams[i].Head
			ok = yield(Streams, streamLine{s, h.Home, h.Seq, h.Chain, int64(h.At), h.Count})
		}
		for i := 0; ok && i < len(r.Records); i++ {
			c := &r.Records[i]
			ok = yield(Noops, noopLine{
				c.Request.Stream, c.Request.Actor, c.Request.RequestID, c.Salt, c.Fingerprint, c.Partition, int64(c.At),
			})
		}
		for i := 0; ok && i < len(r.Claims); i++ {
			c := &r.Claims[i]
			ok = yield(Claims, claimLine{c.Claim.Space, c.Claim.Name, c.Stream})
		}
		for i := 0; ok && i < len(r.Registers); i++ {
			c := &r.Registers[i]
			ok = yield(Registers, registerLine{c.Key.Collection, c.Key.Owner, c.Key.Name, c.Version, whole(c.Body), int64(c.Expires)})
		}
		for i := 0; ok && i < len(r.Cursors); i++ {
			c := &r.Cursors[i]
			ok = yield(Cursors, cursorLine{c.Reader, c.Partition, c.Position})
		}
		for i := 0; ok && i < len(r.Jobs); i++ {
			c := &r.Jobs[i]
			ok = yield(Jobs, jobLine{c.Queue, c.ID, int64(c.Due), c.Attempt, c.Crashes, c.Dead, c.Error, whole(c.Body)})
		}
	}
}

// whole returns b, or an empty body instead of nil, because stores do not
// distinguish the two.
func whole(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func linesOfCommit(l *store.Logged) iter.Seq2[eventLine, *store.Event] {
	return func(yield func(eventLine, *store.Event) bool) {
		for i := range l.Events {
			line := lineOfEvent(&l.Events[i])
			if r := &l.Record; i == 0 {
				line.Record = &commitLine{r.Request.Actor, r.Request.RequestID, r.Salt, r.Fingerprint, r.Last, int64(r.At)}
			}
			if !yield(line, &l.Events[i]) {
				return
			}
		}
	}
}

func lineOfEvent(e *store.Event) eventLine {
	return eventLine{
		Stream: e.Stream, Seq: e.Seq, Partition: e.Partition, Position: e.Position, ID: e.ID[:], Type: e.Type, At: int64(e.At),
		Audience: e.Audience, Count: e.Count, Data: e.Data, Content: e.Content, DataSalt: e.DataSalt[:],
		ContentSalt: e.ContentSalt[:], ContentCommit: e.ContentCommit, Erased: e.Erased, Prev: e.Prev, Chain: e.Chain,
	}
}

// decode reads a row strictly and adds it to a page.
func decode(part Part, raw json.RawMessage, page *Page) error {
	switch part {
	case Streams:
		return read(raw, func(l streamLine) {
			head := gotong.Head{Seq: l.Seq, Chain: l.Chain, At: gotong.Instant(l.At), Count: l.Count, Home: l.Home}
			page.Rows.Streams = append(page.Rows.Streams, store.StreamRow{Stream: l.Stream, Head: head})
		})
	case Events:
		return decodeEvent(raw, page)
	case Noops:
		return readPlaced(raw, func(l noopLine) gotong.Partition {
			page.Rows.Records = append(page.Rows.Records, store.Record{
				Request: gotong.RequestKey{Stream: l.Stream, Actor: l.Actor, RequestID: l.RequestID},
				Salt:    l.Salt, Fingerprint: l.Fingerprint, Partition: l.Partition, At: gotong.Instant(l.At),
			})
			return l.Partition
		})
	case Claims:
		return read(raw, func(l claimLine) {
			page.Rows.Claims = append(page.Rows.Claims, store.ClaimRow{Claim: gotong.Claim{Space: l.Space, Name: l.Name}, Stream: l.Stream})
		})
	case Registers:
		return read(raw, func(l registerLine) {
			page.Rows.Registers = append(page.Rows.Registers, store.Register{
				Key:     gotong.Key{Collection: l.Collection, Owner: l.Owner, Name: l.Name},
				Version: l.Version, Body: whole(l.Body), Expires: gotong.Instant(l.Expires),
			})
		})
	case Cursors:
		return readPlaced(raw, func(l cursorLine) gotong.Partition {
			page.Rows.Cursors = append(page.Rows.Cursors, store.CursorRow(l))
			return l.Partition
		})
	case Jobs:
		return read(raw, func(l jobLine) {
			page.Rows.Jobs = append(page.Rows.Jobs, store.Job{
				Queue: l.Queue, ID: l.ID, Due: gotong.Instant(l.Due), Attempt: l.Attempt, Crashes: l.Crashes,
				Dead: l.Dead, Error: l.Error, Body: whole(l.Body),
			})
		})
	default:
		return fmt.Errorf("a row has the unknown sort %q", part)
	}
}

func decodeEvent(raw json.RawMessage, page *Page) error {
	var l eventLine
	if err := read(raw, func(row eventLine) { l = row }); err != nil {
		return err
	}
	e := store.Event{
		Stream: l.Stream, Seq: l.Seq, Partition: l.Partition, Position: l.Position, Type: l.Type, At: gotong.Instant(l.At),
		Audience: l.Audience, Count: l.Count, Data: l.Data, Content: l.Content, ContentCommit: l.ContentCommit,
		Erased: l.Erased, Prev: l.Prev, Chain: l.Chain,
	}
	if len(l.ID) != len(e.ID) || len(l.DataSalt) != len(e.DataSalt) || len(l.ContentSalt) != len(e.ContentSalt) {
		return fmt.Errorf("an id or a salt has the wrong length")
	}
	e.ID, e.DataSalt, e.ContentSalt = gotong.EventID(l.ID), gotong.Salt(l.DataSalt), gotong.Salt(l.ContentSalt)
	if e.Erased && (e.Content != nil || e.ContentSalt != gotong.Salt{}) {
		return fmt.Errorf("an erased event has content")
	}
	logged := store.Logged{Events: []store.Event{e}}
	if r := l.Record; r != nil {
		if r.Last < e.Seq || r.Last-e.Seq >= store.MaxCommitEvents {
			return fmt.Errorf("the record of a commit from event %d to %d", e.Seq, r.Last)
		}
		logged.Record = store.Record{
			Request: gotong.RequestKey{Stream: e.Stream, Actor: r.Actor, RequestID: r.RequestID}, Salt: r.Salt, Fingerprint: r.Fingerprint,
			Partition: e.Partition, Position: e.Position, First: e.Seq, Last: r.Last, At: gotong.Instant(r.At),
		}
	}
	page.Commits = append(page.Commits, logged)
	return nil
}

func readPlaced[L any](raw json.RawMessage, add func(L) gotong.Partition) error {
	var p gotong.Partition
	err := read(raw, func(l L) { p = add(l) })
	if err == nil && p >= gotong.Partitions {
		err = fmt.Errorf("partition %d does not exist", p)
	}
	return err
}

func read[L any](raw json.RawMessage, add func(L)) error {
	var l L
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("the row cannot be parsed: %w", err)
	}
	add(l)
	return nil
}
