package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// span is what of a stream's log to read with the access to it.
type span struct {
	from, to   uint64
	limit      int // 0 reads none
	bytes      int
	descending bool
}

// snapshot is one consistent read of a stream: what decides access for some
// readers, and a page of its log.
type snapshot struct {
	kind     *gotong.Kind
	state    gotong.State
	store    store.Snapshot
	grants   []*grant // by reader
	rows     []store.Event
	overlays map[uint64]overlay      // by seq
	texts    map[uint64]*store.Event // that overlays name, by seq
}

// overlay is a document of what later events made of an event.
type overlay struct {
	doc  any
	laid gotong.Laid
	size int
}

// grant is the access of one reader, and the other streams that govern it.
type grant struct {
	gotong.Access
	governing []gotong.Stream
}

// position is where the snapshot stands in the stream's partition.
func (s *snapshot) position(p gotong.Partition) uint64 { return s.store.Positions[p] }

// home is the partition of the stream; of no meaning where it does not exist.
func (s *snapshot) home() gotong.Partition { return gotong.PartitionOf(s.state.Head.Home) }

// readStream is the one way in which delivery and REST read a stream.
func (h *Hub) readStream(
	ctx context.Context, stream gotong.Stream, readers []gotong.Reader, page span, more store.Need,
) (*snapshot, error) {
	kind, err := h.kind(stream)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.limits.Read)
	defer cancel()
	need := withPage(more, stream, kind, page)
	s := &snapshot{kind: kind}
	var fault error
	s.state, s.store, err = store.LoadState(ctx, h.opt.Store, h.opt.Codec, stream,
		func(state gotong.State) []gotong.Ref { return accessNeeds(kind, state, readers) },
		func(_ gotong.State, snap store.Snapshot) store.Need {
			whole := need
			if page.limit > 0 && snap.Heads != nil {
				var texts []store.EventRange
				texts, fault = s.lay(h, snap, len(more.Events), len(more.Ranges))
				whole.Events = append(slices.Clone(need.Events), texts...)
			}
			return whole
		})
	if err := cmp.Or(err, fault); err != nil {
		return nil, err
	}
	if page.limit > 0 {
		s.store.Events, s.store.Ranges = s.store.Events[:len(more.Events)], s.store.Ranges[:len(more.Ranges)]
		s.bound(page.bytes)
	}
	return s, h.grant(ctx, s, readers)
}

// withPage adds the page and the overlays of its seqs to what is read. The
// overlays are the closed range of the same seqs: newest first, the newest of
// the range are those of the newest events.
func withPage(more store.Need, stream gotong.Stream, kind *gotong.Kind, page span) store.Need {
	if page.limit == 0 {
		return more
	}
	to := page.to
	if to == 0 {
		to = math.MaxInt64
	}
	if !page.descending {
		to = min(to, page.from+uint64(page.limit)) //nolint:gosec // a limit is not negative
	}
	more.Events = append(slices.Clone(more.Events), store.EventRange{
		Stream: stream, From: page.from, To: to, Descending: page.descending,
		Limit: page.limit, MaxBytes: page.bytes,
	})
	if kind.Overlays != "" {
		more.Ranges = append(slices.Clone(more.Ranges), store.KeyRange{
			Collection: kind.Overlays, Owner: stream.ID(), Descending: page.descending,
			From: gotong.SeqName(page.from + 1), To: gotong.SeqName(min(to, maxSeqName)),
		})
	}
	return more
}

// maxSeqName is the greatest seq whose name sorts as a number.
const maxSeqName = 9_999_999_999_999_999

