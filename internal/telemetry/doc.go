// Package telemetry is the server's logs, metrics and traces. No rule depends
// on it. Other packages define small interfaces for what they report, which
// [HTTP], [Engine], [Live] and [Auth] satisfy.
//
// # Caveats
//
// No content is reported. Logs hold ids, names of routes, codes and durations.
// As a last safeguard, [NewLogger] blanks attributes whose names suggest
// content or secrets, but it cannot look into a message text. Metrics carry no
// user, stream or request ids as labels. W3C baggage from outside is ignored,
// because it is text of other parties that would be passed on.
package telemetry
