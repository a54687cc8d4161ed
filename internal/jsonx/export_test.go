package jsonx

// Valid returns nil if b is one readable JSON object within l, and otherwise
// [gotong.CodeTooLarge] or [gotong.CodeBadJSON].
func (l Limits) Valid(b []byte) error {
	if err := l.bounded(b); err != nil {
		return err
	}
	return check(b)
}
