package gates

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// suiteGate begins the names of the gates that are parts of the store's suite.
const suiteGate = "store"

func suiteGates() []gate {
	var list []gate
	for _, part := range storetest.Parts() {
		list = append(list, gate{suiteGate + "/" + part.Name, part.Asks, func(ctx context.Context, r *run, f *findings) error {
			r.carryOutPart(ctx, f, part)
			return nil
		}})
	}
	return list
}

// carryOutPart runs each case of a part, each in a database of its own.
func (r *run) carryOutPart(ctx context.Context, f *findings, part storetest.Part) {
	const way = "do not use this server with this program: the store relies on it. Report it with this table"
	held, left := 0, 0
	for _, c := range part.Tests {
		result := c.Try(ctx, func() storetest.Harness { return r.harness(ctx) })
		switch {
		case ctx.Err() != nil:
			return
		case len(result.Faults) > 0:
			f.badf(way, "%s: %s", c.Name, strings.Join(result.Faults, "; "))
		case result.Skipped != "":
			left++
			f.skipf("the tests of this program check it where they can", "%s: %s", c.Name, result.Skipped)
		default:
			held++
		}
		for _, note := range result.Notes {
			f.goodf("%s: %s", c.Name, note)
		}
	}
	if held > 0 {
		f.goodf("%d of %s hold", held, count(len(part.Tests)-left, "case"))
	}
}

// cases numbers the databases of the scratch.
var cases atomic.Int64

// harness returns an unused database of the scratch as a place for a store.
func (r *run) harness(ctx context.Context) storetest.Harness {
	cfg := r.scratch.config(fmt.Sprint("case", cases.Add(1)))
	return storetest.Harness{
		Properties: r.o.Adapter.Properties, For: r.o.For / 2,
		Open: func(o storetest.Options) (store.Whole, error) {
			return r.o.Adapter.Open(ctx, cfg, o, surreal.Options{})
		},
		Through: func(o storetest.Options) (store.Whole, *netfault.Proxy, error) {
			p, err := netfault.Start(ctx, cfg.Address)
			if err != nil {
				return nil, nil, err
			}
			client := clientOptions()
			if host, _, err := net.SplitHostPort(cfg.Address); err == nil && cfg.TLS {
				// The certificate is the server's, not the proxy's.
				client.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
			}
			through := cfg
			through.Address, through.Sockets = p.Addr(), 1
			s, err := r.o.Adapter.Open(ctx, through, o, client)
			if err != nil {
				p.Close()
			}
			return s, p, err
		},
	}
}
