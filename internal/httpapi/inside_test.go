package httpapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/clock"
)

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		sent       []string
		want       string
	}{
		{"plain", "192.0.2.1:1", nil, "192.0.2.1"},
		{"stranger claims", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"invented before", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"nonsense", "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"proxy alone", "10.0.0.1:1", nil, "10.0.0.1"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"mapped", "[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"port", "10.0.0.1:1", []string{"203.0.113.7:41234"}, "203.0.113.7"},
		{"IPv6 with port", "10.0.0.1:1", []string{"[2001:db8::1]:41234"}, "2001:db8::1"},
		{"brackets", "10.0.0.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"ports on the way", "10.0.0.1:1", []string{"203.0.113.7:41234, 10.0.0.2:80,10.0.0.3 "}, "203.0.113.7"},
		{"IPv4 in brackets", "10.0.0.1:1", []string{"[198.51.100.1]"}, "10.0.0.1"},
		{"empty elements", "10.0.0.1:1", []string{"198.51.100.1, ,", ""}, "198.51.100.1"},
		{"a quote is a character", "10.0.0.1:1", []string{`", 198.51.100.1`}, "198.51.100.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{}}
			for _, f := range test.sent {
				r.Header.Add("X-Forwarded-For", f)
			}
			r.Header.Add("Forwarded", "for=192.0.2.250") // of a client, passed through
			p := proxies{trusted: trusted, header: XForwardedFor, log: slog.New(slog.DiscardHandler)}
			if got := p.client(r).String(); got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
	if a, b := addressKey(netip.MustParseAddr("2001:db8::1")), addressKey(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("one /64 is %s and %s", a, b)
	}
}

func TestForwardedNamesTheClient(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, test := range []struct {
		name string
		sent []string
		want string
	}{
		{"plain", []string{"for=198.51.100.1"}, "198.51.100.1"},
		{"all of it", []string{`For="198.51.100.1:4711";proto=https;by=10.0.0.1;host="x;y"`}, "198.51.100.1"},
		{"IPv6", []string{`for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"IPv6 without port", []string{`for="[2001:db8::1]"`}, "2001:db8::1"},
		{"two proxies", []string{"for=192.0.2.7, for=198.51.100.1, for=10.0.0.2"}, "198.51.100.1"},
		{"two lines", []string{"for=192.0.2.7", "for=198.51.100.1"}, "198.51.100.1"},
		{"a comma in quotes", []string{`for=198.51.100.1;host="a,b"`}, "198.51.100.1"},
		{"an open quote of a client", []string{`for=192.0.2.7;x=", for=198.51.100.1`}, "198.51.100.1"},
		{"unknown", []string{"for=unknown"}, "10.0.0.1"},
		{"hidden", []string{"for=_hidden"}, "10.0.0.1"},
		{"no for", []string{"proto=https"}, "10.0.0.1"},
		{"twice", []string{"for=198.51.100.1;for=198.51.100.2"}, "10.0.0.1"},
		{"half a quote", []string{`for="198.51.100.1`}, "10.0.0.1"},
		{"none", nil, "10.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"Forwarded": test.sent}}
			r.Header.Add("X-Forwarded-For", "192.0.2.250") // of a client, passed through
			p := proxies{trusted: trusted, header: Forwarded, log: slog.New(slog.DiscardHandler)}
			if got := p.client(r).String(); got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// An address that cannot be read is logged once, without the value.
func TestUnreadableAddressIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	p := proxies{
		trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, header: XForwardedFor,
		log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	for _, value := range []string{"198.51.100.1", "nonsense", "more nonsense"} {
		p.client(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {value}}})
	}
	if got := log.String(); strings.Count(got, "cannot be read") != 1 || strings.Contains(got, "nonsense") {
		t.Errorf("the log has %q", got)
	}
}

func TestOwnAcceptsOnlyTheOriginOfTheHost(t *testing.T) {
	for _, test := range []struct {
		origin, host string
		own          bool
	}{
		{"https://warga.example", "warga.example", true}, {"https://warga.example", "warga.example:443", true},
		{"https://warga.example:443", "warga.example", true}, {"http://warga.example", "Warga.Example:80", true},
		{"https://[2001:db8::1]", "[2001:db8::1]:443", true}, {"https://warga.example:8443", "warga.example:8443", true},
		{"https://warga.example", "warga.example:80", false}, {"http://warga.example", "warga.example:443", false},
		{"https://warga.example:8443", "warga.example", false}, {"null", "", false}, {"https://", "", false},
		{"https://other.example", "warga.example", false}, {"https://warga.example.evil", "warga.example", false},
	} {
		r := &http.Request{Host: test.host}
		if got := Own(r, test.origin); got != test.own {
			t.Errorf("a page of %s at %s: %v", test.origin, test.host, got)
		}
	}
}

func TestOrigins(t *testing.T) {
	list := Origins{"https://x:443", "http://localhost:3000", "https://y"}
	for origin, has := range map[string]bool{
		"https://x": true, "https://x:443": true, "https://y:443": true, "http://localhost:3000": true, "HTTPS://Y": true,
		"http://x": false, "https://x:80": false, "http://localhost": false, "null": false, "": false,
	} {
		if list.Has(origin) != has {
			t.Errorf("%q: %v", origin, !has)
		}
	}
	if !(Origins{"*"}).Has("https://any") {
		t.Error("* is not all")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter("", Rate{PerSecond: 1, Burst: 1}, nil)
	now := clock.System().Mono()
	for i := range maxBuckets + 1000 {
		if err := l.allow(t.Context(), strconv.Itoa(i), now); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.keys) > maxBuckets {
		t.Errorf("%d keys", len(l.keys))
	}
}

// What nodes share is asked for in lots, and decides where it answers; the
// node's own bucket always does.
func TestSharedLimits(t *testing.T) {
	now := clock.System().Mono()
	left, asked, down := 25, 0, false
	l := NewLimiter("user", Rate{PerSecond: 10, Burst: 60}, func(_ context.Context, name, key string, _ Rate, want int) (int, time.Duration, error) {
		asked++
		if name != "user" || key != "ann" {
			t.Errorf("asked for %s of %s", name, key)
		}
		if down {
			return 0, 0, errors.New("away")
		}
		given := min(want, left)
		left -= given
		return given, time.Second, nil
	})
	spend := func(n int) (ok int, wait time.Duration) {
		for range n {
			yes, w := l.Take(t.Context(), "ann", now)
			if wait = w; yes {
				ok++
			}
		}
		return ok, wait
	}
	if ok, wait := spend(30); ok != 25 || wait != time.Second || asked != 9+5 {
		t.Errorf("%d of 25, wait %s, asked %d times", ok, wait, asked)
	}
	down = true
	if ok, wait := spend(40); ok != 30 || wait <= 0 || wait > time.Second {
		t.Errorf("%d of the 30 that the node has itself, wait %s", ok, wait)
	}
	down, left, now = false, 3, now.Add(time.Minute)
	if ok, _ := spend(1); ok != 1 {
		t.Error("none")
	}
	now = now.Add(2 * fetchLife) // what was fetched is forgotten
	if ok, _ := spend(1); ok != 0 {
		t.Error("spent what was forgotten")
	}
}

func TestRevisionAcceptsOneStrongTag(t *testing.T) {
	for header, ok := range map[string]bool{`"0"`: true, `"12"`: true, `"3.x9"`: true, `"3.x","4"`: false, `*`: false, `0`: false, `W/"1"`: false, `"1","2"`: false, `"01"`: false, ``: false} {
		if _, err := Revision(header); (err == nil) != ok {
			t.Errorf("%s: %v", header, err)
		}
	}
	for header, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `"b", "a"`: true, `*`: true, `"b"`: false, ``: false} {
		if Matches(header, `"a"`) != want {
			t.Errorf("If-None-Match %s", header)
		}
	}
}
