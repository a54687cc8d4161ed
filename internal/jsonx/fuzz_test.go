package jsonx_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/jsonx"
)

// FuzzGate compares the gate with an independent reader: encoding/json for the
// grammar, and walkers of our own for duplicates, UTF-8 and surrogates.
func FuzzGate(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[{"c":1,"c":1}]}}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`,
		"{\"a\":\"\xff\"}", `{"a":1}{}`, `[]`, `nul`, `{"a":01}`, `{"a":-0}`, `{"a":1e5}`, `{"\u0061":1,"a":2}`,
		`{"a":"\\ud800"}`, "\ufeff{}", `{"":{"":{}}}`, `{"a":"\uD83D\u0061"}`, strings.Repeat(`{"a":`, 40),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var free map[string]any
		err := jsonx.Unmarshal(in, &free)
		want := readable(in)
		switch code := gotong.CodeOf(err); code {
		case "":
			if !want {
				t.Fatalf("accepted %q", in)
			}
		case gotong.CodeBadJSON:
			if want {
				t.Fatalf("refused %q: %v", in, err)
			}
		case gotong.CodeInvalid: // a number beyond float64
		default:
			t.Fatalf("%q: %v", in, err)
		}
		if valid := jsonx.Default.Valid(in) == nil; valid != want {
			t.Fatalf("Valid(%q) is %v", in, valid)
		}
		var fixed target
		if err := jsonx.Unmarshal(in, &fixed); err == nil && !want {
			t.Fatalf("accepted %q as a struct", in)
		}
	})
}

func readable(in []byte) bool {
	if !json.Valid(in) || !utf8.Valid(in) || loneSurrogate(in) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil || first != json.Delim('{') {
		return false
	}
	if !unique(dec, '{', 1) {
		return false
	}
	_, err = dec.Token()
	return err == io.EOF
}

// unique walks the rest of an object or array and reports whether no object
// in it has a name twice and none is deeper than allowed.
func unique(dec *json.Decoder, open json.Delim, depth int) bool {
	if depth > jsonx.Default.Depth {
		return false
	}
	names := map[string]bool{}
	for dec.More() {
		if open == '{' {
			tok, err := dec.Token()
			name, ok := tok.(string)
			if err != nil || !ok || names[name] {
				return false
			}
			names[name] = true
		}
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		if d, ok := tok.(json.Delim); ok && !unique(dec, d, depth+1) {
			return false
		}
	}
	_, err := dec.Token()
	return err == nil
}

// loneSurrogate looks for an escape \uD800 to \uDFFF that is not half of a pair.
func loneSurrogate(in []byte) bool {
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			continue
		}
		if in[i+1] != 'u' {
			i++
			continue
		}
		high := strings.ToLower(string(in[i+2 : i+6]))
		i += 5
		switch {
		case high >= "dc00" && high <= "dfff":
			return true
		case high >= "d800" && high <= "dbff":
			rest := strings.ToLower(string(in[i+1 : min(len(in), i+7)]))
			if len(rest) < 6 || !strings.HasPrefix(rest, `\u`) || rest[2:] < "dc00" || rest[2:] > "dfff" {
				return true
			}
			i += 6
		}
	}
	return false
}
