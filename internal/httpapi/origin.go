package httpapi

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Origins are the origins whose pages may call, beside the server's own; "*" is
// all. Each is scheme://host[:port]; a default port is optional.
type Origins []string

// Has reports whether the list names the origin of a page.
func (o Origins) Has(origin string) bool {
	return slices.ContainsFunc(o, func(one string) bool { return one == "*" || plainOrigin(one) == plainOrigin(origin) })
}

// Own reports whether the page belongs to this server: the host of its origin
// is the host of the request, whatever scheme a proxy uses.
func Own(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && plainHost(u.Scheme, u.Host) == plainHost(u.Scheme, r.Host)
}

// plainOrigin returns an origin as browsers write it (RFC 6454, section 6.2):
// in lower case and without a default port.
func plainOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return origin
	}
	return strings.ToLower(u.Scheme) + "://" + plainHost(u.Scheme, u.Host)
}

// plainHost returns a host in lower case, without the default port of its
// scheme.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil || port != map[string]string{"http": "80", "https": "443"}[strings.ToLower(scheme)] {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// cors are the origins whose pages may call this server. There are no cookies,
// so credentials are never allowed.
type cors Origins

const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Range, Traceparent, " +
		"Tracestate, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, X-Correlation-Id, X-Request-Id"
	corsExposed = "Content-Disposition, Deprecation, ETag, Idempotency-Key, Idempotency-Replayed, Link, Location, Retry-After, " +
		"Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Offset, " +
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
