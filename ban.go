package gotong

// Ban keeps a user out of a stream; the zero Ban keeps nobody out.
type Ban struct {
	Ever    bool  `json:"ban,omitempty"`          // for ever
	UntilMS int64 `json:"ban_until_ms,omitempty"` // or until this time
}

// Set reports whether it is a ban at all, be it over or not.
func (b Ban) Set() bool { return b != Ban{} }

// Holds reports whether the user is kept out at this instant.
func (b Ban) Holds(now Instant) bool { return b.Ever || now.Milli() < b.UntilMS }

// MaxTimeMS is the end of the year 9999; it also keeps a number of
// milliseconds exact in any JSON reader.
const MaxTimeMS = 253402300799999

// ValidTime reports whether a number of milliseconds since 1970 is a time that
// a command may name; 0 is one.
func ValidTime(ms int64) bool { return ms >= 0 && ms <= MaxTimeMS }

// Check notes what is wrong with a ban, apart from the state of the stream.
func (b Ban) Check(c *Check) {
	c.That(ValidTime(b.UntilMS), "ban_until_ms", "must be a time")
	c.That(!b.Ever || b.UntilMS == 0, "ban_until_ms", "and ban exclude each other")
}

// CheckNow is an [Error] with [CodeInvalid] where the ban would be over at
// once.
func (b Ban) CheckNow(now Instant) error {
	if b.Set() && !b.Holds(now) {
		return Invalid("ban_until_ms", "must be in the future")
	}
	return nil
}
