package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// unknown answers requests that match no pattern: 404, or 405 if the path
// exists for another method. It is the mux's last pattern, because the mux
// itself would answer in plain text.
type unknown struct {
	mux    *http.ServeMux
	shadow map[string]bool // patterns that only reject
}

const lastPattern = "/"

var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

func (u unknown) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Pattern = ""
	allowed := u.allowed(r)
	switch {
	case len(allowed) == 0:
		WriteProblem(w, r, gotong.NotFound())
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		WriteProblem(w, r, gotong.NewError(CodeMethod, "This path accepts "+strings.Join(allowed, ", ")+"."))
	}
}

// allowed returns the methods for which the path has a pattern.
func (u unknown) allowed(r *http.Request) []string {
	var list []string
	probe := r.Clone(r.Context())
	for _, m := range methods {
		probe.Method = m
		if _, pattern := u.mux.Handler(probe); pattern != "" && pattern != lastPattern && !u.shadow[pattern] {
			list = append(list, m)
		}
	}
	return list
}

// shadow adds patterns for the methods that a path without wildcards lacks:
// otherwise a path with a wildcard in that place would match the request, and
// treat the word as an id. It returns the patterns that it added.
func shadow(mux *http.ServeMux, paths map[string]*huma.PathItem) map[string]bool {
	added := map[string]bool{}
	refuse := func(pattern string) {
		added[pattern] = true
		mux.Handle(pattern, unknown{mux, added})
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for other, item := range paths {
			for method := range operations(item) {
				if pattern := method + " " + path; covers(other, path) && operations(paths[path])[method] == nil && !added[pattern] {
					refuse(pattern)
				}
			}
		}
	}
	for _, path := range realtimePaths {
		refuse("HEAD " + path) // otherwise GET would match it
	}
	return added
}

// covers reports whether the other path, which has a wildcard where the path
// has a word, matches every request for the path.
func covers(other, path string) bool {
	a, b := strings.Split(other, "/"), strings.Split(path, "/")
	if other == path || len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch,
		http.MethodDelete: item.Delete, http.MethodHead: item.Head,
	}
	maps.DeleteFunc(all, func(_ string, op *huma.Operation) bool { return op == nil })
	return all
}
