package app_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	imagepng "image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

// form is a body with a file.
type form struct {
	name string
	data []byte
}

func (f form) encode() (kind string, body io.Reader) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("file", f.name)
	_, _ = part.Write(f.data)
	_ = w.Close()
	return w.FormDataContentType(), &b
}

// png returns a picture, red on the left and blue on the right.
func png(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}})
	for i := range img.Pix {
		if i%width >= width/2 {
			img.Pix[i] = 1
		}
	}
	var b bytes.Buffer
	if err := imagepng.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// attached is a file as the routes show it.
type attached struct {
	ID    string `json:"attachment_id"`
	Name  string `json:"file_name"`
	Type  string `json:"mime_type"`
	Size  int    `json:"size_bytes"`
	URL   string `json:"url"`
	Thumb string `json:"thumbnail_url"`
}

// office is a town with a directory of files.
type office struct {
	*town
	dir string
}

func startOffice(t *testing.T, change ...func(*config.Config)) *office {
	t.Helper()
	o := &office{dir: t.TempDir()}
	o.town = startTown(t, 1, "", append(change, func(c *config.Config) { c.Files = o.dir })...)
	return o
}

// fetch is a request without JSON, and its answer.
func (o *office) fetch(token, method, path, kind string, body io.Reader, header ...string) (fetched, []byte) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.nodes[0].URL()+path, body)
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := web.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return fetched{resp.StatusCode, resp.Header}, got
}

// fetched is a response without its body.
type fetched struct {
	StatusCode int
	Header     http.Header
}

// upload uploads a file to the thread, and returns the status too.
func (o *office) upload(token string, f form, header ...string) (a attached, status int) {
	o.t.Helper()
	kind, body := f.encode()
	resp, got := o.fetch(token, http.MethodPost, "/v1/chat/attachments/upload?thread_id="+o.topic.ID(), kind, body, header...)
	_ = json.Unmarshal(got, &a)
	return a, resp.StatusCode
}

func (o *office) must(token string, f form) attached {
	o.t.Helper()
	a, status := o.upload(token, f)
	if status != http.StatusCreated {
		o.t.Fatalf("%s: %d", f.name, status)
	}
	return a
}

func (o *office) post(token string, ids ...string) (id string) {
	o.t.Helper()
	var m struct {
		ID string `json:"message_id"`
	}
	o.call(0, token, http.MethodPost, o.path+"/messages/send", map[string]any{"body": "Foto", "attachments": ids}, &m)
	return m.ID
}

func (o *office) link(token, id string) (a attached, status int) {
	o.t.Helper()
	status, got := o.ask(0, token, http.MethodGet, "/v1/chat/attachments/"+id+"/link", nil)
	_ = json.Unmarshal(got, &a)
	return a, status
}

// kept returns the names of the files that are kept.
func (o *office) kept() (names []string) {
	o.t.Helper()
	found, err := filepath.Glob(filepath.Join(o.dir, "*", "*"))
	if err != nil {
		o.t.Fatal(err)
	}
	for _, name := range found {
		names = append(names, filepath.Base(name))
	}
	return names
}

