package files_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

const id = "01a2c3f0-6c1e-8000-8000-000000000001"

func open(t *testing.T) *files.Files {
	t.Helper()
	disk, err := files.NewDisk(filepath.Join(t.TempDir(), "kept"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.New(files.Options{Bytes: disk, Dir: filepath.Join(t.TempDir(), "parts"), Limits: files.Limits{File: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// finish receives a file and returns what it became.
func finish(t *testing.T, f *files.Files, data []byte) (upload.File, []byte) {
	t.Helper()
	if _, err := f.Receive(id, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	about, err := f.Finish(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	object, err := f.Bytes.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := io.ReadAll(object)
	if err != nil || int64(len(kept)) != about.Size || object.Size() != about.Size {
		t.Fatalf("%d bytes of %d: %v", len(kept), about.Size, err)
	}
	_ = object.Close()
	return about, kept
}

// corner returns a JPEG with a red corner at the upper left, and with metadata: an
// orientation and a secret.
func corner(t *testing.T, orientation byte) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 64, 32))
	for y := range 32 {
		for x := range 64 {
			img.Set(x, y, color.White)
			if x < 16 && y < 16 {
				img.Set(x, y, color.RGBA{255, 0, 0, 255})
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0)
	exif = append(exif, "SECRET"...)
	head := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(exif)+2))...)
	return append(append(head, exif...), b.Bytes()[2:]...)
}

func TestPicturesAreUprightAndBare(t *testing.T) {
	for o, want := range map[byte]image.Point{1: {8, 8}, 2: {56, 8}, 3: {56, 24}, 4: {8, 24}, 5: {8, 8}, 6: {24, 8}, 7: {24, 56}, 8: {8, 56}, 99: {8, 8}} {
		about, kept := finish(t, open(t), corner(t, o))
		img, err := jpeg.Decode(bytes.NewReader(kept))
		if err != nil {
			t.Fatal(err)
		}
		if size := img.Bounds().Size(); (size.X < size.Y) != (o >= 5 && o <= 8) || about.Width != size.X || about.Height != size.Y {
			t.Errorf("orientation %d: %v, %+v", o, size, about)
		}
		if r, g, _, _ := img.At(want.X, want.Y).RGBA(); r < 0xc000 || g > 0x4000 {
			t.Errorf("orientation %d: the corner is not at %v", o, want)
		}
		if bytes.Contains(kept, []byte("SECRET")) || bytes.Contains(kept, []byte("Exif")) {
			t.Errorf("orientation %d: metadata is kept", o)
		}
	}
}

// header returns a PNG that says it has this size, and has no more.
func header(width, height uint32) []byte {
	chunk := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)...)
	chunk = append(chunk, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\r"), chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestHostileFilesAreDownloads(t *testing.T) {
	var small bytes.Buffer
	if err := png.Encode(&small, image.NewNRGBA(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer // a few KB that become 24 MB and one row
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&bomb, image.NewGray(image.Rect(0, 0, 6000, 4001))); err != nil {
		t.Fatal(err)
	}
	polyglot := append(small.Bytes(), "<html><script>alert(1)</script>"...)
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"SVG with a script":   {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), files.Octets},
		"HTML":                {[]byte("<!DOCTYPE html><script>alert(1)</script>"), files.Octets},
		"XML":                 {[]byte("<?xml version=\"1.0\"?><x/>"), files.Octets},
		"a whole bomb":        {bomb.Bytes(), files.Octets},
		"20,000 by 20,000":    {header(20_000, 20_000), files.Octets},
		"no rows":             {header(0, 1), files.Octets},
		"2^31 columns":        {header(1<<31-1, 1<<31-1), files.Octets},
		"a picture cut off":   {small.Bytes()[:small.Len()/2], files.Octets},
		"GIF without a frame": {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), files.Octets},
		"WebP without data":   {[]byte("RIFF\x10\x00\x00\x00WEBPVP8 \x00\x00\x00\x00"), files.Octets},
		"one byte":            {[]byte{0}, files.Octets},
		"PNG and HTML":        {polyglot, "image/png"},
	} {
		t.Run(name, func(t *testing.T) {
			about, kept := finish(t, open(t), tc.data)
			if about.Type != tc.want || bytes.Contains(kept, []byte("script")) && files.Inline(about.Type) {
				t.Errorf("%+v %q", about, kept)
			}
			if tc.want == files.Octets && (!bytes.Equal(kept, tc.data) || about.Thumb != "" || files.Inline(about.Type)) {
				t.Errorf("%+v", about)
			}
		})
	}
}

// TestWhatACrashLeftIsRemoved: at the start, once no upload can need it.
func TestWhatACrashLeftIsRemoved(t *testing.T) {
	kept, parts := t.TempDir(), t.TempDir()
	var names []string
	for _, name := range []string{filepath.Join(kept, "01", ".new-1"), filepath.Join(kept, "01", id), filepath.Join(parts, id), filepath.Join(parts, id+".picture")} {
		for _, age := range []time.Duration{upload.Lifetime + time.Hour, upload.Lifetime - time.Hour} {
			name += "x"
			at := time.Now().Add(-age)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600), os.Chtimes(name, at, at)); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	disk, err := files.NewDisk(kept)
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.New(files.Options{Bytes: disk, Dir: parts})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		_, err := os.Stat(name)
		whole := strings.HasPrefix(name, filepath.Join(kept, "01", id))
		if gone := os.IsNotExist(err); gone != (i%2 == 0 && !whole) {
			t.Errorf("%s is removed: %v", name, gone)
		}
	}
	now, at := gotong.Instant(0).Add(48*time.Hour), time.Now().Add(-upload.Lifetime-time.Hour)
	for _, passed := range []time.Duration{0, time.Hour - time.Millisecond, time.Hour} {
		left := filepath.Join(parts, id)
		if err := errors.Join(os.WriteFile(left, nil, 0o600), os.Chtimes(left, at, at), f.Tidy(now.Add(passed))); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); os.IsNotExist(err) != (passed%time.Hour == 0) {
			t.Errorf("after %v: %v", passed, err)
		}
	}
}

