package httpapi

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// Written is the answer of a write: what was written, in its present state, or
// the bare receipt for a user who may no longer read it (contract I10, I11).
type Written[T any] struct {
	View    *T
	Receipt *ReceiptView
}

// MarshalJSON is the one that is there.
func (w Written[T]) MarshalJSON() ([]byte, error) {
	if w.View != nil {
		return json.Marshal(w.View)
	}
	return json.Marshal(w.Receipt)
}

// Schema is either form, for the document.
func (Written[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[T](), true, ""), r.Schema(reflect.TypeFor[ReceiptView](), true, ""),
	}}
}

// Bare is the answer that says no more than the receipt.
func Bare[T any](r gotong.Receipt) Written[T] {
	view := ViewReceipt(r)
	return Written[T]{Receipt: &view}
}

// Answered is the answer of writing one thing.
type Answered[T any] struct {
	Location string `header:"Location"`
	Tagged
	Body Written[T]
}

// Answer is the view that was read anew after a write, or the bare receipt
// where that found nothing that the caller may see.
func Answer[T Tagger](r gotong.Receipt, view T, err error) (*Answered[T], error) {
	switch {
	case gotong.CodeOf(err) == gotong.CodeNotFound:
		return &Answered[T]{Body: Bare[T](r)}, nil
	case err != nil:
		return nil, err
	default:
		return &Answered[T]{Tagged: Tagged{ETag: view.Tag()}, Body: Written[T]{View: &view}}, nil
	}
}
