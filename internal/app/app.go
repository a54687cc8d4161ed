package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/bus"
	"gotong.dev/gotong/internal/bus/redis"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/realtime"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/mail"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/telemetry"
	"gotong.dev/gotong/internal/view"
)

// Build names the source of the binary.
type Build struct{ Version, Commit string }

// Options configure a server. Config and Log are required.
type Options struct {
	Config config.Config
	Build  Build
	Log    *slog.Logger

	// Clock replaces the machine's, in tests. Only the machine's is compared with that of a database.
	Clock clock.Clock

	// HashProgram is the program that hashes passwords in processes of its own, as
	// [auth.Options] describes; empty: they are hashed in this process.
	HashProgram string

	// CheckpointsNew accepts that there are no checkpoints although the log is not
	// empty. AcceptRollback accepts a log that does not continue the one of the
	// checkpoints, and begins a new epoch; KeepLogins then keeps the logins.
	CheckpointsNew, AcceptRollback, KeepLogins bool

	kinds []kind // added to those of the server; for tests

	// HookWaits, for tests, replaces the waits and the timeout of webhooks.
	HookWaits HookWaits

	// Wrap, if not nil, returns the store that the server uses in place of the
	// opened one. Tests make storage fail with it.
	Wrap func(store.Whole) store.Whole
}

// App is one server.
type App struct {
	cfg    config.Config
	log    *slog.Logger
	report report

	clock    clock.Clock
	compared func() gotong.Instant // with a database's clock; nil: none is
	ahead    ahead

	troubles *troubles
	rejected atomic.Uint64 // tokens since the start

	hashProgram string
	hookWaits   HookWaits

	kinds  []kind
	codec  *store.Codec
	bare   store.Whole // does not report damage; for the check, which reports it itself
	store  store.Store
	damage *watchful // the same store
	keeper *audit.Keeper

	checkpoints io.Closer // the lock of their directory; nil: none

	engine  *engine.Engine
	readers *reader.Runner
	views   *view.Views
	hub     *live.Hub
	auth    *auth.Service
	live    *realtime.Server
	watch   *auth.Watch
	redis   *redis.Link // nil without Redis
	notices checked     // the bus, if it uses the database; else nil
	bus     bus.Bus     // one of the two; nil: this node receives nothing from others
	allow   *httpapi.Limiter
	pod     *edgepod.Boundary
	pusher  *push.Pusher // nil: push is off
	mailer  *mail.Mailer // nil: no mail is sent
	files   *files.Files
	linkKey []byte // signs links to attachments
	metrics *telemetry.Metrics
	tracing *telemetry.Tracing

	database *surreal.Client // the connection of notices

	base     context.Context //nolint:containedctx // the context of all background work
	stop     context.CancelFunc
	draining atomic.Bool

	main, admin         *http.Server
	mainPort, adminPort net.Listener
}

// New opens the store and listens on both addresses. The caller must call
// [App.Run], which also closes what New opened.
func New(ctx context.Context, opts Options) (*App, error) {
	a := &App{cfg: opts.Config, log: opts.Log, clock: opts.Clock, hashProgram: opts.HashProgram, hookWaits: opts.HookWaits}
	tracks, err := tracksOf(&opts.Config)
	if err != nil {
		return nil, err
	}
	a.kinds = append(kinds(accountsOf(&opts.Config), tracks), opts.kinds...)
	if a.clock == nil {
		a.clock = clock.System()
	}
	a.troubles = newTroubles(a.log, a.clock)
	a.ahead = ahead{log: a.log, clock: a.clock, state: &a.troubles.ahead}
	if opts.Clock == nil {
		a.compared = a.now
	}
	a.base, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.build(ctx, opts); err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *App) now() gotong.Instant { return a.clock.Now() }

// committing measures a transaction that has commits. It is called at its
// beginning, and ended at its end.
func (a *App) committing(commits int) (ended func()) {
	began := a.clock.Mono()
	return func() { a.metrics.Engine.Committing(commits, a.clock.Mono().Sub(began)) }
}

func (a *App) delivery() telemetry.Health {
	stats := a.hub.Stats()
	return telemetry.Health{Silent: stats.Silent, Stale: stats.Stale, RingBytes: stats.RingBytes}
}

