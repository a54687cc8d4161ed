package copy

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
)

// The file has one JSON object per line. The first is the header, the last the
// trailer, and the rows between them are in order of their parts. Every line
// ends with sum, the first half of SHA-256(sum of the line before || the line
// up to `,"sum"`), in hex. The line before the first counts as 32 zero bytes;
// the chain continues with the whole sum, not with its half. So a change, a
// cut, a doubled or a moved line is found, with its number.
const (
	fileKind    = "gotong-log"
	fileVersion = gotong.HeaderVersion // the version of the headers that it holds
	endKind     = "end"
)

type fileLine struct {
	N       uint64          `json:"n"`
	Kind    string          `json:"kind"`
	Row     json.RawMessage `json:"row,omitempty"`
	Version int             `json:"version,omitempty"` // header

	Eras      store.Eras                 `json:"eras,omitempty"`
	Positions *[gotong.Partitions]uint64 `json:"positions,omitempty"`

	Checkpoints string `json:"checkpoints,omitempty"` // notes, one after the other

	Rows   Counts `json:"rows,omitempty"`   // trailer
	SHA256 string `json:"sha256,omitempty"` // of all bytes before the trailer

	Sum string `json:"sum,omitempty"`
}

// lineSum carries the sum from line to line.
type lineSum [sha256.Size]byte

// next returns the sum of a line from its text up to its own sum.
func (s *lineSum) next(text []byte) string {
	h := sha256.New()
	_, _ = h.Write(s[:])
	_, _ = h.Write(text)
	h.Sum(s[:0])
	return hex.EncodeToString(s[:sha256.Size/2])
}

const sumField = `,"sum":"`

// Export writes a source as a file. The file is only valid if Export returns
// nil.
func Export(ctx context.Context, from Source, w io.Writer, o Options) (Summary, error) {
	about := from.About()
	sum := Summary{Eras: about.Eras, Rows: Counts{}}
	out := bufio.NewWriterSize(w, 1<<20)
	f := &writer{out: out, all: sha256.New()}
	if err := f.line(fileLine{
		Kind: fileKind, Version: fileVersion, Eras: about.Eras, Positions: &about.Positions, Checkpoints: o.Checkpoints,
	}); err != nil {
		return sum, err
	}
	for _, part := range Parts() {
		sum.Rows[part] = 0
	}
	done, order := uint64(0), check.Order{Eras: about.Eras}
	o.report("writing", 0, about.Units)
	for page, err := range from.Pages(ctx, Mark{}) {
		if err == nil {
			err = cmp.Or(f.page(&page, &order, sum.Rows), o.see(&page), ctx.Err())
		}
		if err != nil {
			return sum, err
		}
		sum.Moved += uint64(page.Len()) //nolint:gosec // a length
		done += page.Units
		o.report("writing", done, about.Units)
	}
	if err := order.End(); err != nil {
		return sum, err
	}
	err := f.line(fileLine{Kind: endKind, Rows: sum.Rows, SHA256: hex.EncodeToString(f.all.Sum(nil))})
	if err != nil {
		return sum, err
	}
	return sum, out.Flush()
}

type writer struct {
	out *bufio.Writer
	all hash.Hash
	n   uint64
	sum lineSum
}

func (f *writer) page(page *Page, order *check.Order, counts Counts) error {
	for part, row := range linesOf(&page.Rows) {
		if err := f.row(part, row, counts); err != nil {
			return err
		}
	}
	for i := range page.Commits {
		for line, e := range linesOfCommit(&page.Commits[i]) {
			if err := order.Check(e); err != nil {
				return err
			}
			if err := f.row(Events, line, counts); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *writer) row(part Part, row any, counts Counts) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	counts[part]++
	return f.line(fileLine{Kind: string(part), Row: text})
}

func (f *writer) line(l fileLine) error {
	f.n++
	l.N = f.n
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = text[:len(text)-1]
	text = append(text, sumField+f.sum.next(text)+"\"}\n"...)
	_, _ = f.all.Write(text)
	_, err = f.out.Write(text)
	return err
}
