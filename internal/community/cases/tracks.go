package cases

import (
	"bytes"
	_ "embed" // the tracks that every server has
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

//go:embed tracks.yaml
var builtIn []byte

// ComplexFrom is the number of voters from which on a case is complex.
const ComplexFrom = 5

// Cancelled is the stage of a case that was given up. Every stage but the last
// one of a track leads to it.
const Cancelled = "batal"

// Tracks are the graphs by which cases move.
type Tracks struct {
	tracks   map[string]track
	profiles map[string]Terms
}

type track struct {
	stages []string // the first is where a case begins, the last where it is done
	edges  map[[2]string]edge
}

type edge struct {
	gate, complex string // profiles; complex is empty if it is the same
	fast          string // the profile of the fast track; empty: there is none
	simpleOnly    bool
	requires      []Prerequisite
}

// Prerequisite is what must be true before a step can be proposed; a closed set.
type Prerequisite string

// The prerequisites. References of evidence are of a kind that does not exist
// yet, so a track that requires them waits for it.
const (
	PorRefs         Prerequisite = "por_refs"
	ChallengeWindow Prerequisite = "challenge_window"
)

type trackFile struct {
	Profiles map[string]profileForm `yaml:"profiles"`
	Tracks   map[string]trackForm   `yaml:"tracks"`
}

type profileForm struct {
	Gate      GateType      `yaml:"gate"`
	Window    time.Duration `yaml:"window"`
	Vote      string        `yaml:"vote"`
	Quorum    int           `yaml:"quorum"`
	Cap       int           `yaml:"cap"`
	Threshold int           `yaml:"threshold"`
	Challenge time.Duration `yaml:"challenge"`
	Dispute   time.Duration `yaml:"dispute"`
	Ratify    time.Duration `yaml:"ratify"`
	YesOf     []Role        `yaml:"yes_of"`
	Secret    bool          `yaml:"secret"`
	Weight    string        `yaml:"weight"`
}

type trackForm struct {
	Stages []string   `yaml:"stages"`
	Edges  []edgeForm `yaml:"edges"`
}

type edgeForm struct {
	From       string         `yaml:"from"`
	To         string         `yaml:"to"`
	Gate       string         `yaml:"gate"`
	Complex    string         `yaml:"complex"`
	FastTrack  string         `yaml:"fast_track"`
	SimpleOnly bool           `yaml:"simple_only"`
	Requires   []Prerequisite `yaml:"requires"`
}

// Load returns the built-in tracks together with those of the files, which are
// YAML and given by name. An error names the file, and the track or profile that
// does not fit.
func Load(files map[string][]byte) (*Tracks, error) {
	t := &Tracks{tracks: map[string]track{}, profiles: map[string]Terms{}}
	if err := t.add(builtIn); err != nil {
		return nil, fmt.Errorf("the built-in tracks: %w", err)
	}
	for _, name := range sorted(files) {
		if err := t.add(files[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return t, nil
}

// BuiltIn returns the tracks that every server has.
func BuiltIn() *Tracks {
	t, err := Load(nil)
	if err != nil {
		panic(err) // a test loads them
	}
	return t
}

func (t *Tracks) add(file []byte) error {
	var form trackFile
	dec := yaml.NewDecoder(bytes.NewReader(file))
	dec.KnownFields(true)
	if err := dec.Decode(&form); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("is not a valid YAML file of tracks: %w", err)
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return errors.New("contains a second document")
	}
	for _, name := range sorted(form.Profiles) {
		if err := t.addProfile(name, form.Profiles, form.Profiles[name]); err != nil {
			return fmt.Errorf("profile %s: %w", name, err)
		}
	}
	for _, name := range sorted(form.Tracks) {
		if err := t.addTrack(name, form.Tracks[name]); err != nil {
			return fmt.Errorf("track %s: %w", name, err)
		}
	}
	return nil
}

func (t *Tracks) addTrack(name string, form trackForm) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	if _, twice := t.tracks[name]; twice {
		return errors.New("is there twice")
	}
	made := track{edges: map[[2]string]edge{}}
	for _, stage := range form.Stages {
		clean, err := cleanName(stage)
		if err != nil {
			return err
		}
		if clean == Cancelled || slices.Contains(made.stages, clean) {
			return fmt.Errorf("stage %s is there twice", clean)
		}
		made.stages = append(made.stages, clean)
	}
	if len(made.stages) < 2 {
		return errors.New("has fewer than two stages")
	}
	for _, e := range form.Edges {
		if err := t.addEdge(&made, e); err != nil {
			return fmt.Errorf("edge %s → %s: %w", e.From, e.To, err)
		}
	}
	if stage, ok := made.unreachable(); ok {
		return fmt.Errorf("stage %s cannot be reached, or leads nowhere", stage)
	}
	made.complete()
	t.tracks[name] = made
	return nil
}

func (t *Tracks) addEdge(to *track, form edgeForm) error {
	key := [2]string{Clean(form.From), Clean(form.To)}
	switch _, twice := to.edges[key]; {
	case twice:
		return errors.New("is there twice")
	case key[0] == key[1], !slices.Contains(to.stages, key[0]), !slices.Contains(to.stages, key[1]):
		return errors.New("does not join two stages of the track")
	}
	made := edge{form.Gate, form.Complex, form.FastTrack, form.SimpleOnly, form.Requires}
	for _, name := range []string{made.gate, made.complex} {
		terms, ok := t.profiles[name]
		if (!ok || terms.Gate == FastTrack) && (name != "" || made.gate == "") {
			return fmt.Errorf("there is no gate %q", name)
		}
	}
	if made.complex != "" && !t.profiles[made.complex].atLeast(t.profiles[made.gate]) {
		return errors.New("the gate of complex cases is laxer than that of simple cases")
	}
	if made.fast != "" && t.profiles[made.fast].Gate != FastTrack {
		return fmt.Errorf("%q is no fast track", made.fast)
	}
	for _, r := range made.requires {
		if r != PorRefs && r != ChallengeWindow {
			return fmt.Errorf("there is no prerequisite %q", r)
		}
	}
	to.edges[key] = made
	return nil
}

// complete adds the edges that every track has.
func (t *track) complete() {
	for _, stage := range t.stages[:len(t.stages)-1] {
		t.edges[[2]string{stage, Cancelled}] = edge{gate: "routine"}
	}
	back := [2]string{"periksa", "garap"}
	_, there := t.edges[back]
	if !there && slices.Contains(t.stages, back[0]) && slices.Contains(t.stages, back[1]) {
		t.edges[back] = edge{gate: "routine"}
	}
}

// unreachable returns a stage that the first does not lead to, or that does not
// lead to the last.
func (t *track) unreachable() (string, bool) {
	reach := func(from string, end int) map[string]bool {
		seen, next := map[string]bool{from: true}, []string{from}
		for len(next) > 0 {
			at := next[0]
			next = next[1:]
			for key := range t.edges {
				if key[end] == at && !seen[key[1-end]] {
					seen[key[1-end]] = true
					next = append(next, key[1-end])
				}
			}
		}
		return seen
	}
	from, to := reach(t.stages[0], 0), reach(t.stages[len(t.stages)-1], 1)
	for _, stage := range t.stages {
		if !from[stage] || !to[stage] {
			return stage, true
		}
	}
	return "", false
}

// Clean returns the name of a track or a stage as it is stored and compared.
func Clean(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// ValidName reports whether a clean name has 1 to 128 characters.
func ValidName(name string) bool {
	n := utf8.RuneCountInString(name)
	return utf8.ValidString(name) && n >= 1 && n <= 128
}

func cleanName(name string) (string, error) {
	clean := Clean(name)
	if !ValidName(clean) {
		return "", errors.New("a name must have 1 to 128 characters")
	}
	return clean, nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
