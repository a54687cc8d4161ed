package realtime

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
)

// The published document is made here: the frames by hand, what kinds put into
// them from their Go types.
type (
	object = map[string]any
	list   = []any
)

const schemaRef = "#/components/schemas/"

func ref(name string) object { return object{"$ref": schemaRef + name} }

func text(about string) object { return object{"type": "string", "description": about} }

func number(about string) object {
	return object{"type": "integer", "minimum": 0, "description": about}
}

func constant(s string) object { return object{"const": s} }

// shape is an object; names that end in "?" may be absent.
func shape(about string, fields object) object {
	properties := object{}
	required := []string{}
	for name, schema := range fields {
		bare, optional := strings.CutSuffix(name, "?")
		if !optional {
			required = append(required, bare)
		}
		properties[bare] = schema
	}
	slices.Sort(required)
	s := object{"type": "object", "properties": properties}
	if about != "" {
		s["description"] = about
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// closed is an object that takes nothing else: what clients send.
func closed(about string, fields object) object {
	s := shape(about, fields)
	s["additionalProperties"] = false
	return s
}

const nameChars = `[A-Za-z0-9._:-]{1,128}`

func basics() object {
	return object{
		"stream":    object{"type": "string", "pattern": "^[a-z0-9_]{1,32}/" + nameChars + "$", "description": "The name of a stream: its kind, a slash, its id."},
		"cursor":    object{"type": "string", "pattern": "^[a-z0-9]{4,32}:(0|[1-9][0-9]*)$", "description": "Everything of one stream after this: epoch and seq."},
		"requestId": object{"type": "string", "pattern": "^" + nameChars + "$", "description": "The idempotency key of a command: repeat it to ask for the outcome."},
		"frameId":   object{"type": "string", "minLength": 1, "maxLength": 64, "description": "Chosen by the client; the answer carries it."},
		"eventId":   object{"type": "string", "format": "uuid", "description": "A UUIDv7 of the event's instant."},
		"instant":   object{"type": "string", "format": "date-time", "description": "RFC 3339 in UTC with six decimals."},
		"chain":     object{"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The stream's hash chain after the event, in hexadecimal."},
		"actor": shape("Who acted.", object{
			"user_id": text("The user's id."), "name?": text("The display name, where there is one."),
			"role": object{"enum": list{"anonymous", "user", "moderator", "admin", "system"}},
		}),
		"problem": shape("What went wrong (RFC 9457).", object{
			"type": text("Where this kind of problem is described."), "title": text("The kind of problem, in words."),
			"status": number("As an HTTP status."), "code": text("The stable name of the problem."),
			"detail": text("What to know about this occurrence."), "trace_id": text("Quote this when asking for help."),
			"errors?":         object{"type": "array", "items": shape("", object{"field": text("Which field."), "detail": text("What is wrong with it.")})},
			"retry_after_ms?": number("How long to wait before trying again."),
		}),
		"receipt": shape("What a commit answers; the same for ever for the same request, but for replayed.", object{
			"stream": ref("stream"), "seq": object{"type": "array", "items": number(""), "maxItems": 2, "description": "First and last seq; empty where nothing had to change."},
			"event_ids": object{"type": "array", "items": ref("eventId")}, "at": ref("instant"), "chain": ref("chain"),
			"replayed": object{"type": "boolean", "description": "The outcome of an earlier request with this id."},
		}),
	}
}

// message is one frame: its schema and what it is for.
type message struct {
	name, title, summary string
	schema               object
}

func clientMessages() []message {
	frame := func(op string, fields object) object {
		fields["op"], fields["id?"] = constant(op), ref("frameId")
		return closed("", fields)
	}
	return []message{
		{"auth", "Authenticate", "The first frame, within 5 s, if the request has neither a token in its header nor a ticket; later, it renews the token of the same user.", frame("auth", object{"token": text("An access token.")})},
		{"subscribe", "Follow a stream", "Without a cursor from now; \"start\" from the first visible event.", frame("subscribe", object{
			"stream": ref("stream"), "cursor?": object{"oneOf": list{constant("start"), ref("cursor")}},
		})},
		{"unsubscribe", "Stop following", "No event of the stream follows the answer.", frame("unsubscribe", object{"stream": ref("stream")})},
		{"command", "Write", "Its answer is ack or error. Without an answer its outcome is unknown: repeat it with the same request_id.", object{"oneOf": commandRefs()}},
		{"signal", "Send a signal", "Something ephemeral to the others who follow the stream. Only an error answers it.", frame("signal", object{
			"stream": ref("stream"), "type": object{"enum": slices.DeleteFunc(signals(), func(name any) bool { return name == "presence" || name == "read" })},
		})},
		{"active", "Report what the user looks at", "Holds for a minute, at most until the connection closes; without a stream, the user looks at none. Only an error answers it.", frame("active", object{"stream?": object{"type": "string"}})},
		{"ping", "Ask for a sign of life", "pong answers it.", frame("ping", object{})},
	}
}

func serverMessages() []message {
	frame := func(op string, fields object) object {
		fields["op"] = constant(op)
		return shape("", fields)
	}
	id := ref("frameId")
	return []message{
		{"welcome", "Session begun", "The first frame, and the answer to each later auth.", frame("welcome", object{
			"session": text("Names the session; no secret."), "epoch": text("Names the history that cursors belong to."),
			"heartbeat_ms": number("The server pings a connection that is idle for so long."),
		})},
		{"subscribed", "Following", "Events after the cursor follow.", frame("subscribed", object{
			"id?": id, "stream": ref("stream"), "cursor": ref("cursor"), "head": number("The stream's newest seq."),
		})},
		{"unsubscribed", "Not following any more", "", frame("unsubscribed", object{"id?": id, "stream": ref("stream")})},
		{"events", "Events", "Accounts for every seq with from < seq <= to. An event that the reader may not see is covered, without content. " +
			"A withheld message has no body: the reader may not see its newest text.", object{"oneOf": eventsRefs()}},
		{"ack", "Committed", "The command's events have their final seq and survive a crash and a power loss.", frame("ack", object{"id?": id, "receipt": ref("receipt")})},
		{"error", "Refused", "The server refused the frame with this id; without an id, the subscription of the stream has ended.", frame("error", object{
			"id?": id, "stream?": object{"type": "string"}, "problem": ref("problem"),
		})},
		{"signalled", "A signal", "Something ephemeral: another user is typing, others begin or cease to follow (presence), or you set a read mark on another device (read). Presence has no actor, and replaces the presence before it.", frame("signal", object{
			"stream": ref("stream"), "type": object{"enum": signals()}, "actor?": ref("actor"),
			"data?": shape("Of presence: present and, if at most 50 users are, users. Of a mark of your own, on another device: generation, n and seq, and message_id if it names a message.", object{
				"present?": number("How many users follow the stream."),
				"users?":   object{"type": "array", "items": object{"type": "string"}, "description": "Their ids; absent if they are too many to list."}, "generation?": object{"type": "integer"}, "n?": object{"type": "integer"}, "seq?": object{"type": "integer"}, "message_id?": object{"type": "string"},
			}),
		})},
		{"accessRevoked", "Not readable any more", "No event of the stream follows. The server answers you from now on as if the stream had never existed.", frame("access_revoked", object{"stream": ref("stream")})},
		{"resyncRequired", "Cannot go on", "The subscription ended: read the stream's state anew.", frame("resync_required", object{
			"stream": ref("stream"), "reason": text("Why, in a word."),
		})},
		{"goingAway", "The server restarts", "Come back after the hint, with the same cursors.", frame("going_away", object{"retry_after_ms": number("When, with full jitter.")})},
		{"pong", "Sign of life", "", frame("pong", object{"id?": id})},
	}
}

func pollAnswer() message {
	return message{"poll", "Answer of a poll", "frames is empty if nothing came within the wait.", shape("", object{
		"cursor": text("The cursor of the next request."),
		"frames": object{"type": "array", "items": ref("serverFrame")},
	})}
}

func signals() list {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.Signals...)
	}
	slices.Sort(names)
	var l list
	for _, n := range slices.Compact(names) {
		l = append(l, n)
	}
	return l
}

