package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// ErrFile is wrapped by the error for a file that [Publish] has not written, or that
// was changed.
var ErrFile = errors.New("audit: the file is rejected")

// The kinds of lines of a public export: the header, then the commits of each
// partition in order of position, then the end.
const (
	PublicKind = "gotong-public-log"
	commitKind = "commit"
	endKind    = "end"
)

// publicLine is one line of a public export. A commit of a stream that is not
// published has its leaf alone.
type publicLine struct {
	Kind string `json:"kind"`

	Version     int                        `json:"version,omitempty"` // header
	Eras        store.Eras                 `json:"eras,omitempty"`
	Positions   *[gotong.Partitions]uint64 `json:"positions,omitempty"`
	Checkpoints string                     `json:"checkpoints,omitempty"` // notes, one after the other

	Partition gotong.Partition `json:"partition,omitempty"` // commit
	Position  uint64           `json:"position,omitempty"`
	Leaf      *gotong.Hash     `json:"leaf,omitempty"`
	Events    []publicEvent    `json:"events,omitempty"`

	Commits uint64 `json:"commits,omitempty"` // end
}

// publicEvent is an event of a stream that is published. One that is not for all
// members has only the first three fields.
type publicEvent struct {
	Stream gotong.Stream `json:"stream"`
	Seq    uint64        `json:"seq"`
	Chain  gotong.Hash   `json:"chain"`

	ID            *gotong.EventID `json:"id,omitempty"`
	Type          string          `json:"type,omitempty"`
	At            int64           `json:"at,omitempty"`
	Count         uint64          `json:"count,omitempty"`
	Prev          gotong.Hash     `json:"prev,omitzero"`
	Data          []byte          `json:"data,omitempty"`
	DataSalt      []byte          `json:"data_salt,omitempty"`
	ContentCommit gotong.Hash     `json:"content_commitment,omitzero"`
}

// Publication counts what a public export holds.
type Publication struct {
	Commits  uint64 `json:"commits"`
	Events   uint64 `json:"events"`   // with their data
	Withheld uint64 `json:"withheld"` // of the named streams, but not for all members
}

// Publish writes a public export of a log up to its checkpoints: of the events of the
// named streams that are for all members, header, data and the salt of the data; of
// other events of these streams, the chain value; of all other commits, the hash of
// the leaf. Content is never in it, because what was published cannot be erased.
func Publish(
	ctx context.Context, s Source, pinned *Pinned, named func(gotong.Stream) bool, w io.Writer, progress func(done, total uint64),
) (sum Publication, err error) {
	var ends [gotong.Partitions]uint64
	var total uint64
	for p := range pinned {
		ends[p] = pinned[p].Checkpoint.Size
		total += ends[p]
	}
	out := bufio.NewWriterSize(w, 1<<20)
	lines := json.NewEncoder(out)
	err = lines.Encode(publicLine{
		Kind: PublicKind, Version: gotong.HeaderVersion, Eras: s.Eras, Positions: &ends, Checkpoints: pinned.String(),
	})
	if err != nil {
		return sum, err
	}
	for p := range gotong.Partition(gotong.Partitions) {
		var t proof.Tree
		for c, err := range s.Commits(ctx, p) {
			if err == nil && t.Size() == ends[p] {
				break
			}
			if err == nil && c.Position != t.Size()+1 {
				err = fmt.Errorf("%w: partition %d has no commit %d", store.ErrCorrupt, p, t.Size()+1)
			}
			if err == nil {
				leaf := leafOf(p, c.Position, c.Events).Hash()
				t.Add(leaf)
				err = lines.Encode(sum.line(p, &c, leaf, named))
			}
			if err != nil {
				return sum, err
			}
			sum.Commits++
			progress(sum.Commits, total)
		}
		if pin := pinned[p]; pin.Note != nil && t.Root() != pin.Checkpoint.Root {
			return sum, &Rollback{pin.Checkpoint, t.Size()}
		}
	}
	if err := lines.Encode(publicLine{Kind: endKind, Commits: sum.Commits}); err != nil {
		return sum, err
	}
	return sum, out.Flush()
}

