package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	if wrong == nil {
		_, wrong = strconv.ParseUint(cmp.Or(u.Port(), "0"), 10, 16)
	}
	if err != nil || wrong != nil {
		return nil, misuse("--url http://HOST:PORT", "%q is not an http or https address", s.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := s.request(ctx, http.MethodGet, "/version", "", nil)
	if err != nil {
		return nil, err
	}
	if a.code != http.StatusOK {
		return nil, misuse("--url, to name a server", "the server at %s is not a Gotong server: %s", s.URL, a.status)
	}
	return c, nil
}

// answer is a response that was read.
type answer struct {
	code   int
	status string
	body   []byte
}

// request sends a request to this server.
func (s server) request(ctx context.Context, method, path, token string, body any) (answer, error) {
	a, err := request(ctx, method, strings.TrimSuffix(s.URL, "/")+path, token, body)
	if err != nil {
		err = fmt.Errorf("no answer from %s: %w", s.URL, err)
	}
	return a, err
}

// request sends a request with a token and a body of JSON, which may both be empty.
func request(ctx context.Context, method, address, token string, body any) (answer, error) {
	var in io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, in)
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	return answer{code: res.StatusCode, status: res.Status, body: b}, err
}

func (l login) client(ctx context.Context) (*client.Client, error) {
	token := strings.TrimSpace(l.Token)
	if token == "" {
		return nil, &failure{err: errNoToken, hint: newToken, code: 2}
	}
	return l.server.client(ctx, client.StaticToken(token))
}

var errNoToken = fmt.Errorf("no token: GOTONG_TOKEN is not set")
