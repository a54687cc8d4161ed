package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong/client"
)

// server is the flag for the server of a command.
type server struct {
	URL string `name:"url" group:"server" help:"The address of the server." default:"http://127.0.0.1:8080" env:"GOTONG_URL"`
}

// login is the flags for the server and the caller's token.
type login struct {
	server
	Token string `name:"token" group:"server" help:"Your access token; prefer the variable to the flag." env:"GOTONG_TOKEN" placeholder:"TOKEN"`
}

// client returns a client of this server. It first checks that the server
// answers, because a client would otherwise wait for it in silence.
func (s server) client(ctx context.Context, token client.TokenSource) (*client.Client, error) {
	c, err := client.New(client.Options{BaseURL: s.URL, Token: token})
	u, wrong := url.Parse(s.URL)
	if _, odd := strconv.ParseUint(cmp.Or(u.Port(), "0"), 10, 16); err != nil || wrong != nil || odd != nil {
		return nil, misuse("--url http://HOST:PORT", "%q is not an http or https address", s.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.URL, "/")+"/version", http.NoBody)
	if err != nil {
		return nil, misuse("--url http://HOST:PORT", "%q is not an http or https address", s.URL)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from %s: %w", s.URL, err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, misuse("--url, to name a server", "the server at %s is not a Gotong server: %s", s.URL, res.Status)
	}
	return c, nil
}

func (l login) client(ctx context.Context) (*client.Client, error) {
	token := strings.TrimSpace(l.Token)
	if token == "" {
		return nil, &failure{err: errNoToken, hint: newToken, code: 2}
	}
	return l.server.client(ctx, client.StaticToken(token))
}

var errNoToken = fmt.Errorf("no token: GOTONG_TOKEN is not set")
