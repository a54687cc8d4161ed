package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/httpapi"
	fileapi "gotong.dev/gotong/internal/httpapi/files"
)

const attachments = "/v1/chat/attachments"

// uploader is a member of a thread on a server that can be started again.
type uploader struct {
	*person
	t      *testing.T
	thread string
}

func newUploader(t *testing.T) *uploader {
	t.Helper()
	w := newWorld(t)
	u := &uploader{person: w.signUp("ani"), t: t}
	u.thread = strings.TrimPrefix(u.person.thread("private"), "/v1/chat/threads/")
	return u
}

// restart starts the routes of files again: nothing remains but the log and the disk.
func (u *uploader) restart() {
	u.w.files.Files = u.w.keep(u.w.dir)
	opts := u.w.opts
	opts.Routes = []func(*httpapi.API){fileapi.Routes(u.w.files)}
	u.w.server = httpapi.New(opts)
}

// tus sends a request of the protocol. Of a body of a length, which may be false, all of
// from arrives.
func (u *uploader) tus(method, path string, length int64, from io.Reader, headers ...header) *answer {
	u.t.Helper()
	r := httptest.NewRequestWithContext(u.t.Context(), method, path, from)
	r.ContentLength = length
	r.Header.Set("Authorization", "Bearer "+u.token)
	r.Header.Set("Tus-Resumable", "1.0.0")
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for _, h := range headers {
		r.Header[h.name] = append(r.Header[h.name], h.value)
		if h.value == "" {
			r.Header.Del(h.name)
		}
	}
	rec := httptest.NewRecorder()
	u.w.server.Handler().ServeHTTP(rec, r)
	a := &answer{t: u.t, request: method + " " + path, code: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
	u.w.spec.check(r, a)
	if rec.Header().Get("Tus-Resumable") != "1.0.0" && a.code < 400 {
		u.t.Errorf("%s: %v", a.request, rec.Header())
	}
	return a
}

func (u *uploader) create(size int, headers ...header) *answer {
	u.t.Helper()
	headers = append(headers, header{"Upload-Length", strconv.Itoa(size)},
		header{"Upload-Metadata", "filename " + base64.StdEncoding.EncodeToString([]byte("foto.png")) + ",x"})
	return u.tus(http.MethodPost, attachments+"?thread_id="+u.thread, 0, http.NoBody, headers...)
}

func (u *uploader) patch(at string, offset int64, body []byte) *answer {
	u.t.Helper()
	return u.tus(http.MethodPatch, at, int64(len(body)), bytes.NewReader(body), header{"Upload-Offset", strconv.FormatInt(offset, 10)})
}

// offset returns how much has arrived, and checks what else the answer says.
func (u *uploader) offset(at string, size int) int64 {
	u.t.Helper()
	a := u.tus(http.MethodHead, at, 0, http.NoBody).want(http.StatusOK)
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if _, e := http.ParseTime(a.header.Get("Upload-Expires")); err != nil || e != nil || a.header.Get("Upload-Length") != strconv.Itoa(size) {
		u.t.Fatalf("%v", a.header)
	}
	return n
}

// kept returns the bytes of a finished upload.
func (u *uploader) kept(at string) []byte {
	u.t.Helper()
	id := strings.TrimPrefix(at, attachments+"/")
	object, err := u.w.files.Files.Bytes.Open(u.t.Context(), id)
	if err != nil {
		u.t.Fatal(err)
	}
	b, err := io.ReadAll(object)
	if err = errors.Join(err, object.Close()); err != nil {
		u.t.Fatal(err)
	}
	if _, err := os.Stat(u.w.files.Files.Partial(id)); !os.IsNotExist(err) {
		u.t.Errorf("what arrived is kept twice: %v", err)
	}
	return b
}

// sent is an upload and what the model knows of it.
type sent struct {
	at   string
	data []byte
	n    int64 // that arrived
}

// step does something with an upload: all of it is what the model says.
func (u *uploader) step(s *sent, r *rand.Rand) {
	u.t.Helper()
	left := s.data[s.n:]
	switch r.IntN(12) {
	case 0:
		if r.IntN(8) == 0 {
			u.restart()
		}
	case 1: // another offset
		wrong := s.n + 1 + r.Int64N(1<<20)
		if r.IntN(2) == 0 && s.n > 0 {
			wrong = r.Int64N(s.n)
		}
		u.patch(s.at, wrong, left).problem(http.StatusConflict, gotong.CodeConflict)
	case 2: // more than it was to have
		u.patch(s.at, s.n, append(slices.Clip(left), 1)).problem(http.StatusRequestEntityTooLarge, gotong.CodeTooLarge)
	case 3, 4, 5, 6, 7: // a part, or the rest
		part := left[:min(len(left), r.IntN(2*len(left)+1))]
		a := u.patch(s.at, s.n, part).want(http.StatusNoContent)
		if s.n += int64(len(part)); a.header.Get("Upload-Offset") != strconv.FormatInt(s.n, 10) {
			u.t.Errorf("%v, want %d", a.header, s.n)
		}
	default: // all, but the connection is cut
		part := left[:r.IntN(len(left))]
		cut := io.MultiReader(bytes.NewReader(part), iotest.ErrReader(io.ErrUnexpectedEOF))
		u.tus(http.MethodPatch, s.at, int64(len(left)), cut, header{"Upload-Offset", strconv.FormatInt(s.n, 10)}).
			problem(http.StatusBadRequest, httpapi.CodeBadRequest)
		s.n += int64(len(part))
	}
	if got := u.offset(s.at, len(s.data)); got != s.n {
		u.t.Fatalf("%d bytes arrived, want %d of %d", got, s.n, len(s.data))
	}
}

// TestUploadsCutAtAnyOffsetAreWhole compares uploads that are cut, repeated at wrong
// offsets and continued by other nodes with a model. GOTONG_SOAK makes them 10,000.
func TestUploadsCutAtAnyOffsetAreWhole(t *testing.T) {
	uploads := 300
	switch {
	case os.Getenv("GOTONG_SOAK") != "":
		uploads = 10_000
	case testing.Short():
		uploads = 50
	}
	u := newUploader(t)
	r := rand.New(rand.NewPCG(1, 2)) // the same in every run
	var open []*sent
	steps := 0
	for made := 0; made < uploads || len(open) > 0; steps++ {
		if made < uploads && len(open) < 4 {
			s := &sent{data: make([]byte, 1+r.IntN(32<<10))}
			for i := range s.data {
				s.data[i] = byte(r.Uint32())
			}
			s.data[0] = 0 // no picture
			s.at = u.create(len(s.data)).want(http.StatusCreated).header.Get("Location")
			open = append(open, s)
			made++
		}
		i := r.IntN(len(open))
		s := open[i]
		if u.step(s, r); s.n < int64(len(s.data)) {
			continue
		}
		if !bytes.Equal(u.kept(s.at), s.data) {
			t.Fatalf("%s has other bytes", s.at)
		}
		open = append(open[:i], open[i+1:]...)
	}
	t.Logf("%d uploads in %d steps", uploads, steps)
}

func TestHostileUploads(t *testing.T) {
	u := newUploader(t)
	path := attachments + "?thread_id=" + u.thread
	for name, tc := range map[string]struct {
		header []header
		want   int
	}{
		"no length":       {nil, 422},
		"negative":        {[]header{{"Upload-Length", "-1"}}, 422},
		"nothing":         {[]header{{"Upload-Length", "0"}}, 422},
		"a sign":          {[]header{{"Upload-Length", "+5"}}, 422},
		"a zero before":   {[]header{{"Upload-Length", "05"}}, 422},
		"beyond int64":    {[]header{{"Upload-Length", "9223372036854775808"}}, 422},
		"huge":            {[]header{{"Upload-Length", "9223372036854775807"}}, 413},
		"above the limit": {[]header{{"Upload-Length", "1048577"}}, 413},
		"twice":           {[]header{{"Upload-Length", "5"}, {"Upload-Length", "5"}}, 400},
		"no number":       {[]header{{"Upload-Length", "5e0"}}, 422},
		"later":           {[]header{{"Upload-Defer-Length", "1"}}, 422},
		"both":            {[]header{{"Upload-Length", "5"}, {"Upload-Defer-Length", "1"}}, 400},
		"no version":      {[]header{{"Upload-Length", "5"}, {"Tus-Resumable", ""}}, 412},
		"long metadata":   {[]header{{"Upload-Length", "5"}, {"Upload-Metadata", strings.Repeat("x", 4097)}}, 422},
		"other metadata":  {[]header{{"Upload-Length", "5"}, {"Upload-Metadata", "filename %%%,,a b c, "}}, 201},
		"another method":  {[]header{{"Upload-Length", "5"}, {"X-Http-Method-Override", "OPTIONS"}}, 201},
	} {
		a := u.tus(http.MethodPost, path, 0, http.NoBody, tc.header...)
		if a.code != tc.want || a.code >= 400 && a.str("code") == "" {
			t.Errorf("%s: %d %s, want %d", name, a.code, a.body, tc.want)
		}
	}
	if a := u.tus(http.MethodPost, path, 2, strings.NewReader("ab"), header{"Upload-Length", "2"}); a.code != 422 {
		t.Errorf("with a body: %d", a.code)
	}
	at := u.create(5).want(http.StatusCreated).header.Get("Location")
	for name, tc := range map[string]struct {
		length int64
		header []header
		want   int
	}{
		"no offset":       {5, nil, 422},
		"negative":        {5, []header{{"Upload-Offset", "-1"}}, 422},
		"a sign":          {5, []header{{"Upload-Offset", "+0"}}, 422},
		"beyond int64":    {5, []header{{"Upload-Offset", "9223372036854775808"}}, 422},
		"huge":            {5, []header{{"Upload-Offset", "9223372036854775807"}}, 409},
		"twice":           {5, []header{{"Upload-Offset", "0"}, {"Upload-Offset", "0"}}, 400},
		"no length":       {-1, []header{{"Upload-Offset", "0"}}, 422},
		"a huge length":   {1<<63 - 1, []header{{"Upload-Offset", "0"}}, 413},
		"another version": {5, []header{{"Upload-Offset", "0"}, {"Tus-Resumable", ""}}, 412},
		"another type":    {5, []header{{"Upload-Offset", "0"}, {"Content-Type", ""}}, 415},
		"compressed":      {5, []header{{"Upload-Offset", "0"}, {"Content-Encoding", "gzip"}}, 415},
	} {
		a := u.tus(http.MethodPatch, at, tc.length, strings.NewReader("hello"), tc.header...)
		if a.code != tc.want || a.str("code") == "" {
			t.Errorf("%s: %d %s, want %d", name, a.code, a.body, tc.want)
		}
	}
	if n := u.offset(at, 5); n != 0 {
		t.Errorf("%d bytes arrived", n)
	}
	// offset and length together are beyond int64
	u.patch(at, 0, []byte("h")).want(http.StatusNoContent)
	u.tus(http.MethodPatch, at, 1<<63-1, strings.NewReader("ello, and more"), header{"Upload-Offset", "1"}).
		problem(http.StatusRequestEntityTooLarge, gotong.CodeTooLarge)
	if n := u.offset(at, 5); n != 1 {
		t.Errorf("%d bytes arrived", n)
	}
}

func TestUploadsAreTheirOwners(t *testing.T) {
	u := newUploader(t)
	at := u.create(5).want(http.StatusCreated).header.Get("Location")
	bob := *u
	bob.person = u.w.signUp("bob")
	u.w.withMember(u.thread, u.person, bob.person)
	bob.create(5).want(http.StatusCreated)
	stranger := bob
	stranger.person = u.w.signUp("citra")
	stranger.create(5).want(http.StatusNotFound)
	for _, by := range []*uploader{&bob, &stranger} {
		if a := by.tus(http.MethodHead, at, 0, http.NoBody); a.code != http.StatusNotFound {
			t.Errorf("%s: %d", by.name, a.code)
		}
		by.patch(at, 0, []byte("hello")).problem(http.StatusNotFound, gotong.CodeNotFound)
	}
	own := bob.create(5).want(http.StatusCreated).header.Get("Location")
	bob.patch(own, 0, []byte("he")).want(http.StatusNoContent)
	said := bob.create(2).want(http.StatusCreated).header.Get("Location")
	bob.patch(said, 0, []byte("ok")).want(http.StatusNoContent)
	bob.post("/v1/chat/threads/"+u.thread+"/messages/send", map[string]any{"body": "Foto", "attachments": []string{strings.TrimPrefix(said, attachments+"/")}}).
		want(http.StatusCreated)
	bob.offset(said, 2)
	u.do(http.MethodDelete, "/v1/chat/threads/"+u.thread+"/members/"+bob.id, nil).want(http.StatusOK)
	bob.patch(own, 2, []byte("llo")).problem(http.StatusNotFound, gotong.CodeNotFound)
	if a := bob.tus(http.MethodHead, said, 0, http.NoBody); a.code != http.StatusNotFound {
		t.Errorf("a file in a thread that they lost: %d", a.code)
	}
	u.patch(at, 0, []byte("hell")).want(http.StatusNoContent)
	u.w.clock.Pass(upload.Lifetime)
	u.token = u.w.post("/v1/auth/signin", map[string]any{"email": "ani@example.org", "pass": "rahasia-ani"}).want(http.StatusOK).str("access_token")
	u.patch(at, 4, []byte("o")).problem(http.StatusNotFound, gotong.CodeNotFound)
}

func TestARepeatedBeginningIsTheSameUpload(t *testing.T) {
	u := newUploader(t)
	first := u.create(5, key("k")).want(http.StatusCreated).header.Get("Location")
	u.patch(first, 0, []byte("he")).want(http.StatusNoContent)
	again := u.create(5, key("k")).want(http.StatusCreated)
	if again.header.Get("Location") != first || again.header.Get("Upload-Offset") != "2" {
		t.Errorf("%v", again.header)
	}
	u.create(6, key("k")).problem(http.StatusUnprocessableEntity, gotong.CodeReused)
	for range 9 {
		u.create(5).want(http.StatusCreated)
	}
	u.create(5).problem(http.StatusTooManyRequests, gotong.CodeRateLimited)
	u.patch(first, 2, []byte("llo")).want(http.StatusNoContent)
	u.create(5).want(http.StatusCreated)
}

// TestAnUploadIsFinishedAfterACrash: all bytes are there, but the node ended before it
// had stored the file.
func TestAnUploadIsFinishedAfterACrash(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewNRGBA(image.Rect(0, 0, 400, 300))); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodHead, http.MethodPatch} {
		u := newUploader(t)
		size := picture.Len()
		at := u.create(size).want(http.StatusCreated).header.Get("Location")
		id := strings.TrimPrefix(at, attachments+"/")
		if _, err := u.w.files.Files.Append(id, 0, bytes.NewReader(picture.Bytes())); err != nil {
			t.Fatal(err)
		}
		u.restart()
		u.get(at + "/link").want(http.StatusNotFound)
		u.tus(method, at, 0, http.NoBody, header{"Upload-Offset", strconv.Itoa(size)})
		file := u.get(at + "/link").want(http.StatusOK)
		if file.str("mime_type") != "image/png" || file.num("width") != 400 || file.str("thumbnail_url") == "" || file.str("file_name") != "foto.png" {
			t.Errorf("%s: %s", method, file.body)
		}
		if n := u.offset(at, size); n != int64(size) {
			t.Errorf("%s: %d bytes of %d", method, n, size)
		}
		u.patch(at, int64(size), nil).want(http.StatusNoContent)
		beyond := u.w.send(http.MethodGet, file.str("url"), nil, []header{{"Range", "bytes=9999999-"}})
		beyond.problem(http.StatusRequestedRangeNotSatisfiable, httpapi.CodeRange)
		if got := beyond.header; got.Get("Content-Range") == "" || got.Get("Content-Disposition") != "" {
			t.Errorf("%v", got)
		}
	}
}

