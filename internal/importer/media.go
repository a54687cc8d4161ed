package importer

import (
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"gotong.dev/gotong"
)

// Medium is a file of a message.
type Medium struct {
	Name      string // that others see
	Path      string // from where the text of the export is; empty: the export does not have it
	Size      int64  // in bytes, if the export holds it
	RequestID string // of its upload: the same in every run

	note string // what stands for it in the text, if that is not [Name]
	held *held  // nil: the export does not hold it, or it is left out
}

func (m Medium) mark() string { return firstOf(m.note, "["+m.Name+"]") }

// MaxMedia is how many files one message may have.
const MaxMedia = 20

// found finds the files of messages among those of the export. It reads each to its
// end once, because a damaged one must be known before anything is written.
func (f *File) found(s Source, list entries) entries {
	if s.NoMedia || f.media == nil {
		return list
	}
	return func(yield func(Entry, error) bool) {
		for e, err := range list {
			for i := range e.Files {
				f.find(&e.Files[i])
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (f *File) find(m *Medium) {
	name := norm.NFC.String(path.Clean(strings.ReplaceAll(m.Path, `\`, "/")))
	h := f.media[name]
	if h == nil {
		h = f.media["data/"+name] // of Mattermost
	}
	if m.Path == "" || h == nil {
		return
	}
	if !h.sound && !h.bad {
		h.sound = h.whole()
		h.bad = !h.sound
	}
	m.held, m.Size, h.used = h, h.size, true
}

// whole reports whether the file has exactly as many bytes as the archive declares. It
// reads at most one byte more.
func (h *held) whole() bool {
	r, err := h.open()
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(io.Discard, io.LimitReader(r, h.size+1))
	return err == nil && n == h.size
}

// unused returns the names of files that no message has.
func (f *File) unused() (names []string) {
	if f.text == nil { // of Slack: days and channels are files too
		return nil
	}
	for _, h := range f.held {
		if !h.used {
			names = append(names, path.Base(h.name))
		}
	}
	slices.Sort(names)
	return names
}

// media returns the files of an entry that are uploaded, and notes the others.
func (p *Plan) media(e Entry) (list []Medium) {
	s := &p.sum
	s.Files += len(e.Files)
	for i, m := range e.Files {
		switch {
		case m.held == nil || len(list) == MaxMedia:
			if m.Path != "" && len(s.Absent) < MaxFaults {
				s.Absent = append(s.Absent, m.Name)
			}
		case m.held.bad:
			if len(s.Damaged) < MaxFaults {
				s.Damaged = append(s.Damaged, m.Name)
			}
		default:
			s.Media++
			s.Bytes += m.Size
			m.RequestID = "import:" + gotong.DeriveID("file", p.thread, e.RequestID()+" "+itoa(i)+" "+itoa(int(m.Size))+" "+m.Name)
			list = append(list, m)
		}
	}
	return list
}

// Open returns the bytes, for reading from the beginning to the end. A read elsewhere
// begins anew. Close ends it.
func (m Medium) Open() interface {
	io.ReaderAt
	io.Closer
} {
	return &sequence{open: m.held.open}
}

// sequence reads a stream at offsets.
type sequence struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
	at   int64
}

func (s *sequence) ReadAt(p []byte, off int64) (n int, err error) {
	if s.r == nil || off < s.at {
		if err := s.Close(); err != nil {
			return 0, err
		}
		if s.r, err = s.open(); err != nil {
			return 0, err
		}
		s.at = 0
	}
	skipped, err := io.CopyN(io.Discard, s.r, off-s.at)
	s.at += skipped
	if err == nil {
		n, err = io.ReadFull(s.r, p)
		s.at += int64(n)
	}
	return n, err
}

func (s *sequence) Close() error {
	if s.r == nil {
		return nil
	}
	r := s.r
	s.r = nil
	return r.Close()
}
