package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// watched is a thread that three follow, of whom one posts.
var watched = Scenario{Name: "watched", Threads: 1, Viewers: 3, Posters: 1, Rate: 100}

// unwatched are threads that nobody follows.
var unwatched = Scenario{Name: "unwatched", Threads: 4, Posters: 2, Window: 3} // with a closed schedule

func each(_ int, seq uint64, send func(uint64)) { send(seq) }

func TestFaultsAreCounted(t *testing.T) {
	type deliver = func(viewer int, seq uint64, send func(uint64))
	type answer = func(post int, ack func(uint64), no func(problem))
	for name, c := range map[string]struct {
		scenario Scenario
		deliver  deliver
		answer   answer
		want     Result
	}{
		"a server without a fault":     {scenario: watched},
		"the same, and nobody follows": {scenario: unwatched},
		"an event is not delivered to one": {watched, func(viewer int, seq uint64, send func(uint64)) {
			if viewer != 2 || seq != 20 {
				send(seq)
			}
		}, nil, Result{Lost: 1}},
		"nothing is delivered from then on": {watched, func(viewer int, seq uint64, send func(uint64)) {
			if viewer != 1 || seq <= 119 {
				send(seq)
			}
		}, nil, Result{Lost: 2}}, // of 120 posts after thread.created
		"an event is delivered twice": {watched, func(viewer int, seq uint64, send func(uint64)) {
			send(seq)
			if viewer == 1 && seq == 30 {
				send(seq)
			}
		}, nil, Result{Doubled: 1}},
		"two events change places": {watched, func(viewer int, seq uint64, send func(uint64)) {
			switch {
			case viewer == 1 && seq == 40:
			case viewer == 1 && seq == 41:
				send(41)
				send(40)
			default:
				send(seq)
			}
		}, nil, Result{OutOfOrder: 1}},
		"a post is committed twice": {watched, each, func(post int, ack func(uint64), _ func(problem)) {
			ack(0)
			if post == 50 {
				ack(0)
			}
		}, Result{Doubled: 4}}, // the second ack, and the second event to each of the three
		"a post is acknowledged and not kept": {watched, each, func(post int, ack func(uint64), _ func(problem)) {
			if post == 120 {
				ack(121)
				return
			}
			ack(0)
		}, Result{Lost: 3}},
		"the same, and nobody follows, so that it is missed in the end": {
			Scenario{Name: "x", Threads: 1, Posters: 1, Rate: 100}, each, func(post int, ack func(uint64), _ func(problem)) {
				if post == 120 {
					ack(121)
					return
				}
				ack(0)
			}, Result{Lost: 1}},
		"a post has no answer": {watched, each, func(post int, ack func(uint64), _ func(problem)) {
			if post != 60 {
				ack(0)
			}
		}, Result{Unanswered: 1}},
		"the rate is limited": {watched, each, func(post int, ack func(uint64), no func(problem)) {
			if post == 70 || post == 80 {
				no(problem{429, 20})
				return
			}
			ack(0)
		}, Result{RateLimited: 2}},
		"a post is rejected": {watched, each, func(post int, ack func(uint64), no func(problem)) {
			if post == 70 {
				no(problem{Status: 403})
				return
			}
			ack(0)
		}, Result{Refused: 1, Error: "rejected a post: 403"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := (&fake{deliver: c.deliver, answer: c.answer, stall: func(int) time.Duration { return time.Millisecond }}).measure(t, c.scenario, time.Second)
				counts := func(r *Result) []uint64 {
					return []uint64{r.Lost, r.Doubled, r.OutOfOrder, r.Unanswered, r.RateLimited, r.Refused, r.Broken}
				}
				if !slices.Equal(counts(got), counts(&c.want)) {
					t.Errorf("lost, doubled, out of order, unanswered, 429, refused, broken: %d, want %d", counts(got), counts(&c.want))
				}
				if !strings.Contains(got.Error, c.want.Error) || c.want.Error == "" && got.Error != "" {
					t.Errorf("error %q", got.Error)
				}
				if got.Posts == 0 || c.scenario.Viewers > 0 && got.Deliveries == 0 {
					t.Errorf("%d posts, %d deliveries", got.Posts, got.Deliveries)
				}
			})
		})
	}
}

func TestBrokenConnectionIsNotCountedAsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.deliver = func(viewer int, seq uint64, send func(uint64)) {
			send(seq)
			if viewer == 2 && seq == 50 {
				_ = f.threads["thread/0"].viewers[2].Close()
			}
		}
		got := f.measure(t, watched, time.Second)
		if got.Broken != 1 || got.Lost != 0 || !got.Faulty() || got.Error == "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestStallIsChargedToEveryPostThatWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{stall: func(post int) time.Duration {
			if post == 300 {
				return time.Second
			}
			return 0
		}}
		// At 100 posts/s for 10 s, a stall of 1 s delays a tenth of all posts.
		got := f.measure(t, watched, 10*time.Second)
		if got.Posts != 1000 || got.Ack.P50 > 1 || got.Ack.P99 < 800 || got.Delivery.P99 < 800 || got.Ack.Max < 1000 {
			t.Errorf("%d posts, ack %+v, delivery %+v", got.Posts, *got.Ack, *got.Delivery)
		}
	})
}

func TestSleepingReaderIsNotMeasuredAndMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watched
		s.Sleeper = true
		got := (&fake{}).measure(t, s, 4*time.Second)
		if got.Deliveries != 3*got.Posts || got.Delivery.Count != 2*got.Posts || got.Delivery.Max > 1 || got.Faulty() {
			t.Errorf("%+v, delivery %+v", got, *got.Delivery)
		}
	})
}

func TestCrowds(t *testing.T) {
	for _, s := range Scenarios {
		if s.Clients == 0 && s.Bytes == 0 {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s.Clients, s.Bytes = min(s.Clients, 250), min(s.Bytes, 100_000)
				got := (&fake{}).measure(t, s, 2*time.Second)
				if got.Faulty() || got.Connect == nil ||
					s.Name != "idle" && got.Deliveries == 0 || s.Missed+s.Bytes > 0 && got.Return == nil {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestCrowdMissesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{deliver: func(viewer int, seq uint64, send func(uint64)) {
			if viewer != 1 || seq <= 29 { // of 31
				send(seq)
			}
		}}
		s := Scenario{Threads: 1, Clients: 1, Missed: 30, run: (*trial).storm}
		if got := f.measure(t, s, time.Second); got.Lost != 2 || got.Error == "" {
			t.Errorf("%d lost; %s", got.Lost, got.Error)
		}
	})
}

func TestCrowdMissesAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{deliver: func(viewer int, seq uint64, send func(uint64)) {
			if viewer != 5 || seq != 10 { // the first viewer is who posted
				send(seq)
			}
		}}
		s := Scenario{Threads: 2, Clients: 20, Missed: 30, run: (*trial).storm}
		if got := f.measure(t, s, time.Second); got.Lost != 2 {
			t.Errorf("%d lost, want one in each thread; %s", got.Lost, got.Error)
		}
	})
}