// TestAFullDiskKeepsWhatArrived writes to a device that is full.
func TestAFullDiskKeepsWhatArrived(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	u := newUploader(t)
	at := u.create(5).want(http.StatusCreated).header.Get("Location")
	part := filepath.Join(u.w.dir, "parts", strings.TrimPrefix(at, attachments+"/"))
	if err := os.Symlink("/dev/full", part); err != nil {
		t.Fatal(err)
	}
	u.patch(at, 0, []byte("hello")).problem(http.StatusInsufficientStorage, gotong.CodeStorageFull)
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	u.patch(at, u.offset(at, 5), []byte("hello")).want(http.StatusNoContent)
	if got := u.kept(at); string(got) != "hello" {
		t.Errorf("%q", got)
	}
	if err := os.Symlink("/dev/full", u.w.files.Files.Partial(upload.StreamOf(u.id, "k").ID())); err != nil {
		t.Fatal(err)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello\r\n--b--\r\n"
	u.do(http.MethodPost, attachments+"/upload?thread_id="+u.thread, form, key("k"), header{"Content-Type", "multipart/form-data; boundary=b"}).
		problem(http.StatusInsufficientStorage, gotong.CodeStorageFull)
}

// TestOneOfManyAppends: of requests that append the same bytes at once, one does.
func TestOneOfManyAppends(t *testing.T) {
	u := newUploader(t)
	data := bytes.Repeat([]byte{0, 7}, 1<<15)
	at := u.create(len(data)).want(http.StatusCreated).header.Get("Location")
	var all sync.WaitGroup
	var codes [8]int
	for i := range codes {
		all.Go(func() { codes[i] = u.patch(at, 0, data).code })
	}
	all.Wait()
	counts := map[int]int{}
	for _, code := range codes {
		counts[code]++
	}
	if counts[http.StatusNoContent] != 1 || counts[http.StatusConflict] != len(codes)-1 || !bytes.Equal(u.kept(at), data) {
		t.Errorf("%v", counts)
	}
}

// line is a connection with a request to append whose body has not begun; the server
// waits for it.
func (u *uploader) line(server *httptest.Server, at string, size int) (net.Conn, *bufio.Reader) {
	u.t.Helper()
	conn, err := new(net.Dialer).DialContext(u.t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"+
		"Content-Type: application/offset+octet-stream\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", at, u.token, size)
	r := bufio.NewReader(conn)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} { // it reads the body
		line, e := r.ReadString('\n')
		if err = errors.Join(err, e); err != nil || line != want {
			u.t.Fatalf("%q, %v", line, err)
		}
	}
	return conn, r
}

