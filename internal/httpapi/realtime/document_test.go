package realtime

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
)

var update = flag.Bool("update", false, "write api/asyncapi.json anew")

const dialect = "application/schema+json;version=2020-12"

func document() []byte {
	messages, onWS, onSSE := object{}, object{}, object{}
	var sent, received, streamed list
	add := func(m message) {
		one := object{
			"name": m.name, "title": m.title, "contentType": "application/json",
			"payload": object{"schemaFormat": dialect, "schema": ref(m.name)},
		}
		if m.summary != "" {
			one["summary"] = m.summary
		}
		messages[m.name] = one
	}
	at := func(channel, name string) object {
		return object{"$ref": "#/channels/" + channel + "/messages/" + name}
	}
	for _, m := range clientMessages() {
		add(m)
		onWS[m.name] = object{"$ref": "#/components/messages/" + m.name}
		sent = append(sent, at("ws", m.name))
	}
	for _, m := range serverMessages() {
		add(m)
		onWS[m.name] = object{"$ref": "#/components/messages/" + m.name}
		received = append(received, at("ws", m.name))
		if !slices.Contains([]string{"welcome", "unsubscribed", "ack", "pong"}, m.name) {
			onSSE[m.name] = object{"$ref": "#/components/messages/" + m.name}
			streamed = append(streamed, at("sse", m.name))
		}
	}
	add(pollAnswer())
	on := func(channel string) object { return object{"$ref": "#/channels/" + channel} }
	secured := list{object{"$ref": "#/components/securitySchemes/bearer"}}
	doc := object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Gotong realtime", "version": "gotong.v1",
			"description": "One session, three transports, one vocabulary. The same cursors work on all of them, and a client may change transports after any frame.",
			"license":     object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/json",
		"channels":           channels(onWS, onSSE),
		"operations": object{
			"receiveFrames": object{"action": "receive", "channel": on("ws"), "summary": "What a client sends.", "messages": sent, "security": secured},
			"sendFrames":    object{"action": "send", "channel": on("ws"), "summary": "What the server sends.", "messages": received, "security": secured},
			"streamFrames": object{
				"action": "send", "channel": on("sse"), "summary": "Frames as server-sent events; the id of each is the cursor after it.",
				"messages": streamed, "security": secured, "bindings": asked(object{
					"cursor?": text("An id as it came, or start; Last-Event-ID beats it."),
					"ticket?": text("A single-use ticket of 30 s, for browsers."),
				}),
			},
			"answerPoll": object{
				"action": "send", "channel": on("poll"), "summary": "Frames as the answer to a request.",
				"messages": list{at("poll", "poll")}, "security": secured, "bindings": asked(object{
					"cursor?": text("The cursor of the last answer, or start."),
					"wait?":   text("How long to wait if there is nothing: 0s to 55s, by default 25s; 0s does not wait."),
				}),
			},
		},
		"components": object{
			"messages": messages, "schemas": schemas(),
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// asked is the query of a request over several streams.
func asked(fields object) object {
	fields["stream?"] = object{
		"type": "array", "items": ref("stream"), "maxItems": gotong.MaxCursors, "description": "One parameter for each stream.",
	}
	return object{"http": object{"method": "GET", "bindingVersion": "0.3.0", "query": closed("", fields)}}
}

func channels(onWS, onSSE object) object {
	return object{
		"ws": object{
			"address": "/v1/realtime/ws", "title": "WebSocket", "messages": onWS,
			"description": "Subprotocol gotong.v1. Frames are JSON text, one object each, at most 64 KiB from the client. Authentication: the header, a first auth frame, or a ticket.",
			"bindings": object{"ws": object{
				"method": "GET", "bindingVersion": "0.1.0",
				"query":   closed("", object{"ticket?": text("A single-use ticket of 30 s, for browsers.")}),
				"headers": shape("", object{"Sec-WebSocket-Protocol": constant(subprotocol), "Authorization?": text("Bearer and an access token.")}),
			}},
		},
		"sse": object{
			"address": "/v1/realtime/sse", "title": "Server-sent events", "messages": onSSE,
			"description": "text/event-stream; each data is one frame, each id the cursor after it, comments are the heartbeat.",
		},
		"poll": object{
			"address": "/v1/realtime/poll", "title": "Long-poll", "messages": object{"poll": object{"$ref": "#/components/messages/poll"}},
			"description": "Answers at once if there is something, else after the wait.",
		},
	}
}

func TestDocumentIsPublished(t *testing.T) {
	got := document()
	if *update {
		if err := os.WriteFile("../../../api/asyncapi.json", got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, api.AsyncAPI) {
		t.Error("api/asyncapi.json is not what the code publishes; run the test with -update and look at the difference")
	}
}

// TestDocumentHoldsTogether follows every reference.
func TestDocumentHoldsTogether(t *testing.T) {
	var doc any
	if err := json.Unmarshal(api.AsyncAPI, &doc); err != nil {
		t.Fatal(err)
	}
	find := func(pointer string) bool {
		at := doc
		for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
			m, ok := at.(object)
			if !ok || m[part] == nil {
				return false
			}
			at = m[part]
		}
		return true
	}
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if pointer, ok := v["$ref"].(string); ok {
				if n++; !find(pointer) {
					t.Errorf("%s leads nowhere", pointer)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case list:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(doc)
	if n < 100 {
		t.Errorf("only %d references", n)
	}
	for _, name := range []string{"clientFrame", "serverFrame"} {
		if !find(fmt.Sprint("#/components/schemas/", name)) {
			t.Errorf("no schema %s", name)
		}
	}
}
