package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong/internal/regular"
)

// Source gives kong the values of the environment and of the YAML file, and
// remembers where each came from. It serves one parse.
type Source struct {
	lookup func(string) (string, bool)
	read   func(string) ([]byte, error)
	given  []string        // the names of all variables of the environment that are not checked yet
	keys   map[string]bool // every key that the file may have
	others []string        // variables of flags that are no keys
	file   *file           // nil until the first key is resolved
	from   map[string]string
}

// NewSource reads the process's environment and files.
func NewSource() *Source {
	s := newSource(os.LookupEnv, regular.ReadFile)
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		s.given = append(s.given, name)
	}
	return s
}

func newSource(lookup func(string) (string, bool), read func(string) ([]byte, error)) *Source {
	return &Source{lookup: lookup, read: read, keys: keys(), from: map[string]string{}}
}

// keys is the names of all fields of Config.
func keys() map[string]bool {
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		names[f.Tag.Get("name")] = true
	}
	return names
}

const fileKey = "config"

// Options returns the options for kong: the values, and the names of the variables
// for its help.
func (s *Source) Options() []kong.Option {
	return []kong.Option{
		kong.Resolvers(s),
		kong.PostBuild(func(k *kong.Kong) error { return s.nameVariables(k.Model.Node) }),
	}
}

// nameVariables shows the variables in the help. They are not registered in kong as
// such, because it would read them (see the package's caveat).
func (s *Source) nameVariables(n *kong.Node) error {
	for _, flag := range n.Flags {
		s.others = append(s.others, flag.Envs...)
		if s.keys[flag.Name] && len(flag.Envs) == 0 {
			flag.Help = strings.TrimSuffix(flag.Help, ".") + " ($" + variable(flag.Name) + ")."
		}
	}
	for _, child := range n.Children {
		if err := s.nameVariables(child); err != nil {
			return err
		}
	}
	return nil
}

func variable(key string) string {
	return "GOTONG_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// Validate implements kong.Resolver.
func (s *Source) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the environment before the file.
func (s *Source) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if err := s.checkVariables(); err != nil {
		return nil, &FileError{err}
	}
	own := len(flag.Envs) > 0 && !slices.Contains(flag.Envs, variable(flag.Name))
	if !s.keys[flag.Name] || own { // another flag, with a variable of its own
		return nil, nil
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	value, from, err := s.environment(flag)
	if err != nil {
		return nil, err
	}
	path := flag.Tag.Type == "path" // kong reads an empty path as the working directory
	if from != "" && (value != "" || !path) {
		s.from[flag.Name] = from
		return value, nil
	}
	if entry, ok := s.file.entries[flag.Name]; ok && (entry.value != "" || len(entry.list) > 0 || !path) {
		s.from[flag.Name] = fmt.Sprintf("file %s, line %d", s.file.name, entry.line)
		if entry.list != nil {
			return kong.JoinEscaped(entry.list, flag.Tag.Sep), nil
		}
		return entry.value, nil
	}
	return nil, nil
}

func (s *Source) environment(flag *kong.Flag) (value, from string, err error) {
	name := variable(flag.Name)
	value, ok := s.lookup(name)
	if flag.Tag.Has("secret") {
		path, fileToo := s.lookup(name + "_FILE")
		switch {
		case ok && fileToo:
			return "", "", fmt.Errorf("%s and %s_FILE are both set", name, name)
		case fileToo:
			b, err := s.read(path)
			if err != nil {
				return "", "", fmt.Errorf("%s_FILE: %w", name, err)
			}
			return strings.TrimRight(string(b), "\r\n"), "env " + name + "_FILE", nil
		}
	}
	if ok {
		return value, "env " + name, nil
	}
	if other := flag.Tag.Get("alsoenv"); other != "" {
		if value, ok := s.lookup(other); ok {
			return value, "env " + other, nil
		}
	}
	return "", "", nil
}

// load reads the YAML file, once.
func (s *Source) load(ctx *kong.Context) error {
	if s.file != nil {
		return nil
	}
	s.file = &file{}
	name, _ := s.lookup(variable(fileKey))
	for _, f := range ctx.Flags() {
		if text, ok := ctx.FlagValue(f).(string); ok && f.Name == fileKey && text != "" {
			name = text
		}
	}
	if name == "" {
		return nil
	}
	b, err := s.read(name)
	if err != nil {
		return &FileError{fmt.Errorf("the configuration file: %w", err)}
	}
	if s.file, err = parseFile(name, b, s.keys); err != nil {
		return &FileError{err}
	}
	return nil
}

// Blame returns the text of an error of kong about the value of a flag. If nobody gave
// the flag, it names the variable or the line of the file instead.
func (s *Source) Blame(text string) string {
	flag, _, _ := strings.Cut(strings.TrimPrefix(text, "--"), " ")
	flag = strings.TrimSuffix(flag, ":")
	from, ok := s.from[flag]
	if !ok || !strings.HasPrefix(text, "--") {
		return text
	}
	if name, ok := strings.CutPrefix(from, "env "); ok {
		return name + text[len("--"+flag):]
	}
	return strings.TrimPrefix(from, "file ") + ": " + strings.TrimPrefix(text, "--")
}

// FileError says what is wrong with the configuration file or with the name of a variable.
// kong puts before it the name of the flag that it was resolving.
type FileError struct{ error }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.error }

// Entry is one key with its value, for people to read.
type Entry struct {
	Key, Value, From string
	Redacted         bool // the value shown is not the one that is used
}

// Entries returns every key of the parsed command with its value, secrets redacted,
// and its source: flag, env …, file …, default.
func (s *Source) Entries(ctx *kong.Context) []Entry {
	given := map[string]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Name] = true
		}
	}
	var list []Entry
	for _, flag := range ctx.Flags() {
		if !s.keys[flag.Name] {
			continue
		}
		from, ok := s.from[flag.Name]
		switch {
		case given[flag.Name]:
			from = "flag"
		case !ok:
			from = "default"
		}
		value, redacted := show(flag)
		list = append(list, Entry{flag.Name, value, from, redacted})
	}
	return list
}

// Print writes the entries as a YAML file that can be read again. What such a file
// cannot have, the name of the file itself and secrets, is a comment.
func (s *Source) Print(w io.Writer, ctx *kong.Context) error {
	var faults []error
	for _, e := range s.Entries(ctx) {
		line := e.Key + ": " + e.Value
		if e.Key == fileKey || e.Redacted {
			line = "# " + line
		}
		_, err := fmt.Fprintf(w, "%-40s # %s\n", line, e.From)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// show returns the value of a flag in YAML, and whether a secret is left out of it.
func show(flag *kong.Flag) (value string, redacts bool) {
	switch v := flag.Target.Interface().(type) {
	case []JWTKey:
		list := make([]string, len(v))
		for i, k := range v {
			list[i] = quote(k.String())
			redacts = redacts || k.Key != ""
		}
		return "[" + strings.Join(list, ", ") + "]", redacts
	case []string:
		list := make([]string, len(v))
		for i, s := range v {
			list[i] = quote(s)
		}
		return "[" + strings.Join(list, ", ") + "]", false
	case string:
		shown := v
		if v != "" && flag.Tag.Has("secret") {
			if shown = redacted; flag.PlaceHolder == "URL" {
				shown = redactURL(v)
			}
		}
		return quote(shown), shown != v
	default:
		return fmt.Sprint(v), false
	}
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
