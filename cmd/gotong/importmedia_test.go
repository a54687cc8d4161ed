package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

const (
	chatStart = "17/08/26, 10:00 - Wati: halo\n"
	chatMedia = chatStart +
		"17/08/26, 10:01 - Budi: IMG-1.png (file attached)\nketerangan\n" +
		"17/08/26, 10:02 - Budi: \u200ePTT-2.opus (file terlampir)\n" +
		"17/08/26, 10:03 - Siti: hilang.jpg (file attached)\n" +
		"17/08/26, 10:04 - Siti: besar.bin (file attached)\n"
)

// zipOf packs files.
func zipOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if len(text) > 1<<20 { // it would become too small
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "chat.zip")
	if err := errors.Join(z.Close(), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

// pixels is a picture of 2 by 1.
func pixels(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 2, 1))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// mediaWorld is a server that takes files of 1 MiB, and an import into a scope.
type mediaWorld struct {
	t      *testing.T
	env    map[string]string
	remote *client.Client
}

func newMediaWorld(t *testing.T) mediaWorld {
	t.Helper()
	url := serving(t, "--command-rate=100000", "--command-burst=100000", "--file-size=1")
	w := mediaWorld{t: t, env: map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}}
	var err error
	if w.remote, err = client.New(client.Options{BaseURL: url, Token: client.StaticToken(w.env["GOTONG_TOKEN"])}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w mediaWorld) imports(file string, code int, args ...string) importReport {
	w.t.Helper()
	r := command(w.t, w.env, append([]string{"import", file, "--zone=UTC", "--scope=rt05", "--json"}, args...)...)
	var report importReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != code {
		w.t.Fatalf("%+v, %v", r, err)
	}
	return report
}