// build creates every part, from the store upwards.
func (a *App) build(ctx context.Context, opts Options) error {
	b, wrap := opts.Build, opts.Wrap
	if needsSigningKey(&a.cfg) { // before anything is created
		return ErrSigningKey
	}
	build := telemetry.Build{Version: b.Version, Revision: b.Commit}
	a.metrics = telemetry.NewMetrics(build)
	var err error
	a.tracing, err = telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Endpoint: a.cfg.OTelEndpoint, Sample: a.cfg.OTelSample, Build: build,
	})
	if err != nil {
		return err
	}
	if err := a.makeDirectory(); err != nil {
		return err
	}
	rules := rulesOf(a.kinds)
	a.codec = store.NewCodec(rules)
	opened, found, err := openStore(ctx, &a.cfg, rules, a.now, a.compared, a.committing, a.log)
	if err != nil {
		return err
	}
	if wrap != nil {
		opened = wrap(opened)
	}
	a.keep(opened)
	a.metrics.Store(a.store.Failed)
	a.report.created = append(a.report.created, found.created...)
	a.report.notes = append(a.report.notes, found.notes...)
	if err := a.openKeeper(ctx, opts); err != nil {
		return err
	}
	if err := a.newBus(ctx); err != nil {
		return err
	}
	if err := a.openFiles(ctx); err != nil {
		return err
	}
	a.views, a.pod = a.newViews(), a.newPod()
	a.hub = a.newHub()
	a.metrics.Delivery(a.delivery)
	a.engine = a.newEngine()
	secret, err := a.secret()
	if err != nil {
		return err
	}
	if a.pusher, err = a.newPusher(secret); err != nil {
		return err
	}
	// After the engine, whose jobs it runs, and before anything can commit.
	if a.readers, err = a.newReaders(b); err != nil {
		return err
	}
	if err := errors.Join(a.newAuth(secret), a.newMailer()); err != nil {
		return err
	}
	a.allow = httpapi.NewLimiter("command",
		httpapi.Rate{PerSecond: a.cfg.CommandRate, Burst: a.cfg.CommandBurst}, a.allowances())
	a.live = a.newRealtime()
	a.watch = a.newWatch()
	return a.listen(ctx, a.newServer(b))
}

func (a *App) newEngine() *engine.Engine {
	return engine.New(engine.Options{
		Store: a.store, Codec: a.codec, Clock: a.clock, Decided: a.metrics.Engine.Decided, Committed: a.committed,
		Ahead: a.ahead.warn, Damage: a.damage.place,
		Fault: func(ctx context.Context, cause any) {
			a.log.ErrorContext(ctx, "an internal error ended a command", "cause", cause, "stack", string(debug.Stack()))
		},
	})
}

// checkModes rejects the server's directories if all users of the machine may write
// to them: they could replace its files.
func (a *App) checkModes() error {
	for _, dir := range []string{a.cfg.Data, a.cfg.CheckpointsDir()} {
		info, err := os.Stat(dir)
		switch {
		case err != nil || runtime.GOOS == "windows": // which has no such modes
		case info.Mode().Perm()&0o002 != 0:
			return fmt.Errorf("all users of this machine may write to the directory %s; run: chmod o-w %s", dir, dir)
		case info.Mode().Perm()&0o020 != 0:
			a.report.notes = append(a.report.notes, "The group may write to the directory "+dir+"; to change that: chmod g-w "+dir)
		}
	}
	return nil
}

func (a *App) makeDirectory() error {
	if err := a.checkModes(); err != nil {
		return err
	}
	_, err := os.Stat(a.cfg.Data)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("the data directory cannot be created: %w", err)
	}
	a.report.created = append(a.report.created, "The data directory "+a.cfg.Data)
	return nil
}

// committed passes new events to the parts that need them at once. All other
// parts read the log.
func (a *App) committed(ctx context.Context, rows []store.Event) {
	a.auth.Committed(ctx, rows)
	for i := range rows {
		if t := rows[i].Type; t == user.EvBlocked || t == user.EvUnblocked || t == user.EvPreferred {
			a.inboxChanged(rows[i].Stream.ID())
		}
	}
	a.hub.Offer(ctx, rows)
	a.readers.Committed(rows)
}

