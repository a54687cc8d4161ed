package importer

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// The limits of a zip, and of a directory.
const (
	maxZipFiles = 100_000
	maxZipRatio = 200
)

// held is a file in a zip or in a directory.
type held struct {
	name string // with slashes, relative and without ".."
	size int64  // in bytes, as it is declared
	open func() (io.ReadCloser, error)

	used  bool // a message has it
	sound bool // it was read to its end
	bad   bool // it cannot be read to its end
}

// unpack returns the head of the text, which it finds in a zip or a directory.
func (f *File) unpack() (head []byte, err error) {
	if info, err := os.Stat(f.path); err == nil && info.IsDir() {
		return f.from(f.list)
	}
	head, err = f.head()
	if err == nil && (bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))) {
		return f.from(f.unzip)
	}
	return head, err
}

func (f *File) from(list func() error) ([]byte, error) {
	err := list()
	if err == nil {
		err = f.choose()
	}
	if err != nil || f.text == nil {
		return nil, err
	}
	return f.head()
}

// unzip reads the directory of a zip.
func (f *File) unzip() error {
	archive, err := zip.OpenReader(f.path)
	if err != nil {
		return reject("a copy that is whole, or a new export", "this is a zip that cannot be read; it is damaged or cut off")
	}
	f.archive = archive
	if len(archive.File) > maxZipFiles {
		return reject("a directory with a part of its files", "this is a zip of more than %d files", maxZipFiles)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	packed := uint64(0)
	for _, z := range archive.File {
		packed += z.CompressedSize64
		switch {
		case !filepath.IsLocal(z.Name), z.Mode()&fs.ModeSymlink != 0:
			return reject("the zip as the app exported it", "this is a zip with a name that leads outside of it")
		case z.UncompressedSize64 > 1<<20 && z.UncompressedSize64/max(z.CompressedSize64, 1) > maxZipRatio:
			return reject("the zip as the app exported it",
				"this is a zip with a file that would become more than %d times as large", maxZipRatio)
		case packed > uint64(info.Size()): //nolint:gosec // no file has a negative size
			return reject("the zip as the app exported it", "this is a zip whose files overlap")
		case z.Mode().IsRegular():
			size := int64(min(z.UncompressedSize64, math.MaxInt64))
			f.held = append(f.held, &held{name: z.Name, size: size, open: z.Open})
		}
	}
	return nil
}

// list reads a directory. Links are left out, and none is followed.
func (f *File) list() error {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return err
	}
	f.archive = root
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(f.held) == maxZipFiles {
			return reject("a directory with this export alone, or with a part of its files",
				"this is a directory of more than %d files", maxZipFiles)
		}
		info, err := d.Info()
		if err == nil {
			f.held = append(f.held, &held{name: name, size: info.Size(), open: func() (io.ReadCloser, error) { return root.Open(name) }})
		}
		return err
	})
}

// choose finds the text of the chat; none of Slack, whose text is many files. All other
// files are media.
func (f *File) choose() error {
	slack, sure, base := 0, false, "."
	var texts []*held
	for _, h := range f.held {
		name := path.Base(h.name)
		switch {
		case strings.HasPrefix(h.name, "__MACOSX/"), name == ".DS_Store", name == "Thumbs.db":
			h.used = true
		case name == "channels.json" || name == "users.json" || name == "org_users.json":
			slack++
			base = path.Dir(h.name)
		case slices.Contains([]string{"_chat.txt", "result.json", "export.json"}, name), strings.HasSuffix(name, ".jsonl"),
			fileNames.MatchString(name):
			texts, sure = slices.Insert(texts, 0, h), true
		case path.Dir(h.name) == "." && (strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".json")):
			texts = append(texts, h)
		}
	}
	switch {
	case slack > 1:
		f.Format = Slack
	case len(texts) == 0:
		return reject("gotong import --help", "this holds no chat: no _chat.txt, result.json, export.json or channels.json")
	case !sure && len(texts) > 1 && strings.HasSuffix(texts[0].name, ".json"):
		return reject("one with its files in a directory of its own", "this holds several exports: %s, %s", texts[0].name, texts[1].name)
	default:
		f.text, base = texts[0], path.Dir(texts[0].name)
		f.text.used = true
	}
	f.media = map[string]*held{}
	for _, h := range f.held {
		if rel, ok := strings.CutPrefix("./"+h.name, strings.TrimSuffix("./"+base, "/.")+"/"); ok && !h.used {
			f.media[norm.NFC.String(rel)] = h
		}
	}
	return nil
}
