package app

import (
	"gotong.dev/gotong/internal/check"
)

// newCheck returns the background check, which slowly reads the log again and
// reports each row that does not match. It does not read through the watchful
// store, which would report the same rows again.
func (a *App) newCheck() *check.Background {
	return check.NewBackground(check.BackgroundOptions{
		Store: a.bare, Codec: a.codec, Readers: Readers(), Clock: a.clock,
		Fault: func(f *check.Fault) {
			a.metrics.Check.Fault(string(f.Sort))
			if f.Sort == check.Unknown {
				a.log.WarnContext(a.base, "a part of the log cannot be checked", "what", f.Error())
				return
			}
			a.log.ErrorContext(a.base, "the log is damaged: a row does not match the events", "sort", f.Sort,
				"stream", f.Stream, "seq", f.Seq, "key", f.Key, "fault", f.Detail)
		},
		Failed: func(err error) {
			a.log.WarnContext(a.base, "the check of the log was interrupted; it will resume later", "cause", err)
		},
		Ended: a.metrics.Check.Ended,
	})
}
