package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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
