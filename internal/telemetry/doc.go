// Package telemetry is what the server tells of itself: logs, metrics and
// traces. It sits at the seams; no rule knows of it. Other packages say what
// they want to report through small interfaces of their own, which [HTTP],
// [Engine], [Live] and [Auth] satisfy.
//
// # Caveats
//
// No content leaves here. Logs hold ids, names of routes, codes and durations;
// as a last net, [NewLogger] blanks attributes whose names promise content or
// secrets, but it cannot see into a message text. Metrics carry no user,
// stream or request ids as labels. W3C baggage from outside is ignored, because
// it is text of others that would be carried on.
//
// # Dependencies
//
// Package gotong; prometheus/client_golang for metrics; OpenTelemetry for
// traces; log/slog.
package telemetry