func TestAFileIsForThoseWhoSeeItsMessage(t *testing.T) {
	o := startOffice(t)
	ann, bob := o.ann.AccessToken, o.bob.AccessToken
	a := o.must(ann, form{"../se\u202elokan.png", png(t, 800, 600)})
	if a.Name != "selokan.png" || a.Type != "image/png" {
		t.Errorf("%+v", a)
	}
	if _, status := o.link(ann, a.ID); status != http.StatusOK {
		t.Errorf("its uploader: %d", status)
	}
	if _, status := o.link(bob, a.ID); status != http.StatusNotFound {
		t.Errorf("another member, before it is posted: %d", status)
	}
	message := o.post(ann, a.ID)
	mine, status := o.link(bob, a.ID)
	if status != http.StatusOK {
		t.Fatalf("a member: %d", status)
	}
	use := func(url string, header ...string) (fetched, []byte) {
		return o.fetch("", http.MethodGet, url, "", nil, header...)
	}
	resp, whole := use(mine.URL)
	if resp.StatusCode != http.StatusOK || len(whole) != a.Size {
		t.Fatalf("%d, %d bytes of %d", resp.StatusCode, len(whole), a.Size)
	}
	for name, want := range map[string]string{
		"Content-Type": "image/png", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Content-Disposition": "inline; filename=selokan.png", "Cache-Control": "private, no-cache",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp, _ := use(mine.URL, "If-None-Match", resp.Header.Get("Etag")); resp.StatusCode != http.StatusNotModified {
		t.Errorf("the same file again: %d", resp.StatusCode)
	}
	if resp, part := use(mine.URL, "Range", "bytes=2-9"); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(part, whole[2:10]) {
		t.Errorf("a range: %d %q", resp.StatusCode, part)
	}
	if resp, all := use(mine.URL, "Range", "bytes=0-1"+strings.Repeat(",0-1", 20)); resp.StatusCode != http.StatusOK || len(all) != len(whole) {
		t.Errorf("many ranges: %d", resp.StatusCode)
	}
	if resp, thumb := use(mine.Thumb); resp.StatusCode != http.StatusOK || len(thumb) == 0 || resp.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the thumbnail: %d %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	for name, url := range map[string]string{
		"altered": strings.Replace(mine.URL, "link=e", "link=f", 1), "short": mine.URL[:len(mine.URL)-2],
		"of another file": strings.Replace(mine.URL, a.ID, "x", 1),
	} {
		if resp, _ := use(url); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	o.call(0, ann, http.MethodDelete, o.path+"/messages/"+message, nil, nil)
	if resp, _ := use(mine.URL); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after the deletion: %d", resp.StatusCode)
	}
	o.until("the bytes are removed", func() bool { return len(o.kept()) == 0 })
}

func TestTheFilesOfAnErasedMessageAreRemoved(t *testing.T) {
	var secret []byte
	o := startOffice(t, func(c *config.Config) { secret, _ = base64.StdEncoding.DecodeString(c.SigningKey) })
	operator, err := auth.OperatorToken(secret, o.clock.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ann := o.ann.AccessToken
	id := o.post(ann, o.must(ann, form{"a.txt", []byte("a")}).ID, o.must(ann, form{"b.txt", []byte("b")}).ID)
	var m client.Message
	o.call(0, ann, http.MethodGet, o.path+"/messages/"+id, nil, &m)
	if n := len(o.kept()); n != 2 {
		t.Fatalf("%d files are kept, want 2", n)
	}
	o.call(0, operator, http.MethodPost, "/v1/admin/erasures",
		map[string]any{"stream": o.topic, "seqs": []uint64{m.Seq}, "reason": "by order"}, nil)
	o.until("the bytes of both are removed", func() bool { return len(o.kept()) == 0 })
}

func TestALinkEndsWithWhatItRestsOn(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*office, attached)
		want int
	}{
		"its time": {func(o *office, _ attached) { o.clock.Pass(5 * time.Minute) }, http.StatusForbidden},
		"the login": {func(o *office, _ attached) {
			o.call(0, o.bob.AccessToken, http.MethodPost, "/v1/auth/logout", nil, nil)
		}, http.StatusForbidden},
		"the membership": {func(o *office, _ attached) {
			o.call(0, o.ann.AccessToken, http.MethodDelete, o.path+"/members/"+o.bob.UserID, nil, nil)
		}, http.StatusNotFound},
		"a hold":            {func(o *office, _ attached) { o.moderate("hold_for_review") }, http.StatusNotFound},
		"a block":           {func(o *office, _ attached) { o.moderate("block") }, http.StatusNotFound},
		"nothing that ends": {func(*office, attached) {}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			o := startOffice(t)
			a := o.must(o.ann.AccessToken, form{"a.txt", []byte("text")})
			o.post(o.ann.AccessToken, a.ID)
			mine, _ := o.link(o.bob.AccessToken, a.ID)
			tc.end(o, mine)
			if resp, _ := o.fetch("", http.MethodGet, mine.URL, "", nil); resp.StatusCode != tc.want {
				t.Errorf("%d, want %d", resp.StatusCode, tc.want)
			}
		})
	}
}

