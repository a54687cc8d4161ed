package inbox

// SetNarrow sets the number of members up to which a stream is not wide, and returns a
// function that resets it.
func SetNarrow(n int) (reset func()) { return set(&narrow, n) }

// SetLooks does so with the number of items that one call looks at.
func SetLooks(n int) (reset func()) { return set(&looks, n) }

func set(limit *int, n int) (reset func()) {
	before := *limit
	*limit = n
	return func() { *limit = before }
}
