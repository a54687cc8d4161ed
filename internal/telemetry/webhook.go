package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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
