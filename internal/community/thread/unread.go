package thread

import (
	"cmp"
	"math"
	"slices"

	"gotong.dev/gotong"
)

// MaxUnread is the number up to which unread messages are counted.
const MaxUnread = 999

// Ordinals is a stretch of messages: From < n <= To.
type Ordinals struct{ From, To uint64 }

// VisibleOrdinals returns the spans of a grant as ordinals of messages, in order
// and without overlap. own is the viewer's row in the thread; it and the thread
// hold the counts at the ends of the thread's own spans. For the other spans,
// before returns how many messages the thread had before the event seq of another
// stream was committed; it may be nil if the thread has its own members.
func VisibleOrdinals(
	t Thread, own Member, g gotong.Grant, before func(of gotong.Stream, seq uint64) uint64,
) []Ordinals {
	count := func(s gotong.Stream, seq uint64) uint64 {
		if s.Kind() != Name {
			return before(s, seq)
		}
		return countBefore(t, own, seq)
	}
	list := ordinals(g.Spans, count)
	for _, within := range g.Within {
		list = common(list, ordinals(within, count))
	}
	return list
}

func ordinals(spans []gotong.Span, count func(gotong.Stream, uint64) uint64) []Ordinals {
	list := make([]Ordinals, 0, len(spans))
	for _, s := range spans {
		o := Ordinals{To: math.MaxUint64}
		if s.From > 0 {
			o.From = count(s.Stream, s.From)
		}
		if s.To > 0 {
			o.To = count(s.Stream, s.To)
		}
		list = append(list, o)
	}
	return merged(list)
}

// AtLatestJoin returns how many messages the thread had when the user last joined
// it, or one of the streams of which its members must be members; before is that
// of [VisibleOrdinals].
func AtLatestJoin(
	s gotong.State, t Thread, userID string, before func(of gotong.Stream, seq uint64) uint64,
) (n uint64) {
	for _, of := range Chain(t, s.Stream) {
		stretches := gotong.MembershipOf(s, of, userID).Stretches
		if len(stretches) == 0 {
			continue
		}
		if last := stretches[len(stretches)-1]; of == s.Stream {
			n = last.FromCount
		} else {
			n = max(n, before(of, last.From))
		}
	}
	return n
}

// countBefore returns the number of messages before an event that begins or ends a
// span of the thread's own: a change of policy or of membership.
func countBefore(t Thread, own Member, seq uint64) uint64 {
	for _, h := range t.History {
		if h.Seq == seq {
			return h.Count
		}
	}
	for _, s := range own.Stretches {
		switch seq {
		case s.From:
			return s.FromCount
		case s.To:
			return s.ToCount
		}
	}
	return 0
}

// common returns the ordinals that lie in both lists, each in order and without
// overlap.
func common(a, b []Ordinals) (list []Ordinals) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if o := (Ordinals{max(a[i].From, b[j].From), min(a[i].To, b[j].To)}); o.From < o.To {
			list = append(list, o)
		}
		if b[j].To < a[i].To {
			j++
		} else {
			i++
		}
	}
	return list
}

func merged(list []Ordinals) []Ordinals {
	slices.SortFunc(list, func(a, b Ordinals) int { return cmp.Compare(a.From, b.From) })
	var out []Ordinals
	for _, o := range list {
		switch n := len(out); {
		case o.To <= o.From:
		case n > 0 && o.From <= out[n-1].To:
			out[n-1].To = max(out[n-1].To, o.To)
		default:
			out = append(out, o)
		}
	}
	return out
}

// Unread returns the number of messages above the mark, up to the ordinal last, that are
// visible and not left out, up to [MaxUnread]. out is the ordinals of messages
// that do not count, deleted ones and the viewer's own, in ascending order.
func Unread(mark, last uint64, visible []Ordinals, out []uint64) int {
	total := uint64(0)
	for _, o := range visible {
		from, to := max(o.From, mark), min(o.To, last)
		if from < to {
			first, _ := slices.BinarySearch(out, from+1)
			end, _ := slices.BinarySearch(out, to+1)
			total += to - from - uint64(end-first) //nolint:gosec // to is not before from
		}
	}
	return int(min(total, MaxUnread))
}
