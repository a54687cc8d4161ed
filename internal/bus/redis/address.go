package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// The times of a connection. A connection to a silent server ends within 5 s:
// silence bounds the wait for a probe, answer that for any command.
const (
	connecting = time.Second            // to connect and authenticate
	keepAlive  = 400 * time.Millisecond // between two keep-alive packets of an idle connection
	answer     = 2 * time.Second        // to a command
	probing    = 500 * time.Millisecond // between two probes of the subscription
	silence    = 3 * time.Second        // without the return of a probe
)

// CheckURL returns an error if a URL cannot be used. The error shows no part of
// the URL.
func CheckURL(text string) error {
	opt, _, err := parse(text, nil)
	if err != nil {
		return err
	}
	for _, at := range opt.InitAddress {
		_, port, _ := net.SplitHostPort(at)
		if _, err := strconv.ParseUint(port, 10, 16); err != nil && !strings.HasPrefix(text, "unix:") {
			return errors.New("redis: the URL's port must be at most 65535")
		}
	}
	return nil
}

// parse returns the client options of a URL and its secret parts. No error
// shows any part of the URL.
func parse(text string, roots *tls.Config) (opt rueidis.ClientOption, secrets []string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return opt, nil, errors.New("redis: the URL cannot be parsed")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return opt, nil, errors.New("redis: the URL must begin with redis://, rediss:// or unix://")
	}
	if opt, err = rueidis.ParseURL(text); err != nil {
		return opt, nil, errors.New("redis: the URL has an invalid database number or parameter")
	}
	if opt.TLSConfig != nil && roots != nil {
		name := opt.TLSConfig.ServerName
		opt.TLSConfig = roots.Clone()
		opt.TLSConfig.ServerName = name
	}
	for _, s := range []string{opt.Password, url.QueryEscape(opt.Password), u.User.String()} {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	opt.Dialer.Timeout, opt.Dialer.KeepAlive, opt.ConnWriteTimeout = connecting, keepAlive, answer
	opt.DisableRetry, opt.DisableCache = true, true // retries ignore deadlines
	opt.PipelineMultiplex = -1                      // one connection is enough
	opt.RingScaleEachConn, opt.BlockingPoolSize = 10, 1
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = 64<<10, 64<<10
	opt.ClientName = "gotong"
	// A single server needs no discovery of others, which the client would
	// repeat. A member of a cluster reveals itself when it redirects a command.
	opt.ForceSingleClient = len(opt.InitAddress) == 1
	return opt, secrets, nil
}

// connect returns a client whose connections are closed when ctx ends, whatever
// they are doing.
func (l *Link) connect(ctx context.Context) (rueidis.Client, error) {
	opt := l.dial
	network := "tcp"
	if strings.HasPrefix(l.opt.URL, "unix:") {
		network = "unix"
	}
	opt.DialCtxFn = func(dialCtx context.Context, addr string, d *net.Dialer, secure *tls.Config) (net.Conn, error) {
		dialCtx, cancel := context.WithCancel(dialCtx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn, err := d.DialContext(dialCtx, network, addr)
		if err != nil {
			return nil, err
		}
		if secure != nil {
			conn = tls.Client(conn, secure)
		}
		return &bound{conn, context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
	}
	return rueidis.NewClient(opt)
}

// bound is a connection that is closed when a context ends.
type bound struct {
	net.Conn
	release func() bool
}

// Close implements net.Conn.
func (b *bound) Close() error {
	b.release()
	return b.Conn.Close()
}

// clean returns an error without the secrets of the URL, which a server may
// repeat: it quotes the arguments of an unknown command.
func (l *Link) clean(err error) error {
	if err == nil {
		return errors.New("redis: the connection ended")
	}
	text, _, _ := strings.Cut(err.Error(), ", with args")
	for _, s := range l.secrets {
		text = strings.ReplaceAll(text, s, "[redacted]")
	}
	return errors.New("redis: " + text)
}