func TestBounds(t *testing.T) {
	good := Options{URL: "http://h", Users: &Issuer{}, Only: []string{"full"}, For: time.Second}
	for name, c := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"good":               {func(*Options) {}, ""},
		"no time":            {func(o *Options) { o.For = 0 }, "at most 10m0s"},
		"too long":           {func(o *Options) { o.For = MaxFor + 1 }, "at most 10m0s"},
		"too long a warm-up": {func(o *Options) { o.Warm = MaxFor + 1 }, "at most 10m0s"},
		"too many clients":   {func(o *Options) { o.Clients = maxUsers + 1 }, "at most 20000 clients"},
		"negative clients":   {func(o *Options) { o.Clients = -1 }, "at most 20000 clients"},
		"too many at once":   {func(o *Options) { o.Handshakes = 1001 }, "at most 1000 handshakes"},
		"no scenario":        {func(o *Options) { o.Only = nil }, "no scenario"},
		"another scenario":   {func(o *Options) { o.Only = []string{"x"} }, `unknown scenario "x"; the scenarios are alone,`},
		"another address":    {func(o *Options) { o.URL = "ftp://h" }, "not an http or https address"},
		"no users":           {func(o *Options) { o.Users = nil }, "needs 16 users"},
		"too few users":      {func(o *Options) { o.Users = Tokens{"a", "b"} }, "scenario full needs 16 users"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			err := o.Check()
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			var few *TooFewUsers
			if errors.As(err, &few) != strings.Contains(c.says, "users") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEveryScenarioFitsItsBounds(t *testing.T) {
	for _, s := range Scenarios {
		if n := s.Connections(); n < 1 || n > maxUsers {
			t.Errorf("%s: %d connections", s.Name, n)
		}
		if posters := max(s.Posters, 1); s.Rate/float64(posters) > 500 {
			t.Errorf("%s: %v posts/s for each poster, beyond the usual limit of a user", s.Name, s.Rate/float64(posters))
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	if h.quantiles() != nil {
		t.Error("quantiles of nothing")
	}
	for i := range 10_000 {
		h.record(time.Duration(i+1) * time.Microsecond)
	}
	q := h.quantiles()
	for _, c := range []struct{ got, want float64 }{{q.P50, 5}, {q.P90, 9}, {q.P99, 9.9}, {q.P999, 9.99}, {q.Max, 10}} {
		if math.Abs(c.got-c.want) > c.want*0.04 {
			t.Errorf("%v, want %v: %+v", c.got, c.want, *q)
		}
	}
	for d := time.Duration(1); d > 0 && d < time.Hour; d = d*5/4 + 1 {
		b := bucketOf(uint64(d))
		if highest(b) < d || float64(highest(b)) > float64(d)*(1+2.0/perDouble) || b > 0 && highest(b-1) >= d {
			t.Fatalf("%d in bucket %d up to %d", d, b, highest(b))
		}
	}
}

// sample is a report with everything in it.
var sample = Report{
	URL: "http://127.0.0.1:8080", Began: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
	Results: []*Result{
		{
			Scenario: "steady", About: "10 threads of 100 viewers at 200 posts/s", Connections: 1000, Threads: 10, Schedule: "open", Rate: 200,
			Seconds: 5, Posts: 1000, PostsPerSecond: 200, Deliveries: 100_000, DeliveriesPerSecond: 20_000,
			Ack: &Quantiles{1000, 1.3, 2, 15.5, 21.3, 21.3}, Delivery: &Quantiles{100_000, 1.9, 2.5, 16.5, 38.8, 42.4},
			Connect: &Quantiles{1000, 9, 15, 24, 25, 25}, Lost: 1, Doubled: 2, OutOfOrder: 3, Unanswered: 4, RateLimited: 5, Refused: 6, Broken: 7,
			Server: &Server{CPUSeconds: 1.7, CPUPerPost: 1700, CPUPerMillion: 17, KBWrittenPerPost: 24, WritesPerPost: 120, ReadsPerPost: 3, AllocsPerPost: 700, PeakMB: 80},
			Error:  "bench: the server ended a subscription",
		},
		{Scenario: "alone", About: "one poster, one post in flight", Error: "bench: the server did not answer"},
		{Scenario: "storm", About: "clients that return at once", Connections: 10_000, Threads: 10, Seconds: 2, ConnectsPerSecond: 5200,
			Connect: &Quantiles{10_000, 9, 15, 24, 25, 25}, Return: &Quantiles{10_000, 1000, 1500, 1900, 1950, 2000}},
		{Scenario: "idle", About: "connections", Connections: 10_000, Threads: 100, Seconds: 5, ConnectsPerSecond: 3400,
			Connect: &Quantiles{10_000, 9, 15, 24, 25, 25},
			Server:  &Server{CPUSeconds: 0.1, CPUPerConnect: 0.39, KBPerConnection: 13.9}},
	},
}

func TestReports(t *testing.T) {
	j, err := json.MarshalIndent(sample, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var latency, throughput bytes.Buffer
	if err := errors.Join(sample.Latency().SVG(&latency), sample.Throughput().SVG(&throughput)); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{
		"report.json": append(j, '\n'), "report.txt": []byte(sample.Text()), "latency.svg": latency.Bytes(), "throughput.svg": throughput.Bytes(),
	} {
		path := "testdata/" + name
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s (%v):\n%s", name, err, got)
		}
	}
	for d := xml.NewDecoder(&latency); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestChartsOfAnEmptyReport(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{}).Latency().SVG(&b); err != nil || strings.Contains(b.String(), "NaN") {
		t.Errorf("%v %s", err, &b)
	}
}
