package inbox

// SetNarrow sets the number of members up to which a stream is not wide, and returns a
// function that resets it.
func SetNarrow(n int) (reset func()) {
	before := narrow
	narrow = n
	return func() { narrow = before }
}
