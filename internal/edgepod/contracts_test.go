package edgepod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
)

// examples are the golden examples of one contract.
type examples struct {
	Request  side `json:"request"`
	Response side `json:"response"`
}

type side struct {
	Good []json.RawMessage `json:"good"`
	Bad  []struct {
		Field string          `json:"field"`
		Value json.RawMessage `json:"value"`
	} `json:"bad"`
}

func examplesOf(tb testing.TB, c *Contract) examples {
	tb.Helper()
	b, err := api.EdgePod.ReadFile("edgepod/" + c.Endpoint() + ".examples.json")
	if err != nil {
		tb.Fatal(err)
	}
	var e examples
	if err := json.Unmarshal(b, &e); err != nil {
		tb.Fatal(err)
	}
	return e
}

// names reports whether an error names a field: itself, or one in it.
func names(err error, field string) bool {
	var coded *gotong.Error
	return errors.As(err, &coded) && coded.Code == gotong.CodeInvalid &&
		slices.ContainsFunc(coded.Fields, func(f gotong.FieldError) bool { return f.Field == field })
}

func TestExamples(t *testing.T) {
	if len(Contracts) != 12 {
		t.Fatalf("%d contracts, want 12", len(Contracts))
	}
	for i := range Contracts {
		c := &Contracts[i]
		e := examplesOf(t, c)
		for _, test := range []struct {
			name   string
			schema *Schema
			set    side
		}{{"request", c.Request, e.Request}, {"response", c.Response, e.Response}} {
			t.Run(c.ID+" "+test.name, func(t *testing.T) {
				set := test.set
				if len(set.Good) < 2 || len(set.Bad) < 6 {
					t.Fatalf("%d good and %d bad examples", len(set.Good), len(set.Bad))
				}
				for i, good := range set.Good {
					if err := test.schema.Validate(good); err != nil {
						t.Errorf("good %d: %v %+v", i, err, err.(*gotong.Error).Fields) //nolint:errorlint // its only type
					}
				}
				for i, bad := range set.Bad {
					if err := test.schema.Validate(bad.Value); !names(err, bad.Field) {
						t.Errorf("bad %d: %v does not name %s", i, err, bad.Field)
					}
				}
			})
		}
	}
}

// TestSchemasAreClosed walks every schema: each object is closed or bounded, each
// string and each array has a greatest length, and each number has bounds.
func TestSchemasAreClosed(t *testing.T) {
	entries, err := api.EdgePod.ReadDir("edgepod")
	if err != nil {
		t.Fatal(err)
	}
	walked := 0
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".examples.json") {
			continue
		}
		b, err := api.EdgePod.ReadFile("edgepod/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for _, fault := range open(doc, entry.Name()) {
			t.Error(fault)
		}
		walked++
	}
	if walked != 25 {
		t.Errorf("%d schemas, want 25", walked)
	}
}

func open(s map[string]any, at string) (faults []string) {
	has := func(key string) bool { _, ok := s[key]; return ok }
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, at+" "+what)
		}
	}
	need(!has("$ref"), "refers to another schema")
	switch s["type"] {
	case "object":
		need(s["additionalProperties"] == false || has("maxProperties") && has("propertyNames"), "is open")
	case "string":
		need(has("maxLength") || has("enum") || has("const") || has("pattern"), "has no greatest length")
	case "array":
		need(has("maxItems"), "has no greatest number of items")
		item, _ := s["items"].(map[string]any)
		faults = append(faults, open(item, at+"/items")...)
	case "number", "integer":
		need(has("minimum") && has("maximum"), "has no bounds")
	}
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		child, _ := p.(map[string]any)
		faults = append(faults, open(child, at+"/"+name)...)
	}
	return faults
}

