package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"gotong.dev/gotong"
)

// Attachment is a file of a message.
type Attachment struct {
	ID        string `json:"attachment_id"`
	Name      string `json:"file_name"`
	MimeType  string `json:"mime_type"`
	Size      int64  `json:"size_bytes"`
	Width     int    `json:"width,omitempty"` // of a picture
	Height    int    `json:"height,omitempty"`
	Thumbnail bool   `json:"thumbnail,omitempty"` // there is one
}

// File is an attachment with links to its bytes.
type File struct {
	Attachment
	MediaType    string `json:"media_type"`              // image, video, audio or file
	URL          string `json:"url"`                     // a path of the server, with the query that authorises it
	ThumbnailURL string `json:"thumbnail_url,omitempty"` // likewise
	ExpiresAtMS  int64  `json:"expires_at_ms"`           // of the links
}

// NewFile describes a file to be uploaded.
type NewFile struct {
	Name     string // that others see
	Size     int64  // in bytes, at least 1
	From     io.ReaderAt
	Progress func(bytes int64) // if it is not nil, it is called with how many have arrived
}

const (
	attachments = "/v1/chat/attachments"
	maxPart     = 1 << 20 // bytes of one request
)

// Upload uploads a file for a thread, in parts by the tus protocol. After a cut it
// continues from what has arrived, until all has, the server rejects the file, or ctx
// ends. Then the error is an [UnknownError]: for 24 hours, an Upload with its request
// id continues. A message can name the File's ID in its Attachments.
func (c *Client) Upload(ctx context.Context, threadID string, file NewFile, opts ...CallOption) (File, error) {
	set, err := optionsOf(opts)
	if err != nil {
		return File{}, err
	}
	id, at, err := c.beginUpload(ctx, threadID, file, append(opts, RequestID(set.requestID)))
	if err == nil {
		err = c.appendAll(ctx, id, at, file)
		if err != nil && ctx.Err() != nil {
			err = &UnknownError{RequestID: set.requestID, Err: err}
		}
	}
	if err != nil {
		return File{}, err
	}
	return c.File(ctx, id)
}

// appendAll sends what is missing after an offset. Whenever it is not known what has
// arrived, it asks: this also ends an earlier request that the server still waits for.
func (c *Client) appendAll(ctx context.Context, id string, at int64, file NewFile) (err error) {
	known, part, tries := true, make([]byte, min(maxPart, max(file.Size, 0))), 0
	for at < file.Size {
		if !known {
			at, err = c.tus(ctx, op{method: http.MethodHead, path: attachmentPath(id), once: true})
		} else if at, err = c.appendPart(ctx, id, at, file, part); err == nil {
			tries = 0
		}
		if known = err == nil; known {
			if file.Progress != nil {
				file.Progress(at)
			}
			continue
		}
		if !repeatable(err) && gotong.CodeOf(err) != gotong.CodeConflict || !sleep(ctx, c.waitFor(err, tries)) {
			return err
		}
		tries++
	}
	return nil
}

func (c *Client) beginUpload(ctx context.Context, threadID string, file NewFile, opts []CallOption) (id string, at int64, err error) {
	h := http.Header{
		"Upload-Length":   {strconv.FormatInt(file.Size, 10)},
		"Upload-Metadata": {"filename " + base64.StdEncoding.EncodeToString([]byte(file.Name))},
	}
	var got http.Header
	at, err = c.tus(ctx, op{
		method: http.MethodPost, path: attachments, query: url.Values{"thread_id": {threadID}},
		sends: h, header: &got, opts: opts,
	})
	return path.Base(got.Get("Location")), at, err
}

// appendPart sends the part at an offset once, and returns the offset after it.
func (c *Client) appendPart(ctx context.Context, id string, at int64, file NewFile, part []byte) (int64, error) {
	part = part[:min(int64(len(part)), file.Size-at)]
	if n, err := file.From.ReadAt(part, at); n < len(part) {
		return at, &localError{fmt.Errorf("client: read %s: %w", file.Name, err)}
	}
	return c.tus(ctx, op{
		method: http.MethodPatch, path: attachmentPath(id), raw: part, once: true,
		sends: http.Header{"Upload-Offset": {strconv.FormatInt(at, 10)}, "Content-Type": {"application/offset+octet-stream"}},
	})
}

// tus sends a request of the tus protocol, and returns the offset in its answer.
func (c *Client) tus(ctx context.Context, o op) (int64, error) {
	var got http.Header
	if o.header == nil {
		o.header = &got
	}
	if o.sends == nil {
		o.sends = http.Header{}
	}
	o.sends.Set("Tus-Resumable", "1.0.0")
	if err := c.do(ctx, o, nil); err != nil {
		return 0, err
	}
	at, err := strconv.ParseInt(o.header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 {
		return 0, &localError{errors.New("client: an answer without Upload-Offset")}
	}
	return at, nil
}

// UploadBytes uploads a small file in one request.
func (c *Client) UploadBytes(ctx context.Context, threadID, name string, data []byte, opts ...CallOption) (out File, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(data)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		return out, err
	}
	err = c.do(ctx, op{
		method: http.MethodPost, path: attachments + "/upload", query: url.Values{"thread_id": {threadID}},
		raw: body.Bytes(), sends: http.Header{"Content-Type": {form.FormDataContentType()}}, opts: opts,
	}, &out)
	return out, err
}

// DiscardUpload removes an upload of the caller's that is in no message.
func (c *Client) DiscardUpload(ctx context.Context, id string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: attachmentPath(id), opts: opts}, nil)
}

// File returns a file with links to it, which work for 5 minutes.
func (c *Client) File(ctx context.Context, id string) (File, error) {
	return read[File](ctx, c, attachmentPath(id)+"/link", nil)
}

// Download writes the bytes of a file to w. After a cut it continues from there; the
// error of an attempt is returned after several that brought nothing.
func (c *Client) Download(ctx context.Context, id string, w io.Writer) (File, error) {
	for n, at := 0, int64(0); ; n++ {
		file, err := c.File(ctx, id)
		if err != nil {
			return file, err
		}
		got, err := c.fetch(ctx, file, at, w)
		if got > 0 {
			at, n = at+got, 0
		}
		if err == nil && at != file.Size {
			err = &localError{fmt.Errorf("client: %d bytes arrived of %d", at, file.Size)}
		}
		if err == nil || at < file.Size && (!repeatable(err) || n+1 >= readTries) {
			return file, err
		}
		if !sleep(ctx, c.waitFor(err, n)) {
			return file, err
		}
	}
}

// fetch copies the bytes of a file from an offset, and returns how many were written.
func (c *Client) fetch(ctx context.Context, file File, at int64, w io.Writer) (int64, error) {
	if !strings.HasPrefix(file.URL, "/") {
		return 0, &localError{errors.New("client: the link is no path of the server")}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address(file.URL, nil), http.NoBody)
	if err != nil {
		return 0, &localError{err}
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	res, err := c.stream.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or dropped
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return 0, problemOf(res)
	case (res.StatusCode == http.StatusPartialContent) != (at > 0):
		return 0, &localError{errors.New("client: the answer begins at another place")}
	}
	return io.Copy(keen{w}, io.LimitReader(res.Body, file.Size-at+1))
}

// keen marks errors of a writer as those of the calling program.
type keen struct{ io.Writer }

func (k keen) Write(b []byte) (int, error) {
	n, err := k.Writer.Write(b)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}

func attachmentPath(id string) string { return joined(attachments+"/", []string{id}) }
