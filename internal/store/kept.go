package store

import (
	"bytes"
	"sync"

	"gotong.dev/gotong"
)

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