// line returns the line of a commit.
func (sum *Publication) line(p gotong.Partition, c *Commit, leaf gotong.Hash, named func(gotong.Stream) bool) publicLine {
	l := publicLine{Kind: commitKind, Partition: p, Position: c.Position}
	if !named(c.Events[0].Stream) {
		l.Leaf = &leaf
		return l
	}
	for i := range c.Events {
		e := &c.Events[i]
		line := publicEvent{Stream: e.Stream, Seq: e.Seq, Chain: e.Chain}
		if e.Audience == "" {
			sum.Events++
			line.ID, line.Type, line.At, line.Count, line.Prev = &e.ID, e.Type, int64(e.At), e.Count, e.Prev
			line.Data, line.DataSalt, line.ContentCommit = e.Data, e.DataSalt[:], e.ContentCommit
		} else {
			sum.Withheld++
		}
		l.Events = append(l.Events, line)
	}
	return l
}

// maxLine bounds one line of a file.
const maxLine = 64 << 20

// lineLimits are those of a line, which is read strictly: a name that occurs twice, or
// in another case, could show others something else than what is verified.
var lineLimits = jsonx.Limits{Bytes: maxLine, Depth: 8}

// FromPublic returns the log of a public export, and the checkpoints that it
// contains. Like that of [FromCommits], it can be verified once. The errors of its
// lines wrap [ErrFile].
func FromPublic(r io.Reader) (s Source, checkpoints string, stop func(), err error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 1<<16), maxLine)
	header, err := nextLine(scan, 1)
	if err == nil && (header.Kind != PublicKind || header.Version != gotong.HeaderVersion ||
		header.Positions == nil || header.Eras.Check() != nil) {
		err = fmt.Errorf("%w: line 1 is not the header of a public export of this version", ErrFile)
	}
	if err != nil {
		return s, "", nil, err
	}
	s, stop = FromCommits(header.Eras, *header.Positions, publicCommits(scan))
	s.Partial = true
	return s, header.Checkpoints, stop, nil
}

func nextLine(scan *bufio.Scanner, n uint64) (l publicLine, err error) {
	if !scan.Scan() {
		if err := scan.Err(); err != nil {
			return l, err
		}
		return l, fmt.Errorf("%w: it ends before line %d; it was cut off", ErrFile, n)
	}
	if err := lineLimits.Unmarshal(scan.Bytes(), &l); err != nil {
		return l, fmt.Errorf("%w: line %d cannot be parsed", ErrFile, n)
	}
	return l, nil
}

func publicCommits(scan *bufio.Scanner) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		for n := uint64(2); ; n++ {
			l, err := nextLine(scan, n)
			if err == nil && l.Kind == endKind && l.Commits == n-2 && !scan.Scan() {
				return
			}
			c := Commit{}
			if err == nil {
				if c, err = l.commit(); err != nil {
					err = fmt.Errorf("%w: line %d %w", ErrFile, n, err)
				}
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

func (l *publicLine) commit() (Commit, error) {
	c := Commit{Partition: l.Partition, Position: l.Position}
	switch {
	case l.Kind != commitKind || l.Partition >= gotong.Partitions || (l.Leaf == nil) == (len(l.Events) == 0):
		return c, errors.New("is not a commit")
	case l.Leaf != nil:
		c.Leaf = *l.Leaf
	}
	for _, line := range l.Events {
		e := store.Event{Stream: line.Stream, Seq: line.Seq, Partition: l.Partition, Position: l.Position, Chain: line.Chain}
		if line.ID != nil {
			if len(line.DataSalt) != len(e.DataSalt) || line.ID.IsZero() {
				return c, errors.New("has an event without an id or a salt")
			}
			e.ID, e.Type, e.At, e.Count, e.Prev = *line.ID, line.Type, gotong.Instant(line.At), line.Count, line.Prev
			e.Data, e.DataSalt, e.ContentCommit = line.Data, gotong.Salt(line.DataSalt), line.ContentCommit
		}
		c.Events = append(c.Events, e)
	}
	return c, nil
}
