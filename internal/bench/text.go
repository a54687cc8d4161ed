package bench

import (
	"fmt"
	"strings"
)

// Text returns the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	for _, s := range r.Results {
		s.text(&b)
	}
	return b.String()
}

func (r *Result) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s\n", r.Scenario, r.About)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	if r.Posts > 0 {
		line("posts", "%d, %s/s, %s", r.Posts, number(r.PostsPerSecond), r.schedule())
	}
	if r.Deliveries > 0 {
		line("deliveries", "%d, %s/s", r.Deliveries, number(r.DeliveriesPerSecond))
	}
	if r.ConnectsPerSecond > 0 {
		line("connects", "%s/s", number(r.ConnectsPerSecond))
	}
	for _, q := range []struct {
		name string
		*Quantiles
	}{{"ack ms", r.Ack}, {"delivery ms", r.Delivery}, {"connect ms", r.Connect}, {"return ms", r.Return}} {
		if q.Quantiles != nil {
			line(q.name, "p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
				number(q.P50), number(q.P90), number(q.P99), number(q.P999), number(q.Max))
		}
	}
	line("checked", "%d lost, %d doubled, %d out of order, %d unanswered, %d connections broken",
		r.Lost, r.Doubled, r.OutOfOrder, r.Unanswered, r.Broken)
	if r.RateLimited > 0 {
		line("429", "the server limited the rate %d times: these are the figures of its limits (command-rate, address-rate)",
			r.RateLimited)
	}
	if r.Error != "" {
		line("error", "%s", r.Error)
	}
}

func (r *Result) schedule() string {
	if r.Schedule == "open" {
		return fmt.Sprintf("open schedule of %s/s", number(r.Rate))
	}
	return fmt.Sprintf("closed schedule, %d in flight for each poster", r.InFlight)
}
