package audit

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
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
