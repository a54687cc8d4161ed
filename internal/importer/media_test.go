package importer

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

const mediaChat = "17/08/26, 10:01 - Budi: a.bin (file attached)\nketerangan\n" +
	"17/08/26, 10:02 - Budi: b.bin (file attached)\n17/08/26, 10:03 - Siti: c.bin (file attached)\n" +
	"17/08/26, 10:04 - Siti: ../d.bin (file attached)\n"

// TestEveryLanguageNamesItsFiles: the sentence for a file yields its name in every
// language, alone, with a caption under it, and as iOS puts it after one.
func TestEveryLanguageNamesItsFiles(t *testing.T) {
	n := 0
	for line := range strings.Lines(phrasesTable) {
		mark, ok := strings.CutPrefix(strings.TrimSpace(line), "file: ")
		if !ok {
			continue
		}
		n++
		mark = strings.Replace(mark, "%x", "IMG-1.jpg", 1)
		texts := map[string]string{mark: "", mark + "\nlihat": "lihat"}
		if strings.HasPrefix(mark, "<") {
			texts["Plan.pdf • \u200e2 pages \u200e"+mark] = "Plan.pdf • \u200e2 pages"
		}
		for text, rest := range texts {
			list := attached(text)
			if len(list) != 1 || list[0].Path != "IMG-1.jpg" || body(strings.Replace(text, list[0].mark(), "", 1)) != rest {
				t.Errorf("%q: %+v", text, list)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d sentences", n)
	}
}

// packedOf packs a chat and files, and lets change the header of each.
func packedOf(t *testing.T, change func(*zip.FileHeader), names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range append(names, "_chat.txt") {
		raw := []byte("bytes of " + name)
		if name == "_chat.txt" {
			raw = []byte(mediaChat)
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return b.Bytes()
	}
	var out bytes.Buffer
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	z = zip.NewWriter(&out)
	for _, f := range r.File {
		h := f.FileHeader
		change(&h)
		from, err := f.OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.CreateRaw(&h)
		if err == nil {
			_, err = io.Copy(w, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestDamagedMediaAreKnownBeforehand: bytes that differ from what the zip declares are
// found by the first pass, and are not attached.
func TestDamagedMediaAreKnownBeforehand(t *testing.T) {
	for name, change := range map[string]func(*zip.FileHeader){
		"checksum": func(h *zip.FileHeader) { h.CRC32++ },
		"fewer":    func(h *zip.FileHeader) { h.UncompressedSize64++ },
		"more":     func(h *zip.FileHeader) { h.UncompressedSize64-- },
		"method":   func(h *zip.FileHeader) { h.Method = 99 },
	} {
		raw := packedOf(t, func(h *zip.FileHeader) {
			if h.Name == "b.bin" {
				change(h)
			}
		}, "a.bin", "b.bin")
		survey, _, err := opened(t, write(t, "x.zip", raw), Source{})
		if err != nil || survey.Media != 1 || !slices.Equal(survey.Damaged, []string{"b.bin"}) ||
			!slices.Equal(survey.Absent, []string{"c.bin", "../d.bin"}) {
			t.Errorf("%s: %+v, %v", name, survey.Summary, err)
		}
	}
}

// TestZipsAreRejectedBeforeTheyAreRead: a zip that is cut off, wherever, and one whose
// files share their bytes.
func TestZipsAreRejectedBeforeTheyAreRead(t *testing.T) {
	whole := packedOf(t, nil, "a.bin", "b.bin")
	for cut := 0; cut < len(whole); cut += 11 {
		_, _, err := opened(t, write(t, "x.zip", whole[:cut]), Source{})
		if _, ok := errors.AsType[*RejectionError](err); !ok {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	shared := packedOf(t, func(h *zip.FileHeader) {
		if h.Name == "a.bin" {
			h.CompressedSize64, h.UncompressedSize64 = 1<<19, 1<<19
		}
	}, "a.bin")
	if _, err := Open(write(t, "x.zip", shared), Source{}); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Error(err)
	}
}

// TestDirectoryHoldsMedia: files are taken from the directory alone, and never through a
// link. A text alone takes none.
func TestDirectoryHoldsMedia(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chat")
	outside := write(t, "d.bin", []byte("secret"))
	if err := errors.Join(
		os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "WhatsApp Chat with RT 05.txt"), []byte(mediaChat), 0o600),
		os.WriteFile(filepath.Join(dir, "a.bin"), []byte("isi"), 0o600),
		os.WriteFile(filepath.Join(dir, "..", "d.bin"), []byte("secret"), 0o600),
		os.Symlink(outside, filepath.Join(dir, "b.bin")), os.Symlink("a.bin", filepath.Join(dir, "c.bin")),
	); err != nil {
		t.Fatal(err)
	}
	survey, _, err := opened(t, dir, Source{})
	if err != nil || survey.ChatName != "RT 05" || survey.Media != 1 || survey.Bytes != 3 || len(survey.Absent) != 3 {
		t.Fatalf("%+v, %v", survey, err)
	}
	f, err := Open(dir, Source{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	for s, err := range NewPlan("x").Steps(f.Entries(Source{})) {
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Media {
			if m.Name != "a.bin" || bytesOf(t, m) != "isi" {
				t.Errorf("%+v", m)
			}
		}
	}
	for path, s := range map[string]Source{filepath.Join(dir, "WhatsApp Chat with RT 05.txt"): {}, dir: {NoMedia: true}} {
		if survey, _, err := opened(t, path, s); err != nil || survey.Media != 0 || survey.Files != 4 {
			t.Errorf("%+v, %v", survey, err)
		}
	}
}

func bytesOf(t *testing.T, m Medium) string {
	t.Helper()
	from := m.Open()
	raw := make([]byte, m.Size)
	for _, part := range [][2]int64{{0, m.Size}, {m.Size - 1, m.Size}, {0, 2}, {2, m.Size}} { // as after cuts
		if _, err := from.ReadAt(raw[part[0]:part[1]], part[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// shelf is a server that keeps uploads and messages by request id, and loses its client
// after so many requests, before or after the last takes effect.
type shelf struct {
	files, posts map[string]string
	order        []string
	left         int
	late         bool
}

var errCut = errors.New("cut")

func (s *shelf) keep(in map[string]string, id, value string) (string, error) {
	s.left--
	if s.left < 0 && !s.late {
		return "", errCut
	}
	if in[id] == "" {
		in[id] = value
		s.order = append(s.order, value)
	}
	if s.left < 0 {
		return "", errCut
	}
	if in[id] != value {
		return "", gotong.NewError(gotong.CodeReused, "reused")
	}
	return id, nil
}

func (s *shelf) submit(_ context.Context, typ string, data any, requestID string) (Wait, error) {
	d, _ := data.(payload)
	text := ""
	if d.Body != nil {
		text = *d.Body
	}
	_, err := s.keep(s.posts, requestID, fmt.Sprint(typ, d.UserID, d.SentBy, text, d.Attachments))
	return func(context.Context) (gotong.Receipt, bool, error) { return gotong.Receipt{First: 1}, false, nil }, err
}

// TestInterruptedAnywhere: an import that stops before or after any of its requests took
// effect, and is repeated, ends as one that never stopped.
func TestInterruptedAnywhere(t *testing.T) {
	f, err := Open(write(t, "x.zip", packedOf(t, nil, "a.bin", "b.bin")), Source{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	run := func(s *shelf, left int, late bool) error {
		s.left, s.late = left, late
		upload := func(_ context.Context, m Medium) (string, error) { return s.keep(s.files, m.RequestID, bytesOf(t, m)) }
		steps := func(yield func(Step, error) bool) {
			for step, err := range NewPlan("x").Steps(f.Entries(Source{Latest: sampleTime})) {
				if step.Upload = upload; !yield(step, err) {
					return
				}
			}
		}
		_, err := Run(t.Context(), s.submit, steps, nil, nil)
		return err
	}
	const never = 1000
	whole := &shelf{files: map[string]string{}, posts: map[string]string{}}
	if err := run(whole, never, false); err != nil || len(whole.files) != 2 {
		t.Fatalf("%+v, %v", whole, err)
	}
	for left := range never - whole.left {
		for _, late := range []bool{false, true} {
			s := &shelf{files: map[string]string{}, posts: map[string]string{}}
			if err := run(s, left, late); !errors.Is(err, errCut) {
				t.Fatalf("after %d requests: %v", left, err)
			}
			if err := run(s, never, false); err != nil || !slices.Equal(s.order, whole.order) {
				t.Errorf("after %d requests, %v: %v, %q, want %q", left, late, err, s.order, whole.order)
			}
		}
	}
}
