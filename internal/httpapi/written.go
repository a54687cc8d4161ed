package httpapi

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// Written is the answer to a write: the changed resource in its present state,
// or the bare receipt for a user who may no longer read it (contract I10, I11).
type Written[T any] struct {
	View    *T
	Receipt *ReceiptView
}

// MarshalJSON encodes the one that is set.
func (w Written[T]) MarshalJSON() ([]byte, error) {
	if w.View != nil {
		return json.Marshal(w.View)
	}
	return json.Marshal(w.Receipt)
}

// Schema returns the schema of either form, for the document.
func (Written[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[T](), true, ""), r.Schema(reflect.TypeFor[ReceiptView](), true, ""),
	}}
}

// Bare returns the answer that contains only the receipt.
func Bare[T any](r gotong.Receipt) Written[T] {
	view := ViewReceipt(r)
	return Written[T]{Receipt: &view}
}

// Answered is the answer to a write of one thing.
type Answered[T any] struct {
	Location string `header:"Location"`
	Tagged
	Body Written[T]
}

// Answer returns the view that was read again after a write, or the bare
// receipt if the caller may no longer see anything.
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
