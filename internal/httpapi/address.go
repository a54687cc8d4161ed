package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// The headers in which a proxy can report the origin of a request.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded" // RFC 7239
)

// proxies finds the address of a request's client.
type proxies struct {
	trusted []netip.Prefix
	header  string // the one that is trusted: common proxies pass on the others as clients send them
	log     *slog.Logger
	warned  sync.Once
}

// client returns the address of a request's client: the peer or, behind trusted
// proxies, the last address in their header that is not a trusted proxy. A
// client can invent every address to the left of that one.
func (p *proxies) client(r *http.Request) netip.Addr {
	addr, rest := PeerOf(r), strings.Join(r.Header.Values(p.header), ",")
	for rest != "" && p.trusts(addr) {
		var hop string
		if rest, hop = p.last(rest); strings.TrimSpace(hop) == "" {
			continue // empty list elements are ignored (RFC 9110, 5.6.1)
		}
		next, ok := p.hop(hop)
		if !ok {
			p.warned.Do(func() {
				p.log.WarnContext(r.Context(), "a trusted proxy sends addresses that cannot be read, so all its clients count as one",
					"header", p.header, "proxy", addr.String())
			})
			return addr
		}
		addr = next
	}
	return addr
}

// PeerOf returns the address at the other end of a request's connection, or the
// zero Addr if it has none.
func PeerOf(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return plainAddr(peer.Addr())
}

func (p *proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(net netip.Prefix) bool { return net.Contains(addr) })
}

// last splits off the last element of a list. It reads from the end, where the
// proxy wrote: a quote that the client left open further left then hides
// nothing.
func (p *proxies) last(list string) (rest, element string) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && p.header == Forwarded:
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return "", list
}

func (p *proxies) hop(element string) (netip.Addr, bool) {
	if p.header != Forwarded {
		return hostAddr(strings.TrimSpace(element))
	}
	found := ""
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "for") {
			continue
		}
		if found != "" {
			return netip.Addr{}, false
		}
		found = strings.TrimSpace(value)
	}
	if inner, ok := strings.CutPrefix(found, `"`); ok {
		if found, ok = strings.CutSuffix(inner, `"`); !ok {
			return netip.Addr{}, false
		}
	}
	return hostAddr(found)
}

// hostAddr parses an address with or without a port. IPv6 may be in brackets,
// and must be before a port.
func hostAddr(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return plainAddr(addr), true
	}
	if at, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(at.Addr()), true
	}
	inner, open := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	addr, err := netip.ParseAddr(inner)
	return plainAddr(addr), open && closed && err == nil && addr.Is6()
}

func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// addressKey returns the key by which the requests of a client are counted: the
// address or, for IPv6, its /64, because one client usually has a whole one.
func addressKey(addr netip.Addr) string {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}
