package redis

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/clock"
)

// Options configure a Link. URL and Installation are required.
type Options struct {
	URL          string        // redis://, rediss:// (TLS) or unix://, with user and password
	Installation string        // distinguishes installations on one server: the epoch of the log
	Clock        clock.Clock   // nil: the machine's
	TLS          *tls.Config   // for rediss://; nil: the system's roots
	Asking       time.Duration // the longest wait of one call of Take; default 50 ms
	Observer     bus.Observer
}

// Link is one node's end of the bus. It is safe for concurrent use.
type Link struct {
	*bus.Link
	opt     Options
	dial    rueidis.ClientOption
	secrets []string // of the URL, never to be shown

	client atomic.Pointer[rueidis.Client] // nil while there is no connection
	pause  atomic.Int64                   // the moment until which Redis gets no calls for allowances
	moved  chan struct{}                  // has a value when the server turned out to belong to a cluster
	asking chan struct{}                  // a slot for each call for an allowance
}

// New returns a link; Run connects it. An error concerns the URL and shows no
// part of it.
func New(opt Options) (*Link, error) {
	if opt.Clock == nil {
		opt.Clock = clock.System()
	}
	if opt.Asking <= 0 {
		opt.Asking = asking
	}
	dial, secrets, err := parse(opt.URL, opt.TLS)
	if err != nil {
		return nil, err
	}
	l := &Link{opt: opt, dial: dial, secrets: secrets, asking: make(chan struct{}, maxAsking), moved: make(chan struct{}, 1)}
	l.Link = bus.NewLink(opt.Observer, func(ctx context.Context) error { return l.clean(l.connection(ctx)) })
	return l, nil
}