// TestGuard has texts that the library must not see, or that strict reading rejects.
func TestGuard(t *testing.T) {
	deep := func(n int) string {
		return `{"a":` + strings.Repeat(`[`, n-1) + strings.Repeat(`]`, n-1) + `}`
	}
	wrap := func(number string) string { return `{"output":{"hold_duration_minutes":` + number + `}}` }
	tests := map[string]struct {
		text string
		want gotong.Code
	}{
		"a huge exponent":       {wrap("1e1000001"), gotong.CodeBadJSON},
		"a huge negative one":   {wrap("1e-1000001"), gotong.CodeBadJSON},
		"four digits of it":     {wrap("1E+1000"), gotong.CodeBadJSON},
		"many digits":           {wrap(strings.Repeat("9", 33)), gotong.CodeBadJSON},
		"in an array":           {`{"a":[1,2,-1e9999]}`, gotong.CodeBadJSON},
		"after a quote":         {`{"a":"\\\"","b":1e9999}`, gotong.CodeBadJSON},
		"digits in a string":    {`{"a":"1e1000001"}`, gotong.CodeInvalid},
		"10^308":                {wrap("1e308"), gotong.CodeInvalid},
		"the deepest":           {deep(16), gotong.CodeInvalid},
		"too deep":              {deep(17), gotong.CodeBadJSON},
		"very deep":             {deep(100_000), gotong.CodeBadJSON},
		"too large":             {`{"a":"` + strings.Repeat("x", 256<<10) + `"}`, gotong.CodeTooLarge},
		"a doubled key":         {`{"output":{},"output":{}}`, gotong.CodeBadJSON},
		"a doubled key further": {`{"output":{"a":1,"a":1}}`, gotong.CodeBadJSON},
		"two objects":           {`{}{}`, gotong.CodeBadJSON},
		"no object":             {`[]`, gotong.CodeBadJSON},
		"prose":                 {`Here is the JSON: {}`, gotong.CodeBadJSON},
		"a code fence":          {"```json\n{}\n```", gotong.CodeBadJSON},
		"no UTF-8":              {"{\"a\":\"\xff\"}", gotong.CodeBadJSON},
		"nothing":               {``, gotong.CodeBadJSON},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := gotong.CodeOf(ByID(Moderation).Response.Validate([]byte(test.text))); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestValidateRecovers shows that the library panics without the guard, and that
// Validate does not.
func TestValidateRecovers(t *testing.T) {
	compiled, err := compile([]byte(`{"type":"object","properties":{"n":{"minimum":0}}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := &Schema{compiled: func() *jsonschema.Schema { return compiled }}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"n":1e1000001}`))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Log("the library no longer panics: the guard may become simpler")
			}
		}()
		_ = compiled.Validate(value)
	}()
	if err := s.Validate([]byte(`{"n":1e1000001}`)); gotong.CodeOf(err) != gotong.CodeBadJSON {
		t.Errorf("got %v", err)
	}
}

func TestNoLoader(t *testing.T) {
	for _, ref := range []string{"file:///etc/passwd", "https://example.org/a.json", "other.json"} {
		if _, err := compile(fmt.Appendf(nil, `{"$ref":%q}`, ref)); err == nil {
			t.Errorf("%s was loaded", ref)
		}
	}
}

// TestGenerated draws values from each schema: they pass, and after one mutation
// they fail with the mutated field named.
func TestGenerated(t *testing.T) {
	for i := range Contracts {
		c := &Contracts[i]
		for name, s := range map[string]*Schema{c.ID + " request": c.Request, c.ID + " response": c.Response} {
			var doc map[string]any
			if err := json.Unmarshal(s.Document, &doc); err != nil {
				t.Fatal(err)
			}
			t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
				value := drawn(t, doc)
				b := encode(t, value)
				if err := s.Validate(b); err != nil {
					t.Fatalf("%s: %v", b, err)
				}
				field := mutate(t, doc, value, "")
				if b = encode(t, value); !names(s.Validate(b), field) {
					t.Fatalf("%s: %v does not name %s", b, s.Validate(b), field)
				}
			}))
		}
	}
}

