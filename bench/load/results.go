package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong/internal/bench"
)

// figures are what the rounds of a scenario have measured, by name.
type figures map[string][]float64

// figuresOf returns the figures of one round by name; 0 means that a figure was
// not measured.
func figuresOf(r *bench.Result) map[string]float64 {
	m := map[string]float64{
		"posts/s": r.PostsPerSecond, "deliveries/s": r.DeliveriesPerSecond, "connects/s": r.ConnectsPerSecond,
		"faults": float64(r.Lost + r.Doubled + r.OutOfOrder + r.Unanswered + r.Broken),
	}
	for name, q := range map[string]*bench.Quantiles{"ack": r.Ack, "delivery": r.Delivery, "return": r.Return} {
		if q != nil {
			m[name+" p50 ms"], m[name+" p99 ms"] = q.P50, q.P99
		}
	}
	if s := r.Server; s != nil {
		maps.Copy(m, map[string]float64{
			"CPU µs per post": s.CPUPerPost, "CPU-s per million": s.CPUPerMillion, "CPU ms per connect": s.CPUPerConnect,
			"KB written per post": s.KBWrittenPerPost, "write calls per post": s.WritesPerPost, "read calls per post": s.ReadsPerPost,
			"allocations per post": s.AllocsPerPost, "KB per connection": s.KBPerConnection, "resident MB": s.ResidentMB,
			"peak MB": s.PeakMB,
			"CPU s":   s.CPUSeconds,
		})
	}
	return m
}

// ratios are figures of the server divided by those of its bare loop.
var ratios = [][2]string{
	{"posts/s", "SQLite rows/s"}, {"posts/s", "append + fdatasync records/s"}, {"CPU µs per post", "SQLite CPU µs per row"},
	{"deliveries/s", "writes deliveries/s"}, {"CPU-s per million", "writes CPU-s per million"},
	{"delivery p50 ms", "writes p50 ms"}, {"delivery p99 ms", "writes p99 ms"},
}

func (f figures) add(m map[string]float64) {
	for name, v := range m {
		if v != 0 {
			f[name] = append(f[name], v)
		}
	}
}

// divide adds the ratios of one round.
func divide(server, bare map[string]float64) map[string]float64 {
	m := map[string]float64{}
	for _, r := range ratios {
		if server[r[0]] > 0 && bare[r[1]] > 0 {
			m[r[0]+" ÷ bare "+r[1]] = server[r[0]] / bare[r[1]]
		}
	}
	return m
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// table returns the medians of the rounds, as Markdown.
func table(names []string, all map[string]figures, rounds int, length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, medians of %d rounds of %s, each bare loop before its server:\n\n",
		time.Now().UTC().Format(time.DateOnly), rounds, length)
	b.WriteString("| scenario | figure | median | lowest to highest |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		for _, figure := range slices.Sorted(maps.Keys(all[name])) {
			v := all[name][figure]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s to %s |\n",
				name, figure, digits(median(v)), digits(slices.Min(v)), digits(slices.Max(v)))
		}
	}
	return b.String()
}

// digits returns a figure with three digits, or all digits of a whole number.
func digits(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// keep writes a table between the marks of a page.
func keep(path, table string) error {
	const begin, end = "<!-- measured -->\n", "<!-- /measured -->"
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return fmt.Errorf("%s has no place between measured marks", path)
	}
	return os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
}