func status(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestACutIsFoundByTheClientThatComesBack(t *testing.T) {
	u := newUploader(t)
	server := httptest.NewServer(u.w.server.Handler())
	defer server.Close()
	at := u.create(5).want(http.StatusCreated).header.Get("Location")

	conn, r := u.line(server, at, 5)
	u.patch(at, 0, []byte("hello")).problem(http.StatusConflict, gotong.CodeInProgress)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if code := status(t, r); code != http.StatusNoContent {
		t.Errorf("the one that began first: %d", code)
	}

	at = u.create(5, key("k")).want(http.StatusCreated).header.Get("Location")
	u.w.clock.Pass(time.Minute) // the slot of the upload ends
	conn, r = u.line(server, at, 5)
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nother\r\n--b--\r\n"
	u.do(http.MethodPost, attachments+"/upload?thread_id="+u.thread, form, key("k"), header{"Content-Type", "multipart/form-data; boundary=b"}).
		problem(http.StatusConflict, gotong.CodeInProgress)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if code := status(t, r); code != http.StatusNoContent || string(u.kept(at)) != "hello" {
		t.Errorf("beside a whole file with the same key: %d", code)
	}

	at = u.create(5).want(http.StatusCreated).header.Get("Location")
	_, r = u.line(server, at, 5)
	if n := u.offset(at, 5); n != 0 {
		t.Errorf("%d bytes", n)
	}
	if code := status(t, r); code != http.StatusConflict {
		t.Errorf("the one that was ended: %d", code)
	}

	conn, _ = u.line(server, at, 5)
	if _, err := conn.Write([]byte("hel")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	n := u.offset(at, 5) // what this node had received when it was asked
	u.patch(at, n, []byte("hello")[n:]).want(http.StatusNoContent)
	if got := u.kept(at); string(got) != "hello" {
		t.Errorf("%q", got)
	}
}

// withMember adds a member to a thread.
func (w *world) withMember(id string, by, who *person) {
	w.t.Helper()
	by.post("/v1/chat/threads/"+id+"/members", map[string]any{"user_id": who.id}).want(http.StatusCreated)
}
