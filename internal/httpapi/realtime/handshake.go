package realtime

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what RFC 6455 wants; it protects nothing
	"encoding/base64"
	"net/http"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// webSocket upgrades a request and has the connection read. It rejects with a
// problem what cannot be upgraded.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) {
	principal, err := s.admit(w, r)
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	netConn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		httpapi.WriteProblem(w, r, err)
		return
	}
	call := httpapi.CallOf(r.Context())
	c := s.newConn(call)
	c.pending = call.Pending()
	c.wire.over(netConn)
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Peek(n)
		c.wire.early = bytes.Clone(early)
	}
	if principal != nil {
		c.pending.Leave()
	}
	if err := c.upgrade(r.Header.Get("Sec-Websocket-Key")); err != nil {
		c.wire.cut()
		c.pending.Leave()
		return
	}
	s.opened("ws")
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if principal != nil {
		c.know(principal)
		c.begin(principal)
	}
	// Not on this goroutine: it holds the buffers of the HTTP request.
	if !s.running.start(c.start) {
		c.wire.cut()
		c.readOn()
	}
}

// admit checks everything that can still be answered with a status.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*httpapi.Principal, error) {
	parameters, err := query(r, "ticket")
	key, keyErr := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case !headerHas(r, "Connection", "upgrade") || !headerHas(r, "Upgrade", "websocket"),
		r.Header.Get("Sec-Websocket-Version") != "13":
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-Websocket-Version", "13")
		return nil, gotong.NewError(httpapi.CodeUpgrade, "This address accepts only WebSocket handshakes (RFC 6455), version 13.")
	case keyErr != nil || len(key) != 16:
		return nil, gotong.NewError(httpapi.CodeBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64.")
	case !headerHas(r, "Sec-Websocket-Protocol", subprotocol):
		return nil, gotong.NewError(httpapi.CodeBadRequest, "Offer the subprotocol "+subprotocol+".")
	case !s.originAllowed(r):
		return nil, gotong.NewError(gotong.CodeForbidden, "Pages of this origin may not connect.")
	case err != nil:
		return nil, err
	}
	principal, err := s.authenticate(r, parameters.Get("ticket"))
	if err == nil && principal == nil {
		err = httpapi.CallOf(r.Context()).Crowded()
	}
	return principal, err
}

func headerHas(r *http.Request, name, token string) bool {
	for _, line := range r.Header.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// upgrade answers the handshake (RFC 6455, section 4.2.2).
func (c *conn) upgrade(key string) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	_, err := c.wire.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n" +
		"Sec-WebSocket-Protocol: " + subprotocol + "\r\n\r\n"))
	return err
}
