// Package files serves the REST routes of attachments: uploading a file for a thread,
// links to it, and the bytes behind a link.
//
// A link names a user, an event and a file. It authorises nothing by itself: each use
// reads the account and the event again, as that user sees them now.
//
// # Caveats
//
// A transfer that has begun is completed, even if the user loses access meanwhile.
package files

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	kept "gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// Options are what the routes work with; all are required.
type Options struct {
	Files   *kept.Files
	Engine  httpapi.Executor
	Views   *view.Views
	Store   store.Loader
	Codec   *store.Codec
	Threads thread.Rules
	Recheck func(context.Context, auth.Principal) error
	// Opens reports whether a user may decide about the message about of a thread now, and
	// whether that opens the message seq to them.
	Opens func(ctx context.Context, me gotong.Viewer, stream gotong.Stream, about, seq uint64) (bool, error)
	Key   []byte // signs links
	Now   func() gotong.Instant
	Log   *slog.Logger
}

type routes struct {
	Options
	mu      sync.Mutex
	turns   map[string]turn // the requests that use an upload in parts
	running map[string]slot // uploads that this node receives
}

const (
	base    = "/v1/chat/attachments"
	tag     = "Attachments"
	subject = "The attachment's id."
)

// Routes returns a function that registers the routes under /v1/chat/attachments.
func Routes(opts Options) func(*httpapi.API) {
	f := &routes{Options: opts, turns: map[string]turn{}, running: map[string]slot{}}
	return func(api *httpapi.API) {
		httpapi.Register(api, httpapi.Route{
			ID: "upload-attachment", Method: http.MethodPost, Path: base + "/upload", Tag: tag, Write: true, Status: http.StatusCreated,
			Sends: "multipart/form-data", Summary: "Upload a file",
			Description: "The thread must be one where you may post; name the attachment in a message there. " +
				"A file that is in no message after 24 hours is removed. Pictures are stored upright and without metadata.",
		}, f.upload)
		f.resumable(api)
		httpapi.Register(api, httpapi.Route{
			ID: "link-attachment", Method: http.MethodGet, Path: base + "/{id}/link", Tag: tag, Subject: subject,
			Summary: "Get a link to a file",
			Description: "For all who may see the message; before the file is in one, for its uploader alone. " +
				"The link works for 5 minutes, as long as your login lasts.",
		}, f.link)
		httpapi.Register(api, httpapi.Route{
			ID: "download-attachment", Method: http.MethodGet, Path: base + "/{id}/download", Tag: tag, Subject: subject, Public: true,
			Gives: kept.Octets, Summary: "Download a file by its link",
			Description: "403 if the link is not valid or has expired, or its login has ended; " +
				"404 if the user of the link may not see the file any more. " +
				"The type is that of the file, from a short list. Range requests work.",
		}, f.download)
		httpapi.Register(api, httpapi.Route{
			ID: "discard-attachment", Method: http.MethodDelete, Path: base + "/{id}", Tag: tag, Subject: subject, Write: true,
			Summary: "Discard an upload", Description: "It must be your own, and in no message.",
		}, f.discard)
	}
}

// resumable registers the operations of tus; the id of an upload is that of its file.
func (f *routes) resumable(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "describe-uploads", Method: http.MethodOptions, Path: base, Tag: tag, Public: true, Status: http.StatusNoContent,
		Summary:     "Ask how to upload in parts",
		Description: "The version and the extensions of the tus protocol, and the maximum size of a file.",
	}, f.aboutTus)
	httpapi.Register(api, httpapi.Route{
		ID: "create-upload", Method: http.MethodPost, Path: base, Tag: tag, Write: true, Status: http.StatusCreated,
		Summary: "Begin an upload in parts",
		Description: "Uploads in parts follow the tus protocol (tus.io), version 1.0.0: begin, append, and after a cut ask for the " +
			"offset and append from there. Once its last byte has arrived, the file exists and has a link. An upload that is not " +
			"finished after 24 hours is removed.",
	}, f.createUpload)
	httpapi.Register(api, httpapi.Route{
		ID: "get-upload", Method: http.MethodHead, Path: base + "/{id}", Tag: tag, Subject: subject,
		Summary: "Ask how much of an upload has arrived", Description: "Uploads of others get 404.",
	}, f.uploadOffset)
	httpapi.Register(api, httpapi.Route{
		ID: "append-upload", Method: http.MethodPatch, Path: base + "/{id}", Tag: tag, Subject: subject, Status: http.StatusNoContent,
		Sends: chunkType, Summary: "Append to an upload",
		Description: "409 state_conflict if Upload-Offset is not the number of bytes that have arrived; 413 if there are more bytes " +
			"than Upload-Length. 409 request_in_progress if another request is appending, or if a request for the " +
			"offset ended this one. What arrived before a cut is kept.",
	}, f.appendUpload)
}

// View is a file with links to it.
type View struct {
	thread.Attachment
	MediaType    string `json:"media_type" enum:"image,video,audio,file"`
	URL          string `json:"url" doc:"A path of this server with the query that authorises it."`
	ThumbnailURL string `json:"thumbnail_url,omitempty"`
	ExpiresAtMS  int64  `json:"expires_at_ms" doc:"When the links end."`
}

