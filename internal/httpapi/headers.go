package httpapi

import (
	"net/http"

	"gotong.dev/gotong"
)

// once are the headers that can have only one value. With two values, a request
// means two things: a proxy may have checked the other one.
var once = [...]string{
	"Access-Control-Request-Method", "Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "If-Match",
	"If-None-Match", "Last-Event-Id", "Origin", "Sec-Websocket-Key", "Sec-Websocket-Version", "Traceparent",
	"X-Correlation-Id", "X-Request-Id",
}

// checkOnce returns an error that names the first such header that a request
// has twice.
func checkOnce(h http.Header) error {
	for _, name := range once {
		if len(h[name]) > 1 {
			return gotong.NewError(CodeBadRequest, "The header "+name+" must not occur twice.")
		}
	}
	return nil
}

// ends reports whether the connection must end after r. net/http removes
// Content-Length beside a Transfer-Encoding, and Transfer-Encoding from
// HTTP/1.0, before a handler can see that both were there. The proxy that sent
// the request may disagree about its end.
func ends(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}
