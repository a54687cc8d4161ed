package surreal

// None is the value NONE: a field that is not there. nil is NULL.
type None struct{}

// MarshalCBOR returns the value in CBOR.
func (None) MarshalCBOR() ([]byte, error) { return []byte{0xc0 | tagNone, 0xf6}, nil }
