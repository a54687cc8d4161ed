package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Live counts events of delivery. Transports are ws, sse and poll; reasons are
// fixed words of the caller, never text of a client.
type Live struct {
	sessions      *prometheus.GaugeVec
	subscriptions prometheus.Gauge
	bridge        *prometheus.CounterVec
	wrote         map[string]written // by transport: looked up once, not at each write
	delay         prometheus.Observer
	replayed      prometheus.Counter
	catchUps      *prometheus.GaugeVec
	drops         *prometheus.CounterVec
}

type written struct{ frames, bytes prometheus.Counter }

func newLive(r prometheus.Registerer) *Live {
	frames := counter(r, "gotong_live_frames_total", "Frames written.", "transport")
	bytes := counter(r, "gotong_live_sent_bytes_total", "Bytes of frames written.", "transport")
	wrote := map[string]written{}
	for _, t := range []string{"ws", "sse", "poll"} {
		wrote[t] = written{frames.WithLabelValues(t), bytes.WithLabelValues(t)}
	}
	return &Live{
		sessions:      gauge(r, "gotong_live_sessions", "Open sessions.", "transport"),
		subscriptions: gauge(r, "gotong_live_subscriptions", "Open subscriptions.").WithLabelValues(),
		bridge: counter(r, "gotong_api_chat_realtime_bridge_events_total",
			"Sessions opened and closed, subscriptions begun and ended.", "event", "transport", "reason"),
		wrote: wrote,
		delay: histogram(r, "gotong_live_delivery_seconds",
			"From an event's commit to its write to a connection.", seconds).WithLabelValues(),
		replayed: counter(r, "gotong_live_replayed_events_total",
			"Events delivered from the store to sessions that were behind.").WithLabelValues(),
		catchUps: gauge(r, "gotong_live_catchups", "Page reads for sessions that are behind.", "state"),
		drops:    counter(r, "gotong_live_drops_total", "Signals, offered commits and rings that were dropped, by reason.", "reason"),
	}
}

// SessionOpened counts a new session.
func (l *Live) SessionOpened(transport string) {
	l.sessions.WithLabelValues(transport).Inc()
	l.bridge.WithLabelValues("session_opened", transport, "").Inc()
}

// SessionClosed counts the end of a session, with its reason.
func (l *Live) SessionClosed(transport, reason string) {
	l.sessions.WithLabelValues(transport).Dec()
	l.bridge.WithLabelValues("session_closed", transport, reason).Inc()
}

// Subscribed counts a new subscription.
func (l *Live) Subscribed(transport string) {
	l.subscriptions.Inc()
	l.bridge.WithLabelValues("subscribed", transport, "").Inc()
}

// Unsubscribed counts the end of a subscription, with its reason.
func (l *Live) Unsubscribed(transport, reason string) {
	l.subscriptions.Dec()
	l.bridge.WithLabelValues("unsubscribed", transport, reason).Inc()
}

// Wrote counts a write to a connection, which may hold several frames.
func (l *Live) Wrote(transport string, frames, bytes int) {
	if w, ok := l.wrote[transport]; ok {
		w.frames.Add(float64(frames))
		w.bytes.Add(float64(bytes))
	}
}

// Delivered records the time from the commit of an event to its write. Call it
// for a sample of the events if there are very many.
func (l *Live) Delivered(after time.Duration) { l.delay.Observe(after.Seconds()) }

// Replayed counts events that were read from the store.
func (l *Live) Replayed(events int) { l.replayed.Add(float64(events)) }

// CatchUpWaiting adds to the page reads that wait for a slot: 1 when a wait
// begins, -1 when it ends.
func (l *Live) CatchUpWaiting(change int) { l.catchUps.WithLabelValues("waiting").Add(float64(change)) }

// CatchUpRunning adds to the running page reads: 1 when one begins, -1 when it
// ends.
func (l *Live) CatchUpRunning(change int) { l.catchUps.WithLabelValues("running").Add(float64(change)) }

// Dropped counts n drops with this reason.
func (l *Live) Dropped(reason string, n int) { l.drops.WithLabelValues(reason).Add(float64(n)) }

// Bus counts messages between nodes.
type Bus struct {
	connected prometheus.Gauge
	sent      prometheus.Counter
	received  prometheus.Counter
	drops     prometheus.Counter
}

