package view

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// Span is the part of a stream's log to read: the events with From < seq <= To,
// oldest first or Descending. To 0 is the end.
type Span struct {
	From, To   uint64
	Limit      int // of events; 0 reads none
	Bytes      int
	Descending bool
}

// Snapshot is one consistent read of a stream: the documents that decide the
// access of some viewers, and a page of its log.
type Snapshot struct {
	State  gotong.State
	Store  store.Snapshot // what more named
	Grants []*Grant       // by viewer
	Rows   []store.Event  // the page

	codec    *store.Codec
	kind     *gotong.Kind
	overlays map[uint64]overlay      // by seq
	texts    map[uint64]*store.Event // that overlays name, by seq
}

// overlay is a document of what later events made of an event.
type overlay struct {
	doc  any
	laid gotong.Laid
	size int
}

// Grant is the access of one viewer, and the other streams that govern it.
type Grant struct {
	gotong.Access
	Governing []gotong.Stream
}

// Position returns the position of the snapshot in a partition.
func (s *Snapshot) Position(p gotong.Partition) uint64 { return s.Store.Positions[p] }

// Home returns the partition of the stream, if the stream exists.
func (s *Snapshot) Home() gotong.Partition { return gotong.PartitionOf(s.State.Head.Home) }

// Load reads a stream for some viewers: their access, a page, and what more
// names. Delivery and REST read streams in no other way. kept, which may be nil,
// holds documents of the stream from one read to the next.
func (v *Views) Load(
	ctx context.Context, stream gotong.Stream, viewers []gotong.Viewer, page Span, more store.Need, kept *store.Kept,
) (*Snapshot, error) {
	kind, err := v.Kind(stream)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.opt.Timeout)
	defer cancel()
	need := withPage(more, stream, kind, page)
	s := &Snapshot{kind: kind, codec: v.opt.Codec}
	var fault error
	s.State, s.Store, err = store.LoadState(ctx, v.opt.Store, v.opt.Codec.Keeping(kept), stream,
		func(state gotong.State) []gotong.Ref { return accessNeeds(kind, state, viewers) },
		func(_ gotong.State, snap store.Snapshot) store.Need {
			whole := need
			if page.Limit > 0 && snap.Heads != nil {
				var texts []store.EventRange
				texts, fault = s.lay(snap, len(more.Events), len(more.Ranges))
				whole.Events = append(slices.Clone(need.Events), texts...)
			}
			return whole
		})
	if err := cmp.Or(err, fault); err != nil {
		return nil, err
	}
	if page.Limit > 0 {
		s.Store.Events, s.Store.Ranges = s.Store.Events[:len(more.Events)], s.Store.Ranges[:len(more.Ranges)]
		s.bound(page.Bytes)
	}
	return s, v.grant(ctx, s, viewers)
}

// withPage adds the page, and the overlays of the same range of seqs, to what is
// read. Both are read in the same direction, so that a limit cuts off the same end.
func withPage(more store.Need, stream gotong.Stream, kind *gotong.Kind, page Span) store.Need {
	if page.Limit == 0 {
		return more
	}
	to := page.To
	if to == 0 {
		to = math.MaxInt64
	}
	if !page.Descending {
		to = min(to, page.From+uint64(page.Limit)) //nolint:gosec // a limit is not negative
	}
	more.Events = append(slices.Clone(more.Events), store.EventRange{
		Stream: stream, From: page.From, To: to, Descending: page.Descending,
		Limit: page.Limit, MaxBytes: page.Bytes,
	})
	if kind.Overlays != "" {
		more.Ranges = append(slices.Clone(more.Ranges), store.KeyRange{
			Collection: kind.Overlays, Owner: stream.ID(), Descending: page.Descending,
			From: gotong.SeqName(page.From + 1), To: gotong.SeqName(min(to, maxSeqName)),
		})
	}
	return more
}

// maxSeqName is the greatest seq whose name sorts in the order of numbers.
const maxSeqName = 9_999_999_999_999_999

