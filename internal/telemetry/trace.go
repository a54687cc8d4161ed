package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TracingOptions configure where spans are sent.
type TracingOptions struct {
	Endpoint string  // base URL of an OTLP/HTTP collector; empty: spans go nowhere
	Sample   float64 // share of traces begun here that are recorded; 0 is all
	Build    Build
}

// Tracing makes spans.
type Tracing struct {
	provider trace.TracerProvider
	shutdown func(context.Context) error
}

// NewTracing starts the export to the endpoint. Without an endpoint, ids are
// passed on and no spans are sent. The collector need not be available: spans
// that cannot be sent are dropped.
func NewTracing(ctx context.Context, opts TracingOptions) (*Tracing, error) {
	if opts.Endpoint == "" {
		return &Tracing{noop.NewTracerProvider(), func(context.Context) error { return nil }}, nil
	}
	target, err := tracesURL(opts.Endpoint)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target))
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTLP exporter: %w", err)
	}
	return newTracing(opts, sdktrace.WithBatcher(exporter)), nil
}

func newTracing(opts TracingOptions, to sdktrace.TracerProviderOption) *Tracing {
	share := opts.Sample
	if share == 0 {
		share = 1
	}
	provider := sdktrace.NewTracerProvider(to,
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "gotong"),
			attribute.String("service.version", opts.Build.Version),
		)),
	)
	return &Tracing{provider, provider.Shutdown}
}

// tracesURL appends the path of the OTLP specification to a base URL.
func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("telemetry: the OTLP endpoint must be an http or https URL")
	}
	const path = "/v1/traces"
	if !strings.HasSuffix(u.Path, path) {
		u.Path = strings.TrimSuffix(u.Path, "/") + path
	}
	return u.String(), nil
}

// Tracer makes the spans of one part of the server.
func (t *Tracing) Tracer(name string) trace.Tracer {
	return t.provider.Tracer("gotong.dev/gotong/" + name)
}

// Provider returns the provider for libraries that need one.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

// Shutdown sends the waiting spans, within the context's deadline.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.shutdown(ctx) }

var w3c propagation.TraceContext

// FromHeaders continues the trace of a request's traceparent and tracestate
// headers (W3C Trace Context). Invalid headers are ignored.
func FromHeaders(ctx context.Context, h http.Header) context.Context {
	return w3c.Extract(ctx, propagation.HeaderCarrier(h))
}

// WithTraceparent continues the trace of a traceparent field, as WebSocket
// frames carry it. An empty or invalid one changes nothing.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
