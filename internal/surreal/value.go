package surreal

import (
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Tags of values in SurrealDB's CBOR.
const (
	tagNone     = 6
	tagTable    = 7
	tagRecord   = 8
	tagDecimal  = 10
	tagDateTime = 12
	tagDuration = 14
	tagUUID     = 37
	tagRange    = 49
	tagIncluded = 50
	tagExcluded = 51
)

// Vars are the parameters of a query, by name without $.
type Vars = map[string]any

// Raw is an undecoded value, for [Unmarshal].
type Raw = cbor.RawMessage

// RecordID is the id of a record: its table, and a key that is a string, a
// whole number, or a list of such ([]any). A key that is a [Range] makes it a
// range of records.
type RecordID struct {
	_     struct{} `cbor:",toarray"`
	Table string
	Key   any
}

// Record returns the id of a record; several parts make a key that is a list.
func Record(table string, key ...any) RecordID {
	if len(key) == 1 {
		return RecordID{Table: table, Key: key[0]}
	}
	return RecordID{Table: table, Key: key}
}

// UUID is a value of the type uuid.
type UUID [16]byte

// MarshalCBOR returns the value as CBOR.
func (u UUID) MarshalCBOR() ([]byte, error) {
	return append([]byte{0xd8, tagUUID, 0x50}, u[:]...), nil
}

// UnmarshalCBOR decodes the value.
func (u *UUID) UnmarshalCBOR(data []byte) error {
	if len(data) != 19 || data[0] != 0xd8 || data[1] != tagUUID || data[2] != 0x50 {
		return fmt.Errorf("surreal: not a UUID")
	}
	copy(u[:], data[3:])
	return nil
}

// String returns the UUID in its usual form.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Table is the name of a table as a value.
type Table string

// Time is a value of the type datetime.
type Time time.Time

type stamp struct {
	_       struct{} `cbor:",toarray"`
	Seconds int64
	Nanos   int64
}

// MarshalCBOR returns the value as CBOR.
func (t Time) MarshalCBOR() ([]byte, error) {
	at := time.Time(t)
	return encoding.Marshal(cbor.Tag{Number: tagDateTime, Content: stamp{Seconds: at.Unix(), Nanos: int64(at.Nanosecond())}})
}

// UnmarshalCBOR decodes the value.
func (t *Time) UnmarshalCBOR(data []byte) error {
	var tag cbor.RawTag
	if err := decoding.Unmarshal(data, &tag); err != nil {
		return err
	}
	var s stamp
	if tag.Number != tagDateTime {
		return fmt.Errorf("surreal: not a datetime")
	}
	if err := decoding.Unmarshal(tag.Content, &s); err != nil {
		return err
	}
	*t = Time(time.Unix(s.Seconds, s.Nanos).UTC())
	return nil
}

// Range is from one key to another, both included. In a [RecordID] it selects
// the records between them.
type Range struct {
	From, To any
}

// MarshalCBOR returns the value as CBOR.
func (r Range) MarshalCBOR() ([]byte, error) {
	return encoding.Marshal(cbor.Tag{Number: tagRange, Content: []any{
		cbor.Tag{Number: tagIncluded, Content: r.From},
		cbor.Tag{Number: tagIncluded, Content: r.To},
	}})
}

var (
	encoding = encodingMode()
	decoding = decodingMode()
)

// tags maps tags to the types that have no method of their own.
func tags() cbor.TagSet {
	set := cbor.NewTagSet()
	opts := cbor.TagOptions{DecTag: cbor.DecTagRequired, EncTag: cbor.EncTagRequired}
	for number, of := range map[uint64]reflect.Type{
		tagRecord: reflect.TypeFor[RecordID](),
		tagTable:  reflect.TypeFor[Table](),
	} {
		must(struct{}{}, set.Add(opts, of, number))
	}
	return set
}

func encodingMode() cbor.EncMode {
	return must(cbor.EncOptions{
		Time:          cbor.TimeUnixDynamic,
		NilContainers: cbor.NilContainerAsNull,
	}.EncModeWithTags(tags()))
}

// Bounds of an answer. A level of SurrealDB's values that has a tag is two levels
// of CBOR.
const (
	maxElements = 1 << 20
	maxLevels   = 128
)

func decodingMode() cbor.DecMode {
	return must(cbor.DecOptions{
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		IntDec:           cbor.IntDecConvertSignedOrFail,
		MaxArrayElements: maxElements,
		MaxMapPairs:      maxElements,
		MaxNestedLevels:  maxLevels,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecModeWithTags(tags()))
}

// must panics if a table of this package is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Marshal returns a value as CBOR.
func Marshal(value any) (Raw, error) { return encoding.Marshal(value) }

// Unmarshal decodes a value from CBOR. NONE and null leave into unchanged.
func Unmarshal(data []byte, into any) error {
	if isNone(data) {
		return nil
	}
	return decoding.Unmarshal(data, into)
}

func isNone(data []byte) bool {
	return len(data) == 2 && data[0] == 0xc0|tagNone && data[1] == 0xf6
}
