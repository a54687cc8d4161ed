// Package edgepod is the boundary to the runtimes of models: twelve contracts,
// each with a JSON Schema for the request and one for the response, and the one
// place that asks a [Provider] ([Boundary.Ask]).
//
// Whatever a provider answers is validated before anything reads it. If it fails,
// is slow, or answers anything but what the contract says, the outcome is the
// documented fallback with a reason code. An answer is advice: nothing here
// changes any state.
//
// # Caveats
//
// The library of JSON Schema panics on some numbers and is slow on others, so
// [Schema.Validate] bounds size, depth and numbers first.
package edgepod

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gotong.dev/gotong/api"
)

// PayloadVersion is the version of all contracts.
const PayloadVersion = "2026-02-14"

// ResultVersion is the version of the answers that this server makes itself.
const ResultVersion = "v0.2.0"

// Contract is one of the twelve contracts.
type Contract struct {
	ID     string // EP-00 to EP-11
	Name   string // triage
	Path   string // 00/triage: below the prefix of the routes
	Prompt string // the registered prompt; empty if there is none

	Request, Response *Schema
}

// Endpoint is the contract in metrics and in answers: ep00.
func (c *Contract) Endpoint() string { return "ep" + c.ID[len("EP-"):] }

// The contracts that the server itself asks.
const (
	Duplicates = "EP-03"
	Moderation = "EP-04"
	Gaming     = "EP-05"
	Summary    = "EP-07"
	Media      = "EP-08"
	Credit     = "EP-09"
)

// Contracts are all contracts, in order.
var Contracts = load([]Contract{
	{ID: "EP-00", Name: "triage", Path: "00/triage", Prompt: "TRIAGE-001"},
	{ID: "EP-01", Name: "classification", Path: "01/classification", Prompt: "CLASS-001"},
	{ID: "EP-02", Name: "redaction", Path: "02/redaction", Prompt: "REDACT-001"},
	{ID: Duplicates, Name: "duplicate-detection", Path: "03/duplicate-detection", Prompt: "DUPLICATE-001"},
	{ID: Moderation, Name: "moderation", Path: "04/moderation", Prompt: "MOD-001"},
	{ID: Gaming, Name: "gaming-risk", Path: "05/gaming-risk", Prompt: "GAMING-001"},
	{ID: "EP-06", Name: "criteria-suggestions", Path: "06/criteria-suggestions", Prompt: "CRITERIA-001"},
	{ID: Summary, Name: "summary", Path: "07/summary", Prompt: "SUM-001"},
	{ID: Media, Name: "sensitive-media", Path: "08/sensitive-media", Prompt: "SENSITIVE-001"},
	{ID: Credit, Name: "credit-recommendation", Path: "09/credit-recommendation", Prompt: "CREDIT-001"},
	{ID: "EP-10", Name: "skill-extract", Path: "10/skill-extract"},
	{ID: "EP-11", Name: "siaga-evaluate", Path: "siaga/evaluate", Prompt: "TRIAGE-001+MOD-001"},
})

var failure = schema("error")

// ByID returns the contract with this id. It panics if there is none.
func ByID(id string) *Contract {
	for i := range Contracts {
		if Contracts[i].ID == id {
			return &Contracts[i]
		}
	}
	panic("edgepod: no contract " + id)
}

// ByPath returns the contract with this path, or nil.
func ByPath(path string) *Contract {
	for i := range Contracts {
		if Contracts[i].Path == path {
			return &Contracts[i]
		}
	}
	return nil
}

func load(list []Contract) []Contract {
	for i := range list {
		list[i].Request = schema(list[i].Endpoint() + ".request")
		list[i].Response = schema(list[i].Endpoint() + ".response")
	}
	return list
}

// Schema is one JSON Schema.
type Schema struct {
	Document json.RawMessage // as published
	compiled func() *jsonschema.Schema
}

// schema returns a published schema. [New] compiles it, because most commands of the
// program need none; both panic if they cannot, as every start would.
func schema(name string) *Schema {
	body, err := api.EdgePod.ReadFile("edgepod/" + name + ".json")
	if err != nil {
		panic(err)
	}
	return &Schema{body, sync.OnceValue(func() *jsonschema.Schema {
		s, err := compile(body)
		if err != nil {
			panic(fmt.Sprintf("edgepod: the schema %s: %v", name, err))
		}
		return s
	})}
}

// compile compiles a schema that refers to no other document: the compiler has no
// loader, because the library's own opens files.
func compile(body []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	const place = "https://gotong.dev/edge-pod/schema.json"
	if err := c.AddResource(place, doc); err != nil {
		return nil, err
	}
	return c.Compile(place)
}
