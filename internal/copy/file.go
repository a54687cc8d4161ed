package copy

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"iter"
	"maps"
	"os"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/check"
	"gotong.dev/gotong/internal/store"
)

// ErrFile is wrapped by the error for a file that Export has not written, or
// that was changed.
var ErrFile = errors.New("copy: the file is rejected")

const maxLine = 64 << 20

// File is a file written by Export, as a source.
type File struct {
	path  string
	about About
	notes string
}

// OpenFile reads a whole file and checks every line, without keeping any in
// memory. An error names the line.
func OpenFile(ctx context.Context, path string, o Options) (*File, error) {
	f := &File{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrFile, path)
	}
	read, total := uint64(0), uint64(max(info.Size(), 0))
	err = f.each(ctx, func(l *lines, row *fileLine, size int) error {
		f.notes += row.Checkpoints
		if read += uint64(size); l.n%pageEvents == 0 { //nolint:gosec // a length
			o.report("reading", read, total)
		}
		f.about = About{Eras: l.order.Eras, Positions: l.claimed, Units: l.n, ID: "file " + l.digest}
		return nil
	})
	return f, err
}

// Checkpoints returns those that Export wrote into the file; empty if none.
func (f *File) Checkpoints() string { return f.notes }

// About implements [Source].
func (f *File) About() About { return f.about }

// Pages implements [Source]. It reads and checks the file from the beginning
// again.
func (f *File) Pages(ctx context.Context, from Mark) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		if from.End {
			return
		}
		stopped := errors.New("enough")
		page, size := Page{}, 0
		flush := func(mark Mark) error {
			page.Mark = mark
			if !yield(page, nil) {
				return stopped
			}
			page, size = Page{}, 0
			return nil
		}
		err := f.each(ctx, func(l *lines, row *fileLine, n int) error {
			if row.Kind == endKind && "file "+l.digest != f.about.ID {
				return fmt.Errorf("%w: it has changed since it was first read", ErrFile)
			}
			if row.Kind == fileKind || row.Kind == endKind || l.n <= from.Line {
				return nil
			}
			full := (page.Len() >= pageEvents || size+n > pageBytes) && !l.within || page.Part != Part(row.Kind)
			if full && page.Len() > 0 {
				if err := flush(Mark{Part: page.Part, Line: l.n - 1}); err != nil {
					return err
				}
			}
			page.Part, page.Units, size = Part(row.Kind), page.Units+1, size+n
			if l.within && len(page.Commits) > 0 { // the commit that the page ends with goes on
				last := &page.Commits[len(page.Commits)-1]
				last.Events = append(last.Events, l.read.Commits[0].Events...)
				return nil
			}
			page.add(&l.read)
			return nil
		})
		if err == nil {
			err = flush(Mark{End: true})
		}
		if err != nil && !errors.Is(err, stopped) {
			yield(Page{}, err)
		}
	}
}

// each reads and checks every line, and calls do with it and its length.
func (f *File) each(ctx context.Context, do func(l *lines, row *fileLine, size int) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	l := &lines{all: sha256.New(), counts: Counts{}}
	for _, part := range Parts() {
		l.counts[part] = 0
	}
	scan := bufio.NewScanner(file)
	scan.Buffer(make([]byte, 0, 1<<20), maxLine)
	for scan.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := l.next(scan.Bytes())
		if err != nil {
			return l.wrong(l.named(row, err))
		}
		if err := do(l, row, len(scan.Bytes())+1); err != nil {
			return l.wrong(err)
		}
	}
	if err := scan.Err(); err != nil {
		l.n++
		return l.wrong(l.named(nil, err))
	}
	if l.digest == "" {
		l.n++
		return l.wrong(l.named(nil, errors.New("it ends without its last line; it was cut off")))
	}
	return nil
}

// lines is the state after some lines of a file.
type lines struct {
	n       uint64
	sum     lineSum
	all     hash.Hash
	part    int // an index into Parts
	counts  Counts
	order   check.Order
	claimed [gotong.Partitions]uint64 // according to the header
	reached [gotong.Partitions]uint64
	digest  string       // of the file, when its end was read
	read    Page         // the row of the line
	record  store.Record // of the commit whose events are read
	within  bool         // the line continues that commit
	last    uint64       // the seq of the event that was read last
	good    string       // that event, for people
}

func (l *lines) wrong(err error) error {
	if errors.Is(err, ErrFile) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("line %d: %w", l.n, err)
	}
	return fmt.Errorf("%w: line %d: %w", ErrFile, l.n, err)
}

