package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"gotong.dev/gotong"
)

// Codec turns rows into the Go types of their kinds and back. It is built once
// from the table of kinds and is safe for concurrent use.
type Codec struct {
	kinds map[string]*kindCodec
	kept  *Kept // nil: every document is decoded
}

type kindCodec struct {
	kind      gotong.Kind
	commands  map[string]gotong.Type
	events    map[string]gotong.EventType
	documents map[string]gotong.Type
}

// NewCodec returns the codec of these kinds, each with [gotong.WithErasure]. It panics if two of them have one
// name or one collection.
func NewCodec(kinds []gotong.Kind) *Codec {
	c := &Codec{kinds: map[string]*kindCodec{}}
	owners := map[string]string{}
	for _, k := range kinds {
		k = gotong.WithErasure(k)
		if c.kinds[k.Name] != nil {
			panic("store: two kinds named " + k.Name)
		}
		kc := &kindCodec{
			kind: k, commands: map[string]gotong.Type{},
			events: map[string]gotong.EventType{}, documents: map[string]gotong.Type{},
		}
		for _, t := range k.Commands {
			kc.commands[t.Name] = t
		}
		for _, t := range k.Events {
			kc.events[t.Name] = t
		}
		for _, t := range k.Documents {
			if owner, ok := owners[t.Name]; ok {
				panic("store: collection " + t.Name + " belongs to " + owner + " and " + k.Name)
			}
			owners[t.Name] = k.Name
			kc.documents[t.Name] = t
		}
		c.kinds[k.Name] = kc
	}
	return c
}

// Kind returns the kind of this stream; [gotong.CodeNotFound] if there is none.
func (c *Codec) Kind(s gotong.Stream) (gotong.Kind, error) {
	kc, ok := c.kinds[s.Kind()]
	if !ok {
		return gotong.Kind{}, gotong.NotFound()
	}
	return kc.kind, nil
}

// Command returns the type of this command on this stream's kind, and whether
// there is one.
func (c *Codec) Command(s gotong.Stream, name string) (gotong.Type, bool) {
	kc, ok := c.kinds[s.Kind()]
	if !ok {
		return gotong.Type{}, false
	}
	t, ok := kc.commands[name]
	return t, ok
}

// Collections returns every collection of the kinds, for adapters that create a
// table for each.
func Collections(kinds []gotong.Kind) []string {
	var names []string
	for _, k := range kinds {
		for _, t := range k.Documents {
			names = append(names, t.Name)
		}
	}
	return names
}

// EncodeFact returns the data and content bytes of a fact's row; no content is
// nil.
func EncodeFact(cmd *gotong.Command, f *gotong.Fact) (data, content []byte, err error) {
	w := factWriters.Get().(*factWriter) //nolint:forcetypeassert // the pool holds nothing else
	defer w.release()
	w.data = Envelope[any]{f.By(cmd.Actor), cmd.RequestID, cmd.CorrelationID, f.Erases, f.Data}
	if err := w.json.Encode(&w.data); err != nil {
		return nil, nil, fmt.Errorf("store: encode data of %s: %w", f.Type, err)
	}
	cut := w.buf.Len()
	if f.Content != nil {
		if err := w.json.Encode(f.Content); err != nil {
			return nil, nil, fmt.Errorf("store: encode content of %s: %w", f.Type, err)
		}
	}
	both := bytes.Clone(w.buf.Bytes())                 // one object for both
	if data = both[: cut-1 : cut-1]; cut < len(both) { // each value ends with a line feed
		content = both[cut : len(both)-1]
	}
	return data, content, nil
}

// factWriter is what encoding a fact needs, kept for the next one.
type factWriter struct {
	buf  bytes.Buffer
	json *json.Encoder // to buf
	data Envelope[any]
}

var factWriters = sync.Pool{New: func() any {
	w := &factWriter{}
	w.json = json.NewEncoder(&w.buf)
	return w
}}

func (w *factWriter) release() {
	const keep = 16 << 10 // bytes
	if w.buf.Cap() > keep {
		return
	}
	w.buf.Reset()
	w.data = Envelope[any]{}
	factWriters.Put(w)
}

