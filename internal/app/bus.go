package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/livequery"
	"gotong.dev/gotong/internal/bus/postgres"
	"gotong.dev/gotong/internal/bus/redis"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/surreal"
)

// newBus creates the bus that the configuration names. Without one, the node
// finds other nodes' commits by polling the store.
func (a *App) newBus(ctx context.Context) error {
	switch a.cfg.BusKind() {
	case config.BusRedis:
		return a.newRedis()
	case config.BusLiveQuery:
		return a.newLiveQuery(ctx)
	case config.BusPostgres:
		return a.newPostgres()
	default:
		return nil
	}
}

var asking time.Duration // how long a request may wait for the allowances of all nodes; 0: the default; tests wait longer

func (a *App) newRedis() error {
	if ownStore(&a.cfg) {
		a.log.WarnContext(a.base, "no other node can use this store, so Redis serves for rate limits only")
	}
	link, err := redis.New(redis.Options{
		URL: a.cfg.Redis, Installation: string(a.store.Epoch()), Clock: a.clock, Asking: asking,
		Observer: a.busObserver("redis"),
	})
	if err != nil {
		return err
	}
	a.redis, a.bus = link, link
	return nil
}

// newLiveQuery opens another connection to the database of the store.
func (a *App) newLiveQuery(ctx context.Context) error {
	if ownStore(&a.cfg) {
		return errors.New("bus: livequery needs a store on SurrealDB")
	}
	address, err := surreal.Parse(a.cfg.StoreURL())
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	if a.database, err = surreal.Open(ctx, address, surreal.Options{Sockets: 1}); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	link := livequery.New(livequery.Options{Database: a.database, Observer: a.busObserver("livequery")})
	a.notices, a.bus = link, link
	return nil
}

// newPostgres creates a bus with two connections of its own to the database of the store.
func (a *App) newPostgres() error {
	link, err := postgres.New(postgres.Options{
		URL: config.OneConnection(a.cfg.StoreURL()), Installation: string(a.store.Epoch()), Observer: a.busObserver("postgres"),
		Guard: a.report.guard,
	})
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	a.notices, a.bus = link, link
	return nil
}

// checked is a bus that reports whether it works.
type checked interface {
	Check(ctx context.Context) error
}

// busObserver counts the messages of the bus with this name, and logs when it
// works and when it does not.
func (a *App) busObserver(name string) bus.Observer {
	m := a.metrics.Bus
	return bus.Observer{
		Connected: func() {
			m.Connected(true)
			a.troubles.bus.Over(a.base)
		},
		Lost: func(why error) {
			m.Connected(false)
			a.troubles.bus.Met(a.base, "bus", name, "cause", why)
		},
		Sent: m.Sent, Received: m.Received, Dropped: m.Dropped,
	}
}

// shared reports whether other nodes may use the same store.
func (a *App) shared() bool { return a.bus != nil || !ownStore(&a.cfg) }

// loginsSeen returns the function by which delivery learns when the logins that
// ended on other nodes were last read: a node that cannot read them writes
// nothing live (contract D13). It is nil if there are no other nodes.
func (a *App) loginsSeen() func() clock.Moment {
	if !a.shared() {
		return nil
	}
	return func() clock.Moment { return a.watch.Seen() }
}

// newWatch returns the watch that ends the connections of logins that ended on
// other nodes.
func (a *App) newWatch() *auth.Watch {
	return a.auth.NewWatch(a.live.Logins, func(p auth.Principal) { a.live.EndLogin(p.LoginID) })
}

// allowances returns the rate limits that nodes share; nil without Redis.
func (a *App) allowances() httpapi.Shared {
	if a.redis == nil {
		return nil
	}
	return func(ctx context.Context, name, key string, r httpapi.Rate, want int) (int, time.Duration, error) {
		return a.redis.Take(ctx, name, key, r.PerSecond, r.Burst, want)
	}
}

func (a *App) storeReady(ctx context.Context) error {
	_, err := a.store.Positions(ctx)
	return cmp.Or(a.store.Failed(), err)
}

func (a *App) checks() []httpapi.Check {
	list := []httpapi.Check{
		{Name: "store", Test: a.storeReady},
		{Name: "readers", Test: a.readersRun, Soft: true},
		{Name: "checkpoints", Test: func(context.Context) error { return a.keeper.Failure() }, Soft: true},
	}
	if a.redis != nil {
		list = append(list, httpapi.Check{Name: "redis", Test: a.redis.Check, Soft: true})
	}
	if a.notices != nil {
		list = append(list, httpapi.Check{Name: a.cfg.BusKind(), Test: a.notices.Check, Soft: true})
	}
	return list
}
