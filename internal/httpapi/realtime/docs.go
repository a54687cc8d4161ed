package realtime

import (
	"net/http"

	"gotong.dev/gotong/api"
)

// Document serves the AsyncAPI document of the protocol, at GET /asyncapi.json.
func Document() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.aai.asyncapi+json;version=3.0.0")
		_, _ = w.Write(api.AsyncAPI) // an error means that the client left
	})
}
