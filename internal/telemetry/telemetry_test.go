package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	parent  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceID = "0af7651916cd43dd8448eb211c80319c"
)

func TestLogCarriesTheIDsOfItsContext(t *testing.T) {
	var out bytes.Buffer
	log, _, err := NewLogger(&out, "info", FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithTraceparent(t.Context(), parent)
	log.With("part", "live").InfoContext(ctx, "closed", "code", 4401)
	log.DebugContext(ctx, "too quiet to be seen")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for k, want := range map[string]any{
		"msg": "closed", "part": "live", "code": 4401.0, "trace_id": traceID, "span_id": "b7ad6b7169203331",
	} {
		if line[k] != want {
			t.Errorf("%s is %v, want %v", k, line[k], want)
		}
	}
}

func TestLogWithoutContextHasNoEmptyIDs(t *testing.T) {
	var out bytes.Buffer
	log, _, err := NewLogger(&out, "info", FormatText)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("up")
	if strings.Contains(out.String(), "_id") {
		t.Error(out.String())
	}
}

func TestLogBlanksContentAndSecrets(t *testing.T) {
	var out bytes.Buffer
	log, _, err := NewLogger(&out, "info", FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	const private = "besok-jam-tujuh"
	log.WithGroup("g").With(slog.String("Authorization", private)).Info("x", //nolint:sloglint // any spelling is blanked
		"body", private, "refresh_token", private, "pass", private, "user_email", private, "content", []string{private},
		"body_bytes", 12, slog.Group("in", "ticket", private))
	if strings.Contains(out.String(), private) {
		t.Error(out.String())
	}
	if !strings.Contains(out.String(), `"body_bytes":12`) {
		t.Error("a number is no content: ", out.String())
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, tc := range []struct{ level, format string }{{"loud", FormatJSON}, {"info", "xml"}, {"", ""}} {
		if _, _, err := NewLogger(io.Discard, tc.level, tc.format); err == nil {
			t.Errorf("%+v was taken", tc)
		}
	}
}

// exercise touches every metric, so that each has a sample.
func exercise(m *Metrics) {
	m.HTTP.Served("POST", "/v1/chat/threads", 201, "", time.Millisecond)
	m.HTTP.Served("BREW", "/v1/chat/threads", 405, "method_not_allowed", time.Millisecond)
	m.HTTP.Served("GET", "/livez", 503, "storage_failed", time.Millisecond)
	m.Engine.Committing(3, time.Millisecond)
	m.Engine.Decided("thread", "committed")
	m.Live.SessionOpened("ws")
	m.Live.SessionOpened("ws")
	m.Live.SessionClosed("ws", "slow")
	m.Live.Subscribed("ws")
	m.Live.Subscribed("ws")
	m.Live.Unsubscribed("ws", "access_revoked")
	m.Live.Wrote("sse", 2, 400)
	m.Live.Delivered(time.Millisecond)
	m.Live.Replayed(50)
	m.Live.CatchUpWaiting(1)
	m.Live.CatchUpRunning(1)
	m.Live.CatchUpRunning(-1)
	m.Live.Dropped("signal", 2)
	m.Auth.Attempted("signin", "unauthorized")
	m.Auth.Verified("cached")
	m.Auth.Hashed(20 * time.Millisecond)
	m.Auth.HashWaiting(1)
}

func TestMetricsReportEachObserver(t *testing.T) {
	m := NewMetrics(Build{"1.2.3", "abc"})
	exercise(m)
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	text := rec.Body.String()
	for _, want := range []string{
		`gotong_build_info{goversion="go`,
		`gotong_api_http_requests_total{method="POST",result="ok",route="/v1/chat/threads",status="201"} 1`,
		`gotong_api_http_requests_total{method="other",result="client_error",route="/v1/chat/threads",status="405"} 1`,
		`gotong_api_http_requests_total{method="GET",result="server_error",route="/livez",status="503"} 1`,
		`gotong_api_http_request_duration_seconds_count{method="POST",route="/v1/chat/threads"} 1`,
		`gotong_api_http_errors_total{code="storage_failed",route="/livez"} 1`,
		`gotong_commands_total{kind="thread",outcome="committed"} 1`,
		`gotong_commit_batch_size_sum 3`,
		`gotong_commit_seconds_count 1`,
		`gotong_live_sessions{transport="ws"} 1`,
		`gotong_live_subscriptions 1`,
		`gotong_api_chat_realtime_bridge_events_total{event="session_closed",reason="slow",transport="ws"} 1`,
		`gotong_live_frames_total{transport="sse"} 2`,
		`gotong_live_sent_bytes_total{transport="sse"} 400`,
		`gotong_live_delivery_seconds_count 1`,
		`gotong_live_replayed_events_total 50`,
		`gotong_live_catchups{state="waiting"} 1`,
		`gotong_live_catchups{state="running"} 0`,
		`gotong_live_drops_total{reason="signal"} 2`,
		`gotong_auth_attempts_total{action="signin",result="unauthorized"} 1`,
		`gotong_auth_verifications_total{result="cached"} 1`,
		`gotong_auth_hash_seconds_count 1`,
		`gotong_auth_hash_waiting 1`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestMetricNamesFollowTheConventions(t *testing.T) {
	m := NewMetrics(Build{})
	exercise(m)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "gotong_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestTraceContextGoesThrough(t *testing.T) {
	h := http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}}
	fromHeaders := FromHeaders(t.Context(), h)
	fromFrame := WithTraceparent(t.Context(), parent)
	for name, ctx := range map[string]context.Context{"headers": fromHeaders, "frame": fromFrame} {
		if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != traceID {
			t.Errorf("%s: trace %q", name, got)
		}
	}
}

func TestBadTraceparentIsIgnored(t *testing.T) {
	for _, bad := range []string{
		"", "x", "00-0-0-00", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01",
		"ff-" + traceID + "-b7ad6b7169203331-01", strings.ToUpper(parent),
	} {
		if trace.SpanContextFromContext(WithTraceparent(t.Context(), bad)).IsValid() {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestNoEndpointCarriesIDsOnly(t *testing.T) {
	tr, err := NewTracing(t.Context(), TracingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tr.Tracer("engine").Start(WithTraceparent(t.Context(), parent), "commit")
	defer span.End()
	if span.IsRecording() || trace.SpanContextFromContext(ctx).TraceID().String() != traceID {
		t.Error("recording, or the id is lost")
	}
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSpansContinueTheirParent(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tr := newTracing(TracingOptions{Build: Build{Version: "1"}}, sdktrace.WithSpanProcessor(recorder))
	_, span := tr.Tracer("engine").Start(WithTraceparent(t.Context(), parent), "commit")
	span.End()
	ended := recorder.Ended()
	if len(ended) != 1 || ended[0].SpanContext().TraceID().String() != traceID ||
		ended[0].Parent().SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("%v", ended)
	}
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSpansReachTheCollector(t *testing.T) {
	var bodies atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/otlp/v1/traces" {
			t.Errorf("path %s", r.URL.Path)
		}
		n, _ := io.Copy(io.Discard, r.Body)
		bodies.Add(n)
	}))
	defer srv.Close()
	tr, err := NewTracing(t.Context(), TracingOptions{Endpoint: srv.URL + "/otlp/"})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Tracer("x").Start(t.Context(), "y")
	span.End()
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bodies.Load() == 0 {
		t.Error("nothing was sent")
	}
}

func TestEndpointMustBeAURL(t *testing.T) {
	for _, bad := range []string{"collector:4318", "ftp://x", "http://", "::"} {
		if _, err := NewTracing(t.Context(), TracingOptions{Endpoint: bad}); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q was taken", bad)
		}
	}
}
