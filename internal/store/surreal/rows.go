package surreal

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// writeLog writes events, records, claims and the order of commits.
func (p *plan) writeLog(w *writing) {
	var events []eventFields
	requests := make([]requestFields, len(p.Written))
	for i, c := range p.Written {
		requests[i] = requestRow(c.Kept)
		for j := range c.Events {
			events = append(events, eventRow(&c.Events[j], c.Kept.Partition, c.Kept.Position))
		}
	}
	var ends, batches []any
	for _, b := range p.batches() {
		end := b.First + uint64(len(b.Commits)) - 1
		ends = append(ends, map[string]any{"id": surreal.Record("partition", b.partition), "at": end})
		batches = append(batches, map[string]any{
			"id": surreal.Record("batch", b.partition, end), "first": b.First, "commits": b.Commits,
		})
	}
	if len(ends) > 0 {
		w.add("FOR $p IN $ends { UPDATE $p.id SET position = $p.at RETURN NONE }", "ends", ends)
		w.add("INSERT INTO batch $batches RETURN NONE", "batches", batches)
		w.add("INSERT INTO event $events RETURN NONE", "events", events)
	}
	if len(requests) > 0 {
		w.add("INSERT INTO request $requests RETURN NONE", "requests", requests)
	}
	if len(p.Claims) > 0 {
		var claims []map[string]any
		for claim, stream := range p.Claims {
			claims = append(claims, map[string]any{"id": claimID(claim), "stream": stream})
		}
		w.add("INSERT INTO claim $claims RETURN NONE", "claims", claims)
	}
}

// batch is a row of the table batch, with its partition.
type batch struct {
	batchRow

	partition gotong.Partition
}

// batches returns the rows of the table batch that a plan writes, in order of position within each
// partition.
func (p *plan) batches() (rows []*batch) {
	var last [gotong.Partitions]*batch
	for i := range p.Written {
		r := &p.Written[i].Kept
		if r.Position == 0 {
			continue
		}
		b := last[r.Partition]
		if b == nil || b.First+uint64(len(b.Commits)) != r.Position || len(b.Commits) == store.MaxTogether {
			b = &batch{batchRow{First: r.Position}, r.Partition}
			last[r.Partition], rows = b, append(rows, b)
		}
		b.Commits = append(b.Commits, loggedCommit{Stream: r.Request.Stream, First: r.First, Last: r.Last})
	}
	return rows
}

// eventFields is an event as it is stored. It is a struct because maps cost the
// encoder twice as much.
type eventFields struct {
	ID            surreal.RecordID `cbor:"id"`
	Partition     gotong.Partition `cbor:"partition"`
	Position      uint64           `cbor:"position"`
	UUID          surreal.UUID     `cbor:"uuid"`
	Type          string           `cbor:"type"`
	At            gotong.Instant   `cbor:"at"`
	Audience      gotong.Audience  `cbor:"audience,omitempty"`
	Count         uint64           `cbor:"count"`
	Data          string           `cbor:"data"`
	Content       string           `cbor:"content,omitempty"`
	DataSalt      []byte           `cbor:"data_salt"`
	ContentSalt   []byte           `cbor:"content_salt,omitempty"`
	ContentCommit []byte           `cbor:"content_commit"`
	Prev          []byte           `cbor:"prev"`
	Chain         []byte           `cbor:"chain"`
	Erased        bool             `cbor:"erased,omitempty"`
}

// eventRow returns the row of an event. It shares the event's slices.
func eventRow(e *store.Event, no gotong.Partition, position uint64) eventFields {
	row := eventFields{
		ID:        surreal.Record("event", string(e.Stream), e.Seq),
		Partition: no, Position: position, UUID: surreal.UUID(e.ID), Type: e.Type, At: e.At,
		Audience: e.Audience, Count: e.Count, Data: string(e.Data), Content: string(e.Content),
		DataSalt: e.DataSalt[:], ContentCommit: e.ContentCommit[:], Prev: e.Prev[:], Chain: e.Chain[:], Erased: e.Erased,
	}
	if !e.Erased {
		row.ContentSalt = e.ContentSalt[:]
	}
	return row
}

type requestFields struct {
	ID          surreal.RecordID `cbor:"id"`
	Partition   gotong.Partition `cbor:"partition"`
	Position    uint64           `cbor:"position"`
	First       uint64           `cbor:"first"`
	Last        uint64           `cbor:"last"`
	At          gotong.Instant   `cbor:"at"`
	Salt        []byte           `cbor:"salt,omitempty"`
	Fingerprint []byte           `cbor:"fingerprint,omitempty"`
}

func requestRow(r store.Record) requestFields {
	return requestFields{
		ID: requestID(r.Request), Partition: r.Partition, Position: r.Position, First: r.First, Last: r.Last, At: r.At,
		Salt: r.Salt, Fingerprint: r.Fingerprint,
	}
}

type documentFields struct {
	ID    surreal.RecordID `cbor:"id"`
	Body  string           `cbor:"body"`
	Event string           `cbor:"event,omitempty"` // this and what follows: of a text
	Owner string           `cbor:"owner,omitempty"`
	Words []string         `cbor:"words,omitempty"`
}

// documents writes the final values of documents, with one statement for each
// collection.
func (w *writing) documents(docs map[gotong.Key][]byte) {
	puts := map[string][]documentFields{}
	var gone []surreal.RecordID
	for key, body := range docs {
		if body == nil {
			gone = append(gone, docID(key))
			continue
		}
		puts[key.Collection] = append(puts[key.Collection], rowOf(key, body))
	}
	for collection, rows := range puts {
		name, update := "doc_"+collection, "body = $input.body"
		if store.OfTexts(collection) {
			update += ", event = $input.event, owner = $input.owner, words = $input.words"
		}
		w.add("INSERT INTO "+name+" $"+name+" ON DUPLICATE KEY UPDATE "+update+" RETURN NONE", name, rows)
	}
	if len(gone) > 0 {
		w.add("DELETE $gone RETURN NONE", "gone", gone)
	}
}

// eraseContent deletes contents and content salts, and the salts and fingerprints
// of their requests, with which a content could be guessed.
func (p *plan) eraseContent(w *writing) {
	if len(p.Erase) == 0 {
		return
	}
	events := make([]surreal.RecordID, len(p.Erase))
	requests := make([]surreal.RecordID, len(p.Blind))
	for i, key := range p.Erase {
		events[i] = surreal.Record("event", string(key.Stream), key.Seq)
		requests[i] = requestID(p.Blind[i])
	}
	w.add("UPDATE $erase SET content = NONE, content_salt = NONE, erased = true RETURN NONE", "erase", events)
	w.add("UPDATE $blind SET salt = NONE, fingerprint = NONE RETURN NONE", "blind", requests)
}