func newBus(r prometheus.Registerer) *Bus {
	messages := counter(r, "gotong_bus_messages_total", "Messages between nodes.", "direction")
	return &Bus{
		connected: gauge(r, "gotong_bus_connected", "1 while messages between nodes are sent and received, else 0.").WithLabelValues(),
		sent:      messages.WithLabelValues("out"),
		received:  messages.WithLabelValues("in"),
		drops:     counter(r, "gotong_bus_drops_total", "Messages between nodes that were dropped.").WithLabelValues(),
	}
}

// Connected sets whether messages are sent and received.
func (b *Bus) Connected(up bool) {
	b.connected.Set(0)
	if up {
		b.connected.Set(1)
	}
}

// Sent counts messages to other nodes.
func (b *Bus) Sent(n int) { b.sent.Add(float64(n)) }

// Received counts messages of other nodes.
func (b *Bus) Received(n int) { b.received.Add(float64(n)) }

// Dropped counts messages that were dropped.
func (b *Bus) Dropped(n int) { b.drops.Add(float64(n)) }

// Auth counts sign-ins, tokens and password hashes.
type Auth struct {
	attempts *prometheus.CounterVec
	verified *prometheus.CounterVec
	hashing  prometheus.Observer
	waiting  prometheus.Gauge
}

func newAuth(r prometheus.Registerer) *Auth {
	return &Auth{
		attempts: counter(r, "gotong_auth_attempts_total",
			"Sign-ups, sign-ins, refreshes, logouts and tickets: ok, or the code of the error.", "action", "result"),
		verified: counter(r, "gotong_auth_verifications_total",
			"Tokens verified: cached, checked, or refused.", "result"),
		hashing: histogram(r, "gotong_auth_hash_seconds", "The time to compute one password hash.", seconds).WithLabelValues(),
		waiting: gauge(r, "gotong_auth_hash_waiting", "Password hashes that wait for a processor.").WithLabelValues(),
	}
}

// Attempted counts a sign-up, sign-in, refresh, logout or ticket. The result is
// "ok" or the code of the error.
func (a *Auth) Attempted(action, result string) { a.attempts.WithLabelValues(action, result).Inc() }

// Verified counts a token: cached, checked or refused.
func (a *Auth) Verified(result string) { a.verified.WithLabelValues(result).Inc() }

// Hashed records the time to compute one password hash.
func (a *Auth) Hashed(took time.Duration) { a.hashing.Observe(took.Seconds()) }

// HashWaiting adds to the waiting hashes: 1 when a wait begins, -1 when it ends.
func (a *Auth) HashWaiting(change int) { a.waiting.Add(float64(change)) }

// Check counts what the background check of the log finds.
type Check struct {
	faults *prometheus.CounterVec
	rounds prometheus.Observer
}

func newCheck(r prometheus.Registerer) *Check {
	return &Check{
		faults: counter(r, "gotong_check_faults_total",
			"Rows found that do not match the log, each counted once per process.", "sort"),
		rounds: histogram(r, "gotong_check_round_seconds",
			"How long a whole round of the background check took.", prometheus.ExponentialBuckets(1, 4, 10)).WithLabelValues(),
	}
}

// Fault counts a row that does not match the log.
func (c *Check) Fault(sort string) { c.faults.WithLabelValues(sort).Inc() }

// Ended observes a whole round.
func (c *Check) Ended(took time.Duration) { c.rounds.Observe(took.Seconds()) }

// Webhooks measures what is sent to webhooks.
type Webhooks struct {
	attempts          *prometheus.HistogramVec
	warned, disabling prometheus.Counter
}

func newWebhooks(r *prometheus.Registry) *Webhooks {
	return &Webhooks{
		attempts: histogram(r, "gotong_webhook_attempt_seconds",
			"Time of an attempt to deliver an event to a webhook, by its outcome.", []float64{.01, .05, .25, 1, 5, 15}, "outcome"),
		warned: counter(r, "gotong_webhook_warnings_total",
			"Warnings that a webhook accepts nothing and will be disabled.").WithLabelValues(),
		disabling: counter(r, "gotong_webhooks_disabled_total",
			"Webhooks that were disabled because they accepted nothing for 120 hours or answered 410.").WithLabelValues(),
	}
}

