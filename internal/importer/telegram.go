package importer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
)

func itoa(n int) string { return strconv.Itoa(n) }

// tgMessage is a message or a service message of result.json.
type tgMessage struct {
	ID        int64           `json:"id"`
	Type      string          `json:"type"`
	Date      string          `json:"date"`
	Unix      string          `json:"date_unixtime"`
	Edited    string          `json:"edited"`
	From      string          `json:"from"`
	FromID    json.RawMessage `json:"from_id"`
	Actor     string          `json:"actor"`
	ActorID   json.RawMessage `json:"actor_id"`
	Action    string          `json:"action"`
	Title     string          `json:"title"`
	Members   []string        `json:"members"`
	MessageID int64           `json:"message_id"`
	ReplyTo   int64           `json:"reply_to_message_id"`
	ReplyPeer string          `json:"reply_to_peer_id"`
	Text      tgText          `json:"text"`
	Photo     string          `json:"photo"`
	File      string          `json:"file"`
	Media     string          `json:"media_type"`
	Poll      *struct {
		Question string `json:"question"`
	} `json:"poll"`
	Reactions []struct {
		Emoji  string `json:"emoji"`
		Type   string `json:"type"`
		Count  int    `json:"count"`
		Recent []struct {
			From string `json:"from"`
		} `json:"recent"`
	} `json:"reactions"`
}

// tgText is a string, or an array of strings and objects with a text.
type tgText string

func (t *tgText) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &parts); err != nil {
			return err
		}
	} else {
		parts = []json.RawMessage{b}
	}
	var all strings.Builder
	for _, p := range parts {
		var s string
		if json.Unmarshal(p, &s) != nil {
			var o struct {
				Text string `json:"text"`
			}
			if err := json.Unmarshal(p, &o); err != nil {
				return err
			}
			s = o.Text
		}
		all.WriteString(s)
	}
	*t = tgText(all.String())
	return nil
}

// tgChat is what a chat says before its messages.
type tgChat struct {
	source Source
	id     string
	name   string
	label  string            // by which --chat means it
	people map[string]string // ids by name, as far as messages have shown them
}

func parseTelegram(s Source, r io.Reader) entries {
	return walk(&tgFixed{in: bufio.NewReaderSize(r, 64<<10)}, func(w *walker) error {
		return tgObject(w, s, map[string]string{})
	})
}

// tgObject reads a chat, or a full export, whose chats are in lists. labels are the ids of chats
// by label: of two with one name, the second has its id too.
func tgObject(w *walker, s Source, labels map[string]string) error {
	c := tgChat{source: s, people: map[string]string{}}
	return w.object(func(key string) error {
		switch key {
		case "name":
			var name *string
			if err := w.d.Decode(&name); err != nil || name == nil {
				return err
			}
			c.name = *name
			return nil
		case "id":
			var id json.Number
			err := w.d.Decode(&id)
			c.id = id.String()
			return err
		case "messages":
			c.label = firstOf(c.name, c.id)
			if id, taken := labels[c.label]; taken && id != c.id {
				c.label += " (" + c.id + ")"
			}
			labels[c.label] = c.id
			if c.name != "" {
				if err := w.put(Entry{Kind: Named, Text: c.name, Chat: c.label}); err != nil {
					return err
				}
			}
			return w.array(func() error { return c.message(w) })
		case "chats", "left_chats":
			return w.object(func(key string) error {
				if key != "list" {
					return w.skip()
				}
				return w.array(func() error { return tgObject(w, s, labels) })
			})
		default:
			return w.skip()
		}
	})
}

func (c tgChat) message(w *walker) error {
	var m tgMessage
	if ok, err := w.message(&m); !ok {
		return err
	}
	key := func(id int64) string { return "telegram/" + c.id + "/" + strconv.FormatInt(id, 10) }
	e := Entry{Kind: Message, ID: key(m.ID), Chat: c.label, Text: string(m.Text), Stamp: m.Date}
	e.Author, e.Person = firstOf(m.From, m.Actor, "Deleted account"), tgPerson(m.FromID, m.ActorID)
	if e.Person != "" {
		c.people[e.Author] = e.Person
	}
	var ok bool
	if e.At, ok = m.at(c.source.Zone); !ok {
		return w.put(Entry{Kind: Unreadable, Text: "it has no time", Chat: e.Chat})
	}
	if m.ReplyTo != 0 && m.ReplyPeer == "" {
		e.ReplyTo = key(m.ReplyTo)
	}
	e.Edited = m.Edited != ""
	for _, name := range []string{m.Photo, m.File} {
		switch {
		case strings.HasPrefix(name, "("):
			e.Files = append(e.Files, Medium{Name: firstOf(m.Media, "photo")})
		case name != "":
			e.Files = append(e.Files, Medium{Name: name[strings.LastIndex(name, "/")+1:], Path: name})
		}
	}
	if m.Poll != nil {
		e.Text += "\n" + m.Poll.Question
	}
	for _, r := range m.Reactions {
		var names []string
		for _, p := range r.Recent {
			names = append(names, p.From)
		}
		e.Reactions = append(e.Reactions, reaction(firstOf(r.Emoji, r.Type), names, r.Count))
	}
	switch m.Type {
	case "message":
		return w.put(e)
	case "service":
		return m.service(w, e, key, c.people)
	default:
		e.Kind = Notice
		return w.put(e)
	}
}

func tgPerson(ids ...json.RawMessage) string {
	for _, id := range ids {
		if s := strings.Trim(string(id), `"`); s != "" && s != "null" {
			return "telegram:" + s
		}
	}
	return ""
}

func (m tgMessage) at(zone *time.Location) (gotong.Instant, bool) {
	if n, err := strconv.ParseInt(m.Unix, 10, 64); err == nil {
		return gotong.InstantOf(time.Unix(n, 0)), true
	}
	t, err := time.ParseInLocation("2006-01-02T15:04:05", m.Date, zone)
	return gotong.InstantOf(t), err == nil
}

func (m tgMessage) service(w *walker, e Entry, key func(int64) string, people map[string]string) error {
	kind := Notice
	switch m.Action {
	case "invite_members":
		kind = Join
	case "remove_members":
		kind = Leave
	case "join_group_by_link", "join_group_by_request":
		e.Kind = Join
		return w.put(e)
	case "edit_group_title":
		e.Kind, e.Text = Retitle, asName(m.Title)
		return w.put(e)
	case "pin_message":
		e.Kind, e.ReplyTo = Pinned, key(m.MessageID)
		return w.put(e)
	}
	if kind == Notice {
		e.Kind, e.Text = Notice, m.Action
		return w.put(e)
	}
	id := e.ID // members come as names
	for i, name := range m.Members {
		e.Kind, e.Author, e.Person, e.ID = kind, name, people[name], id+"#"+itoa(i)
		if err := w.put(e); err != nil {
			return err
		}
	}
	return nil
}

// tgFixed turns "\x0B", as some versions write control characters, into JSON.
type tgFixed struct {
	in      *bufio.Reader
	pending []byte
}

func (f *tgFixed) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(f.pending) > 0 {
			k := copy(p[n:], f.pending)
			f.pending, n = f.pending[k:], n+k
			continue
		}
		if n > 0 && f.in.Buffered() == 0 {
			return n, nil
		}
		c, err := f.in.ReadByte()
		if err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, err
		}
		p[n] = c
		n++
		if c != '\\' {
			continue
		}
		switch next, err := f.in.ReadByte(); {
		case err != nil:
		case next == 'x':
			f.pending = []byte("u00")
		default:
			f.pending = []byte{next}
		}
	}
	return n, nil
}
