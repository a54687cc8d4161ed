package jsonx

// Flat reads b by the quick reader alone.
func Flat(b []byte, into any) bool { return flat(b, into, Default.Depth) }

// Strict reads b by the strict reader alone.
func Strict(b []byte, into any) error { return Default.unmarshal(b, into) }

// Valid returns nil if b is one readable JSON object within l, and otherwise
// [gotong.CodeTooLarge] or [gotong.CodeBadJSON].
func (l Limits) Valid(b []byte) error {
	if err := l.bounded(b); err != nil {
		return err
	}
	return check(b)
}
