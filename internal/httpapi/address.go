package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// The headers by which a proxy can say where a request came from.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded" // RFC 7239
)

// proxies finds out where requests come from.
type proxies struct {
	trusted []netip.Prefix
	header  string // the one that is believed: common proxies pass a client's other through
	log     *slog.Logger
	warned  sync.Once
}

// client is where a request comes from: the peer, or, behind proxies that are
// trusted, the last address in their header that is not a trusted proxy. A
// client can invent everything to the left of that.
func (p *proxies) client(r *http.Request) netip.Addr {
	addr, rest := peerOf(r), strings.Join(r.Header.Values(p.header), ",")
	for rest != "" && p.trusts(addr) {
		var hop string
		if rest, hop = p.last(rest); strings.TrimSpace(hop) == "" {
			continue // an empty element of a list is none (RFC 9110, 5.6.1)
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

// peerOf is the address at the other end of the connection; the zero Addr where
// it has none.
func peerOf(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return plainAddr(peer.Addr())
}

// trusts reports whether an address is that of a trusted proxy.
func (p *proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(net netip.Prefix) bool { return net.Contains(addr) })
}

// last splits off the last element of a list. It reads from the end, where the
// proxy wrote: a quote that a client left open further left hides nothing.
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

// hop is the address in one element.
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

// hostAddr reads an address, with a port or without; IPv6 may stand in
// brackets, and must before a port.
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

// addressKey is what one client's requests are counted by: the address, or for
// IPv6 its /64, of which one client has all.
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
