package audit

import (
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// Replay returns the function for [VerifyOptions] that follows the rules of the
// kinds, see [gotong.Kind.Replay].
func Replay(codec *store.Codec) func() func(*store.Event) error {
	return func() func(*store.Event) error {
		kinds := map[string]func(gotong.Event) error{}
		return func(row *store.Event) error {
			name := row.Stream.Kind()
			replay, known := kinds[name]
			if !known {
				if kind, err := codec.Kind(row.Stream); err == nil && kind.Replay != nil {
					replay = kind.Replay()
				}
				kinds[name] = replay
			}
			if replay == nil {
				return nil
			}
			e, err := codec.Event(row)
			if err != nil {
				return err
			}
			return replay(e)
		}
	}
}

// CheckEvidence returns an error if the evidence in a proof does not give its event.
// It wraps [proof.ErrAltered], or [proof.ErrUnverified] if this program does not know
// the kind.
func CheckEvidence(codec *store.Codec, p *proof.Event) error {
	if len(p.Evidence) == 0 {
		return nil
	}
	kind, err := codec.Kind(p.Stream)
	if err != nil || kind.Evidence == nil {
		return fmt.Errorf("%w: the evidence for an event of a %s", proof.ErrUnverified, p.Stream.Kind())
	}
	events := make([]gotong.Event, 1+len(p.Evidence))
	for i := range events {
		from := p
		if i > 0 {
			from = &p.Evidence[i-1]
		}
		events[i], err = codec.Event(&store.Event{
			Stream: from.Stream, Seq: from.Seq, ID: from.ID, Type: from.Type, At: gotong.Instant(from.At), Data: from.Data,
		})
		if err != nil {
			return fmt.Errorf("%w: %w", proof.ErrUnverified, err)
		}
	}
	if err := kind.Evidence.Check(events[0], events[1:]); err != nil {
		return fmt.Errorf("%w: the evidence in the proof: %w", proof.ErrAltered, err)
	}
	return nil
}