// schemaOfCommand names the schema of a command frame.
func schemaOfCommand(kind, name string) string { return "command." + kind + "." + name }

func schemaOfEvent(kind, name string) string { return "event." + kind + "." + name }

// commanded is the kinds, with the commands that clients can send.
func commanded() []gotong.Kind {
	list := []gotong.Kind{group.Kind(), affairs(), thread.Kind(group.Kind())}
	for i := range list {
		k := gotong.WithWebhooks(list[i], gotong.AnyIssuer)
		k.Commands = slices.DeleteFunc(slices.Clone(k.Commands), func(c gotong.Type) bool { return c.Server })
		list[i] = k
	}
	return list
}

func commandRefs() list {
	var l list
	for _, k := range commanded() {
		for _, c := range k.Commands {
			l = append(l, ref(schemaOfCommand(k.Name, c.Name)))
		}
	}
	return l
}

func eventsRefs() list {
	var l list
	for _, k := range kinds() {
		l = append(l, ref("events."+k.Name))
	}
	return l
}

// commandSchema is the frame of one command. One that makes a stream names
// the kind alone.
func commandSchema(k gotong.Kind, c gotong.Type) object {
	zero, err := c.Decode(json.Unmarshal, []byte("{}"))
	if err != nil {
		panic(err)
	}
	stream := object{"type": "string", "pattern": "^" + k.Name + "/" + nameChars + "$"}
	if _, err := k.Home(gotong.Command{Stream: gotong.NewStream(k.Name, "x"), Type: c.Name, Data: zero}); err == nil {
		stream = constant(k.Name)
	}
	data, dataName := schemaOf(c, true), "data"
	if len(data["properties"].(object)) == 0 {
		dataName = "data?"
	}
	return closed("", object{
		"op": constant("command"), "id?": ref("frameId"), "request_id": ref("requestId"),
		"correlation_id?": ref("requestId"), "traceparent?": text("W3C trace context."),
		"stream": stream, "type": constant(c.Name), dataName: data,
	})
}

