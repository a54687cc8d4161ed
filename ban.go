package gotong

// Ban bans a user from a stream; the zero Ban is none.
type Ban struct {
	Ever    bool  `json:"ban,omitempty"`          // for ever
	UntilMS int64 `json:"ban_until_ms,omitempty"` // or until this time
}

// Set reports whether this is a ban, current or expired.
func (b Ban) Set() bool { return b != Ban{} }

// Holds reports whether the ban is in effect at this instant.
func (b Ban) Holds(now Instant) bool { return b.Ever || now.Milli() < b.UntilMS }

// MaxTimeMS is the end of the year 9999. It also keeps a number of milliseconds
// exact in any JSON reader.
const MaxTimeMS = 253402300799999

// ValidTime reports whether a number of milliseconds since 1970 is a time that
// a command may name; 0 is one.
func ValidTime(ms int64) bool { return ms >= 0 && ms <= MaxTimeMS }

// Check notes errors of a ban that do not depend on the state of the stream.
func (b Ban) Check(c *Check) {
	c.That(ValidTime(b.UntilMS), "ban_until_ms", "must be a time")
	c.That(!b.Ever || b.UntilMS == 0, "ban_until_ms", "and ban exclude each other")
}

// CheckNow returns an [Error] with [CodeInvalid] if the ban would already be
// over.
func (b Ban) CheckNow(now Instant) error {
	if b.Set() && !b.Holds(now) {
		return Invalid("ban_until_ms", "must be in the future")
	}
	return nil
}
