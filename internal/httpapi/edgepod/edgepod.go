// Package edgepod serves the contracts of the Edge-Pod boundary, and calls of
// them by users.
//
// # Dependencies
//
// Packages edgepod and httpapi.
package edgepod

import (
	"context"
	"encoding/json"
	"net/http"

	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/httpapi"
)

const tag = "Edge-Pod"

// Routes returns a function that registers the routes.
func Routes() func(*httpapi.API) {
	return func(api *httpapi.API) {
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
	Path           string          `json:"path" doc:"Below /v1/edge-pod/ai/."`
	Prompt         string          `json:"prompt,omitempty" doc:"The registered prompt."`
	PayloadVersion string          `json:"payload_version"`
	Request        json.RawMessage `json:"request" doc:"The JSON Schema of the request."`
	Response       json.RawMessage `json:"response" doc:"The JSON Schema of the response."`
}

type contractsOut struct{ Body []ContractView }

func contracts(context.Context, *struct{}) (*contractsOut, error) {
	out := &contractsOut{}
	for i := range edgepod.Contracts {
		c := &edgepod.Contracts[i]
		out.Body = append(out.Body, ContractView{
			ID: c.ID, Name: c.Name, Path: c.Path, Prompt: c.Prompt, PayloadVersion: edgepod.PayloadVersion,
			Request: c.Request.Document, Response: c.Response.Document,
		})
	}
	return out, nil
}
