package app_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/files/filestest"
)

// TestNodesShareABucket: what one node has stored, another one serves; while the bucket
// does not answer, requests get 503 without its name, and can be repeated.
func TestNodesShareABucket(t *testing.T) {
	s := filestest.Start(t)
	address := s.Bucket(t)
	o := &office{town: startTown(t, 2, "", func(c *config.Config) { c.Files = address })}
	ann, bob := o.ann.AccessToken, o.bob.AccessToken
	a := o.must(ann, form{"selokan.png", png(t, 800, 600)})
	message := o.post(ann, a.ID)
	o.nodes[0], o.nodes[1] = o.nodes[1], o.nodes[0]
	mine, status := o.link(bob, a.ID)
	if status != http.StatusOK {
		t.Fatalf("the link: %d", status)
	}
	use := func(url string, header ...string) (fetched, []byte) {
		return o.fetch("", http.MethodGet, url, "", nil, header...)
	}
	resp, whole := use(mine.URL)
	if resp.StatusCode != http.StatusOK || len(whole) != a.Size || resp.Header.Get("Content-Type") != "image/png" {
		t.Fatalf("%d, %d bytes of %d", resp.StatusCode, len(whole), a.Size)
	}
	if resp, part := use(mine.URL, "Range", "bytes=2-9"); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(part, whole[2:10]) {
		t.Errorf("a range: %d %q", resp.StatusCode, part)
	}
	if resp, end := use(mine.URL, "Range", "bytes=-5"); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(end, whole[len(whole)-5:]) {
		t.Errorf("the end: %d %q", resp.StatusCode, end)
	}
	if resp, thumb := use(mine.Thumb); resp.StatusCode != http.StatusOK || len(thumb) == 0 || resp.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the thumbnail: %d %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	s.Fault(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	kind, body := form{"a.txt", []byte("text")}.encode()
	path := "/v1/chat/attachments/upload?thread_id=" + o.topic.ID()
	sent, problem := o.fetch(ann, http.MethodPost, path, kind, body, "Idempotency-Key", "k1")
	got, also := use(mine.URL)
	s.Fault(nil)
	if sent.StatusCode != http.StatusServiceUnavailable || got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while the bucket does not answer: %d %s, %d %s", sent.StatusCode, problem, got.StatusCode, also)
	}
	if all := string(problem) + string(also); strings.Contains(all, "127.0.0.1") || strings.Contains(all, "bucket") {
		t.Errorf("shows where attachments are kept: %s", all)
	}
	if _, status := o.upload(ann, form{"a.txt", []byte("text")}, "Idempotency-Key", "k1"); status != http.StatusCreated {
		t.Errorf("repeated: %d", status)
	}
	o.call(0, ann, http.MethodDelete, o.path+"/messages/"+message, nil, nil)
	kept, err := files.NewS3(address)
	if err != nil {
		t.Fatal(err)
	}
	o.until("the bytes are removed", func() bool {
		_, err := kept.Open(t.Context(), a.ID)
		_, thumb := kept.Open(t.Context(), files.ThumbOf(a.ID))
		return errors.Is(err, fs.ErrNotExist) && errors.Is(thumb, fs.ErrNotExist)
	})
}
