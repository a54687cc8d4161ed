package files

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/httpapi"
)

// Resumable uploads follow tus 1.0.0 (https://tus.io/protocols/resumable-upload). Its
// library reads the protocol's headers, compares offsets, bounds the body and says why
// it ended. It sees a request only after it was authorised here and has its turn, and
// its answers are replaced by those of the operations.

const (
	tusVersion = "1.0.0"
	chunkType  = "application/offset+octet-stream"
)

// tusOut is what the answers about one upload have in common.
type tusOut struct {
	Location string `header:"Location" doc:"The path of the upload, for requests that ask for its offset or append."`
	Version  string `header:"Tus-Resumable"`
	Offset   int64  `header:"Upload-Offset" doc:"How many bytes have arrived and are durable."`
	Length   int64  `header:"Upload-Length"`
	Expires  string `header:"Upload-Expires" doc:"When the upload is removed if it is not finished, or in no message."`
}

type tusAbout struct {
	Version    string `header:"Tus-Version"`
	Extensions string `header:"Tus-Extension"`
	Most       int64  `header:"Tus-Max-Size" doc:"The maximum size of a file, in bytes."`
}

func (f *routes) aboutTus(context.Context, *struct{}) (*tusAbout, error) {
	return &tusAbout{tusVersion, "creation,expiration", f.Files.File}, nil
}

// TusIn is what the requests of the protocol have in common.
type TusIn struct {
	httpapi.Raw
	Version string `header:"Tus-Resumable" doc:"Must be 1.0.0; HEAD may omit it."`
}

type createIn struct {
	TusIn
	ThreadID string `query:"thread_id" required:"true" doc:"The thread that the file is for."`
	Length   int64  `header:"Upload-Length" required:"true" minimum:"1" doc:"The size of the file in bytes."`
	Metadata string `header:"Upload-Metadata" maxLength:"4096" doc:"filename and its value in Base64, as in: filename Zm90by5wbmc="`
}

func (f *routes) createUpload(ctx context.Context, in *createIn) (*tusOut, error) {
	switch _, r := in.HTTP(); {
	case r.ContentLength != 0:
		return nil, gotong.Invalid("body", "must be empty; append the bytes by PATCH")
	case in.Length > f.Files.File: // the library would not name the limit
		return nil, f.tooLarge()
	}
	t := &transfer{routes: f, begin: upload.Start{Thread: gotong.NewStream(thread.Name, in.ThreadID)}}
	return t.serve(ctx, &in.Raw, (*tus.UnroutedHandler).PostFile)
}

type headIn struct {
	httpapi.In
	TusIn
}

func (f *routes) uploadOffset(ctx context.Context, in *headIn) (*tusOut, error) {
	return f.resume(ctx, in.ID, &in.Raw, (*tus.UnroutedHandler).HeadFile, true)
}

type appendIn struct {
	httpapi.In
	TusIn
	Offset int64 `header:"Upload-Offset" required:"true" minimum:"0" doc:"How many bytes have arrived so far."`
}

func (f *routes) appendUpload(ctx context.Context, in *appendIn) (*tusOut, error) {
	switch _, r := in.HTTP(); {
	case r.Header.Get("Content-Type") != chunkType || r.Header.Get("Content-Encoding") != "":
		return nil, gotong.NewError(httpapi.CodeMediaType, "The body must be "+chunkType+".")
	case r.ContentLength < 0: // what is too long would be found after its beginning was kept
		return nil, gotong.Invalid("Content-Length", "must be sent")
	}
	return f.resume(ctx, in.ID, &in.Raw, (*tus.UnroutedHandler).PatchFile, false)
}

// request is a method of the library that handles one.
type request func(*tus.UnroutedHandler, http.ResponseWriter, *http.Request)

// resume authorises a request for an upload before anything waits for it, or is
// interrupted by it.
func (f *routes) resume(ctx context.Context, id string, raw *httpapi.Raw, by request, back bool) (*tusOut, error) {
	u, err := f.mine(ctx, id)
	if err != nil {
		return nil, err
	}
	w, r := raw.HTTP()
	if r.ContentLength > u.Max { // the library's sum of offset and length can overflow
		return nil, beyond()
	}
	raw.Allow(u.Max)
	t := &transfer{routes: f, id: id}
	done, err := f.take(ctx, id, back, func() {
		t.ended.Store(true)
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // a recorder has none
	})
	if err != nil {
		return nil, err
	}
	defer done()
	return t.serve(ctx, raw, by)
}