// named adds to the error of a line which event the line holds or, where that cannot
// be read, which was the last good one.
func (l *lines) named(row *fileLine, err error) error {
	var e eventLine
	if row != nil && Part(row.Kind) == Events && json.Unmarshal(row.Row, &e) == nil && e.Stream != "" {
		return fmt.Errorf("%w (event %d of %s, position %d of partition %d)", err, e.Seq, e.Stream, e.Position, e.Partition)
	}
	if l.good != "" && (row == nil || Part(row.Kind) == Events) {
		return fmt.Errorf("%w (after %s)", err, l.good)
	}
	return err
}

func (l *lines) next(text []byte) (*fileLine, error) {
	l.n++
	cut := bytes.LastIndex(text, []byte(sumField))
	if cut < 0 {
		return nil, errors.New("it has no sum; it was cut off, or the file is not an exported log")
	}
	var row fileLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return nil, fmt.Errorf("it cannot be parsed: %w", err)
	}
	sum := l.sum.next(text[:cut])
	switch {
	case row.N != l.n:
		return &row, fmt.Errorf("its number is %d; lines are missing, doubled or out of order", row.N)
	case row.Sum != sum || string(text[cut:]) != sumField+sum+`"}`:
		return &row, errors.New("its sum is wrong; this line or one before it was changed")
	case l.digest != "":
		return nil, errors.New("it comes after the last line")
	case l.n == 1:
		return &row, l.header(&row, text)
	case row.Kind == endKind:
		return &row, l.end(&row)
	}
	l.add(text)
	return &row, l.row(&row)
}

func (l *lines) add(text []byte) {
	_, _ = l.all.Write(text)
	_, _ = l.all.Write([]byte{'\n'})
}

func (l *lines) header(row *fileLine, text []byte) error {
	switch {
	case row.Kind != fileKind:
		return errors.New("it is not the header of an exported log")
	case row.Version != fileVersion:
		return fmt.Errorf("version %d: %w", row.Version, store.ErrHeader)
	case row.Eras.Check() != nil || row.Positions == nil:
		return errors.New("the header lacks epochs or positions")
	}
	l.order.Eras, l.claimed = row.Eras, *row.Positions
	l.add(text)
	return nil
}

func (l *lines) row(row *fileLine) error {
	at := slices.Index(Parts(), Part(row.Kind))
	if at < 0 {
		return fmt.Errorf("a row has the unknown sort %q", row.Kind)
	}
	if at < l.part {
		return fmt.Errorf("a row of sort %q is out of order", row.Kind)
	}
	l.part = at
	l.counts[Part(row.Kind)]++
	l.read = Page{}
	if err := decode(Part(row.Kind), row.Row, &l.read); err != nil {
		return err
	}
	if Part(row.Kind) != Events {
		l.within = false
		return l.whole()
	}
	return l.event(&l.read.Commits[0])
}

// event checks an event and its place in its commit.
func (l *lines) event(read *store.Logged) error {
	e := &read.Events[0]
	if err := l.order.Check(e); err != nil {
		return err
	}
	l.reached[e.Partition] = e.Position
	if l.within = read.Record.Position == 0; !l.within {
		if err := l.whole(); err != nil {
			return err
		}
		if e.Partition == l.record.Partition && e.Position == l.record.Position {
			return fmt.Errorf("a second commit at position %d of partition %d", e.Position, e.Partition)
		}
		l.record = read.Record
	} else if e.Partition != l.record.Partition || e.Position != l.record.Position || e.Seq > l.record.Last {
		return fmt.Errorf("event %d of %s is not of the commit before it, and has no record", e.Seq, e.Stream)
	}
	l.last, l.good = e.Seq, fmt.Sprintf("event %d of %s", e.Seq, e.Stream)
	return nil
}

// whole checks that the commit which was read last is not cut off.
func (l *lines) whole() error {
	if l.last != l.record.Last {
		return fmt.Errorf("commit %d of partition %d ends before its last event", l.record.Position, l.record.Partition)
	}
	return nil
}

func (l *lines) end(row *fileLine) error {
	digest := hex.EncodeToString(l.all.Sum(nil))
	switch {
	case row.SHA256 != digest:
		return errors.New("the hash over all lines is wrong")
	case !maps.Equal(row.Rows, l.counts):
		return errors.New("its row counts do not match the rows")
	case l.reached != l.claimed:
		return errors.New("the events do not end at the positions of the header")
	}
	if err := cmp.Or(l.whole(), l.order.End()); err != nil {
		return err
	}
	l.digest = digest
	return nil
}

// Commits yields the commits of a source in order.
func Commits(ctx context.Context, from Source) iter.Seq2[*store.Logged, error] {
	return func(yield func(*store.Logged, error) bool) {
		for page, err := range from.Pages(ctx, Mark{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Commits {
				if !yield(&page.Commits[i], nil) {
					return
				}
			}
		}
	}
}
