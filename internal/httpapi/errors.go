package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// huma makes its errors with these package variables. The defaults put the
// rejected value, even the whole body, into the answer.
func init() { //nolint:gochecknoinits // huma offers no other way
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		return humaProblem(ctx.Context(), status, errs)
	}
	huma.NewError = func(status int, _ string, errs ...error) huma.StatusError {
		return humaProblem(context.Background(), status, errs) //nolint:forbidigo // huma calls it while it makes the document
	}
	huma.DefaultArrayNullable = false
}

// humaProblem returns the problem for huma's findings: a [gotong.Error] as it
// is, several findings about fields as one, and never a value.
func humaProblem(ctx context.Context, status int, errs []error) *Problem {
	for _, err := range errs {
		var known *gotong.Error
		if errors.As(err, &known) && known.Code != gotong.CodeInvalid {
			return problem(ctx, err)
		}
	}
	if len(errs) > 0 && status < http.StatusInternalServerError {
		return problem(ctx, invalid(errs))
	}
	return problem(ctx, byStatus(status))
}

// invalid joins findings about fields in one error.
func invalid(errs []error) *gotong.Error {
	var fields []gotong.FieldError
	for _, err := range errs {
		var known *gotong.Error
		var detail *huma.ErrorDetail
		switch {
		case errors.As(err, &known):
			fields = append(fields, known.Fields...)
		case errors.As(err, &detail):
			fields = append(fields, fieldOfHuma(detail))
		}
	}
	return &gotong.Error{Code: gotong.CodeInvalid, Detail: "The request does not fit the operation.", Fields: fields}
}

// fieldOfHuma converts huma's finding about one parameter or field. The name of
// an unknown parameter is the client's invention and is not repeated.
func fieldOfHuma(d *huma.ErrorDetail) gotong.FieldError {
	if d.Message == "unknown query parameter" {
		return gotong.FieldError{Field: "query", Detail: "has an unknown parameter"}
	}
	return gotong.FieldError{Field: fieldName(d.Location), Detail: d.Message}
}

// fieldName returns huma's location without the part of the request that
// contains it.
func fieldName(location string) string {
	for _, part := range [...]string{"query.", "path.", "header.", "body."} {
		if rest, ok := strings.CutPrefix(location, part); ok {
			return rest
		}
	}
	if location == "" {
		return "body"
	}
	return location
}

func byStatus(status int) *gotong.Error {
	if status >= http.StatusInternalServerError || status == 0 {
		return gotong.NewError(gotong.CodeInternal, "The server failed to handle the request.")
	}
	return gotong.NewError(CodeBadRequest, "The request fits no operation.")
}