// eventSchema is one event. Fields of its content may be absent: texts are
// erasable.
func eventSchema(e gotong.EventType) object {
	data := schemaOf(e.Data, false)
	if e.Content != nil {
		maps.Copy(data["properties"].(object), schemaOf(*e.Content, false)["properties"].(object))
	}
	fields := object{
		"seq": number("1, 2, 3 … within the stream."), "id": ref("eventId"), "type": constant(e.Name), "at": ref("instant"),
		"actor": ref("actor"), "data": data, "request_id": text("Of the command."), "correlation_id": text("Of the command."),
		"chain": ref("chain"),
	}
	if e.Content == nil {
		return shape("", fields)
	}
	if _, ok := e.Data.New().(gotong.Naming); ok {
		fields["names?"] = object{"type": "object", "additionalProperties": text("The name now."), "description": "By user id: the names of the users whom the data names."}
	}
	fields["erased?"] = object{"const": true, "description": "The texts were erased."}
	s := shape("", fields)
	s["x-retention"] = e.Retention
	return s
}

func eventsSchema(k gotong.Kind) object {
	var events list
	for _, e := range seen(k) {
		events = append(events, ref(schemaOfEvent(k.Name, e.Name)))
	}
	return shape("", object{
		"op": constant("events"), "stream": object{"type": "string", "pattern": "^" + k.Name + "/" + nameChars + "$"},
		"from": number("The cursor before."), "to": number("The cursor after."),
		"events": object{"type": "array", "items": object{"oneOf": events}},
	})
}

func schemas() object {
	s := basics()
	var in, out list
	for _, m := range clientMessages() {
		s[m.name] = m.schema
		in = append(in, ref(m.name))
	}
	for _, m := range append(serverMessages(), pollAnswer()) {
		s[m.name] = m.schema
		if m.name != "poll" {
			out = append(out, ref(m.name))
		}
	}
	s["clientFrame"], s["serverFrame"] = object{"oneOf": in}, object{"oneOf": out}
	for _, k := range commanded() {
		for _, c := range k.Commands {
			s[schemaOfCommand(k.Name, c.Name)] = commandSchema(k, c)
		}
	}
	for _, k := range kinds() {
		s["events."+k.Name] = eventsSchema(k)
		for _, e := range seen(k) {
			s[schemaOfEvent(k.Name, e.Name)] = eventSchema(e)
		}
	}
	return s
}

// seen returns the events of a kind that some viewer can see.
func seen(k gotong.Kind) []gotong.EventType {
	return slices.DeleteFunc(slices.Clone(k.Events), func(e gotong.EventType) bool { return e.Unseen })
}
