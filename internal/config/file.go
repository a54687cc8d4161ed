package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

type file struct {
	name    string
	entries map[string]entry
}

type entry struct {
	value string
	list  []string // instead of value, for a list
	line  int
}

// parseFile reads one mapping of known keys. Errors name the line, never a value.
func parseFile(name string, b []byte, keys map[string]bool) (*file, error) {
	f := &file{name: name, entries: map[string]entry{}}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("%s: this is not YAML", name)
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return nil, fmt.Errorf("%s: contains a second document", name)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: must be keys with values", name, root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d: %s", name, key.Line, key.Value)
		switch _, twice := f.entries[key.Value]; {
		case !keys[key.Value] || key.Value == fileKey:
			return nil, fmt.Errorf("%s is not a key%s", at, suggestion(key.Value, keys))
		case twice:
			return nil, fmt.Errorf("%s is set twice", at)
		}
		e, ok := plain(node)
		if !ok {
			return nil, fmt.Errorf("%s has a malformed value", at)
		}
		e.line = key.Line
		f.entries[key.Value] = e
	}
	return f, nil
}

// plain returns a node as text, or as the texts of a list. kong gets no other type,
// because it would show values that it cannot read.
func plain(n *yaml.Node) (e entry, ok bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		e.value = n.Value
		return e, n.Tag != "!!null"
	case yaml.SequenceNode:
		e.list = make([]string, len(n.Content))
		for i, item := range n.Content {
			if e.list[i], ok = textOf(item); !ok {
				return e, false
			}
		}
		return e, true
	default:
		return e, false
	}
}

// textOf returns an item of a list as text. The parts of a key have the form of
// flags, with key last because it takes the rest.
func textOf(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.ScalarNode {
		return n.Value, n.Tag != "!!null"
	}
	if n.Kind != yaml.MappingNode {
		return "", false
	}
	var parts []string
	var last string
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		switch {
		case value.Kind != yaml.ScalarNode, strings.ContainsAny(name, "=,"):
			return "", false
		case name == "key":
			last = "key=" + value.Value
		case strings.Contains(value.Value, ","):
			return "", false
		default:
			parts = append(parts, name+"="+value.Value)
		}
	}
	if last != "" {
		parts = append(parts, last)
	}
	return strings.Join(parts, ","), true
}

// suggestion returns "; did you mean …?" with the most similar key, or "".
func suggestion(wrong string, keys map[string]bool) string {
	best, least := "", len(wrong)/2+1
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	var sorted []string
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	for _, k := range sorted {
		if d := distance(plain(wrong), plain(k)); d < least && k != fileKey {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance returns the Levenshtein distance: how many letters to change, add or drop.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