// Attempted records an attempt.
func (w *Webhooks) Attempted(outcome string, d time.Duration) {
	w.attempts.WithLabelValues(outcome).Observe(d.Seconds())
}

// Warned counts a warning.
func (w *Webhooks) Warned() { w.warned.Inc() }

// Disabled counts a webhook that was disabled.
func (w *Webhooks) Disabled() { w.disabling.Inc() }

// EdgePod counts calls of the Edge-Pod's contracts and the advice of the server's
// own calls.
type EdgePod struct {
	calls, fallbacks, unavailable, advice *prometheus.CounterVec

	took *prometheus.HistogramVec
}

func newEdgePod(r prometheus.Registerer) *EdgePod {
	return &EdgePod{
		calls: counter(r, "gotong_edgepod_calls_total",
			"Calls of contracts, by outcome: ok, or the reason of the fallback.", "contract", "provider", "version", "outcome"),
		fallbacks: counter(r, "gotong_edgepod_fallback_total",
			"Calls that the fallback answered, by reason.", "endpoint", "reason_code"),
		unavailable: counter(r, "gotong_edgepod_model_unavailable_total",
			"Calls that the fallback answered because no model was available.", "endpoint"),
		advice: counter(r, "gotong_edgepod_advice_total",
			"Messages for which moderation advice was due, by outcome: nothing, proposed, fallback, late.", "outcome"),
		took: histogram(r, "gotong_edgepod_call_seconds",
			"How long calls took, with all attempts.", seconds, "contract", "provider"),
	}
}

// Called counts a call; reason is empty if the answer was not the fallback.
func (p *EdgePod) Called(contract, provider, version, outcome, reason string, took time.Duration) {
	p.calls.WithLabelValues(contract, provider, version, outcome).Inc()
	p.took.WithLabelValues(contract, provider).Observe(took.Seconds())
	if reason != "" {
		p.fallbacks.WithLabelValues(contract, reason).Inc()
	}
	if reason == "MODEL_UNAVAILABLE" {
		p.unavailable.WithLabelValues(contract).Inc()
	}
}

// Advised counts a message for which moderation advice was due.
func (p *EdgePod) Advised(outcome string) { p.advice.WithLabelValues(outcome).Inc() }

// ReaderStatus is where a reader is in a partition that this node runs.
type ReaderStatus struct {
	Reader    string
	Partition int
	Lag       uint64  // commits that it has not processed
	Behind    float64 // seconds since it was last at the end; 0 if it is there
	Stopped   bool
}

// readers collects the status of readers and queues at each scrape.
type readers struct {
	status                         func() []ReaderStatus
	late                           func() map[string]float64
	lag, behind, stopped, lateness *prometheus.Desc
}

// Readers exports the status of readers, and by how many seconds the oldest due
// job of each queue is late. Both functions are called at each scrape.
func (m *Metrics) Readers(status func() []ReaderStatus, late func() map[string]float64) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&readers{
		status: status, late: late,
		lag: desc("gotong_reader_lag",
			"Commits of a partition that a reader has not processed yet.", "reader", "partition"),
		behind: desc("gotong_reader_behind_seconds",
			"Time since a reader had processed a whole partition; 0 if it has.", "reader", "partition"),
		stopped: desc("gotong_reader_stopped",
			"1 if a reader stopped in a partition, because it cannot process a commit, else 0.", "reader", "partition"),
		lateness: desc("gotong_job_late_seconds",
			"Time since the oldest job of a queue that waits was due.", "queue"),
	})
}

// Describe implements [prometheus.Collector].
func (r *readers) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.lag, r.behind, r.stopped, r.lateness} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (r *readers) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range r.status() {
		p, stopped := strconv.Itoa(s.Partition), 0.0
		if s.Stopped {
			stopped = 1
		}
		gauge(r.lag, float64(s.Lag), s.Reader, p)
		gauge(r.behind, s.Behind, s.Reader, p)
		gauge(r.stopped, stopped, s.Reader, p)
	}
	for queue, seconds := range r.late() {
		gauge(r.lateness, seconds, queue)
	}
}
