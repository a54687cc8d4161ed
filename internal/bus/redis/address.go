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

// The times of a connection. A server that is silent is given up within 5 s:
// by the probe after silence, and whatever is asked of it after answer.
const (
	connecting = time.Second            // to connect and to be let in
	keepAlive  = 400 * time.Millisecond // between two signs of life of an idle connection
	answer     = 2 * time.Second        // to any command
	probing    = 500 * time.Millisecond // between two probes of the subscription
	silence    = 3 * time.Second        // without hearing one
)

// CheckURL reports what is wrong with a URL, without showing anything of it.
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

// parse reads a URL into what a client is made of, and what of it is secret.
// No error shows anything of the URL.
func parse(text string, roots *tls.Config) (opt rueidis.ClientOption, secrets []string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return opt, nil, errors.New("redis: the URL cannot be read")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return opt, nil, errors.New("redis: the URL must begin with redis://, rediss:// or unix://")
	}
	if opt, err = rueidis.ParseURL(text); err != nil {
		return opt, nil, errors.New("redis: the URL has a database number or a parameter that cannot be read")
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
	opt.DisableRetry, opt.DisableCache = true, true
	opt.PipelineMultiplex = -1 // one connection is enough
	opt.RingScaleEachConn, opt.BlockingPoolSize = 10, 1
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = 64<<10, 64<<10
	opt.ClientName = "gotong"
	// A server alone needs no search for others, which it would be asked for
	// again and again. One that is of a cluster says so when it is asked for
	// what lies elsewhere.
	opt.ForceSingleClient = len(opt.InitAddress) == 1
	return opt, secrets, nil
}

// connect makes a client whose connections end with ctx, in the middle of
// whatever they do.
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

// bound is a connection that a context closes.
type bound struct {
	net.Conn
	release func() bool
}

// Close implements net.Conn.
func (b *bound) Close() error {
	b.release()
	return b.Conn.Close()
}

// clean is an error without the secrets of the URL, which a server may repeat:
// it quotes the arguments of a command that it does not know.
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
