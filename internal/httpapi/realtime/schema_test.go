package realtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
)

// schemaOf is the schema of a kind's Go type, by its JSON tags.
func schemaOf(t gotong.Type, strict bool) object {
	return structSchema(reflect.TypeOf(t.New()).Elem(), strict)
}

func structSchema(t reflect.Type, strict bool) object {
	fields := object{}
	addFields(fields, t, strict)
	if strict {
		return closed("", fields)
	}
	return shape("", fields)
}

func addFields(fields object, t reflect.Type, strict bool) {
	for f := range t.Fields() {
		tag, ok := f.Tag.Lookup("json")
		if f.Anonymous && !ok {
			addFields(fields, f.Type, strict)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			panic("a field without a name on the wire: " + t.String() + "." + f.Name)
		}
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			name += "?"
		}
		fields[name] = valueSchema(f.Type, strict)
	}
}

func valueSchema(t reflect.Type, strict bool) object {
	switch t {
	case reflect.TypeFor[gotong.EventID]():
		return ref("eventId")
	case reflect.TypeFor[gotong.Instant]():
		return ref("instant")
	case reflect.TypeFor[gotong.Stream]():
		return ref("stream")
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int64, reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Pointer:
		return valueSchema(t.Elem(), strict)
	case reflect.Slice:
		return object{"type": "array", "items": valueSchema(t.Elem(), strict)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": valueSchema(t.Elem(), strict)}
	case reflect.Struct:
		return structSchema(t, strict)
	default:
		panic("no schema for " + t.String())
	}
}

type direction bool

const (
	fromClient direction = false
	fromServer direction = true
)

// contract is the published document, made ready to check frames. For what the
// server sends it is stricter than published: a field that is not in the
// document is a fault here, and nothing to a client.
type contract struct {
	schemas map[direction]map[string]*jsonschema.Schema // by op
	parts   map[string]*jsonschema.Schema               // of kinds: command.…, events.…, event.…
	poll    *jsonschema.Schema

	mu   sync.Mutex
	seen map[string]int
}

var theContract = sync.OnceValue(readContract)

// names of the messages whose op has another name.
var named = map[direction]map[string]string{
	fromClient: {},
	fromServer: {
		"signal": "signalled", "access_revoked": "accessRevoked", "resync_required": "resyncRequired", "going_away": "goingAway",
	},
}

func readContract() *contract {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.AsyncAPI))
	if err != nil {
		return nil // TestDocumentIsPublished reports it
	}
	closeObjects(doc)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("mem:///asyncapi.json", doc); err != nil {
		panic(err)
	}
	compile := func(name string) *jsonschema.Schema {
		return compiler.MustCompile("mem:///asyncapi.json#/components/schemas/" + name)
	}
	c := &contract{
		schemas: map[direction]map[string]*jsonschema.Schema{fromClient: {}, fromServer: {}},
		parts:   map[string]*jsonschema.Schema{}, poll: compile("poll"), seen: map[string]int{},
	}
	for name := range schemas() {
		if strings.HasPrefix(name, "command.") || strings.HasPrefix(name, "event.") || strings.HasPrefix(name, "events.") {
			c.parts[name] = compile(name)
		}
	}
	for d, messages := range map[direction][]message{fromClient: clientMessages(), fromServer: serverMessages()} {
		for _, m := range messages {
			op := m.name
			for short, long := range named[d] {
				if long == m.name {
					op = short
				}
			}
			c.schemas[d][op] = compile(m.name)
		}
	}
	return c
}

// closeObjects lets no object have fields beside its properties.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// check fails the test where a frame is not as published.
func (c *contract) check(tb testing.TB, d direction, b []byte) {
	tb.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		tb.Errorf("%v: %s", err, b)
		return
	}
	op, _ := value.(map[string]any)["op"].(string)
	if err := c.validate(d, op, value.(map[string]any)); err != nil {
		tb.Errorf("not as published: %.2000v\n%.2000s", err, b)
	}
	c.note(d, op, value.(map[string]any))
}

// validate goes through the whole document for the first frames of each op.
// Afterwards it goes to the one part that can fit, which is much faster and
// finds the same.
func (c *contract) validate(d direction, op string, frame map[string]any) error {
	schema := c.schemas[d][op]
	if schema == nil {
		return fmt.Errorf("no frame %q is published", op)
	}
	stream, _ := frame["stream"].(string)
	kind := gotong.Stream(stream).Kind()
	c.mu.Lock()
	often := c.seen[op] > 100
	c.mu.Unlock()
	switch {
	case !often || op != "command" && op != "events":
		return schema.Validate(frame)
	case op == "command":
		typ, _ := frame["type"].(string)
		return c.part(schemaOfCommand(kind, typ), frame)
	}
	var errs []error
	events, _ := frame["events"].([]any)
	for _, e := range events {
		typ, _ := e.(map[string]any)["type"].(string)
		errs = append(errs, c.part(schemaOfEvent(kind, typ), e))
	}
	head := maps.Clone(frame)
	head["events"] = []any{}
	return errors.Join(append(errs, c.part("events."+kind, head))...)
}

func (c *contract) part(name string, value any) error {
	schema := c.parts[name]
	if schema == nil {
		return fmt.Errorf("no %q is published", name)
	}
	return schema.Validate(value)
}

func (c *contract) checkPoll(tb testing.TB, b []byte) {
	tb.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		tb.Errorf("%v: %.2000s", err, b)
		return
	}
	// The frames are checked one by one by who reads them.
	if frames, _ := value.(map[string]any)["frames"].([]any); len(frames) > 20 {
		value.(map[string]any)["frames"] = frames[:20]
	}
	if err := c.poll.Validate(value); err != nil {
		tb.Errorf("not as published: %.2000v\n%.2000s", err, b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen["poll"]++
}

// note counts the message, and what kind of command or event was in it.
func (c *contract) note(d direction, op string, value map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := op
	if long, ok := named[d][op]; ok {
		name = long
	}
	c.seen[name]++
	stream, _ := value["stream"].(string)
	kind := gotong.Stream(stream).Kind()
	if op == "command" {
		typ, _ := value["type"].(string)
		c.seen[schemaOfCommand(kind, typ)]++
	}
	events, _ := value["events"].([]any)
	for _, e := range events {
		typ, _ := e.(map[string]any)["type"].(string)
		c.seen[schemaOfEvent(kind, typ)]++
	}
}

// missing is what of the document has not been seen.
func (c *contract) missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, m := range slices.Concat(clientMessages(), serverMessages(), []message{pollAnswer()}) {
		all = append(all, m.name)
	}
	for _, k := range commanded() {
		for _, cmd := range k.Commands {
			all = append(all, schemaOfCommand(k.Name, cmd.Name))
		}
	}
	for _, k := range kinds() {
		for _, e := range seen(k) {
			all = append(all, schemaOfEvent(k.Name, e.Name))
		}
	}
	return slices.DeleteFunc(all, func(name string) bool { return c.seen[name] > 0 })
}
