package httpapi

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// Tagged is the ETag of an output.
type Tagged struct {
	ETag string `header:"ETag"` //nolint:tagliatelle // as RFC 9110 spells it
}

// Tagger is a view with an ETag.
type Tagger interface{ Tag() string }

// Shown is the answer to a read of one view.
type Shown[T any] struct {
	Status int
	Tagged
	AsOf string `header:"X-As-Of"`
	Body T
}

// Show returns the answer with a view or, if the request's If-None-Match header
// names its ETag, 304.
func Show[T Tagger](view T, asOf, ifNoneMatch string) *Shown[T] {
	out := &Shown[T]{Status: http.StatusOK, Tagged: Tagged{ETag: view.Tag()}, AsOf: asOf, Body: view}
	if Matches(ifNoneMatch, out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out
}

// Sum returns a checksum of values, for the ETag of a view that shows them.
func Sum(values ...any) string {
	sum := fnv.New64a()
	_ = json.NewEncoder(sum).Encode(values) // values of a view always encode
	return strconv.FormatUint(sum.Sum64(), 36)
}

// Matches reports whether an If-None-Match header (RFC 9110, 13.1.2) names the
// tag, by weak comparison.
func Matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == "*" || part != "" && part == tag {
			return true
		}
	}
	return false
}

// Revision returns the revision of an If-Match header (RFC 9110, 13.1.1). A tag
// may continue after a dot, which is ignored because it does not concern what
// is changed. Other forms cannot be compared: lists and weak tags are rejected.
// Callers treat [AnyRevision] before.
func Revision(header string) (uint64, error) {
	tag, quoted := strings.CutPrefix(header, `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	number, _, _ := strings.Cut(tag, ".")
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || !quoted || !closed || strings.Contains(tag, `"`) || strconv.FormatUint(n, 10) != number {
		return 0, gotong.Invalid("If-Match", "must be the ETag of the resource that is changed")
	}
	return n, nil
}

// AnyRevision is the If-Match header that every existing revision matches.
const AnyRevision = "*"

// Stale turns a conflict of revisions into the error for a stale If-Match.
func Stale(err error) error {
	if gotong.CodeOf(err) != gotong.CodeVersion {
		return err
	}
	return gotong.NewError(gotong.CodePrecondition, "The resource has another revision than the one in If-Match.")
}

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
