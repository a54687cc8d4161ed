// Package edgepod serves the contracts of the Edge-Pod boundary, and calls of
// them by users.
package edgepod

import (
	"context"
	"encoding/json"
	"net/http"

	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

const tag = "Edge-Pod"

// Options are what the routes work with; MediaHosts may be empty.
type Options struct {
	Boundary   *edgepod.Boundary
	Views      *view.Views
	Store      store.Loader
	Codec      *store.Codec
	MediaHosts []string // whose URLs may be passed to a provider
}

type pod struct {
	Options
	again again
}

// Routes returns a function that registers the routes.
func Routes(o Options) func(*httpapi.API) {
	p := &pod{Options: o}
	return func(api *httpapi.API) {
		for id, prefix := range map[string]string{"ask-edge-pod": "/v1", "ask-edge-pod-api": "/api/v1"} {
			httpapi.Register(api, httpapi.Route{
				ID: id, Method: http.MethodPost, Path: prefix + "/edge-pod/ai/{contract}/{name}", Tag: tag, Write: true,
				Summary: "Call a contract",
				Description: "The body is a request of the contract, the answer its response. The answer is advice and changes nothing. " +
					"Without a valid answer of the provider, it is the documented fallback: actor_context.fallback is true. " +
					"The role comes from the token, the privacy level from the stream. Without a stream, the text does not leave the " +
					"server. EP-03 compares the text with the messages of the stream that you may see, and EP-07 summarises them.",
			}, p.ask)
		}
		httpapi.Register(api, httpapi.Route{
			ID: "list-edge-pod-contracts", Method: http.MethodGet, Path: "/v1/edge-pod/contracts", Tag: tag,
			Summary:     "List the contracts",
			Description: "The twelve contracts, each with the JSON Schemas (2020-12) of its request and its response.",
		}, contracts)
	}
}

// ContractView is a contract as published.
type ContractView struct {
	ID             string          `json:"id" doc:"EP-00 to EP-11."`
	Name           string          `json:"name"`
	Path           string          `json:"path" doc:"The path below /v1/edge-pod/ai/."`
	Prompt         string          `json:"prompt,omitempty" doc:"The registered prompt."`
	PayloadVersion string          `json:"payload_version"`
	Request        json.RawMessage `json:"request" doc:"The JSON Schema of the request."`
	Response       json.RawMessage `json:"response" doc:"The JSON Schema of the response."`
}

func contracts(context.Context, *struct{}) (*httpapi.Out[[]ContractView], error) {
	var list []ContractView
	for i := range edgepod.Contracts {
		c := &edgepod.Contracts[i]
		list = append(list, ContractView{
			ID: c.ID, Name: c.Name, Path: c.Path, Prompt: c.Prompt, PayloadVersion: edgepod.PayloadVersion,
			Request: c.Request.Document, Response: c.Response.Document,
		})
	}
	return httpapi.Reply(list, nil)
}
