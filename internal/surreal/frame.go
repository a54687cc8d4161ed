package surreal

import (
	"errors"
	"strings"
)

type request struct {
	ID     uint64 `cbor:"id"`
	Method string `cbor:"method"`
	Params []any  `cbor:"params"`
}

// reply is a frame of the server: an answer with the id of its request, or a
// notification without one.
type reply struct {
	ID     *uint64     `cbor:"id"`
	Result Raw         `cbor:"result"`
	Error  *replyError `cbor:"error"`
}

type replyError struct {
	Code    int    `cbor:"code"`
	Kind    string `cbor:"kind"`
	Message string `cbor:"message"`
}

func (r reply) answer() (Raw, error) {
	if r.Error != nil {
		return nil, &Error{Code: r.Error.Code, Kind: r.Error.Kind, Text: r.Error.Message, Statement: -1}
	}
	return r.Result, nil
}

func decodeReply(data []byte) (reply, error) {
	var r reply
	if len(data) == 0 || data[0]>>5 != 5 {
		return r, errors.New("not a map")
	}
	if err := decoding.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if r.Result == nil && r.Error == nil {
		return r, errors.New("neither result nor error")
	}
	return r, nil
}

// Result is the result of one statement.
type Result struct {
	Err   error // *Error if the statement failed
	Value Raw
}

// Decode decodes the value, or returns the error of the statement. NONE leaves
// into unchanged.
func (r Result) Decode(into any) error {
	if r.Err != nil {
		return r.Err
	}
	return Unmarshal(r.Value, into)
}

// Results are the results of the statements of a query, in their order.
type Results []Result

// Err returns the error of the first statement that failed, nil if none did. If a
// transaction was rolled back, it returns the cause, not an error that followed
// from it.
func (rs Results) Err() error {
	var first error
	for _, r := range rs {
		var e *Error
		if r.Err == nil || !errors.As(r.Err, &e) {
			continue
		}
		if !e.followed() {
			return e
		}
		if first == nil {
			first = e
		}
	}
	return first
}

type statement struct {
	Status string `cbor:"status"`
	Kind   Raw    `cbor:"kind"`
	Result Raw    `cbor:"result"`
}

const statusOK = "OK"

func decodeResults(data Raw) (Results, error) {
	var statements []statement
	if err := decoding.Unmarshal(data, &statements); err != nil {
		return nil, err
	}
	results := make(Results, len(statements))
	for i, st := range statements {
		if strings.EqualFold(st.Status, statusOK) {
			results[i].Value = st.Result
			continue
		}
		e := &Error{Statement: i}
		if err := Unmarshal(st.Result, &e.Text); err != nil {
			e.Text = "an error that is no text"
		}
		if st.Kind != nil {
			_ = Unmarshal(st.Kind, &e.Kind) // 2.6 has none
		}
		results[i].Err = e
	}
	return results, nil
}
