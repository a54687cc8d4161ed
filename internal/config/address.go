package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Proxies returns TrustedProxies as networks. An IPv4 address in the form of IPv6 is
// that IPv4 address, as it is for the addresses of clients.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	return networks("trusted-proxies", c.TrustedProxies)
}

// Outbound returns OutboundNetworks as networks, in the forms of Proxies.
func (c *Config) Outbound() ([]netip.Prefix, error) {
	return networks("outbound-networks", c.OutboundNetworks)
}

func networks(key string, values []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(values))
	for _, s := range values {
		if addr, err := netip.ParseAddr(s); err == nil {
			addr = addr.Unmap()
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an address nor a network", key, s)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// The schemes of the address of a PostgreSQL.
const (
	Postgres   = "postgres"
	PostgreSQL = "postgresql"
)

// OnPostgres reports whether the address of a store is that of a PostgreSQL.
func OnPostgres(address string) bool {
	return strings.HasPrefix(address, Postgres+":") || strings.HasPrefix(address, PostgreSQL+":")
}

// OneConnection returns the address of a PostgreSQL without the parameters of a pool,
// which a server rejects.
func OneConnection(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	for name := range q {
		if strings.HasPrefix(name, "pool_") {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// CheckStore returns an error if the address of a store is invalid, whatever the
// database behind it says.
func CheckStore(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || !slices.Contains([]string{"sqlite", "memory", "surreal", "surreals", Postgres, PostgreSQL}, u.Scheme):
		return errors.New("must be sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE, " +
			"surreal://USER:PASSWORD@HOST/NAMESPACE/DATABASE (surreals: for TLS), or memory: for a trial")
	case u.Scheme == "memory" && address != "memory:":
		return errors.New("memory: must have nothing after the colon")
	case u.Scheme == "sqlite" && (u.RawQuery != "" || u.Fragment != "" || u.User != nil):
		return errors.New("sqlite: accepts a path and nothing else")
	case u.Scheme == "sqlite" && (u.Host+u.Path+u.Opaque == "" || strings.HasPrefix(u.Opaque, ":") || strings.HasPrefix(u.Opaque, "file:")):
		return errors.New("sqlite: needs the path of a file")
	default:
		return nil
	}
}

func checkAddrs(c *Config, fault func(key, detail string)) {
	if detail := addrFault(c.Addr); detail != "" {
		fault("addr", detail)
	}
	host, _, _ := net.SplitHostPort(c.AdminAddr)
	switch ip, _ := netip.ParseAddr(host); {
	case addrFault(c.AdminAddr) != "":
		fault("admin-addr", addrFault(c.AdminAddr))
	case c.Env == Production && host != "localhost" && (!ip.IsValid() || !ip.IsLoopback() && !ip.IsPrivate()):
		fault("admin-addr", "must be a loopback or private address in production")
	}
	if c.AdminAddr == c.Addr && !strings.HasSuffix(c.Addr, ":0") {
		fault("admin-addr", "must differ from addr")
	}
	if info, err := os.Stat(c.Data); c.Data == "" || err == nil && !info.IsDir() {
		fault("data", "must name a directory")
	}
}

// hostName matches the host names that may stand before the port.
var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)*$`)

// addrFault returns why no server can listen on an address, as far as its text shows;
// "" for a good one.
func addrFault(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	_, notIP := netip.ParseAddr(host)
	digits := strings.Trim(host, "0123456789.") == "" && host != ""
	switch {
	case err != nil:
		return "must be host:port"
	case !isPort(port):
		return "must end with a port of 0 to 65535"
	case notIP != nil && (digits || !hostName.MatchString(host)):
		return "must begin with an address or a host name"
	default:
		return ""
	}
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// isOrigin reports whether s is scheme://host[:port] and nothing more (RFC 6454).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isHTTP(u.Scheme) && hasHost(u) && u.Scheme+"://"+u.Host == s && u.Host == strings.ToLower(u.Host)
}

// hasHost reports whether u has a host, and after it no port or a valid one.
func hasHost(u *url.URL) bool {
	return u.Hostname() != "" && (u.Port() == "" && !strings.HasSuffix(u.Host, ":") || isPort(u.Port()))
}

func isHTTP(scheme string) bool { return scheme == "http" || scheme == "https" }
