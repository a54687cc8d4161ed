package communitytest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"gotong.dev/gotong"
)

// overTheWire encodes and decodes a command as JSON, as a client and the server do,
// and returns it with its name.
func (w *World) overTheWire(kind gotong.Kind, cmd gotong.Command) gotong.Command {
	w.t.Helper()
	for _, t := range kind.Commands {
		if reflect.TypeOf(t.New()).Elem() != reflect.TypeOf(cmd.Data) {
			continue
		}
		raw, err := json.Marshal(cmd.Data)
		if err != nil {
			w.t.Fatalf("command %s: %v", t.Name, err)
		}
		data, err := t.Decode(strictly, raw)
		if err != nil {
			w.t.Fatalf("command %s: %v", t.Name, err)
		}
		cmd.Type, cmd.Raw, cmd.Data = t.Name, raw, data
		return cmd
	}
	w.t.Fatalf("the kind %s has no command of type %T", kind.Name, cmd.Data)
	return cmd
}

func strictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// encode renders a fact as a row and checks that it reads back as it was.
func (w *World) encode(kind gotong.Kind, f gotong.Fact, e gotong.Event) row {
	w.t.Helper()
	t, ok := eventType(kind, f.Type)
	if !ok {
		w.t.Fatalf("the kind %s has no event %s", kind.Name, f.Type)
	}
	r := row{event: e}
	r.event.Data, r.event.Content = nil, nil
	r.data = w.marshal(f.Type, t.Data, f.Data)
	if f.Content != nil {
		if t.Content == nil {
			w.t.Fatalf("%s has content, which its type has not", f.Type)
		}
		r.content = w.marshal(f.Type, *t.Content, f.Content)
	}
	if back := w.decode(r); !reflect.DeepEqual(back, e) {
		w.t.Fatalf("%s does not survive JSON:\n  was %#v\n  is  %#v", f.Type, e, back)
	}
	return r
}

func (w *World) marshal(event string, t gotong.Type, v any) []byte {
	w.t.Helper()
	if want := reflect.TypeOf(t.New()).Elem(); reflect.TypeOf(v) != want {
		w.t.Fatalf("%s carries a %T, want %s", event, v, want)
	}
	b, err := json.Marshal(v)
	if err != nil || !bytes.HasPrefix(b, []byte("{")) {
		w.t.Fatalf("%s: not a JSON object: %s %v", event, b, err)
	}
	return b
}

func (w *World) decode(r row) gotong.Event {
	w.t.Helper()
	e := r.event
	t, _ := eventType(w.kinds[e.Stream.Kind()], e.Type)
	var err error
	if e.Data, err = t.Data.Decode(json.Unmarshal, r.data); err == nil && r.content != nil {
		e.Content, err = t.Content.Decode(json.Unmarshal, r.content)
	}
	if err != nil {
		w.t.Fatalf("%s %d: %v", e.Stream, e.Seq, err)
	}
	return e
}

func eventType(kind gotong.Kind, name string) (gotong.EventType, bool) {
	for _, t := range kind.Events {
		if t.Name == name {
			return t, true
		}
	}
	return gotong.EventType{}, false
}

// checkTypes checks a kind's tables: data and content of an event have no JSON name
// in common, and no name occurs twice.
func (w *World) checkTypes(kind gotong.Kind) {
	w.t.Helper()
	seen := map[string]bool{}
	once := func(name string) {
		if seen[name] {
			w.t.Fatalf("the kind %s has %s twice", kind.Name, name)
		}
		seen[name] = true
	}
	for _, t := range kind.Commands {
		once("command " + t.Name)
	}
	for _, t := range kind.Documents {
		once("document " + t.Name)
	}
	for _, t := range kind.Events {
		once("event " + t.Name)
		if t.Content == nil {
			continue
		}
		data := jsonNames(reflect.TypeOf(t.Data.New()).Elem())
		for name := range jsonNames(reflect.TypeOf(t.Content.New()).Elem()) {
			if data[name] {
				w.t.Fatalf("%s has %q both in data and in content", t.Name, name)
			}
		}
	}
}

// jsonNames returns the JSON names of a struct's fields, including those of embedded
// structs.
func jsonNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "" || tag == "-":
		case tag != "":
			names[tag] = true
		default:
			names[f.Name] = true
		}
	}
	return names
}
