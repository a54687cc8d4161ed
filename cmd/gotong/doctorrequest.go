package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/gates"
	"gotong.dev/gotong/internal/mail"
)

const (
	maxSkew = 5 * time.Second // of the clocks of this machine and the server
	renewal = 14 * 24 * time.Hour

	// invented is an address of nobody (RFC 5737), which doctor claims to be.
	invented = "192.0.2.1"
)

func (c *doctorCmd) checkRequest(ctx context.Context, f *findings) {
	address := strings.TrimRight(c.URL, "/")
	if address == "" {
		address = "http://" + c.Addr
		f.addf(gates.NotChecked, "--url, with the address that clients use", "TLS and a proxy")
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		f.addf(gates.NoGo, "--url https://HOST", "%q is no address of a server", address)
		return
	}
	web := &http.Client{Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	resp, err := get(ctx, web, address+"/readyz", nil) //nolint:bodyclose // get closes it
	switch {
	case err != nil && c.URL == "":
		f.addf(gates.NotChecked, "gotong serve", "no server answers at %s", c.Addr)
		return
	case err != nil:
		f.addf(gates.NoGo, "the certificate, the name, the proxy, and whether the server runs", "%v", err)
		return
	}
	c.judge(f, u, resp)
	if c.URL != "" && (resp.TLS != nil || loopback(u.Hostname())) { // the token must not be read on the way
		c.checkProxy(ctx, f, web, u)
	}
}

// get sends a request and returns the answer with its body, which may have 64 KiB.
func get(ctx context.Context, web *http.Client, address string, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	resp, err := web.Do(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}

// judge judges the answer to a request.
func (c *doctorCmd) judge(f *findings, address *url.URL, resp *http.Response) {
	if resp.StatusCode != http.StatusOK {
		f.addf(gates.NoGo, "the log of the server", "%s/readyz answers %s", address, resp.Status)
	} else {
		f.goodf("%s/readyz answers %s", address, resp.Status)
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && time.Since(at).Abs() > maxSkew {
		f.addf(gates.NoGo, "keep the clocks synchronised (NTP)", "its clock is at %s", at.UTC().Format(time.RFC3339))
	}
	if c.URL == "" {
		return
	}
	if resp.TLS == nil && loopback(address.Hostname()) {
		f.addf(gates.NotChecked, "--url, with the address that clients of other machines use", "TLS: %s is on this machine alone", address)
		return
	}
	if resp.TLS == nil {
		f.addf(gates.NoGo, "TLS in front of the server", "%s is plain http: passwords can be read on the way", address)
		return
	}
	end := resp.TLS.PeerCertificates[0].NotAfter
	if time.Until(end) < renewal {
		f.addf(gates.Warning, "renew the certificate", "the certificate ends at %s", end.UTC().Format(time.RFC3339))
	} else {
		f.goodf("the certificate is valid until %s", end.UTC().Format(time.RFC3339))
	}
}

// checkProxy asks the server how it saw a request that claims to be of somebody else.
func (c *doctorCmd) checkProxy(ctx context.Context, f *findings, web *http.Client, u *url.URL) {
	token, err := operatorToken(&c.Config, time.Minute)
	if err != nil {
		f.addf(gates.NotChecked, "--data or --signing-key, as the server has it", "the headers of the proxy, without the server's key")
		return
	}
	web.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // keeps the token here
	resp, err := get(ctx, web, strings.TrimRight(u.String(), "/")+app.SeenPath, http.Header{          //nolint:bodyclose // get closes it
		"Authorization": {"Bearer " + token}, "X-Forwarded-For": {invented}, "Forwarded": {"for=" + invented},
	})
	var seen app.Seen
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.NewDecoder(resp.Body).Decode(&seen)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		f.addf(gates.NotChecked, "--data or --signing-key, as the server has it",
			"the headers of the proxy: the server at %s has another key, or is of another version", u)
		return
	}
	judgeSeen(f, u, &seen)
}

// judgeSeen judges how a request with an invented origin reached the server.
func judgeSeen(f *findings, u *url.URL, seen *app.Seen) {
	before := len(*f)
	switch {
	case !seen.Trusted && u.Scheme == "https": // the server itself speaks no TLS
		f.addf(gates.Warning, "--trusted-proxies="+seen.Peer, "a proxy at %s is in front of the server and is not trusted: "+
			"all clients share the limits of one address", seen.Peer)
	case seen.Client == invented:
		f.addf(gates.Warning, "let the proxy append the address of its client to the header; or run doctor elsewhere",
			"the server believes an invented address: the proxy passes on proxy-header as clients send it, "+
				"or this machine is itself a trusted proxy")
	case seen.Trusted && seen.Client == seen.Peer:
		f.addf(gates.Warning, "let the proxy append the address of its client to the header (proxy-header)",
			"the proxy at %s does not name its clients: all of them share the limits of one address", seen.Peer)
	}
	if hostname(seen.Host) != hostname(u.Host) {
		f.addf(gates.Warning, "let the proxy pass on Host as the client sent it",
			"the server sees the host %s: WebSockets of its own pages are rejected", seen.Host)
	}
	if len(*f) == before {
		f.goodf("the server sees the client %s behind %s, and the host %s", seen.Client, seen.Peer, seen.Host)
	}
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

func (c *doctorCmd) checkMail(ctx context.Context, f *findings) {
	if c.SMTP == "" {
		f.goodf("%s", mailOf(&c.Config))
		return
	}
	m, err := mail.New(mail.Options{Server: c.SMTP, From: c.MailFrom})
	if err == nil {
		err = m.Probe(ctx)
	}
	if err != nil {
		f.addf(gates.NoGo, "the keys smtp and mail-from", "%v", err)
		return
	}
	f.goodf("%s", mailOf(&c.Config))
}
