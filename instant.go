package gotong

import "time"

// Instant is a time of day in UTC, in microseconds since the Unix epoch.
type Instant int64

// InstantOf returns the instant of t, rounded down to the microsecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMicro()) }

// instantLayout is RFC 3339 with exactly six decimals, so that the text sorts
// like the number.
const instantLayout = "2006-01-02T15:04:05.000000Z"

// Time returns the instant as a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Milli returns the milliseconds since the Unix epoch, rounded down.
func (i Instant) Milli() int64 { return i.Time().UnixMilli() }

// Add returns the instant moved by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// Sub returns the time from another instant to i. Between two readings of the
// time of day, this is not a duration: the clock may have been set in between.
func (i Instant) Sub(from Instant) time.Duration { return time.Duration(i-from) * time.Microsecond }

// String returns the form of RFC 3339 with six decimals, in UTC.
func (i Instant) String() string { return i.Time().Format(instantLayout) }

// AppendText appends [Instant.String] to b; it never fails.
func (i Instant) AppendText(b []byte) ([]byte, error) {
	return i.Time().AppendFormat(b, instantLayout), nil
}

// MarshalText returns [Instant.String].
func (i Instant) MarshalText() ([]byte, error) { return i.AppendText(nil) }

// UnmarshalText parses RFC 3339.
func (i *Instant) UnmarshalText(b []byte) error {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return Invalid("at", "must be an RFC 3339 time")
	}
	*i = InstantOf(t)
	return nil
}

// NextInstant returns the instant of an event that follows one at prev: now or,
// if the clock stood still or went back, a microsecond after prev.
func NextInstant(now, prev Instant) Instant { return max(now, prev+1) }
