package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Build is the version of this binary.
type Build struct{ Version, Revision string }

// Metrics are all metrics of a node, in a registry of their own. The parts are
// safe for concurrent use and satisfy the observers of the packages whose names
// they have.
type Metrics struct {
	HTTP   *HTTP
	Engine *Engine
	Live   *Live
	Auth   *Auth
	Bus    *Bus
	Check  *Check
	Pod    *EdgePod

	Webhooks *Webhooks

	damage   prometheus.Counter
	pushes   *prometheus.CounterVec
	mails    *prometheus.CounterVec
	jobs     *prometheus.CounterVec
	registry *prometheus.Registry
}

// NewMetrics registers all metrics, including those of the Go runtime and the
// process.
func NewMetrics(b Build) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gotong_build_info", Help: "The version of this binary; always 1.",
	}, []string{"version", "revision", "goversion"})
	r.MustRegister(info)
	info.WithLabelValues(b.Version, b.Revision, runtime.Version()).Set(1)
	return &Metrics{
		jobs: counter(r, "gotong_jobs_total", "Runs of jobs, by how they ended.", "queue", "outcome"),
		HTTP: newHTTP(r), Engine: newEngine(r), Live: newLive(r), Auth: newAuth(r), Bus: newBus(r), Check: newCheck(r), Pod: newEdgePod(r),
		Webhooks: newWebhooks(r), registry: r,
		pushes: counter(r, "gotong_push_total", "Requests to push services, by outcome: accepted, gone, failed, rejected.", "outcome"),
		mails:  counter(r, "gotong_mail_total", "Requests for mail, by outcome: sent, failed, dropped because too many waited.", "outcome"),
		damage: counter(r, "gotong_store_damage_total",
			"Places of the log that are missing or do not match, each counted once.").WithLabelValues(),
	}
}

// Pushed counts a request to a push service.
func (m *Metrics) Pushed(outcome string) { m.pushes.WithLabelValues(outcome).Inc() }

// Mailed counts a request for mail.
func (m *Metrics) Mailed(outcome string) { m.mails.WithLabelValues(outcome).Inc() }

// Handler serves the metrics in the Prometheus text formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Registerer returns the registry for metrics of package app, such as the size
// of a file.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// Store exports whether the store accepts writes.
func (m *Metrics) Store(failed func() error) {
	m.shows("gotong_store_failed", "1 once the store accepts no more writes until a restart, else 0.", func() float64 {
		if failed() != nil {
			return 1
		}
		return 0
	})
}

// Witnesses exports for how long the witnesses have not cosigned.
func (m *Metrics) Witnesses(age func() time.Duration) {
	m.shows("gotong_audit_cosigned_age_seconds", "For how long the quorum of witnesses has not cosigned every partition.",
		func() float64 { return age().Seconds() })
}

// Damaged counts a place of the log that is missing or does not match.
func (m *Metrics) Damaged() { m.damage.Inc() }

// JobEnded counts a run of a job.
func (m *Metrics) JobEnded(queue, outcome string) { m.jobs.WithLabelValues(queue, outcome).Inc() }

// Health is the health of delivery.
type Health struct {
	Silent    int // partitions that it cannot follow
	Stale     int // subscriptions whose rights are being read anew
	RingBytes int // of frames kept in memory
}

// Delivery shows the health of delivery; health is called at each scrape.
func (m *Metrics) Delivery(health func() Health) {
	m.shows("gotong_live_silent_partitions",
		"Partitions whose events this node cannot deliver, because it cannot read them to the end.",
		func() float64 { return float64(health().Silent) })
	m.shows("gotong_live_stale_subscriptions", "Subscriptions that receive nothing until their rights are read anew.",
		func() float64 { return float64(health().Stale) })
	m.shows("gotong_live_ring_bytes", "Size of the recent frames that are kept in memory.",
		func() float64 { return float64(health().RingBytes) })
}

// shows exports what value returns at each scrape.
func (m *Metrics) shows(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Gatherer returns the metrics, for tests.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// seconds are the bucket bounds of every duration: 0.1 ms to 10 s.
var seconds = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

func counter(r prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

func gauge(r prometheus.Registerer, name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	r.MustRegister(g)
	return g
}

func histogram(
	r prometheus.Registerer, name, help string, buckets []float64, labels ...string,
) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	r.MustRegister(h)
	return h
}

// HTTP counts requests.
type HTTP struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	refused  prometheus.Counter
}

func newHTTP(r prometheus.Registerer) *HTTP {
	return &HTTP{
		requests: counter(r, "gotong_api_http_requests_total",
			"Requests answered, by route template.", "method", "route", "status", "result"),
		took: histogram(r, "gotong_api_http_request_duration_seconds",
			"From the request's head to the end of the answer; streams are left out.", seconds, "method", "route"),
		errors: counter(r, "gotong_api_http_errors_total",
			"Requests answered with an error, by the code of the problem.", "route", "code"),
		refused: counter(r, "gotong_api_connections_refused_total",
			"Connections closed at once, because too many others had not authenticated.").WithLabelValues(),
	}
}

// Refused counts a connection that was closed at once, because too many others
// had not authenticated.
func (h *HTTP) Refused() { h.refused.Inc() }

// Served counts an answered request, by the route's template, never its path,
// and by the code of the problem, empty if there was none.
func (h *HTTP) Served(method, route string, status int, code string, took time.Duration) {
	result := "ok"
	switch {
	case status >= http.StatusInternalServerError:
		result = "server_error"
	case status >= http.StatusBadRequest:
		result = "client_error"
	}
	method = knownMethod(method)
	h.requests.WithLabelValues(method, route, strconv.Itoa(status), result).Inc()
	h.took.WithLabelValues(method, route).Observe(took.Seconds())
	if code != "" {
		h.errors.WithLabelValues(route, code).Inc()
	}
}

// knownMethod bounds a label whose values clients could otherwise choose
// freely.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "other"
	}
}

// Engine counts events of the write path.
type Engine struct {
	commands *prometheus.CounterVec
	batch    prometheus.Observer
	took     prometheus.Observer
}

func newEngine(r prometheus.Registerer) *Engine {
	return &Engine{
		commands: counter(r, "gotong_commands_total",
			"Commands answered: committed, no_op, replayed, or the code of the error.", "kind", "outcome"),
		batch: histogram(r, "gotong_commit_batch_size",
			"Commits that shared one transaction.", prometheus.ExponentialBuckets(1, 2, 10)).WithLabelValues(),
		took: histogram(r, "gotong_commit_seconds",
			"How long the store took for one transaction, sync included.", seconds).WithLabelValues(),
	}
}

// Committing records a batch that went to the store.
func (e *Engine) Committing(commits int, took time.Duration) {
	e.batch.Observe(float64(commits))
	e.took.Observe(took.Seconds())
}

// Decided counts a command, by its outcome.
func (e *Engine) Decided(kind, fate string) { e.commands.WithLabelValues(kind, fate).Inc() }
