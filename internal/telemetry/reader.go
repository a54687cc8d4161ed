package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

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
