package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Raw is a request and its answer as net/http has them, for an operation whose body
// is not JSON. It is a field of an input.
type Raw struct {
	w http.ResponseWriter
	r *http.Request
}

// Resolve keeps both; huma calls it.
func (x *Raw) Resolve(ctx huma.Context) []error {
	x.r, x.w = humago.Unwrap(ctx)
	return nil
}

// HTTP returns both.
func (x *Raw) HTTP() (http.ResponseWriter, *http.Request) { return x.w, x.r }

// The slowest client that a transfer waits for, in bytes per second, and the time
// beside it.
const (
	slowest   = 16 << 10
	beginning = 30 * time.Second
)

// Allow gives a transfer of so many bytes the time that the slowest client takes.
func (x *Raw) Allow(bytes int64) {
	at := time.Now().Add(beginning + time.Duration(bytes/slowest)*time.Second) //nolint:forbidigo // a socket's deadline
	c := http.NewResponseController(x.w)
	_, _ = c.SetReadDeadline(at), c.SetWriteDeadline(at) // a recorder has none
}

// Plain is the answer of an operation that writes it itself.
type Plain struct {
	Body func(huma.Context)
}

// Answers returns the answer that write writes.
func (x *Raw) Answers(write func(http.ResponseWriter, *http.Request)) *Plain {
	return &Plain{Body: func(huma.Context) { write(x.w, x.r) }}
}

// The media types of bodies with a file, or a part of one.
const (
	form   = "multipart/form-data"
	chunks = "application/offset+octet-stream"
)

// media describes a body that is not JSON; a form has the part file.
func media(name string) map[string]*huma.MediaType {
	schema := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	if name == form {
		schema = &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": schema}, Required: []string{"file"}}
	}
	return map[string]*huma.MediaType{name: {Schema: schema}}
}
