package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// TextPrefix begins the names of the collections whose documents are found by
// words, see [Texts]. The body of such a document has the fields of [Text].
const TextPrefix = "text_"

// OfTexts reports whether the documents of a collection are found by words.
func OfTexts(collection string) bool { return strings.HasPrefix(collection, TextPrefix) }

// Text is the part of a body by which a document is found: the event that it is
// about, which orders it, and its words, with a space between two of them. A word
// is 1 to 64 of a-z0-9.
type Text struct {
	ID    gotong.EventID `json:"id"`
	Words string         `json:"words"`
}

// TextOf returns the text in a body; [ErrMalformed] if a word is none.
func TextOf(body []byte) (t Text, err error) {
	if err = json.Unmarshal(body, &t); err != nil {
		return t, fmt.Errorf("%w: the body of a text: %w", ErrMalformed, err)
	}
	for word := range strings.FieldsSeq(t.Words) {
		if err := checkWord(word); err != nil {
			return t, err
		}
	}
	return t, nil
}

func checkWord(word string) error {
	if word == "" || len(word) > 64 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("%w: %q is no word of a text", ErrMalformed, word)
	}
	return nil
}

// checkTexts returns [ErrMalformed] if a change puts a document into a collection of
// texts that cannot be found there.
func checkTexts(changes []Change) error {
	for _, ch := range changes {
		if !OfTexts(ch.Key.Collection) || ch.Body == nil {
			continue
		}
		if _, err := TextOf(ch.Body); err != nil {
			return err
		}
	}
	return nil
}

// Texts finds documents by their words. What Advance writes, it finds at once.
type Texts interface {
	// FindTexts returns the newest documents that f describes, by [Text.ID], newest
	// first.
	FindTexts(ctx context.Context, f Finding) ([]Document, error)
}

// Finding describes documents of a collection of texts.
type Finding struct {
	Collection string
	Owners     []string                  // documents of these owners; 1 to [MaxOwners]
	Words      [][]string                // of each list, the text has one of the words
	Before     gotong.EventID            // older than this event; zero: any
	Since      gotong.Instant            // not older than this; 0: any
	Keep       func(Text, Document) bool // also fits; it must not call the store. Nil: all do
	Limit      int                       // at most 1,000; 0 is 1,000
}

// The bounds of a [Finding].
const (
	MaxOwners = 500
	MaxWords  = 1000 // in all lists together
)

// Check returns [ErrMalformed] if the finding exceeds a bound or has a word that is
// none.
func (f *Finding) Check() error {
	all := slices.Concat(f.Words...)
	if len(f.Owners) == 0 || len(f.Owners) > MaxOwners || len(all) > MaxWords || !OfTexts(f.Collection) {
		return fmt.Errorf("%w: a search of %q for %d words of %d owners", ErrMalformed, f.Collection, len(all), len(f.Owners))
	}
	for _, list := range f.Words {
		if len(list) == 0 {
			return fmt.Errorf("%w: an empty list of words", ErrMalformed)
		}
	}
	for _, word := range all {
		if err := checkWord(word); err != nil {
			return err
		}
	}
	return nil
}

// Found collects the documents of a [Finding] from those that an adapter passes to
// [Found.Add], in any order.
type Found struct {
	f      *Finding
	owners map[string]bool
	list   []found
}

type found struct {
	Text
	Document
}

// NewFound returns an empty collection for a finding.
func NewFound(f *Finding) *Found {
	c := &Found{f: f, owners: map[string]bool{}}
	for _, owner := range f.Owners {
		c.owners[owner] = true
	}
	return c
}

// Add adds a document if it fits.
func (c *Found) Add(d Document) error {
	if d.Key.Collection != c.f.Collection || !c.owners[d.Key.Owner] {
		return nil
	}
	t, err := TextOf(d.Body)
	if err != nil {
		return err
	}
	if !c.f.Before.IsZero() && t.ID.Compare(c.f.Before) >= 0 || t.ID.At() < c.f.Since || !t.has(c.f.Words) {
		return nil
	}
	if c.f.Keep == nil || c.f.Keep(t, d) {
		c.list = append(c.list, found{t, d})
	}
	return nil
}

// FindPages finds documents where page returns up to [MaxRead] of those older than an
// event, newest first, that the database finds by words and owners. It is for adapters
// that cannot stop within an answer.
func FindPages(f *Finding, page func(before gotong.EventID) ([]Document, error)) ([]Document, error) {
	found := NewFound(f)
	for before := f.Before; ; {
		docs, err := page(before)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			t, err := TextOf(d.Body)
			if err == nil {
				err = found.Add(d)
			}
			if err != nil {
				return nil, err
			}
			before = t.ID
		}
		if len(docs) < MaxRead || found.Enough(before.At()) {
			return found.Documents(), nil
		}
	}
}

// Enough reports whether no document from an earlier instant is needed.
func (c *Found) Enough(at gotong.Instant) bool {
	n := Bound(c.f.Limit)
	return len(c.list) >= n && at < c.list[n-1].ID.At()
}

// Documents returns what was found, newest first.
func (c *Found) Documents() []Document {
	slices.SortFunc(c.list, func(a, b found) int {
		return cmp.Or(b.ID.Compare(a.ID), cmp.Compare(a.Key.Owner, b.Key.Owner), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	docs := make([]Document, 0, len(c.list))
	for _, f := range c.list[:min(len(c.list), Bound(c.f.Limit))] {
		docs = append(docs, f.Document)
	}
	return docs
}

// has reports whether the text has one word of each list.
func (t Text) has(words [][]string) bool {
	own := strings.Fields(t.Words)
	return !slices.ContainsFunc(words, func(list []string) bool {
		return !slices.ContainsFunc(list, func(word string) bool { return slices.Contains(own, word) })
	})
}