// holds returns the messages of a thread, one a line, with the bytes of files that are no
// pictures.
func (w mediaWorld) holds(thread string) (lines []string, files []client.Attachment) {
	w.t.Helper()
	page, err := w.remote.Messages(w.t.Context(), thread, client.Range{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range page.Items {
		line := fmt.Sprintf("%s: %q", m.SentBy, m.Body)
		for _, a := range m.Attachments {
			var b bytes.Buffer
			if _, err := w.remote.Download(w.t.Context(), a.ID, &b); err != nil {
				w.t.Fatal(err)
			}
			if line += fmt.Sprintf(" + %s %s", a.Name, a.MimeType); a.Width > 0 {
				line += fmt.Sprintf(" %dx%d", a.Width, a.Height)
			} else {
				line += fmt.Sprintf(" %q", b.String())
			}
			files = append(files, a)
		}
		lines = append(lines, line)
	}
	return lines, files
}

func (w mediaWorld) want(thread string, want ...string) []client.Attachment {
	w.t.Helper()
	got, files := w.holds(thread)
	if !slices.Equal(got, want) {
		w.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return files
}

var (
	opus     = "OpusHead-stub"
	attached = []string{
		`Wati: "halo"`, `Budi: "keterangan" + IMG-1.png image/png 2x1`, fmt.Sprintf(`Budi: "" + PTT-2.opus application/octet-stream %q`, opus),
		`Siti: "hilang.jpg (file attached)"`, `Siti: "besar.bin (file attached)"`,
	}
)

// TestImportAttachesMedia: what a zip holds is attached to the message of the imported
// person, what it lacks and what the server rejects stays text, and a second import adds
// neither messages nor files.
func TestImportAttachesMedia(t *testing.T) {
	w := newMediaWorld(t)
	picture := pixels(t)
	file := zipOf(t, map[string]string{
		"_chat.txt": chatMedia, "IMG-1.png": picture, "PTT-2.opus": opus, "besar.bin": strings.Repeat("0123456789abcdef", 1<<16) + "x", "lain.txt": "x",
	})
	size := int64(len(picture) + len(opus))
	dry := w.imports(file, 0, "--dry-run")
	if dry.Survey.Media != 3 || dry.Known.Media != 3 || dry.Known.Bytes != size+1<<20+1 || !slices.Equal(dry.Survey.LeftOut, []string{"lain.txt"}) ||
		!slices.Equal(dry.Survey.Absent, []string{"hilang.jpg"}) {
		t.Errorf("dry run: %+v", dry)
	}
	first := w.imports(file, 1)
	if first.Written.Media != 2 || first.Written.Denied != 1 || !strings.HasPrefix(first.Written.Denials[0].Why, "besar.bin: ") || first.Written.Bytes != dry.Known.Bytes {
		t.Errorf("%+v", first)
	}
	files := w.want(first.Thread, attached...)
	again := w.imports(file, 0)
	if k := again.Known; again.Written.Added+again.Written.Media+again.Written.Moved != 0 || k.Media != 0 || k.New != 0 || k.Bare != 1 {
		t.Errorf("again: %+v", again)
	}
	if same := w.want(first.Thread, attached...); !slices.Equal(same, files) {
		t.Errorf("other files: %v, %v", same, files)
	}
	r := command(t, w.env, "import", file, "--scope=rt05", "--zone=UTC", "--dry-run")
	for _, says := range []string{"attached files: 4; the export holds: 3 (1.0 MB)", "left out: hilang.jpg", "without their files and stay as they are: 1"} {
		if !strings.Contains(r.out, says) {
			t.Errorf("%q is not in\n%s", says, r.out)
		}
	}
}

// TestImportWithoutMediaThenWith: messages that are there without their files stay as
// they are.
func TestImportWithoutMediaThenWith(t *testing.T) {
	w := newMediaWorld(t)
	file := zipOf(t, map[string]string{"_chat.txt": chatMedia, "IMG-1.png": pixels(t), "PTT-2.opus": opus})
	plain := []string{
		attached[0], `Budi: "IMG-1.png (file attached)\nketerangan"`, `Budi: "PTT-2.opus (file terlampir)"`, attached[3], attached[4],
	}
	first := w.imports(file, 0, "--no-media")
	if first.Survey.Media != 0 || first.Survey.Files != 4 {
		t.Errorf("%+v", first)
	}
	w.want(first.Thread, plain...)
	if r := w.imports(file, 0); r.Written.Added+r.Written.Media != 0 || r.Known.Bare != 2 || r.Thread != first.Thread {
		t.Errorf("%+v", r)
	}
	w.want(first.Thread, plain...)
}

// TestImportContinuesUploads: an upload is used that was stored before an import was
// interrupted, one that was cut is continued, and one that expired begins anew.
func TestImportContinuesUploads(t *testing.T) {
	w := newMediaWorld(t)
	start := filepath.Join(t.TempDir(), "chat.txt")
	if err := os.WriteFile(start, []byte(chatStart), 0o600); err != nil {
		t.Fatal(err)
	}
	thread := w.imports(start, 0).Thread
	chat := chatStart
	files := map[string]string{}
	for i, name := range []string{"stored", "cut", "expired"} {
		chat += fmt.Sprintf("17/08/26, 11:0%d - Budi: %s.bin (file attached)\n", i, name)
		files[name+".bin"] = strings.Repeat(name, 100)
	}
	files["_chat.txt"] = chat
	file := zipOf(t, files)
	var stored client.File
	for _, m := range mediaOf(t, file, thread) {
		from := client.NewFile{Name: m.Name, Size: m.Size, From: strings.NewReader(files[m.Name])}
		ctx, cancel := context.WithCancel(t.Context())
		if m.Name == "cut.bin" {
			from.From = cutAt{from.From.(*strings.Reader), cancel}
		}
		f, err := w.remote.Upload(ctx, thread, from, client.RequestID(m.RequestID))
		cancel()
		if (err != nil) != (m.Name == "cut.bin") {
			t.Fatal(err)
		}
		switch m.Name {
		case "stored.bin":
			stored = f
		case "expired.bin":
			if err := w.remote.DiscardUpload(t.Context(), f.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := w.imports(file, 0); r.Thread != thread || r.Written.Media != 3 || r.Written.Added != 4 {
		t.Errorf("%+v", r)
	}
	var want []string
	for _, name := range []string{"stored", "cut", "expired"} {
		want = append(want, fmt.Sprintf(`Budi: "" + %s.bin application/octet-stream %q`, name, files[name+".bin"]))
	}
	if list := w.want(thread, append([]string{attached[0]}, want...)...); len(list) != 3 || list[0].ID != stored.ID {
		t.Errorf("%v, want %s first", list, stored.ID)
	}
}

// cutAt is a file whose upload is cancelled after it has begun.
type cutAt struct {
	*strings.Reader
	cancel func()
}

func (c cutAt) ReadAt([]byte, int64) (int, error) {
	c.cancel()
	return 0, context.Canceled
}

func mediaOf(t *testing.T, path, thread string) (list []importer.Medium) {
	t.Helper()
	s := importer.Source{Zone: time.UTC, Latest: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	file, err := importer.Open(path, s)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	for step, err := range importer.NewPlan(thread).Steps(file.Entries(s)) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, step.Media...)
	}
	return list
}
