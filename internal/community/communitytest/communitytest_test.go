package communitytest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
)

// A lamp is the smallest kind there is; each test breaks one thing of it and
// expects the world to say which.
type (
	press   struct{ Hard bool }
	pressed struct {
		On   bool     `json:"on"`
		List []string `json:"list,omitempty"`
	}
	note struct {
		Why string `json:"why"`
	}
	clash struct {
		On string `json:"on"`
	}
	lamp struct {
		On      bool     `json:"on"`
		Presses int      `json:"presses"`
		By      []string `json:"by"`
	}
)

const on = gotong.Stream("lamp/1")

func lampKey(s gotong.Stream) gotong.Key { return gotong.Key{Collection: "lamps", Owner: s.ID()} }

func lampKind() gotong.Kind {
	refs := func(s gotong.Stream) []gotong.Ref { return []gotong.Ref{{Stream: s, Key: lampKey(s)}} }
	return gotong.Kind{
		Name:      "lamp",
		Commands:  []gotong.Type{gotong.TypeOf[press]("lamp.press")},
		Events:    []gotong.EventType{gotong.EventWith[pressed, note]("lamp.pressed")},
		Documents: []gotong.Type{gotong.TypeOf[lamp]("lamps")},
		Home:      func(c gotong.Command) (gotong.Stream, error) { return c.Stream, nil },
		Needs:     func(_ gotong.State, c gotong.Command) []gotong.Ref { return refs(c.Stream) },
		Decide: func(s gotong.State, _ gotong.Command) (gotong.Decision, error) {
			l, _ := gotong.Doc[lamp](s, lampKey(s.Stream))
			return gotong.Accept(gotong.Fact{Type: "lamp.pressed", Data: pressed{On: !l.On}, Content: note{"dark"}})
		},
		Project: func(s gotong.State, e gotong.Event) []gotong.Change {
			l, _ := gotong.Doc[lamp](s, lampKey(s.Stream))
			d, _ := e.Data.(pressed)
			by := slices.Concat(l.By, []string{e.Actor.UserID})
			return []gotong.Change{{Key: lampKey(s.Stream), Doc: lamp{On: d.On, Presses: l.Presses + 1, By: by}}}
		},
		AccessNeeds: func(s gotong.State, _ gotong.Viewer) []gotong.Ref { return refs(s.Stream) },
		Access: func(s gotong.State, _ gotong.Viewer) gotong.Grant {
			if l, _ := gotong.Doc[lamp](s, lampKey(s.Stream)); !l.On {
				return gotong.Grant{}
			}
			return gotong.Grant{Readable: true, Spans: []gotong.Span{{Stream: s.Stream}}}
		},
		Affects: func(gotong.Event) gotong.Affected { return gotong.Affected{Everyone: true} },
	}
}

// recorder keeps the first complaint and ends the run with it.
type recorder struct{ said string }

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	panic(r)
}

// complaint is what the world says of a kind that is pressed three times.
func complaint(t *testing.T, kind gotong.Kind) string {
	t.Helper()
	r := &recorder{}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(r) {
				t.Fatal(v)
			}
		}()
		w := communitytest.Run(r, kind)
		for _, id := range []string{"a", "b", "c"} {
			w.Do(communitytest.User(id), on, press{})
		}
	}()
	return r.said
}

func TestASoundKindPasses(t *testing.T) {
	if said := complaint(t, lampKind()); said != "" {
		t.Fatal(said)
	}
}

