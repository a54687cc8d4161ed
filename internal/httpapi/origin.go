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
