package app

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
)

// SeenPath is where the listener of the API answers [auth.Operator], and nobody else,
// with a [Seen].
const SeenPath = "/v1/operator/seen"

// Seen is how a request reached the server.
type Seen struct {
	Host    string `json:"host"`    // as the last proxy sent it
	Peer    string `json:"peer"`    // the address at the other end of the connection
	Trusted bool   `json:"trusted"` // the peer is a trusted proxy
	Client  string `json:"client"`  // the address as which the request counts
}

// byOperator reports whether the sender of a request proves to have the signing key.
func (a *App) byOperator(r *http.Request) bool {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, err := a.auth.Verify(r.Context(), token)
	return bearer && err == nil && p.UserID == auth.Operator().UserID && p.Role.IsAdmin()
}

func (a *App) serveSeen(w http.ResponseWriter, r *http.Request) {
	if !a.byOperator(r) {
		httpapi.WriteProblem(w, r, gotong.NotFound())
		return
	}
	peer := httpapi.PeerOf(r)
	proxies, err := a.cfg.Proxies()
	seen := Seen{Host: r.Host, Peer: peer.String(), Client: httpapi.CallOf(r.Context()).Address}
	seen.Trusted = err == nil && slices.ContainsFunc(proxies, func(net netip.Prefix) bool { return net.Contains(peer) })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen) // an error means that the caller left
}
