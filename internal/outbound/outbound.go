// Package outbound holds the address guard: the one place that decides to which
// addresses the server connects on behalf of others, such as those that own
// webhooks. It makes HTTP clients that connect to nothing else.
//
// # Caveats
//
// A check of a URL alone is no protection, because a name may resolve to another
// address a moment later. The guard therefore checks every address as it is
// dialled, after the name was resolved. [Guard.URL] only reports faults early.
package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrRefused is the cause of every error by which a guard refuses an address or a
// URL.
var ErrRefused = errors.New("the address is not allowed")

// Options are what a guard is made of.
type Options struct {
	// Allowed are networks to which the server may connect besides the public
	// internet. Plain HTTP is possible to these networks alone.
	Allowed []netip.Prefix

	// OwnPorts are the ports on which this server listens. They are refused at
	// every address of this machine.
	OwnPorts []uint16

	Resolver *net.Resolver // nil: that of the system
}

// Guard decides to which addresses the server connects. It is safe for concurrent
// use.
type Guard struct {
	opt    Options
	public *ssrf.Guardian
}

// New returns a guard.
func New(opt Options) *Guard {
	var v4, v6 []netip.Prefix
	for _, p := range opt.Allowed {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &Guard{opt, ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}
}

// Check returns an error with the cause [ErrRefused] if the server must not connect
// to this address with TLS, or in plain text.
func (g *Guard) Check(to netip.AddrPort, plain bool) error {
	addr := to.Addr().Unmap()
	switch {
	case to.Port() == 0, addr.Zone() != "", addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return fmt.Errorf("%s: %w", to, ErrRefused) // whatever the operator allowed
	case slices.Contains(g.opt.OwnPorts, to.Port()) && isOwn(addr):
		return fmt.Errorf("%s is this server: %w", to, ErrRefused)
	case plain && !slices.ContainsFunc(g.opt.Allowed, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return fmt.Errorf("%s in plain text: %w", to, ErrRefused)
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return fmt.Errorf("%s: %w (%w)", to, ErrRefused, err)
	}
	return nil
}

// isOwn reports whether the address belongs to this machine; true if that cannot be
// found out.
func isOwn(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	list, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(list, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

// MaxURL is the greatest length of a URL in bytes.
const MaxURL = 2048

var (
	form = regexp.MustCompile(`^(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([1-9]\d{0,4}))?` +
		`([/?][^\x00-\x20#\\\x7f-\x{10ffff}]*)?$`)
	label   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	numeric = regexp.MustCompile(`^(0[xX][0-9A-Fa-f]*|\d+)$`)
)

// URL parses a URL that the server is to call. Its error, with the cause
// [ErrRefused], says what is wrong; a host is accepted only in its one usual form.
func (g *Guard) URL(raw string) (*url.URL, error) {
	refuse := func(why string) (*url.URL, error) { return nil, fmt.Errorf("%s: %w", why, ErrRefused) }
	parts := form.FindStringSubmatch(raw)
	if parts == nil || len(raw) > MaxURL {
		return refuse("a URL must have the form https://HOST[:PORT][/PATH], without user, fragment or blanks")
	}
	scheme, host, port := parts[1], parts[2], parts[3]
	plain := scheme == "http"
	if plain && len(g.opt.Allowed) == 0 {
		return refuse("the URL must begin with https://")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host != strings.TrimPrefix(strings.TrimSuffix(raw, parts[4]), scheme+"://") {
		return refuse("the URL cannot be parsed")
	}
	number := uint64(443)
	if port != "" {
		if number, err = strconv.ParseUint(port, 10, 16); err != nil {
			return refuse("the port must be between 1 and 65535")
		}
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil && addr.Is4() == (host[0] != '[') {
		return u, g.Check(netip.AddrPortFrom(addr, uint16(number)), plain)
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return refuse("the host is not a valid name")
		}
	}
	if last := labels[len(labels)-1]; numeric.MatchString(last) || len(host) > 253 {
		return refuse("the host is neither a name nor an address in its usual form")
	}
	if len(labels) == 1 && len(g.opt.Allowed) == 0 {
		return refuse("the host needs a domain")
	}
	return u, nil
}

// The bounds of one request, besides the time that its context leaves it.
const (
	dialTimeout = 10 * time.Second
	idleTimeout = 30 * time.Second
	idlePerHost = 4
	maxHeader   = 64 << 10
)

// Client returns a client that connects only to addresses that the guard accepts. It
// follows no redirects, uses no proxy, sends no cookies, and does not unpack
// responses. The caller bounds the time by a context, and the body that it reads.
func (g *Guard) Client() *http.Client {
	return &http.Client{
		Transport:     &transport{tls: g.transport(false), plain: g.transport(true)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (g *Guard) transport(plain bool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, Resolver: g.opt.Resolver, Control: func(network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%s %s: %w", network, address, ErrRefused)
		}
		return g.Check(to, plain)
	}}
	only1 := &http.Protocols{}
	only1.SetHTTP1(true)
	return &http.Transport{
		DialContext: dialer.DialContext, Protocols: only1, DisableCompression: true, MaxIdleConnsPerHost: idlePerHost,
		IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader,
	}
}

// transport keeps connections with TLS and without apart, because the guard treats
// them differently.
type transport struct{ tls, plain *http.Transport }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.tls.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// CloseIdleConnections lets the method of the same name of a client work.
func (t *transport) CloseIdleConnections() {
	t.tls.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// RetryAfter returns the wait that the header Retry-After of a response asks for, in
// seconds or until a date; 0 if there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, 1<<24)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
