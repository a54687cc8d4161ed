package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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
