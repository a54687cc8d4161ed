package surreal

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// writeLog writes events, records, claims and the order of commits.
func (p *plan) writeLog(w *writing) {
	var ends, batches []any
	after := p.ends()
	for no, commits := range p.logged {
		if len(commits) == 0 {
			continue
		}
		ends = append(ends, map[string]any{"id": surreal.Record("partition", no), "at": after[no]})
		batches = append(batches, map[string]any{
			"id": surreal.Record("batch", no, after[no]), "first": p.view.positions[no] + 1, "commits": commits,
		})
	}
	if len(ends) > 0 {
		w.add("FOR $p IN $ends { UPDATE $p.id SET position = $p.at RETURN NONE }", "ends", ends)
		w.add("INSERT INTO batch $batches RETURN NONE", "batches", batches)
		events := make([]map[string]any, len(p.events))
		for i, e := range p.events {
			events[i] = eventRow(e, p.places[i])
		}
		w.add("INSERT INTO event $events RETURN NONE", "events", events)
	}
	if len(p.order) > 0 {
		requests := make([]map[string]any, len(p.order))
		for i, key := range p.order {
			requests[i] = requestRow(p.records[key])
		}
		w.add("INSERT INTO request $requests RETURN NONE", "requests", requests)
	}
	if len(p.claims) > 0 {
		var claims []map[string]any
		for claim, stream := range p.claims {
			claims = append(claims, map[string]any{"id": claimID(claim), "stream": stream})
		}
		w.add("INSERT INTO claim $claims RETURN NONE", "claims", claims)
	}
}

// eventRow is an event as it is kept. The slices are the event's own.
func eventRow(e *store.Event, at place) map[string]any {
	row := map[string]any{
		"id":        surreal.Record("event", string(e.Stream), e.Seq),
		"partition": at.partition, "position": at.position, "uuid": surreal.UUID(e.ID), "type": e.Type, "at": e.At,
		"count": e.Count, "data": string(e.Data), "data_salt": e.DataSalt[:], "content_commit": e.ContentCommit[:],
		"prev": e.Prev[:], "chain": e.Chain[:],
	}
	if e.Audience != "" {
		row["audience"] = e.Audience
	}
	if e.Content != nil {
		row["content"] = string(e.Content)
	}
	if e.Erased {
		row["erased"] = true
	} else {
		row["content_salt"] = e.ContentSalt[:]
	}
	return row
}

func requestRow(r store.Record) map[string]any {
	row := map[string]any{
		"id": requestID(r.Request), "partition": r.Partition, "position": r.Position, "first": r.First, "last": r.Last, "at": r.At,
	}
	if r.Salt != nil {
		row["salt"] = r.Salt
	}
	if r.Fingerprint != nil {
		row["fingerprint"] = r.Fingerprint
	}
	return row
}

// documents writes what documents are in the end, one statement a collection.
func (w *writing) documents(docs map[gotong.Key][]byte) {
	puts := map[string][]map[string]any{}
	var gone []surreal.RecordID
	for key, body := range docs {
		if body == nil {
			gone = append(gone, docID(key))
			continue
		}
		puts[key.Collection] = append(puts[key.Collection], map[string]any{"id": docID(key), "body": string(body)})
	}
	for collection, rows := range puts {
		name := "doc_" + collection
		w.add("INSERT INTO "+name+" $"+name+" ON DUPLICATE KEY UPDATE body = $input.body RETURN NONE", name, rows)
	}
	if len(gone) > 0 {
		w.add("DELETE $gone RETURN NONE", "gone", gone)
	}
}

// eraseContent takes content and content salts away, and what the requests that
// brought them could be compared with.
func (p *plan) eraseContent(w *writing) {
	if len(p.erase) == 0 {
		return
	}
	events := make([]surreal.RecordID, len(p.erase))
	requests := make([]surreal.RecordID, len(p.blind))
	for i, key := range p.erase {
		events[i] = surreal.Record("event", string(key.Stream), key.Seq)
		requests[i] = requestID(p.blind[i])
	}
	w.add("UPDATE $erase SET content = NONE, content_salt = NONE, erased = true RETURN NONE", "erase", events)
	w.add("UPDATE $blind SET salt = NONE, fingerprint = NONE RETURN NONE", "blind", requests)
}