// turn is a request that uses an upload.
type turn struct {
	end  func() // ends its transfer
	over chan struct{}
}

// take gives a request its turn, until done is called. A client that comes back after a
// cut ends its earlier transfer, because this node may not have noticed the cut, and
// waits until what that transfer received is kept.
func (f *routes) take(ctx context.Context, id string, back bool, end func()) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	mine := turn{end, make(chan struct{})}
	for {
		f.mu.Lock()
		before, taken := f.turns[id]
		switch {
		case !taken:
			f.turns[id] = mine
			f.mu.Unlock()
			return func() { f.leave(id, mine) }, nil
		case back:
			before.end()
		}
		f.mu.Unlock()
		if !back {
			return nil, another()
		}
		select {
		case <-before.over:
		case <-ctx.Done():
			return nil, another()
		}
	}
}

func (f *routes) leave(id string, t turn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.turns, id)
	close(t.over)
}

func beyond() error {
	return gotong.NewError(gotong.CodeTooLarge, "There are more bytes than Upload-Length, or than a file may have.")
}

func another() error {
	return gotong.NewError(gotong.CodeInProgress, "Another request is appending to this upload.")
}

// mine returns an upload of the caller that has not ended. If it is not finished, they
// must still be allowed to post; if it is, they must still see it.
func (f *routes) mine(ctx context.Context, id string) (u upload.Upload, err error) {
	if !gotong.ValidID(id) {
		return u, gotong.NotFound()
	}
	if u, err = read[upload.Upload](ctx, f, upload.Key(id)); err != nil {
		return u, err
	}
	switch open := u.State == upload.Open; {
	case u.Owner != viewer(ctx).UserID, !open && u.State != upload.Stored, open && f.Now() >= u.Began.Add(upload.Lifetime):
		return u, gotong.NotFound()
	case open:
		_, err = f.mayPost(ctx, u.Thread)
	default:
		_, err = f.find(ctx, viewer(ctx), id)
	}
	return u, err
}

// transfer is one request for an upload, as a store of the library.
type transfer struct {
	*routes
	begin  upload.Start // of a request to create
	id     string
	upload upload.Upload
	offset int64
	ended  atomic.Bool // by another request
	err    error       // why the store failed; the library only reports that it did
}

// serve lets the library answer a request, and returns the answer of the operation.
func (t *transfer) serve(ctx context.Context, raw *httpapi.Raw, by request) (*tusOut, error) {
	w, r := raw.HTTP()
	w.Header().Set("Tus-Resumable", tusVersion)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what the library started
	parts := tus.NewStoreComposer()
	parts.UseCore(t)
	h, err := tus.NewUnroutedHandler(tus.Config{
		StoreComposer: parts, MaxSize: t.Files.File, BasePath: base, Cors: &tus.CorsConfig{Disable: true},
		Logger:                           slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1})),
		GracefulRequestCompletionTimeout: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	answer, asked := &reply{header: http.Header{}}, r.Clone(ctx)
	asked.URL.Path = t.id // the library takes the id from there
	asked.Header.Del("X-HTTP-Method-Override")
	h.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { by(h, w, r) })).ServeHTTP(answer, asked)
	switch {
	case t.err != nil:
		return nil, t.bodyError(t.err)
	case answer.status >= http.StatusBadRequest && t.ended.Load():
		return nil, another()
	case answer.status >= http.StatusBadRequest:
		w.Header().Set("Tus-Version", tusVersion)
		return nil, answer.problem()
	}
	return &tusOut{
		Location: base + "/" + t.id, Version: tusVersion, Offset: t.offset, Length: t.upload.Max,
		Expires: t.upload.Began.Add(upload.Lifetime).Time().UTC().Format(http.TimeFormat),
	}, nil
}

// done notes why the store failed.
func (t *transfer) done(err error) error {
	if err != nil && t.err == nil {
		t.err = err
	}
	return err
}

