package bench

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"math"
	"text/template"
)

// Chart is a chart of horizontal bars on a logarithmic scale.
type Chart struct {
	Title  string
	Series []string // names of the values of a row
	Rows   []Row
}

// Row is one label with a bar for each value; 0 has no bar, and a row without bars is not drawn.
type Row struct {
	Label  string
	Values []float64
}

// Latency charts one latency of each result: that of deliveries if there are
// any, and otherwise of acknowledgements, of returns or of connects.
func (r Report) Latency() Chart {
	c := Chart{Title: "Latency in ms", Series: []string{"p50", "p99", "max"}}
	for _, s := range r.Results {
		for _, q := range []struct {
			what string
			*Quantiles
		}{{"delivery", s.Delivery}, {"ack", s.Ack}, {"return", s.Return}, {"connect", s.Connect}} {
			if q.Quantiles != nil {
				c.Rows = append(c.Rows, Row{s.Scenario + ": " + q.what, []float64{q.P50, q.P99, q.Max}})
				break
			}
		}
	}
	return c
}

// Throughput charts posts, deliveries and connects per second.
func (r Report) Throughput() Chart {
	c := Chart{Title: "Per second", Series: []string{"posts", "deliveries", "connects"}}
	for _, s := range r.Results {
		c.Rows = append(c.Rows, Row{s.Scenario, []float64{s.PostsPerSecond, s.DeliveriesPerSecond, s.ConnectsPerSecond}})
	}
	return c
}

// The measures of a chart, in pixels.
const (
	chartWidth, labelWidth, valueWidth = 760, 170, 80
	barHeight, rowGap, chartTop        = 12, 8, 56
)

type bar struct {
	Y, Width int
	Class    int
	Value    string
}

type drawnRow struct {
	Label string
	Y     int
	Bars  []bar
}

// scale returns the function from a value to the length of its bar.
func (c Chart) scale() func(v float64) int {
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range c.Rows {
		for _, v := range r.Values {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	low = math.Pow(10, math.Floor(math.Log10(low)))
	decades := max(math.Log10(high/low), 1)
	return func(v float64) int {
		const most = chartWidth - labelWidth - valueWidth
		return max(1, int(most*math.Log10(v/low)/decades))
	}
}

// SVG writes the chart.
func (c Chart) SVG(w io.Writer) error {
	width, y := c.scale(), chartTop
	rows := make([]drawnRow, 0, len(c.Rows))
	for _, r := range c.Rows {
		drawn := drawnRow{Label: r.Label, Y: y + barHeight}
		for i, v := range r.Values {
			if v > 0 {
				drawn.Bars = append(drawn.Bars, bar{y, width(v), i, number(v)})
				y += barHeight
			}
		}
		if len(drawn.Bars) > 0 {
			y += rowGap
			rows = append(rows, drawn)
		}
	}
	return chartTemplate.Execute(w, map[string]any{
		"Title": c.Title, "Series": c.Series, "Rows": rows, "Width": chartWidth, "Height": y + rowGap,
		"Left": labelWidth, "Bar": barHeight,
	})
}

// number writes a value with three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

//go:embed chart.svg
var chartText string

var chartTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"text": html.EscapeString,
	"plus": func(a, b int) int { return a + b },
	"key":  func(i int) int { return labelWidth + i*110 },
}).Parse(chartText))