// lay takes the page and its overlays from what was read so far. It returns the
// ranges of events that hold the newest texts and are not on the page: they are
// read beside it, verified and authorised like any other event.
func (s *Snapshot) lay(snap store.Snapshot, events, ranges int) ([]store.EventRange, error) {
	s.Rows, s.overlays, s.texts = snap.Events[events], nil, nil
	if s.kind.Overlays == "" {
		return nil, nil
	}
	here := make(map[uint64]*store.Event, len(s.Rows))
	for i := range s.Rows {
		here[s.Rows[i].Seq] = &s.Rows[i]
	}
	s.overlays, s.texts = map[uint64]overlay{}, map[uint64]*store.Event{}
	for _, rows := range snap.Events[events+1:] {
		for i := range rows {
			s.texts[rows[i].Seq] = &rows[i]
		}
	}
	var texts []store.EventRange
	for _, d := range snap.Ranges[ranges] {
		seq, err := seqOf(d.Key.Name)
		if err != nil {
			return nil, err
		}
		row := here[seq]
		if row == nil {
			continue // the page ended before it
		}
		doc, err := s.codec.Document(d.Key.Collection, d.Body)
		if err != nil {
			return nil, err
		}
		o := overlay{doc, s.kind.Laid(doc), len(d.Body)}
		s.overlays[seq] = o
		switch text := o.laid.Text; {
		case text == 0:
		case here[text] != nil:
			s.texts[text] = here[text]
		default:
			texts = append(texts, store.EventRange{Stream: row.Stream, From: text - 1, To: text})
		}
	}
	return texts, nil
}

// bound cuts the page off before its events and overlays exceed the bytes.
func (s *Snapshot) bound(bytes int) {
	size := 0
	for i := range s.Rows {
		o := s.overlays[s.Rows[i].Seq]
		if size += s.Rows[i].Size() + o.size; s.texts[o.laid.Text] != nil {
			size += s.texts[o.laid.Text].Size()
		}
		if size > bytes && i > 0 {
			s.Rows = s.Rows[:i]
			return
		}
	}
}

func seqOf(name string) (uint64, error) {
	var seq uint64
	if _, err := fmt.Sscanf(name, "%d", &seq); err != nil || gotong.SeqName(seq) != name {
		return 0, fmt.Errorf("view: the name %q of an overlay is not a seq", name)
	}
	return seq, nil
}

func accessNeeds(kind *gotong.Kind, state gotong.State, viewers []gotong.Viewer) []gotong.Ref {
	if kind.AccessNeeds == nil {
		return nil
	}
	if len(viewers) == 1 {
		return kind.AccessNeeds(state, viewers[0])
	}
	var refs []gotong.Ref
	seen := map[gotong.Ref]bool{}
	for _, viewer := range viewers {
		for _, ref := range kind.AccessNeeds(state, viewer) {
			if !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// grant sets the access of each viewer. The places where stretches begin and end
// never move, so they may be looked up after the snapshot.
func (v *Views) grant(ctx context.Context, s *Snapshot, viewers []gotong.Viewer) error {
	rules := make([]gotong.Grant, len(viewers))
	for i, viewer := range viewers {
		rules[i] = grantOf(s.kind, s.State, viewer)
	}
	access, err := v.places.Resolve(ctx, v.opt.Store, s.State.Stream, viewers, rules)
	if err != nil {
		return err
	}
	s.Grants = make([]*Grant, len(viewers))
	for i, viewer := range viewers {
		s.Grants[i] = &Grant{Access: access[i]}
		if s.kind.AccessNeeds == nil {
			continue
		}
		for _, ref := range s.kind.AccessNeeds(s.State, viewer) {
			if ref.Stream != s.State.Stream && !slices.Contains(s.Grants[i].Governing, ref.Stream) {
				s.Grants[i].Governing = append(s.Grants[i].Governing, ref.Stream)
			}
		}
	}
	return nil
}

// grantOf returns what the rules grant a viewer; nothing if the stream does not exist.
func grantOf(kind *gotong.Kind, s gotong.State, viewer gotong.Viewer) gotong.Grant {
	if !s.Head.Exists() || kind.Access == nil {
		return gotong.Grant{}
	}
	return kind.Access(s, viewer)
}
