package importer

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
)

// matrixEvent is an event of a room, as far as it is imported.
type matrixEvent struct {
	ID      string        `json:"event_id"`
	Sender  string        `json:"sender"`
	TS      int64         `json:"origin_server_ts"`
	Type    string        `json:"type"`
	Key     string        `json:"state_key"`
	Content matrixContent `json:"content"`

	Unsigned struct {
		Redacted json.RawMessage `json:"redacted_because"`
		Prev     matrixContent   `json:"prev_content"`
	} `json:"unsigned"`
}

type matrixContent struct {
	MsgType    string   `json:"msgtype"`
	Body       string   `json:"body"`
	Filename   string   `json:"filename"`
	Name       string   `json:"name"`
	Membership string   `json:"membership"`
	Display    string   `json:"displayname"`
	Pinned     []string `json:"pinned"`
	Relates    struct {
		Type  string `json:"rel_type"`
		ID    string `json:"event_id"`
		Reply struct {
			ID string `json:"event_id"`
		} `json:"m.in_reply_to"` //nolint:tagliatelle // as Matrix names it
	} `json:"m.relates_to"` //nolint:tagliatelle // as Matrix names it
	New *struct{} `json:"m.new_content"` //nolint:tagliatelle // as Matrix names it
}

// matrixRoom is what is known of a room while it is read.
type matrixRoom struct {
	name  string
	names map[string]string // of users, as their memberships tell them
}

func parseMatrix(_ Source, r io.Reader) entries {
	return walk(r, func(w *walker) error {
		room := matrixRoom{names: map[string]string{}}
		return w.object(func(key string) error {
			switch key {
			case "room_name":
				var name *string
				if err := w.d.Decode(&name); err != nil || name == nil {
					return err
				}
				room.name = *name
				return w.put(Entry{Kind: Named, Text: asName(room.name), Chat: room.name})
			case "messages":
				return w.array(func() error {
					var m matrixEvent
					if ok, err := w.message(&m); !ok {
						return err
					}
					return room.put(w, m)
				})
			default:
				return w.skip()
			}
		})
	})
}

func (room matrixRoom) put(w *walker, m matrixEvent) error {
	if m.TS <= 0 || m.ID == "" {
		return w.put(unreadable("it has no time or no id"))
	}
	key := func(id string) string { return "matrix/" + id } // unique beyond the room, whose name may change
	c := m.Content
	e := Entry{
		Kind: Notice, ID: key(m.ID), Chat: room.name, Stamp: strconv.FormatInt(m.TS, 10), At: ofMilli(m.TS),
		Author: room.shown(m.Sender), Person: "matrix:" + m.Sender, Text: m.Type,
	}
	switch m.Type {
	case "m.room.message", "m.sticker":
		room.message(&e, m, key)
	case "m.room.encrypted", "m.bad.encrypted":
		e = Entry{Kind: Unreadable, Text: "it is encrypted", Chat: room.name}
	case "m.room.name":
		e.Kind, e.Text = Retitle, asName(c.Name)
	case "m.room.pinned_events": // which lists all that is pinned
		for _, id := range c.Pinned {
			if slices.Contains(m.Unsigned.Prev.Pinned, id) {
				continue
			}
			e.Kind, e.ID, e.ReplyTo = Pinned, key("pin "+id), key(id)
			if err := w.put(e); err != nil {
				return err
			}
		}
		if e.Kind == Pinned {
			return nil
		}
	case "m.room.member":
		if c.Display != "" {
			room.names[m.Key] = c.Display
		}
		e.Author, e.Person, e.Text = room.shown(m.Key), "matrix:"+m.Key, ""
		switch before := m.Unsigned.Prev.Membership; {
		case c.Membership == "join" && before != "join":
			e.Kind = Join
		case (c.Membership == "leave" || c.Membership == "ban") && before != "invite" && before != "leave" && before != "ban":
			e.Kind = Leave
		}
	}
	return w.put(e)
}

func (room matrixRoom) message(e *Entry, m matrixEvent, key func(string) string) {
	c := m.Content
	e.Kind, e.Text = Message, c.Body
	switch {
	case len(m.Unsigned.Redacted) > 0:
		e.Kind = Deletion
		return
	case c.Relates.Type == "m.replace": // the message itself comes with its last text
		e.Kind = Notice
		return
	case c.New != nil:
		e.Edited = true
	}
	if reply := firstOf(c.Relates.Reply.ID, c.Relates.ID); reply != "" {
		e.ReplyTo = key(reply)
		e.Text = unquoted(c.Body)
	}
	switch c.MsgType {
	case "m.emote":
		e.Kind = Action
	case "m.image", "m.file", "m.audio", "m.video":
		if e.Files = []Medium{{Name: firstOf(c.Filename, c.Body)}}; c.Filename == "" || c.Filename == c.Body {
			e.Text = ""
		}
	}
}

// unquoted returns a reply without the quotation that older clients put before it.
func unquoted(body string) string {
	rest := body
	for strings.HasPrefix(rest, "> ") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if rest == body {
		return body
	}
	return strings.TrimPrefix(rest, "\n")
}

func (room matrixRoom) shown(id string) string { return firstOf(room.names[id], id) }