func TestEachFaultOfAKindFailsTheTest(t *testing.T) {
	calls := 0
	decide := func(f gotong.Fact) func(*gotong.Kind) {
		return func(k *gotong.Kind) {
			k.Decide = func(gotong.State, gotong.Command) (gotong.Decision, error) { return gotong.Accept(f) }
		}
	}
	for name, tc := range map[string]struct {
		spoil func(*gotong.Kind)
		want  string
	}{
		"needs too little": {func(k *gotong.Kind) {
			k.Needs = func(gotong.State, gotong.Command) []gotong.Ref { return nil }
		}, "which its needs did not name"},
		"access needs too little": {func(k *gotong.Kind) {
			k.AccessNeeds = func(gotong.State, gotong.Viewer) []gotong.Ref { return nil }
		}, "Access of lamp looked at"},
		"needs of another stream": {func(k *gotong.Kind) {
			k.Needs = func(gotong.State, gotong.Command) []gotong.Ref {
				return []gotong.Ref{{Stream: "lamp/2", Key: lampKey(on)}}
			}
		}, "names another stream"},
		"needs of no stream": {func(k *gotong.Kind) {
			k.Needs = func(gotong.State, gotong.Command) []gotong.Ref { return []gotong.Ref{{Key: lampKey(on)}} }
		}, "names no stream"},
		"needs without end": {func(k *gotong.Kind) {
			k.Needs = func(gotong.State, gotong.Command) []gotong.Ref {
				calls++
				return []gotong.Ref{{Stream: on, Key: gotong.Key{Collection: "lamps", Owner: fmt.Sprint(calls)}}}
			}
		}, "do not settle"},
		"decides by chance": {func(k *gotong.Kind) {
			k.Decide = func(gotong.State, gotong.Command) (gotong.Decision, error) {
				calls++
				return gotong.Accept(gotong.Fact{Type: "lamp.pressed", Data: pressed{On: calls%2 == 0}})
			}
		}, "Decide is not deterministic"},
		"projects by chance": {func(k *gotong.Kind) {
			k.Project = func(gotong.State, gotong.Event) []gotong.Change {
				calls++
				return []gotong.Change{{Key: lampKey(on), Doc: lamp{Presses: calls}}}
			}
		}, "Project of lamp.pressed is not deterministic"},
		"projects from elsewhere": {func(k *gotong.Kind) {
			n := map[gotong.EventID]int{}
			k.Project = func(_ gotong.State, e gotong.Event) []gotong.Change {
				if n[e.ID]++; n[e.ID] > 2 {
					return nil
				}
				return []gotong.Change{{Key: lampKey(on), Doc: lamp{Presses: 1}}}
			}
		}, "rebuilt"},
		"changes a document": {func(k *gotong.Kind) {
			k.Project = func(s gotong.State, e gotong.Event) []gotong.Change {
				l, _ := gotong.Doc[lamp](s, lampKey(on))
				if len(l.By) > 0 {
					l.By[0] = "spoilt"
				}
				return []gotong.Change{{Key: lampKey(on), Doc: lamp{By: []string{e.Actor.UserID}}}}
			}
		}, "changed the document"},
		"payload lost in JSON":    {decide(gotong.Fact{Type: "lamp.pressed", Data: pressed{List: []string{}}}), "does not survive JSON"},
		"payload of another type": {decide(gotong.Fact{Type: "lamp.pressed", Data: note{}}), "carries a"},
		"pointer as payload":      {decide(gotong.Fact{Type: "lamp.pressed", Data: &pressed{}}), "carries a"},
		"unknown event":           {decide(gotong.Fact{Type: "lamp.broken", Data: pressed{}}), "has no event"},
		"content without a type": {func(k *gotong.Kind) {
			k.Events = []gotong.EventType{gotong.EventOf[pressed]("lamp.pressed")}
		}, "has content"},
		"one name twice": {func(k *gotong.Kind) {
			k.Events = []gotong.EventType{gotong.EventWith[pressed, clash]("lamp.pressed")}
		}, `"on" both in data and in content`},
		"one event twice": {func(k *gotong.Kind) { k.Events = append(k.Events, k.Events[0]) }, "event lamp.pressed twice"},
		"document of no collection": {func(k *gotong.Kind) {
			k.Project = func(gotong.State, gotong.Event) []gotong.Change {
				return []gotong.Change{{Key: gotong.Key{Collection: "sockets"}, Doc: lamp{}}}
			}
		}, "no kind has the collection"},
		"document lost in JSON": {func(k *gotong.Kind) {
			k.Project = func(gotong.State, gotong.Event) []gotong.Change {
				return []gotong.Change{{Key: lampKey(on), Doc: &lamp{}}}
			}
		}, "does not survive JSON"},
		"affects too few": {func(k *gotong.Kind) {
			k.Affects = func(gotong.Event) gotong.Affected { return gotong.Affected{} }
		}, "Affects does not name them"},
		"bare error": {func(k *gotong.Kind) {
			k.Decide = func(gotong.State, gotong.Command) (gotong.Decision, error) {
				return gotong.Decision{}, fmt.Errorf("no")
			}
		}, "which has no text for the caller"},
		"overlay changes who": {func(k *gotong.Kind) {
			k.Documents = append(k.Documents, gotong.TypeOf[note]("lamp_overlays"))
			k.Overlays = "lamp_overlays"
			k.Project = func(_ gotong.State, e gotong.Event) []gotong.Change {
				return []gotong.Change{{
					Key: gotong.Key{Collection: "lamp_overlays", Owner: "1", Name: gotong.SeqName(e.Seq)}, Doc: note{},
				}}
			}
			k.Laid = func(any) gotong.Laid { return gotong.Laid{} }
			k.Overlay = func(e gotong.Event, _ any, _ gotong.Later) gotong.Event { e.Actor.UserID = "x"; return e }
		}, "changes more than payloads"},
		"about what comes later": {func(k *gotong.Kind) {
			k.About = func(e gotong.Event) []uint64 { return []uint64{e.Seq} }
		}, "which is not an earlier one"},
		"about what is for others": {func(k *gotong.Kind) {
			k.About = func(e gotong.Event) []uint64 {
				if e.Seq > 1 {
					return []uint64{e.Seq - 1}
				}
				return nil
			}
			k.Decide = func(s gotong.State, _ gotong.Command) (gotong.Decision, error) {
				audience := gotong.Audience("")
				if !s.Head.Exists() {
					audience = gotong.ForUser("a")
				}
				return gotong.Accept(gotong.Fact{Type: "lamp.pressed", Audience: audience, Data: pressed{On: true}})
			}
		}, `is for "" and about an event for "user/a"`},
		"overlay shows what it does not name": {func(k *gotong.Kind) {
			k.Documents = append(k.Documents, gotong.TypeOf[note]("lamp_overlays"))
			k.Overlays = "lamp_overlays"
			k.Project = func(gotong.State, gotong.Event) []gotong.Change {
				return []gotong.Change{{Key: gotong.Key{Collection: "lamp_overlays", Owner: "1", Name: gotong.SeqName(1)}, Doc: note{}}}
			}
			k.Laid = func(any) gotong.Laid { return gotong.Laid{} }
			k.Overlay = func(e gotong.Event, _ any, later gotong.Later) gotong.Event {
				e.Data = pressed{On: later.Sees(2)}
				return e
			}
		}, "shows more than the events"},
	} {
		t.Run(name, func(t *testing.T) {
			kind := lampKind()
			tc.spoil(&kind)
			if said := complaint(t, kind); !strings.Contains(said, tc.want) {
				t.Fatalf("said %q, want something of %q", said, tc.want)
			}
		})
	}
}

// Claims are held across streams, and two streams do not share a document.
func TestFaultsBetweenStreamsFailTheTest(t *testing.T) {
	kind := lampKind()
	kind.Decide = func(gotong.State, gotong.Command) (gotong.Decision, error) {
		return gotong.Decision{
			Facts:  []gotong.Fact{{Type: "lamp.pressed", Data: pressed{}}},
			Claims: []gotong.Claim{{Space: "socket", Name: "one"}},
		}, nil
	}
	w := communitytest.Run(t, kind)
	w.Do(communitytest.User("a"), on, press{})
	w.Refuse(communitytest.User("a"), "lamp/2", press{}, gotong.CodeExists)
}