// Event decodes a row into the types of its kind. It does not verify the row; see
// [Event.Verify].
func (c *Codec) Event(row *Event) (gotong.Event, error) {
	e := gotong.Event{
		Stream: row.Stream, Seq: row.Seq, ID: row.ID, Type: row.Type, At: row.At,
		Audience: row.Audience, Count: row.Count,
	}
	t, ok := c.eventType(row)
	if !ok {
		return e, fmt.Errorf("%w: no kind knows event %s of a %s", ErrUnreadable, row.Type, row.Stream.Kind())
	}
	var env Envelope[json.RawMessage]
	err := json.Unmarshal(row.Data, &env)
	if err == nil {
		e.Actor, e.RequestID, e.CorrelationID = env.Actor, env.RequestID, env.CorrelationID
		e.Data, err = t.Data.Decode(json.Unmarshal, env.Payload)
	}
	if err == nil && row.Content != nil && t.Content != nil {
		e.Content, err = t.Content.Decode(json.Unmarshal, row.Content)
	}
	if err != nil {
		return e, fmt.Errorf("%w: decode %s %d: %w", ErrUnreadable, row.Stream, row.Seq, err)
	}
	return e, nil
}

func (c *Codec) eventType(row *Event) (gotong.EventType, bool) {
	kc, ok := c.kinds[row.Stream.Kind()]
	if !ok {
		return gotong.EventType{}, false
	}
	t, ok := kc.events[row.Type]
	return t, ok
}

// StreamOf returns the stream whose events project to the document of this key,
// whether the document exists or not; false if no kind has the collection. The
// stream is the document's owner; a line of a listing names it.
func (c *Codec) StreamOf(key gotong.Key) (gotong.Stream, bool) {
	for name, kc := range c.kinds {
		if _, ok := kc.documents[key.Collection]; ok {
			return gotong.NewStream(name, key.StreamID()), true
		}
	}
	return "", false
}

// Document decodes a document's body into the type of its collection.
func (c *Codec) Document(collection string, body []byte) (any, error) {
	for _, kc := range c.kinds {
		t, ok := kc.documents[collection]
		if !ok {
			continue
		}
		doc, err := t.Decode(json.Unmarshal, body)
		if err != nil {
			return nil, fmt.Errorf("%w: decode document of %s: %w", ErrUnreadable, collection, err)
		}
		return doc, nil
	}
	return nil, fmt.Errorf("%w: no kind owns collection %s", ErrUnreadable, collection)
}

// EncodeChange returns the row of a kind's change.
func EncodeChange(ch gotong.Change) (Change, error) {
	if ch.Doc == nil {
		return Change{Key: ch.Key}, nil
	}
	body, err := json.Marshal(ch.Doc)
	if err != nil {
		return Change{}, fmt.Errorf("store: encode document of %s: %w", ch.Key.Collection, err)
	}
	return Change{Key: ch.Key, Body: body}, nil
}

// maxKept is how many documents are kept decoded. The rules name those that all
// viewers need before those of each viewer.
const maxKept = 4

// Kept is a few documents, decoded, from one read to the next. What a document
// says depends only on its bytes, so it is used for as long as a snapshot has
// the same ones. The zero value is empty. All methods are safe for concurrent use.
type Kept struct {
	mu   sync.Mutex
	docs map[gotong.Key]kept
}

type kept struct {
	body []byte
	doc  any
}

// Keeping returns the codec with k to decode the documents of states.
func (c *Codec) Keeping(k *Kept) *Codec { return &Codec{kinds: c.kinds, kept: k} }

// document is [Codec.Document] for a document that may be kept.
func (c *Codec) document(key gotong.Key, body []byte) (any, error) {
	k := c.kept
	if k == nil {
		return c.Document(key.Collection, body)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.docs[key]
	if known && bytes.Equal(old.body, body) {
		return old.doc, nil
	}
	doc, err := c.Document(key.Collection, body)
	if err == nil && (known || len(k.docs) < maxKept) {
		if k.docs == nil {
			k.docs = map[gotong.Key]kept{}
		}
		k.docs[key] = kept{bytes.Clone(body), doc}
	}
	return doc, err
}
