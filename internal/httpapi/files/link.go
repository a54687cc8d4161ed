package files

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/thread"
	kept "gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
)

const (
	linkLife  = 5 * time.Minute
	maxRanges = 8
)

// claims are what a link is for: a user with the login that asked for it, the event
// that shows the file, and the file or its thumbnail.
type claims struct {
	Principal auth.Principal `json:"p"`
	Stream    gotong.Stream  `json:"s"`
	Seq       uint64         `json:"n"`
	About     uint64         `json:"a,omitempty"` // for a reviewer: the message that opens it
	ID        string         `json:"i"`
	Thumb     bool           `json:"t,omitempty"`
	ExpiresMS int64          `json:"e"`
}

var encoding = base64.RawURLEncoding.Strict()

func (f *routes) sign(body string) []byte {
	h := hmac.New(sha256.New, f.Key)
	_, _ = h.Write([]byte(body))
	return h.Sum(nil)
}

func (f *routes) url(c claims) string {
	raw, _ := json.Marshal(c) //nolint:errchkjson // has a JSON form
	body := encoding.EncodeToString(raw)
	return base + "/" + c.ID + "/download?link=" + body + "." + encoding.EncodeToString(f.sign(body))
}

// verify returns the claims of a link for a file if the server made it and it has not
// expired.
func (f *routes) verify(link, id string) (c claims, ok bool) {
	body, sum, _ := strings.Cut(link, ".")
	given, err := encoding.DecodeString(sum)
	if err != nil || !hmac.Equal(given, f.sign(body)) {
		return c, false
	}
	raw, err := encoding.DecodeString(body)
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return c, false
	}
	return c, c.ID == id && f.Now().Milli() < c.ExpiresMS
}

type downloadIn struct {
	httpapi.In
	httpapi.Raw
	Link string `query:"link" required:"true" maxLength:"4096" doc:"As in the url that link-attachment returned."`
}

func (f *routes) download(ctx context.Context, in *downloadIn) (*httpapi.Plain, error) {
	c, ok := f.verify(in.Link, in.ID)
	if !ok {
		return nil, gotong.NewError(gotong.CodeForbidden, "The link is not valid, or it has expired; get a new one.")
	}
	switch err := f.Recheck(ctx, c.Principal); {
	case gotong.CodeOf(err) == gotong.CodeUnauthorized:
		return nil, gotong.NewError(gotong.CodeForbidden, "The login of the link has ended.")
	case err != nil:
		return nil, err
	}
	who := gotong.Viewer{UserID: c.Principal.UserID, Role: c.Principal.Role}
	var p place
	var err error
	if c.About > 0 {
		p, err = f.opened(ctx, who, c)
	} else {
		p, err = f.find(ctx, who, in.ID)
	}
	if err != nil {
		return nil, err
	}
	before := c.Stream == thread.UploadStream(in.ID) // the link is from before the message
	if !before && (c.Stream != p.stream || c.Seq != p.seq) {
		return nil, gotong.NotFound()
	}
	name, hash := in.ID, p.upload.Hash
	if c.Thumb {
		name, hash = kept.ThumbOf(in.ID), p.upload.Thumb
	}
	object, err := f.Files.Bytes.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		f.Log.ErrorContext(ctx, "the bytes of an attachment are missing", "upload", in.ID)
		return nil, gotong.NotFound()
	}
	if err != nil {
		return nil, err
	}
	in.Allow(object.Size())
	return in.Answers(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = object.Close() }()
		header(w.Header(), p.file, c.Thumb)
		w.Header().Set("Etag", `"`+hash+`"`)
		if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
			r.Header.Del("Range")
		}
		http.ServeContent(&ranged{ResponseWriter: w, r: r}, r, "", time.Time{}, object)
	}), nil
}

// header sets what a browser needs to do no harm with the file: its type is from a
// short list, and only pictures, sound and films are shown in a page.
func header(h http.Header, file thread.Attachment, thumb bool) {
	how, kind := "attachment", file.Type
	if kept.Inline(kind) {
		how = "inline"
	}
	if thumb {
		kind = "" // ServeContent finds PNG or JPEG
	}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	h.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": file.Name}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, no-cache")
}

// ranged is where net/http writes a file to. Its only error is one of the range.
type ranged struct {
	http.ResponseWriter
	r      *http.Request
	failed bool
}

// WriteHeader writes a problem instead of that error.
func (w *ranged) WriteHeader(status int) {
	if w.failed = status == http.StatusRequestedRangeNotSatisfiable; !w.failed {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.Header().Del("Content-Disposition")
	httpapi.WriteProblem(w.ResponseWriter, w.r, gotong.NewError(httpapi.CodeRange, "The file has no such bytes."))
}

// Write drops the text of the error.
func (w *ranged) Write(b []byte) (int, error) {
	if w.failed {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}