// TestWhatMayBeProgressiveCounts: a decoder skips bytes between segments, where a
// search for the frame loses step; then the frame may be one that takes more memory.
func TestWhatMayBeProgressiveCounts(t *testing.T) {
	baseline, progressive := "\xff\xc0\x00\x0b", "\xff\xc2\x00\x0b"
	tables := "\xff\xe0\x00\x04ab\xff\xdb\x00\x03a\xff\xfe\x00\x02"
	hidden := "\xff\xe5\x00\x06" + baseline
	for name, tc := range map[string]struct {
		data string
		want bool
	}{
		"baseline":    {tables + baseline, false},
		"progressive": {tables + progressive, true},
		"junk":        {tables + "x" + progressive, true},
		"a restart, and a frame within a segment": {"\xff\xd0" + hidden + progressive, true},
		"an escape":  {"\xff\x00\x00\x02" + baseline, true},
		"fill bytes": {"\xff" + progressive, true},
		"no frame":   {tables, true},
		"short":      {"\xff\xe1\x00\x01" + baseline, true},
	} {
		if got := files.MayBeProgressive([]byte("\xff\xd8" + tc.data)); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPicturesFitIntoMemory: the codes of a WebP take memory beside its pixels.
func TestPicturesFitIntoMemory(t *testing.T) {
	for _, tc := range []struct {
		mime   string
		height int
		want   bool
	}{{"image/png", 5999, true}, {"image/png", 6001, false}, {"image/webp", 3600, true}, {"image/webp", 3700, false}, {"image/png", 0, false}} {
		if got := files.Fits(tc.mime, 4000, tc.height); got != tc.want {
			t.Errorf("%s of 4000 × %d: %v", tc.mime, tc.height, got)
		}
	}
}

// A post and a collection of its upload are decided at the same time, through two
// engines on one store, as on two nodes: one of them wins.
func TestAMessageNeverLacksItsBytes(t *testing.T) {
	threads := thread.Rules{}
	kinds := []gotong.Kind{threads.Kind(), upload.Rules{Threads: threads}.Kind()}
	t.Run("memory", func(t *testing.T) {
		rounds := 1000
		if testing.Short() {
			rounds = 100
		}
		db := memory.New("", memory.Options{})
		neverLacksItsBytes(t, kinds, rounds, [2]engine.Store{db, db})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Cleanup(postgrestest.Stop)
		address := postgrestest.Start(t).Schema()
		var nodes [2]engine.Store
		for i := range nodes {
			s, err := postgres.Open(t.Context(), address, postgres.Options{Collections: store.Collections(kinds)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			nodes[i] = s
		}
		neverLacksItsBytes(t, kinds, 30, nodes)
	})
}

func neverLacksItsBytes(t *testing.T, kinds []gotong.Kind, rounds int, of [2]engine.Store) {
	t.Helper()
	codec, clock := store.NewCodec(kinds), clocktest.Running()
	nodes := [2]*engine.Engine{}
	for i := range nodes {
		nodes[i] = engine.New(engine.Options{Store: of[i], Codec: codec, Clock: clock})
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	run := func(node int, s gotong.Stream, name, request string, data any, as gotong.Actor) error {
		_, err := nodes[node].Execute(t.Context(), gotong.Command{Stream: s, Type: name, Actor: as, RequestID: request, CorrelationID: "c", Data: data})
		return err
	}
	ani, in := gotong.Actor{UserID: "ani", Role: gotong.RoleUser}, gotong.Stream("thread/t-1")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(run(0, in, thread.CmdCreate, "r", thread.Create{ScopeID: "rt05", Privacy: thread.Public}, ani))
	posted := 0
	for round := range rounds {
		name := fmt.Sprint("u", round)
		s := thread.UploadStream(name)
		must(run(0, s, upload.CmdStart, "start", upload.Start{Thread: in, Home: "scope/rt05", Name: "a", Size: 1}, ani))
		must(run(0, s, upload.CmdStore, "store", upload.Store{Size: 1, Hash: "h", Type: files.Octets}, files.System()))
		var both sync.WaitGroup
		var post, collect error
		both.Go(func() { post = run(round%2, in, thread.CmdPost, name, thread.Post{Attachments: []string{name}}, ani) })
		both.Go(func() { collect = run(1-round%2, s, upload.CmdCollect, "collect", upload.Collect{}, ani) })
		both.Wait()
		if (post == nil) == (collect == nil) {
			t.Fatalf("round %d: the post: %v, the collection: %v", round, post, collect)
		}
		if post == nil {
			posted++
		}
	}
	t.Logf("%d of %d were posted", posted, rounds)
}