// listen binds both addresses, so that an address in use is reported before
// anything runs.
func (a *App) listen(ctx context.Context, s *httpapi.Server) error {
	var lc net.ListenConfig
	var err error
	if a.mainPort, err = inherited(); err != nil {
		return fmt.Errorf("the socket of systemd: %w", err)
	}
	if a.mainPort == nil {
		a.mainPort, err = lc.Listen(ctx, "tcp", a.cfg.Addr)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s (choose another with --addr): %w", a.cfg.Addr, err)
	}
	if a.adminPort, err = lc.Listen(ctx, "tcp", a.cfg.AdminAddr); err != nil {
		return fmt.Errorf("cannot listen on %s (choose another with --admin-addr): %w", a.cfg.AdminAddr, err)
	}
	a.mainPort = s.Listener(a.mainPort)
	a.main = httpapi.HTTPServer(s.Handler(), a.log)
	a.admin = httpapi.HTTPServer(s.Admin(), a.log)
	return nil
}

// URL returns the address of the API.
func (a *App) URL() string { return "http://" + a.mainPort.Addr().String() }

// AdminURL returns the address of metrics and profiling.
func (a *App) AdminURL() string { return "http://" + a.adminPort.Addr().String() }

// Created returns what this start created, as text for operators.
func (a *App) Created() []string { return a.report.created }

// Notes returns what operators should know about the store, as text.
func (a *App) Notes() []string { return a.report.notes }

// parts are what runs in the background. Each runs until its context ends, and
// returns when nothing of it runs any more.
func (a *App) parts() []func(context.Context) error {
	return []func(context.Context) error{
		a.hub.Run, a.live.Run, a.watch.Run, a.newCheck().Run, a.readers.Run, a.keepCheckpoints,
		func(ctx context.Context) error { a.ahead.look(ctx, a.bare); return nil },
		giveBack, a.pushes, a.mails, a.lookOut,
		func(context.Context) error { return serve(a.main, a.mainPort) },
		func(context.Context) error { return serve(a.admin, a.adminPort) },
	}
}

// serve returns nil once the server is shut down.
func serve(s *http.Server, port net.Listener) error {
	if err := s.Serve(port); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Run serves until ctx ends, or until serving or storage fails, which it returns
// as an error. It then drains: sessions receive going_away and requests in
// flight finish, within the grace of the configuration. It returns when nothing
// of the server runs any more.
func (a *App) Run(ctx context.Context) error {
	running, ended := errgroup.WithContext(a.base)
	for _, run := range a.parts() {
		running.Go(func() error { return run(a.base) })
	}
	tell := a.started(running)
	var cause error
	select {
	case <-ctx.Done():
	case <-a.engine.Failed():
		cause = a.engine.Cause()
	case <-ended.Done(): // a part failed: Wait returns why
	}
	tell("STOPPING=1")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.ShutdownGrace)
	defer cancel()
	cause = errors.Join(cause, a.drain(grace))
	a.stop()
	cause = errors.Join(cause, a.admin.Close())
	cause = errors.Join(cause, running.Wait())
	return errors.Join(cause, a.close(grace))
}

// drain closes sessions in good order, and waits for the requests in flight.
func (a *App) drain(ctx context.Context) error {
	a.draining.Store(true)
	if err := a.hub.Drain(ctx); err != nil {
		a.log.WarnContext(ctx, "connections were cut, because they did not close in time", "cause", err)
	}
	err := a.main.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.main.Close()
	}
	return err
}

// close closes what was opened, in the reverse order. It skips parts that were
// never created.
func (a *App) close(ctx context.Context) error {
	a.stop()
	var errs []error
	if a.admin != nil {
		errs = append(errs, a.admin.Close())
	}
	for _, port := range []net.Listener{a.mainPort, a.adminPort} {
		if port != nil {
			if err := port.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if a.engine != nil {
		errs = append(errs, a.engine.Close(ctx))
	}
	if a.auth != nil {
		a.auth.Close()
	}
	if a.database != nil {
		a.database.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.checkpoints != nil {
		errs = append(errs, a.checkpoints.Close())
	}
	if a.tracing != nil {
		errs = append(errs, a.tracing.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
