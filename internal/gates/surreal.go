package gates

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// onSurreal is the place of a run on SurrealDB.
type onSurreal struct{ *run }

func surrealGates() (first, last []gate) {
	return []gate{
			{"version", "Is the server of a supported version?", checkVersion, true},
			{"engine", "Does its storage engine keep what it acknowledges?", checkEngine, true},
			{"sync", "Does it sync each commit?", checkSync, true},
			{"clock", "Does its clock agree with this one?", checkClock, true},
			{"schema", "Is the schema of your database the one of this program?", checkSchema, true},
			{"access", "Is every table closed to record users and guests?", checkAccess, true},
			{"live", "Do live notifications have the shape that the bus reads?", checkLive, true},
		}, []gate{
			{"speed", "Do the hot queries read ranges, fast enough?", checkSpeed, true},
		}
}

func (r onSurreal) about() (server string, others []string) {
	return r.version().Text, r.scratch.others
}

func (onSurreal) missing() string { return "" }

func (r onSurreal) leave(ctx context.Context) (left []string) {
	r.db.Close()
	return r.scratch.remove(ctx)
}

func (r onSurreal) open(ctx context.Context) (store.Whole, error) {
	return r.o.Adapter.Open(ctx, r.store, storetest.Options{}, surreal.Options{})
}

func (r onSurreal) now(ctx context.Context) (time.Time, error) {
	var there surreal.Time
	err := r.db.Select(ctx, "RETURN time::now()", nil, &there)
	return time.Time(there), err
}

// harness returns an unused database of the scratch as a place for a store.
func (r onSurreal) harness(ctx context.Context) storetest.Harness {
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
