// Package api holds what is published of the interfaces: the OpenAPI document
// and the page that shows it, and the contracts of the Edge-Pod boundary.
//
// # Caveats
//
// The document is written by a test of internal/httpapi from the routes
// themselves and never by hand:
//
//	go test ./internal/httpapi/... -run TestDocument -update
package api

import "embed"

// OpenAPI is the OpenAPI 3.1 document of the REST interface.
//
//go:embed openapi.json
var OpenAPI []byte

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