// moderate decides about the newest message of the thread.
func (o *office) moderate(action string) {
	o.t.Helper()
	var list []struct {
		ID string `json:"message_id"`
	}
	o.call(0, o.ann.AccessToken, http.MethodGet, o.path+"/messages", nil, &list)
	o.call(0, o.ann.AccessToken, http.MethodPost, "/v1/moderations", map[string]any{
		"content_id": o.topic.ID() + ":" + list[0].ID, "moderation_action": action, "reason_code": "spam",
	}, nil)
}

func TestUploadsAreBounded(t *testing.T) {
	const full = 1 << 20
	o := startOffice(t, func(c *config.Config) { c.FilesPerUser = 2 })
	ann := o.ann.AccessToken
	file := func(n int) form { return form{"a.bin", bytes.Repeat([]byte{7}, n)} }
	for n, want := range map[int]int{0: http.StatusUnprocessableEntity, full + 1: http.StatusRequestEntityTooLarge, 4 * full: http.StatusRequestEntityTooLarge} {
		if _, status := o.upload(ann, file(n)); status != want {
			t.Errorf("%d bytes: %d, want %d", n, status, want)
		}
	}
	if _, status := o.upload("", file(9)); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	again, status := o.upload(ann, file(full), "Idempotency-Key", "k1")
	if same, _ := o.upload(ann, file(full), "Idempotency-Key", "k1"); status != http.StatusCreated || same.ID != again.ID || len(o.kept()) != 1 {
		t.Errorf("%d: %s and %s, %v", status, again.ID, same.ID, o.kept())
	}
	var other struct {
		ID string `json:"thread_id"`
	}
	o.call(0, ann, http.MethodPost, "/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private"}, &other)
	kind, body := file(full).encode()
	if resp, got := o.fetch(ann, http.MethodPost, "/v1/chat/attachments/upload?thread_id="+other.ID, kind, body, "Idempotency-Key", "k1"); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the same request for another thread: %d %s", resp.StatusCode, got)
	}
	for name, f := range map[string]form{"another file": {"a.bin", bytes.Repeat([]byte{8}, full)}, "another name": {"b.bin", file(full).data}} {
		if _, status := o.upload(ann, f, "Idempotency-Key", "k1"); status != http.StatusUnprocessableEntity {
			t.Errorf("%s with the key: %d", name, status)
		}
	}
	var all []attached
	o.until("the user has no room", func() bool {
		a, status := o.upload(ann, file(full-full/8))
		if status == http.StatusCreated {
			all = append(all, a)
		}
		return status == http.StatusRequestEntityTooLarge
	})
	if same, status := o.upload(ann, file(full), "Idempotency-Key", "k1"); status != http.StatusCreated || same.ID != again.ID {
		t.Errorf("repeated without room: %d", status)
	}
	for _, a := range all {
		o.call(0, ann, http.MethodDelete, "/v1/chat/attachments/"+a.ID, nil, nil)
	}
	o.until("the user has room again", func() bool {
		_, status := o.upload(ann, file(full/8))
		return status == http.StatusCreated
	})
}

func TestAnUploadThatArrivedIsFinishedWithoutItsClient(t *testing.T) {
	o := startOffice(t)
	kind, body := form{"a.bin", bytes.Repeat([]byte{7}, 1<<16)}.encode()
	path := o.nodes[0].URL() + "/v1/chat/attachments/upload?thread_id=" + o.topic.ID()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.ann.AccessToken)
	r.Header.Set("Content-Type", kind)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := errors.Join(r.Write(conn), conn.(*net.TCPConn).CloseWrite()); err != nil { // the server takes it for gone
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusCreated || len(o.kept()) != 1 {
		t.Errorf("%d, kept %v", resp.StatusCode, o.kept())
	}
}