// lay takes the page and its overlays out of what was read so far, and names
// the events with the newest texts that are not on the page, to be read beside
// it: there they are verified, erased and judged like any other event.
func (s *snapshot) lay(h *Hub, snap store.Snapshot, events, ranges int) ([]store.EventRange, error) {
	s.rows, s.overlays, s.texts = snap.Events[events], nil, nil
	if s.kind.Overlays == "" {
		return nil, nil
	}
	here := make(map[uint64]*store.Event, len(s.rows))
	for i := range s.rows {
		here[s.rows[i].Seq] = &s.rows[i]
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
		doc, err := h.opt.Codec.Document(d.Key.Collection, d.Body)
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

// bound ends the page before what is laid over it makes it too large.
func (s *snapshot) bound(bytes int) {
	size := 0
	for i := range s.rows {
		o := s.overlays[s.rows[i].Seq]
		if size += s.rows[i].Size() + o.size; s.texts[o.laid.Text] != nil {
			size += s.texts[o.laid.Text].Size()
		}
		if size > bytes && i > 0 {
			s.rows = s.rows[:i]
			return
		}
	}
}

func seqOf(name string) (uint64, error) {
	var seq uint64
	if _, err := fmt.Sscanf(name, "%d", &seq); err != nil || gotong.SeqName(seq) != name {
		return 0, fmt.Errorf("live: an overlay is named %q, which is no seq", name)
	}
	return seq, nil
}

// accessNeeds is what decides for all the readers together.
func accessNeeds(kind *gotong.Kind, state gotong.State, readers []gotong.Reader) []gotong.Ref {
	if kind.AccessNeeds == nil {
		return nil
	}
	if len(readers) == 1 {
		return kind.AccessNeeds(state, readers[0])
	}
	var refs []gotong.Ref
	seen := map[gotong.Ref]bool{}
	for _, r := range readers {
		for _, ref := range kind.AccessNeeds(state, r) {
			if !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// grant decides for each reader. Where a stretch begins or ends never moves, so
// its place may be looked up after the snapshot.
func (h *Hub) grant(ctx context.Context, s *snapshot, readers []gotong.Reader) error {
	rules := make([]gotong.Grant, len(readers))
	for i, r := range readers {
		if s.state.Head.Exists() && s.kind.Access != nil {
			rules[i] = s.kind.Access(s.state, r)
		}
	}
	access, err := h.places.Resolve(ctx, h.opt.Store, s.state.Stream, readers, rules)
	if err != nil {
		return err
	}
	s.grants = make([]*grant, len(readers))
	for i, r := range readers {
		s.grants[i] = &grant{Access: access[i]}
		if s.kind.AccessNeeds == nil {
			continue
		}
		for _, ref := range s.kind.AccessNeeds(s.state, r) {
			if ref.Stream != s.state.Stream && !slices.Contains(s.grants[i].governing, ref.Stream) {
				s.grants[i].governing = append(s.grants[i].governing, ref.Stream)
			}
		}
	}
	return nil
}

// kind is the rules of a stream; kinds are made once and shared.
func (h *Hub) kind(stream gotong.Stream) (*gotong.Kind, error) {
	name := stream.Kind()
	if k, ok := h.kinds.Load(name); ok {
		return k.(*gotong.Kind), nil //nolint:forcetypeassert // only this function stores
	}
	k, err := h.opt.Codec.Kind(stream)
	if err != nil {
		return nil, err
	}
	kept, _ := h.kinds.LoadOrStore(name, &k)
	return kept.(*gotong.Kind), nil //nolint:forcetypeassert // only this function stores
}

// reading is row i of the page, decoded, with what is laid over it.
func (s *snapshot) reading(h *Hub, i int) (*reading, error) {
	row := &s.rows[i]
	r := &reading{row: row, gone: row.Erased, live: true}
	var err error
	if r.event, err = h.opt.Codec.Event(row); err != nil {
		return nil, err
	}
	r.about = s.kind.AboutOf(r.event)
	o, ok := s.overlays[row.Seq]
	if !ok {
		return r, nil
	}
	r.over = &over{overlay: o}
	if o.laid.Text == 0 {
		return r, nil
	}
	text := s.texts[o.laid.Text]
	if text == nil {
		return nil, fmt.Errorf("live: %s has no event %d: %w", row.Stream, o.laid.Text, store.ErrCorrupt)
	}
	r.over.row = text
	if r.over.text, err = h.opt.Codec.Event(text); err != nil {
		return nil, err
	}
	if r.over.about = s.kind.AboutOf(r.over.text); !slices.Contains(r.over.about, row.Seq) {
		return nil, fmt.Errorf("live: event %d of %s is not about %d: %w", text.Seq, row.Stream, row.Seq, store.ErrCorrupt)
	}
	return r, nil
}

// over is what is laid over a reading.
type over struct {
	overlay
	row   *store.Event // that holds the newest content; nil where the event's own row does
	text  gotong.Event
	about []uint64
}

// sight is what a viewer sees: [gotong.Access.Sees].
type sight func(seq uint64, audience gotong.Audience, about ...uint64) bool

// all is the sight of who sees everything.
func all(uint64, gotong.Audience, ...uint64) bool { return true }

// shown is the event as a viewer gets it, and whether its content was erased.
func (r *reading) shown(kind *gotong.Kind, sees sight) (gotong.Event, bool) {
	if r.over == nil {
		return r.event, r.gone
	}
	later := gotong.Later{Sees: func(seq uint64) bool { return sees(seq, r.row.Audience, r.row.Seq) }}
	gone := r.gone
	if text := r.over.row; text != nil {
		if gone = false; sees(text.Seq, text.Audience, r.over.about...) {
			later.Text, gone = &r.over.text, text.Erased
		}
	}
	return kind.Overlay(r.event, r.over.doc, later), gone
}

// asCoded finds the coded error in err.
func asCoded(err error) (*gotong.Error, bool) {
	var e *gotong.Error
	ok := errors.As(err, &e)
	return e, ok
}

// tidy drops doubles, and says where each reader went.
func tidy(readers []gotong.Reader) (unique []gotong.Reader, place []int) {
	at := map[gotong.Reader]int{}
	place = make([]int, len(readers))
	for i, r := range readers {
		n, ok := at[r]
		if !ok {
			n = len(unique)
			at[r] = n
			unique = append(unique, r)
		}
		place[i] = n
	}
	return unique, place
}
