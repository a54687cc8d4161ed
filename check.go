package gotong

// Check collects errors in the fields of a command; the zero Check is ready to
// use.
type Check struct{ fields []FieldError }

// That notes detail for a field unless ok. The detail is a fixed phrase that
// follows the field's name.
func (c *Check) That(ok bool, field, detail string) {
	if !ok {
		c.fields = append(c.fields, FieldError{field, detail})
	}
}

// ID notes an error of a field whose value is not a [ValidID].
func (c *Check) ID(field, id string) { c.That(ValidID(id), field, "must be 1 to 128 of A-Za-z0-9._:-") }

// Err returns nil, or an [Error] with [CodeInvalid] that lists all that was
// noted.
func (c *Check) Err() error {
	switch len(c.fields) {
	case 0:
		return nil
	case 1:
		return Invalid(c.fields[0].Field, c.fields[0].Detail)
	default:
		return &Error{Code: CodeInvalid, Detail: "Several fields do not fit.", Fields: c.fields}
	}
}

// ValidID reports whether s can be an opaque id, such as a user's: 1 to 128 of
// A-Za-z0-9._:-.
func ValidID(s string) bool { return within(s, maxIDLen, isNameByte) }