func encode(t *rapid.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func amount(s map[string]any, key string, otherwise float64) float64 {
	if n, ok := s[key].(float64); ok {
		return n
	}
	return otherwise
}

// drawn returns a value that the schema accepts.
func drawn(t *rapid.T, s map[string]any) any {
	if v, ok := s["const"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok {
		return rapid.SampledFrom(list).Draw(t, "enum")
	}
	switch s["type"] {
	case "object":
		return drawnObject(t, s)
	case "array":
		item, _ := s["items"].(map[string]any)
		least, most := int(amount(s, "minItems", 0)), int(amount(s, "maxItems", 0))
		list := []any{}
		for range rapid.IntRange(least, min(most, least+3)).Draw(t, "items") {
			list = append(list, drawn(t, item))
		}
		return list
	case "integer":
		return rapid.Int64Range(int64(amount(s, "minimum", 0)), int64(amount(s, "maximum", 0))).Draw(t, "integer")
	case "number":
		return rapid.Float64Range(amount(s, "minimum", 0), amount(s, "maximum", 0)).Draw(t, "number")
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	}
	if pattern, ok := s["pattern"].(string); ok {
		return rapid.StringMatching(pattern).Filter(func(v string) bool {
			return len(v) <= int(amount(s, "maxLength", 1000))
		}).Draw(t, "pattern")
	}
	switch s["format"] {
	case "uri":
		return "https://media.example.org/" + rapid.StringMatching(`[a-z0-9]{0,20}`).Draw(t, "uri")
	case "date-time":
		return rapid.StringMatching(`20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9](Z|\+07:00)`).Draw(t, "date-time")
	}
	least := int(amount(s, "minLength", 0))
	return rapid.StringN(least, min(int(amount(s, "maxLength", 0)), least+20), -1).Draw(t, "string")
}

func drawnObject(t *rapid.T, s map[string]any) map[string]any {
	properties, ok := s["properties"].(map[string]any)
	if !ok { // a map of scalars
		return map[string]any{"a": "x", "b": 1.0, "c": true}
	}
	required, _ := s["required"].([]any)
	object := map[string]any{}
	for _, name := range sorted(properties) {
		child, _ := properties[name].(map[string]any)
		if slices.Contains(required, any(name)) || rapid.Bool().Draw(t, "has "+name) {
			object[name] = drawn(t, child)
		}
	}
	return object
}

func sorted(m map[string]any) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// mutate makes one field of the object invalid, and returns its pointer.
func mutate(t *rapid.T, s, object any, at string) string {
	o, _ := object.(map[string]any)
	schema, _ := s.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	switch rapid.IntRange(0, 2).Draw(t, "mutation") {
	case 0:
		o["surplus"] = true
		return at + "/surplus"
	case 1:
		name, _ := rapid.SampledFrom(required).Draw(t, "absent").(string)
		delete(o, name)
		return at + "/" + name
	}
	name := rapid.SampledFrom(sorted(o)).Draw(t, "changed")
	child, _ := properties[name].(map[string]any)
	if _, nested := child["properties"]; nested && child["required"] != nil && rapid.Bool().Draw(t, "within") {
		return mutate(t, child, o[name], at+"/"+name)
	}
	o[name] = rapid.SampledFrom(wrong(child)).Draw(t, "wrong")
	return at + "/" + name
}

// wrong returns values that the schema rejects.
func wrong(s map[string]any) []any {
	list := []any{nil}
	switch s["type"] {
	case "string":
		list = append(list, 1, map[string]any{})
		switch {
		case s["enum"] != nil, s["const"] != nil, s["pattern"] != nil, s["format"] != nil:
			list = append(list, "\u0000 not this")
		default:
			list = append(list, strings.Repeat("x", int(amount(s, "maxLength", 0))+1))
		}
		if amount(s, "minLength", 0) > 0 {
			list = append(list, "")
		}
	case "integer":
		list = append(list, "1", amount(s, "minimum", 0)-1, amount(s, "maximum", 0)+1, 0.5)
	case "number":
		list = append(list, "1", amount(s, "minimum", 0)-1, amount(s, "maximum", 0)+1, 1e308)
	case "boolean":
		list = append(list, "true", 0)
	case "array":
		list = append(list, "[]", map[string]any{})
		if amount(s, "minItems", 0) > 0 {
			list = append(list, []any{})
		}
	case "object":
		list = append(list, "{}", []any{})
	}
	return list
}

func FuzzValidate(f *testing.F) {
	for i := range Contracts {
		for _, good := range examplesOf(f, &Contracts[i]).Response.Good {
			f.Add([]byte(good))
		}
	}
	f.Add([]byte(`{"n":1e1000001}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range Contracts {
			c := &Contracts[i]
			for _, s := range []*Schema{c.Request, c.Response} {
				if s.Validate(b) == nil && (len(b) > Bounds.Bytes || !json.Valid(b) || !plainNumbers(bytes.TrimSpace(b))) {
					t.Fatalf("%s accepts %q", c.ID, b)
				}
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	for _, id := range []string{Duplicates, Moderation} {
		c := ByID(id)
		good := examplesOf(b, c).Response.Good[1]
		b.Run(id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Response.Validate(good); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
