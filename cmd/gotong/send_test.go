package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/netfault"
)

// noise returns bytes that are no known sort of file.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestSendAndFetch: a message with a file, as tail shows it, and the file again; and
// what is wrong is explained.
func TestSendAndFetch(t *testing.T) {
	v := newVillage(t)
	th, data, dir := v.thread("private", "Halo"), noise(1<<20+7), t.TempDir()
	in, out, empty := filepath.Join(dir, "notulen.bin"), filepath.Join(dir, "out.bin"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(in, data, 0o600), os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	gotong := func(token string, args ...string) ran {
		return command(t, map[string]string{"GOTONG_URL": v.url, "GOTONG_TOKEN": token}, args...)
	}
	sent := gotong(v.token, "send", th.ThreadID, "Notulen", "rapat", "--file", in)
	if sent.code != 0 || sent.err != "" {
		t.Fatalf("%+v", sent)
	}
	page, err := v.client.Messages(t.Context(), th.ThreadID, client.Range{})
	if err != nil || len(page.Items) != 2 {
		t.Fatal(page, err)
	}
	m := page.Items[1]
	if m.MessageID.String() != strings.TrimSpace(sent.out) || m.Body != "Notulen rapat" || len(m.Attachments) != 1 {
		t.Fatalf("%s: %+v", sent.out, m)
	}
	a := m.Attachments[0]
	if a.Name != "notulen.bin" || a.Size != int64(len(data)) {
		t.Errorf("%+v", a)
	}
	tailText(t, v.url, v.token, th.ThreadID, "Notulen rapat [notulen.bin "+a.ID+"]")
	if r := gotong(v.token, "fetch", a.ID, out); r != (ran{}) {
		t.Errorf("%+v", r)
	}
	if got, err := os.ReadFile(filepath.Clean(out)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes are written, %v", len(got), err)
	}
	if r := gotong(v.token, "fetch", a.ID, "-"); r.out != string(data) {
		t.Errorf("%d bytes are printed", len(r.out))
	}

	stranger := account(t, v.url, "Joko")
	none := filepath.Join(dir, "none.bin")
	for name, tc := range map[string]struct {
		token string
		args  []string
		code  int
		says  string
	}{
		"nothing to send": {v.token, []string{"send", th.ThreadID}, 2, "neither a text nor a file"},
		"no such file":    {v.token, []string{"send", th.ThreadID, "--file", none}, 2, "no such file"},
		"a directory":     {v.token, []string{"send", th.ThreadID, "--file", dir}, 2, "is not a file"},
		"an empty file":   {v.token, []string{"send", th.ThreadID, "--file", empty}, 2, "is empty"},
		"of a stranger":   {stranger, []string{"send", th.ThreadID, "--file", in}, 1, "does not exist"},
		"for a stranger":  {stranger, []string{"fetch", a.ID, none}, 1, "does not exist"},
		"over a file":     {v.token, []string{"fetch", a.ID, in}, 2, "exists"},
	} {
		if r := gotong(tc.token, tc.args...); r.code != tc.code || !strings.Contains(r.err, tc.says) || r.out != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file remains: %v", err)
	}
}

// TestSendLimits: a file that is too large, or beyond a quota, is rejected with the reason.
func TestSendLimits(t *testing.T) {
	url := serving(t, "--file-size=2", "--files-per-user=1")
	token := account(t, url, "Wati")
	th, err := as(t, url, token).CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "private"})
	if err != nil {
		t.Fatal(err)
	}
	send := func(size int) ran {
		path := filepath.Join(t.TempDir(), "a.bin")
		if err := os.WriteFile(path, noise(size), 0o600); err != nil {
			t.Fatal(err)
		}
		return command(t, map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": token}, "send", th.ThreadID, "--file", path)
	}
	for size, says := range map[int]string{
		2<<20 + 1: "a.bin was not uploaded: A file may have 2097152 bytes.",
		1<<20 + 1: "a.bin was not uploaded: Your files would exceed the quota of a user.",
	} {
		if r := send(size); r.code != 1 || !strings.Contains(r.err, says) || r.out != "" {
			t.Errorf("%+v", r)
		}
	}
}

// TestTransfersContinueAfterCuts: the bytes of a file that is uploaded and downloaded
// by the Go client over a network that loses requests and answers.
func TestTransfersContinueAfterCuts(t *testing.T) {
	v := newVillage(t)
	th := v.thread("private", "Halo")
	proxy := netfault.For(t, strings.TrimPrefix(v.url, "http://"))
	c, err := client.New(client.Options{
		BaseURL: proxy.URL(), Token: client.StaticToken(v.token), Scale: 0.001,
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, steps := noise(3<<20+12345), []func(){
		func() { proxy.LoseRequest(10) }, // in the middle of a part
		func() { proxy.LoseAnswer(0) },   // of the part after it
	}
	arrived, cuts := int64(0), int64(len(steps))
	file, err := c.Upload(t.Context(), th.ThreadID, client.NewFile{
		Name: "foto.bin", Size: int64(len(data)), From: bytes.NewReader(data),
		Progress: func(n int64) {
			if arrived = n; len(steps) > 0 {
				steps[0]()
				steps = steps[1:]
			}
		},
	})
	if err != nil || arrived != int64(len(data)) || file.Size != arrived || proxy.Cuts() != cuts {
		t.Fatalf("%+v, %d bytes, %d cuts, %v", file, arrived, proxy.Cuts(), err)
	}

	var conns atomic.Int64
	proxy.Plan(func() netfault.Fault {
		if n := conns.Add(1); n == 2 || n == 4 { // the first and third are for links
			return netfault.Fault{After: 1 << 20}
		}
		return netfault.Fault{}
	})
	var got bytes.Buffer
	if _, err := c.Download(t.Context(), file.ID, &got); err != nil || !bytes.Equal(got.Bytes(), data) || proxy.Cuts() != cuts+2 {
		t.Errorf("%d bytes after %d cuts, %v", got.Len(), proxy.Cuts(), err)
	}
	full := errors.New("disk full")
	if _, err := c.Download(t.Context(), file.ID, writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("a writer's error becomes %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestUploadGoesOn: an upload that was given up continues with its request id; one
// that is discarded is gone; small files need one request.
func TestUploadGoesOn(t *testing.T) {
	v := newVillage(t)
	th, data := v.thread("private", "Halo"), noise(2<<20+1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first, then []int64
	file := client.NewFile{Name: "foto.bin", Size: int64(len(data)), From: bytes.NewReader(data), Progress: func(n int64) {
		first = append(first, n)
		cancel()
	}}
	_, err := v.client.Upload(ctx, th.ThreadID, file)
	unknown, ok := errors.AsType[*client.UnknownError](err)
	if !ok || len(first) != 1 {
		t.Fatalf("%v after %d", err, first)
	}
	file.Progress = func(n int64) { then = append(then, n) }
	whole, err := v.client.Upload(t.Context(), th.ThreadID, file, client.RequestID(unknown.RequestID))
	if err != nil || whole.Size != file.Size || !slices.Equal(then, []int64{2 << 20, file.Size}) {
		t.Fatalf("%+v, %d, %v", whole, then, err)
	}
	small, err := v.client.UploadBytes(t.Context(), th.ThreadID, "catatan.txt", []byte("kerja bakti"))
	if err != nil || small.Name != "catatan.txt" || small.Size != 11 {
		t.Fatalf("%+v, %v", small, err)
	}
	if err := v.client.DiscardUpload(t.Context(), small.ID); err != nil {
		t.Error(err)
	}
	if _, err := v.client.File(t.Context(), small.ID); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Errorf("a discarded file: %v", err)
	}
}
