package httpapi

import (
	"net/http"
	"strings"

	"gotong.dev/gotong"
)

// unknown answers what no pattern took: 404, or 405 where the path is known for
// another method. It is the mux's last pattern, because the mux itself would
// answer in plain text.
type unknown struct{ mux *http.ServeMux }

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
		WriteProblem(w, r, gotong.NewError(CodeMethod, "This path takes "+strings.Join(allowed, ", ")+"."))
	}
}

// allowed is the methods for which the path has a pattern.
func (u unknown) allowed(r *http.Request) []string {
	var list []string
	probe := r.Clone(r.Context())
	for _, m := range methods {
		probe.Method = m
		if _, pattern := u.mux.Handler(probe); pattern != "" && pattern != lastPattern {
			list = append(list, m)
		}
	}
	return list
}
