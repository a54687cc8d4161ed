package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// The forms of log lines.
const (
	FormatJSON = "json"
	FormatText = "text"
)

// NewLogger returns a logger that writes lines of at least this level (debug,
// info, warn, error) to w, in JSON or as text. Lines carry trace_id and span_id
// of their context. The level can be changed later.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, *slog.LevelVar, error) {
	least := new(slog.LevelVar)
	if err := SetLevel(least, level); err != nil {
		return nil, nil, err
	}
	opts := &slog.HandlerOptions{Level: least, ReplaceAttr: blank}
	switch format {
	case FormatJSON:
		return slog.New(correlated{slog.NewJSONHandler(w, opts)}), least, nil
	case FormatText:
		return slog.New(correlated{slog.NewTextHandler(w, opts)}), least, nil
	default:
		return nil, nil, fmt.Errorf("telemetry: log format must be %s or %s", FormatJSON, FormatText)
	}
}

// SetLevel sets a level by its name: debug, info, warn or error.
func SetLevel(level *slog.LevelVar, name string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("telemetry: log level must be debug, info, warn or error: %w", err)
	}
	level.Set(l)
	return nil
}

// private are words that, in the name of an attribute, suggest content or a
// secret.
var private = []string{
	"authorization", "body", "content", "cookie", "email", "pass", "secret", "text", "ticket", "token", "username",
}

// blank keeps content and secrets out of the log, even if a caller logs them by
// mistake.
func blank(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindInt64 || a.Value.Kind() == slog.KindDuration || a.Value.Kind() == slog.KindBool {
		return a // body_bytes is no body
	}
	name := strings.ToLower(a.Key)
	for _, word := range private {
		if strings.Contains(name, word) {
			return slog.String(a.Key, "[blanked]")
		}
	}
	return a
}

// correlated adds the ids of the context to each line.
type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

func (h correlated) WithGroup(name string) slog.Handler { return correlated{h.Handler.WithGroup(name)} }
