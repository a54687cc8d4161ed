package live

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

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
	overlays map[uint64]any // documents by seq
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
	s.state, s.store, err = store.LoadState(ctx, h.opt.Store, h.opt.Codec, stream,
		func(state gotong.State) []gotong.Ref { return accessNeeds(kind, state, readers) },
		func(gotong.State) store.Need { return need })
	if err != nil {
		return nil, err
	}
	if page.limit > 0 {
		if err := s.takePage(h, len(more.Events), len(more.Ranges)); err != nil {
			return nil, err
		}
	}
	s.grants, err = h.grants(ctx, s, readers)
	return s, err
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

// takePage moves the page out of the snapshot, so that what is left is what
// the caller asked for.
func (s *snapshot) takePage(h *Hub, events, ranges int) error {
	s.rows = s.store.Events[events]
	s.store.Events = s.store.Events[:events]
	if s.kind.Overlays == "" {
		return nil
	}
	docs := s.store.Ranges[ranges]
	s.store.Ranges = s.store.Ranges[:ranges]
	s.overlays = make(map[uint64]any, len(docs))
	for _, d := range docs {
		seq, err := seqOf(d.Key.Name)
		if err != nil {
			return err
		}
		if s.overlays[seq], err = h.opt.Codec.Document(d.Key.Collection, d.Body); err != nil {
			return err
		}
	}
	return nil
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

// grants decides for each reader. Where a stretch begins or ends never moves,
// so its position may be read after the snapshot.
func (h *Hub) grants(ctx context.Context, s *snapshot, readers []gotong.Reader) ([]*grant, error) {
	rules := make([]gotong.Grant, len(readers))
	var spans []gotong.Span
	for i, r := range readers {
		if s.state.Head.Exists() && s.kind.Access != nil {
			rules[i] = s.kind.Access(s.state, r)
			spans = append(spans, rules[i].Spans...)
		}
	}
	positions, err := h.positions.find(ctx, h.opt.Store, spans)
	if err != nil {
		return nil, err
	}
	grants := make([]*grant, len(readers))
	for i, r := range readers {
		grants[i] = &grant{Access: gotong.Resolve(r, rules[i], func(stream gotong.Stream, seq uint64) uint64 {
			return positions[spot{stream, seq}]
		})}
		if s.kind.AccessNeeds == nil {
			continue
		}
		for _, ref := range s.kind.AccessNeeds(s.state, r) {
			if ref.Stream != s.state.Stream && !slices.Contains(grants[i].governing, ref.Stream) {
				grants[i].governing = append(grants[i].governing, ref.Stream)
			}
		}
	}
	return grants, nil
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

// spot is an event of a stream.
type spot struct {
	stream gotong.Stream
	seq    uint64
}

// positionCache remembers the positions of the events where stretches begin
// and end; they never change.
type positionCache struct {
	mu    sync.Mutex
	known map[spot]uint64
}

const (
	maxPositions  = 1 << 16
	positionsRead = 200 // events looked up in one Load
)

// find is the positions of both ends of the spans.
func (c *positionCache) find(ctx context.Context, from store.Committer, spans []gotong.Span) (map[spot]uint64, error) {
	found := map[spot]uint64{}
	var unknown []spot
	c.mu.Lock()
	for _, s := range spans {
		for _, seq := range [...]uint64{s.From, s.To} {
			at := spot{s.Stream, seq}
			if _, ok := found[at]; ok || seq == 0 {
				continue
			}
			position, ok := c.known[at]
			found[at] = position
			if !ok {
				unknown = append(unknown, at)
			}
		}
	}
	c.mu.Unlock()
	for part := range slices.Chunk(unknown, positionsRead) {
		if err := readPositions(ctx, from, part, found); err != nil {
			return nil, err
		}
	}
	c.keep(unknown, found)
	return found, nil
}

func readPositions(ctx context.Context, from store.Committer, spots []spot, found map[spot]uint64) error {
	var need store.Need
	for _, s := range spots {
		need.Events = append(need.Events, store.EventRange{Stream: s.stream, From: s.seq - 1, To: s.seq})
	}
	snap, err := from.Load(ctx, need)
	if err != nil {
		return err
	}
	for i, s := range spots {
		if len(snap.Events[i]) != 1 {
			return fmt.Errorf("live: %s has no event %d: %w", s.stream, s.seq, store.ErrCorrupt)
		}
		found[s] = snap.Events[i][0].Position
	}
	return nil
}

func (c *positionCache) keep(spots []spot, found map[spot]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known)+len(spots) > maxPositions {
		c.known = map[spot]uint64{}
	}
	for _, s := range spots {
		c.known[s] = found[s]
	}
}

// event is row i of the page as a fresh read shows it.
func (s *snapshot) event(h *Hub, i int) (gotong.Event, bool, error) {
	e, err := h.opt.Codec.Event(&s.rows[i])
	if err != nil {
		return e, false, err
	}
	doc, ok := s.overlays[e.Seq]
	if ok && s.kind.Overlay != nil {
		return s.kind.Overlay(e, doc), true, nil
	}
	return e, false, nil
}

// readings are the rows of the page, ready to be encoded.
func (s *snapshot) readings(ctx context.Context, h *Hub) ([]*reading, error) {
	work := make([]*reading, len(s.rows))
	for i := range s.rows {
		e, overlaid, err := s.event(h, i)
		if err != nil {
			return nil, err
		}
		r := &reading{row: &s.rows[i], event: e, live: true}
		if overlaid {
			r.data, err = overlaidData(&e)
		} else {
			r.data, err = rawData(r.row)
		}
		if err != nil {
			return nil, err
		}
		work[i] = r
	}
	h.nameAll(ctx, work)
	return work, nil
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
