package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// foreign matches variables that begin like those of this program and are of others:
// those that Kubernetes sets for a service with this name, and those of tests.
var foreign = regexp.MustCompile(`^GOTONG(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)$|` +
	`^GOTONG_(TEST|E2E|TINY)_[A-Z0-9_]+$|` +
	`^GOTONG_(CORPUS|FIGURES|LOAD_STORE|SCREENSHOTS|SEARCH_MESSAGES|SOAK|UPDATE)$`)

// checkVariables returns an error if a variable has the prefix of this program and is
// none that a command reads: the value would be ignored. Each is checked once.
func (s *Source) checkVariables() error {
	if s.given == nil {
		return nil
	}
	known := map[string]bool{"GOTONG_PASSWORD": true} // token asks for it where there is no terminal
	for _, name := range s.others {
		known[name] = true
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		name := variable(f.Tag.Get("name"))
		known[name] = true
		if _, secret := f.Tag.Lookup("secret"); secret {
			known[name+"_FILE"] = true
		}
	}
	slices.Sort(s.given)
	for _, name := range s.given {
		if strings.HasPrefix(name, "GOTONG_") && !known[name] && !foreign.MatchString(name) {
			if key, file := strings.CutSuffix(name, "_FILE"); file && known[key] {
				return fmt.Errorf("%s is not a variable that is read; did you mean %s? It holds no secret", name, key)
			}
			return fmt.Errorf("%s is not a variable that is read%s", name, suggestion(name, known))
		}
	}
	s.given = nil
	return nil
}
