// Package api holds what is published of the interfaces: the OpenAPI document
// and the page that shows it, and the contracts of the Edge-Pod boundary.
//
// # Caveats
//
// The documents and the examples are written by tests, from the routes
// themselves and from the answers of a running server, and never by hand. The
// documents contain the examples, so they are written after them:
//
//	go test ./internal/app -run TestExamples -update
//	go test ./internal/app ./internal/httpapi/realtime -run TestDocument -update
package api

import "embed"

// OpenAPI is the OpenAPI 3.1 document of the REST interface.
//
//go:embed openapi.json
var OpenAPI []byte

// Examples has a request and its answer for each operation of the document.
//
//go:embed examples.json
var Examples []byte

// Page is the html/template of the pages that show the interface to people.
//
//go:embed docs.html
var Page string

// Style is the style sheet of the pages.
//
//go:embed docs.css
var Style []byte

// AsyncAPI is the AsyncAPI 3.0 document of the realtime interface. A test of
// internal/httpapi/realtime writes it, with -update as above.
//
//go:embed asyncapi.json
var AsyncAPI []byte

// EdgePod is the contracts of the Edge-Pod boundary under edgepod/: the JSON
// Schemas of requests, responses and errors, and examples of each.
//
//go:embed edgepod/*.json
var EdgePod embed.FS