// Opened returns the files of a message that another one, or itself, opens to a reviewer:
// with links that work while they may decide about that one.
func (o Options) Opened(ctx context.Context, stream gotong.Stream, seq, about uint64, list []thread.Attachment) (views []View) {
	f := &routes{Options: o}
	for _, file := range list {
		views = append(views, f.view(ctx, place{stream: stream, seq: seq, file: file, about: about}).Body)
	}
	return views
}

func (f *routes) view(ctx context.Context, p place) *httpapi.Out[View] {
	expires := f.Now().Add(linkLife)
	v := View{Attachment: p.file, MediaType: "file", ExpiresAtMS: expires.Milli()}
	if kept.Inline(p.file.Type) {
		v.MediaType, _, _ = strings.Cut(p.file.Type, "/")
	}
	c := claims{
		Principal: httpapi.CallOf(ctx).Principal.Principal, Stream: p.stream, Seq: p.seq, About: p.about,
		ID: p.file.ID, ExpiresMS: v.ExpiresAtMS,
	}
	v.URL = f.url(c)
	if p.file.Thumb {
		c.Thumb = true
		v.ThumbnailURL = f.url(c)
	}
	return &httpapi.Out[View]{Body: v}
}

func (f *routes) link(ctx context.Context, in *httpapi.In) (*httpapi.Out[View], error) {
	p, err := f.find(ctx, viewer(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return f.view(ctx, p), nil
}

func viewer(ctx context.Context) gotong.Viewer { return httpapi.CallOf(ctx).Principal.Viewer() }

// place is the event that shows a file: that of its message or, if it is in none, the
// first of the upload.
type place struct {
	stream gotong.Stream
	seq    uint64
	file   thread.Attachment
	upload upload.Upload
	about  uint64 // the message whose review opens it; 0: none
}

// opened returns a file that a review opens to a viewer now; [gotong.CodeNotFound] if it
// does not.
func (f *routes) opened(ctx context.Context, viewer gotong.Viewer, c claims) (p place, err error) {
	opens, err := f.Opens(ctx, viewer, c.Stream, c.About, c.Seq)
	if err != nil || !opens {
		return p, cmp.Or[error](err, gotong.NotFound())
	}
	key := thread.OverlayKey(c.Stream.ID(), c.Seq)
	snap, err := f.Store.Load(ctx, store.Need{
		Documents: []gotong.Key{key}, Events: []store.EventRange{{Stream: c.Stream, From: c.Seq - 1, To: c.Seq}},
	})
	if err != nil || len(snap.Events[0]) == 0 {
		return p, cmp.Or[error](err, gotong.NotFound())
	}
	o, _, err := httpapi.Document[thread.Overlay](f.Codec, snap, key)
	if err != nil {
		return p, err
	}
	e, err := f.Codec.Event(&snap.Events[0][0])
	text, _ := e.Content.(thread.Text)
	at := slices.IndexFunc(text.Files, func(a thread.Attachment) bool { return a.ID == c.ID })
	if err != nil || at < 0 || o.Deleted() {
		return p, cmp.Or[error](err, gotong.NotFound())
	}
	p = place{stream: c.Stream, seq: c.Seq, file: text.Files[at]}
	p.upload, err = read[upload.Upload](ctx, f, upload.Key(c.ID))
	return p, err
}

// find returns where a viewer sees a file now; [gotong.CodeNotFound] if nowhere.
func (f *routes) find(ctx context.Context, viewer gotong.Viewer, id string) (p place, err error) {
	if !gotong.ValidID(id) {
		return p, gotong.NotFound()
	}
	if p.upload, err = read[upload.Upload](ctx, f, upload.Key(id)); err != nil {
		return p, err
	}
	key := thread.AttachedKey(p.upload.Thread.ID(), id)
	a, err := read[thread.Attached](ctx, f, key)
	switch {
	case gotong.CodeOf(err) == gotong.CodeNotFound:
		if p.upload.Owner != viewer.UserID || p.upload.State != upload.Stored {
			return p, err
		}
		p.stream, p.seq, p.file = thread.UploadStream(id), 1, p.upload.Shown(id)
		return p, nil
	case err != nil:
		return p, err
	}
	page, err := f.Views.Read(ctx, viewer, view.Query{Stream: p.upload.Thread, From: a.Seq - 1, To: a.Seq, Limit: 1})
	if err != nil {
		return p, err
	}
	for _, e := range page.Events {
		text, _ := e.Content.(thread.Text)
		for _, file := range text.Files {
			if file.ID == id {
				p.stream, p.seq, p.file = e.Stream, e.Seq, file
				return p, nil
			}
		}
	}
	return p, gotong.NotFound()
}

// read returns a document as T, or [gotong.CodeNotFound].
func read[T any](ctx context.Context, f *routes, key gotong.Key) (doc T, err error) {
	snap, err := f.Store.Load(ctx, store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		return doc, err
	}
	body, ok := snap.Documents[key]
	if !ok {
		return doc, gotong.NotFound()
	}
	v, err := f.Codec.Document(key.Collection, body)
	doc, _ = v.(T)
	return doc, err
}

func (f *routes) discard(ctx context.Context, in *httpapi.SentNothing) (*httpapi.Out[httpapi.ReceiptView], error) {
	s := httpapi.Streams{Kind: upload.Name, Engine: f.Engine}
	receipt, err := s.Run(ctx, in.ID, upload.CmdCollect, upload.Collect{}, nil)
	if err == nil {
		f.release(in.ID)
	}
	return httpapi.Reply(httpapi.ViewReceipt(receipt), err)
}