// NewUpload begins an upload, unless an earlier request with the same key did.
func (t *transfer) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	t.begin.Name, t.begin.Size = info.MetaData["filename"], info.Size
	err := t.done(t.create(ctx))
	return t, err
}

func (t *transfer) create(ctx context.Context) (err error) {
	call := httpapi.CallOf(ctx)
	t.id = upload.StreamOf(call.Principal.UserID, call.RequestID).ID()
	u, err := read[upload.Upload](ctx, t.routes, upload.Key(t.id))
	if t.begin.Home = u.Home; gotong.CodeOf(err) == gotong.CodeNotFound {
		if err := t.Files.Tidy(t.Now()); err != nil {
			t.Log.ErrorContext(ctx, "what is left of uploads cannot be removed", "error", err)
		}
		var done func()
		if done, err = t.run(ctx, t.id); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				done()
			}
		}()
		t.begin.Home, err = t.admit(ctx, t.begin)
	}
	if err != nil {
		return err
	}
	if err := t.start(ctx, t.id, t.begin, "in parts, "+strconv.FormatInt(t.begin.Size, 10)); err != nil {
		return err
	}
	t.counted(t.id)
	return t.load(ctx)
}

// GetUpload returns the upload as it is now, when no other request writes to it.
func (t *transfer) GetUpload(ctx context.Context, _ string) (tus.Upload, error) {
	err := t.done(t.load(ctx))
	return t, err
}

// load finds how much has arrived. If all bytes have, but the node ended before it
// stored the file, load stores it.
func (t *transfer) load(ctx context.Context) (err error) {
	if t.upload, err = t.mine(ctx, t.id); err != nil {
		return err
	}
	if t.offset = t.upload.Max; t.upload.State == upload.Stored {
		return nil
	}
	if t.offset, err = t.Files.Arrived(t.id); err != nil || t.offset != t.upload.Max {
		return err
	}
	return t.FinishUpload(ctx)
}

// GetInfo returns how far the upload is.
func (t *transfer) GetInfo(context.Context) (tus.FileInfo, error) {
	return tus.FileInfo{ID: t.id, Size: t.upload.Max, Offset: t.offset}, nil
}

// WriteChunk keeps what arrives, also of a request that is cut.
func (t *transfer) WriteChunk(_ context.Context, at int64, from io.Reader) (int64, error) {
	n, err := t.Files.Append(t.id, at, from)
	t.offset += n
	return n, t.done(err)
}

// FinishUpload stores the file after its last byte has arrived.
func (t *transfer) FinishUpload(ctx context.Context) error {
	_, err := t.finish(ctx, t.id)
	t.release(t.id)
	return t.done(err)
}

// GetReader fails: clients download by a link.
func (t *transfer) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, t.done(gotong.NotFound())
}

// reply takes the library's answer. Deadlines do not pass through, because the library
// would extend them at each byte, for ever.
type reply struct {
	header http.Header
	text   []byte
	status int
}

func (a *reply) Header() http.Header              { return a.header }
func (a *reply) WriteHeader(status int)           { a.status = status }
func (a *reply) Write(b []byte) (int, error)      { a.text = append(a.text, b...); return len(b), nil }
func (a *reply) SetReadDeadline(time.Time) error  { return nil }
func (a *reply) SetWriteDeadline(time.Time) error { return nil }

// problem returns the problem that the library's answer reports.
func (a *reply) problem() error {
	code, _, _ := strings.Cut(string(a.text), ":")
	switch code {
	case "ERR_UNSUPPORTED_VERSION":
		return gotong.NewError(gotong.CodePrecondition, "The header Tus-Resumable must be 1.0.0.")
	case "ERR_MISMATCHED_OFFSET":
		return gotong.NewError(gotong.CodeConflict, "Upload-Offset is not the number of bytes that have arrived; ask for it.")
	case "ERR_MAX_SIZE_EXCEEDED", "ERR_UPLOAD_SIZE_EXCEEDED":
		return beyond()
	case "ERR_READ_TIMEOUT":
		return gotong.NewError(httpapi.CodeTimeout, "The bytes did not arrive in time; those that did are kept.")
	default:
		return gotong.NewError(httpapi.CodeBadRequest, "The body ended early, or the headers do not fit; the bytes that arrived are kept.")
	}
}
