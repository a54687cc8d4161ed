package httpapi

import (
	"net/http"
)

// cors are the origins whose pages may call this server. There are no cookies,
// so credentials are never allowed.
type cors Origins

const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Traceparent, " +
		"Tracestate, X-Correlation-Id, X-Request-Id"
	corsExposed = "ETag, Idempotency-Key, Idempotency-Replayed, Location, Retry-After, " +
		"X-As-Of, X-As-Of-Home, X-As-Of-Lender, X-Correlation-Id, X-Cursor, X-Has-More, X-Next-Cursor, X-Next-Seq"
)

// answer sets the CORS headers. It returns true if the request was only a
// preflight and is answered.
func (c cors) answer(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if len(c) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if origin != "" && Origins(c).Has(origin) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExposed)
		if preflight {
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsHeaders)
			h.Set("Access-Control-Max-Age", "600")
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}
