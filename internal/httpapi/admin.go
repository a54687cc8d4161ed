package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"
)

// Version describes the build of this binary.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go,omitempty"`

	Development bool `json:"development,omitempty"` // its log may hold test data
}

// Check is one condition of readiness.
type Check struct {
	Name string
	Test func(context.Context) error
	Soft bool // the node is ready even if the check fails
}

type health struct {
	version  Version
	checks   []Check
	draining func() bool
}

// checkTimeout bounds all checks of one answer.
const checkTimeout = 2 * time.Second

// healthRoutes are the patterns that programs ask all the time.
var healthRoutes = [...]string{"GET /livez", "GET /readyz", "GET /metrics"}

// mount adds /livez, /readyz and /version. Only with detailed do the answers
// contain the single checks.
func (h health) mount(mux *http.ServeMux, detailed bool) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, report := h.ready(r.Context(), detailed)
		writeJSON(w, status, report)
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		v := h.version
		if !detailed {
			v = Version{Version: v.Version, Development: v.Development}
		}
		writeJSON(w, http.StatusOK, v)
	})
}

type readiness struct {
	Ready  bool              `json:"ready"`
	Reason string            `json:"reason,omitempty"`
	Checks map[string]string `json:"checks,omitempty"`
}

func (h health) ready(ctx context.Context, detailed bool) (int, readiness) {
	report := readiness{Ready: true, Checks: map[string]string{}}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, c := range h.checks {
		report.Checks[c.Name] = "ok"
		err := c.Test(ctx)
		switch {
		case err != nil && c.Soft:
			report.Checks[c.Name] = "degraded: " + err.Error()
		case err != nil:
			report.Ready, report.Reason = false, "a check failed"
			report.Checks[c.Name] = err.Error()
		}
	}
	if h.draining != nil && h.draining() {
		report.Ready, report.Reason = false, "draining"
	}
	if !detailed {
		report.Checks = nil
	}
	if !report.Ready {
		return http.StatusServiceUnavailable, report
	}
	return http.StatusOK, report
}

// adminHandler returns the handler for operators: detailed health, metrics,
// profiles.
func adminHandler(opts Options, h health) http.Handler {
	mux := http.NewServeMux()
	h.mount(mux, true)
	if opts.Metrics != nil {
		mux.Handle("GET /metrics", opts.Metrics)
	}
	for pattern, handler := range opts.AdminMounts {
		mux.Handle(pattern, handler)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle(lastPattern, unknown{mux: mux})
	return &edge{
		next: mux, clock: opts.Clock, log: opts.Log, proxies: &proxies{log: opts.Log},
		address: NewLimiter("", Rate{}, nil), trace: untraced, bodyTimeout: bodyTimeout,
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client left
}
