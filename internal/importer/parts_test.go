package importer

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// said is one message of an invented chat.
type said struct {
	n     int // in the chat, from 1
	at    time.Time
	who   string
	text  string
	reply int // the message that it answers; 0 is none
}

// chatOf invents a chat over two days: several messages a minute, some of them equal.
func chatOf(r *rand.Rand, n int) []said {
	var list []said
	at := time.Date(2026, 8, 17, 10, 0, 0, 0, time.UTC)
	for i := range n {
		if at = at.Add(time.Duration(r.IntN(3)) * 20 * time.Second); i == n/2 {
			at = time.Date(2026, 8, 18, 9, 0, 0, 0, time.UTC)
		}
		s := said{n: i + 1, at: at, who: []string{"Budi", "Siti", "Wati"}[r.IntN(3)], text: fmt.Sprint("kata ", r.IntN(3))}
		if i > 0 && r.IntN(3) == 0 {
			s.reply = 1 + r.IntN(i)
		}
		list = append(list, s)
	}
	return list
}

// exporter writes a part of a chat as its program does.
type exporter struct {
	source Source
	name   string
	ids    bool   // messages have ids
	oneDay bool   // a file holds one day
	step   string // the layout of times; messages whose times are equal in it are of one moment
	write  func(tb testing.TB, list []said) []byte
}

// byLine writes a text: head at its beginning, day when another day begins.
func byLine(head, day func(time.Time) string, line func(said) string) func(testing.TB, []said) []byte {
	return func(_ testing.TB, list []said) []byte {
		var b bytes.Buffer
		for i, s := range list {
			switch {
			case i == 0 && head != nil:
				b.WriteString(head(s.at) + "\n")
			case i > 0 && day != nil && s.at.YearDay() != list[i-1].at.YearDay():
				b.WriteString(day(s.at) + "\n")
			}
			b.WriteString(line(s) + "\n")
		}
		return b.Bytes()
	}
}

// at returns a function that writes a time.
func at(layout string) func(time.Time) string {
	return func(t time.Time) string { return t.Format(layout) }
}

// spoken returns a function that writes a message: its time, and its author and text.
func spoken(layout, rest string) func(said) string {
	return func(s said) string { return s.at.Format(layout) + fmt.Sprintf(rest, s.who, s.text) }
}

// asJSON writes an array of objects between two texts.
func asJSON(before, after, comma string, object func(said) any) func(testing.TB, []said) []byte {
	return func(tb testing.TB, list []said) []byte {
		tb.Helper()
		var parts []string
		for _, s := range list {
			raw, err := json.Marshal(object(s))
			if err != nil {
				tb.Fatal(err)
			}
			parts = append(parts, string(raw))
		}
		return []byte(before + strings.Join(parts, comma) + after)
	}
}

// obj is an object of JSON.
type obj map[string]any

// answering adds the message that is answered.
func (o obj) answering(s said, key string, value any) obj {
	if s.reply > 0 {
		o[key] = value
	}
	return o
}

func exporters() map[string]exporter {
	irc := func(dialect string) Source { return Source{Format: IRC, Dialect: dialect} }
	ircName := func(name string) string { return "2026-08-17." + name }
	const minute, second = "02 15:04", "02 15:04:05"
	return map[string]exporter{
		"android": {Source{Dates: "dmy"}, "x.txt", false, false, minute, byLine(nil, nil, spoken("02/01/06, 15:04 - ", "%s: %s"))},
		"ios":     {Source{Dates: "mdy"}, "x.txt", false, false, second, byLine(nil, nil, spoken("[1/2/06, 3:04:05 PM] ", "%s: %s"))},
		"ubuntu":  {irc("ubuntu"), ircName("txt"), false, true, minute, byLine(nil, nil, spoken("[15:04] ", "<%s> %s"))},
		"znc":     {irc("znc"), ircName("log"), false, true, second, byLine(nil, nil, spoken("[15:04:05] ", "<%s> %s"))},
		"dircproxy": {irc("dircproxy"), ircName("log"), false, true, minute, byLine(nil, nil, func(s said) string {
			return fmt.Sprintf("<%s!~x@h> [%s] %s", s.who, s.at.Format("15:04"), s.text)
		})},
		"irssi": {
			irc("irssi"), "x.log", false, false, minute,
			byLine(at("--- Log opened Mon Jan 02 15:04:05 2006"), at("--- Day changed Mon Jan 02 2006"), spoken("15:04 ", "< %s> %s")),
		},
		"eggdrop": {
			irc("eggdrop"), "x.log", false, false, minute,
			byLine(at("[00:00] --- Mon Jan _2 2006"), at("[00:00] --- Mon Jan _2 2006"), spoken("[15:04] ", "<%s> %s")),
		},
		"mirc": {
			irc("mirc"), "x.log", false, false, minute,
			byLine(at("Session Start: Mon Jan 02 15:04:05 2006"), at("Session Time: Mon Jan 02 15:04:05 2006"), spoken("[15:04] ", "<%s> %s")),
		},
		"hexchat": {
			irc("hexchat"), "x.log", false, false, second,
			byLine(at("**** BEGIN LOGGING AT Mon Jan _2 15:04:05 2006"), nil, spoken("Jan 02 15:04:05 ", "<%s>\t%s")),
		},
		"weechat":     {irc("weechat"), "x.log", false, false, second, byLine(nil, nil, spoken("2006-01-02 15:04:05\t", "%s\t%s"))},
		"weechat-old": {irc("weechat-old"), "x.log", false, false, second, byLine(nil, nil, spoken("2006 Jan 02 15:04:05 ", "<%s> %s"))},
		"thelounge":   {irc("thelounge"), "x.log", false, false, second, byLine(nil, nil, spoken("[2006-01-02T15:04:05.000Z] ", "<%s> %s"))},
		"telegram": {Source{}, "result.json", true, false, "", asJSON(
			`{"name":"RT 05","type":"private_group","id":7,"messages":[`, "]}", ",", func(s said) any {
				return obj{
					"id": s.n, "type": "message", "date_unixtime": fmt.Sprint(s.at.Unix()), "from": s.who, "from_id": "user" + s.who, "text": s.text,
				}.answering(s, "reply_to_message_id", s.reply)
			})},
		"discord": {Source{}, "x.json", true, false, "", asJSON(
			`{"guild":{"id":"1"},"channel":{"id":"77","name":"umum"},"messages":[`, "]}", ",", func(s said) any {
				return obj{
					"id": fmt.Sprint(100 + s.n), "type": "Default", "timestamp": s.at.Format(time.RFC3339), "content": s.text,
					"author": obj{"id": s.who, "name": s.who},
				}.answering(s, "reference", obj{"messageId": fmt.Sprint(100 + s.reply), "channelId": "77"})
			})},
		"matrix": {Source{}, "export.json", true, false, "", asJSON(`{"room_name":"RT 05","messages":[`, "]}", ",", func(s said) any {
			content := obj{"msgtype": "m.text", "body": s.text}.
				answering(s, "m.relates_to", obj{"m.in_reply_to": obj{"event_id": fmt.Sprint("$", s.reply)}})
			return obj{
				"event_id": fmt.Sprint("$", s.n), "sender": "@" + s.who + ":h", "origin_server_ts": s.at.UnixMilli(), "type": "m.room.message",
				"content": content,
			}
		})},
		"mattermost": {Source{Format: Mattermost}, "x.jsonl", false, false, time.RFC3339, asJSON(`{"type":"version","version":1}`+"\n", "\n", "\n", func(s said) any {
			return obj{"type": "post", "post": obj{"channel": "umum", "user": s.who, "message": s.text, "create_at": s.at.UnixMilli()}}
		})},
		"slack": {Source{}, "x.zip", true, false, "", slackExport},
	}
}

// slackExport writes a zip with a file a day.
func slackExport(tb testing.TB, list []said) []byte {
	tb.Helper()
	files := map[string]any{"users.json": []obj{}, "channels.json": []obj{{"id": "C1", "name": "umum"}}}
	ts := func(n int) string { return fmt.Sprintf("1786960800.%06d", n) }
	days := map[string][]obj{}
	for _, s := range list {
		name := s.at.Format("umum/2006-01-02.json")
		m := obj{"type": "message", "user": s.who, "text": s.text, "ts": ts(s.n)}.answering(s, "thread_ts", ts(s.reply))
		days[name] = append(days[name], m)
		files[name] = days[name]
	}
	return zipOf(tb, files)
}

// zipOf packs values as JSON, and bytes as they are.
func zipOf(tb testing.TB, files map[string]any) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		raw, ok := files[name].([]byte)
		var err error
		if !ok {
			raw, err = json.Marshal(files[name])
		}
		w, failed := z.Create(name)
		if err = cmp.Or(err, failed); err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// postsIn are the messages that an import of a part brings, by request id.
func postsIn(t *testing.T, x exporter, path string, list []said) map[string]Step {
	t.Helper()
	if err := os.WriteFile(path, x.write(t, list), 0o600); err != nil {
		t.Fatal(err)
	}
	survey, read, err := opened(t, path, x.source)
	if err != nil || survey.Messages != len(list) || survey.Unreadable > 0 {
		t.Fatalf("%d messages were written; read: %+v, %v", len(list), survey.Summary, err)
	}
	steps, _ := stepsOf(t, read)
	posts := map[string]Step{}
	for _, s := range steps {
		if s.Op == Post {
			s.Line = 0
			posts[s.RequestID] = s
		}
	}
	if len(posts) != len(list) {
		t.Fatalf("%d messages became %d", len(list), len(posts))
	}
	return posts
}

// TestTwoPartsAddUp: two parts of an export that overlap are together the whole, whichever
// is imported first. Where messages have no ids, the second part begins at a moment,
// and the first part must hold all messages of that moment.
func TestTwoPartsAddUp(t *testing.T) {
	for name, x := range exporters() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), x.name)
			r := rand.New(rand.NewPCG(1, 2))
			for range 6 {
				list := chatOf(r, 40)
				if x.oneDay {
					list = list[:20]
				}
				from := r.IntN(len(list))
				for x.source.Format == Mattermost && from > 0 && list[from].at.Equal(list[from-1].at) {
					from-- // its exports are cut nowhere, least of all within a millisecond
				}
				to := from + 1
				for !x.ids && to < len(list) && list[to].at.Format(x.step) == list[from].at.Format(x.step) {
					to++
				}
				to += r.IntN(len(list) - to + 1)
				whole := postsIn(t, x, path, list)
				union := postsIn(t, x, path, list[:to])
				for id, s := range postsIn(t, x, path, list[from:]) {
					if before, twice := union[id]; twice && !alike(before, s) {
						t.Errorf("one part has %+v, the other %+v", before, s)
					}
					union[id] = s
				}
				if !maps.EqualFunc(union, whole, alike) {
					t.Fatalf("parts to %d and from %d have %d messages, the whole %d:\n%s", to, from, len(union), len(whole), x.write(t, list))
				}
			}
		})
	}
}

// TestARoomThatWasRenamed is the same room: its messages keep their identity.
func TestARoomThatWasRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export.json")
	list := chatOf(rand.New(rand.NewPCG(1, 2)), 4)
	x := exporters()["matrix"]
	before := postsIn(t, x, path, list)
	renamed := x
	renamed.write = func(tb testing.TB, list []said) []byte {
		tb.Helper()
		return bytes.Replace(x.write(tb, list), []byte("RT 05"), []byte("RT 05 baru"), 1)
	}
	if after := postsIn(t, renamed, path, list); !maps.EqualFunc(before, after, alike) {
		t.Errorf("was %+v, is %+v", before, after)
	}
}

// TestAnEditedMessageKeepsItsIdentity in each format with ids, and its step says why its text is another.
func TestAnEditedMessageKeepsItsIdentity(t *testing.T) {
	mark := map[string][2]string{ // what an edit adds to a message
		"telegram":   {`"type":"message"`, `"type":"message","edited":"2026-08-17T10:02:00"`},
		"discord":    {`"type":"Default"`, `"type":"Default","timestampEdited":"2026-08-17T10:02:00Z"`},
		"matrix":     {`"msgtype":"m.text"`, `"msgtype":"m.text","m.new_content":{}`},
		"mattermost": {`"create_at"`, `"edit_at":1786960900000,"create_at"`},
	}
	list := []said{{n: 1, at: time.Date(2026, 8, 17, 10, 0, 0, 0, time.UTC), who: "Budi", text: "rapat jam 7"}}
	for name, x := range exporters() {
		if !x.ids && name != "mattermost" {
			continue
		}
		edited := x
		edited.write = func(tb testing.TB, list []said) []byte {
			tb.Helper()
			if name == "slack" {
				return zipOf(tb, map[string]any{
					"users.json": []obj{}, "channels.json": []obj{{"id": "C1", "name": "umum"}}, "umum/2026-08-17.json": []obj{
						{"user": "Budi", "text": "rapat jam 8", "ts": "1786960800.000001", "edited": obj{"ts": "1"}},
					},
				})
			}
			raw := bytes.Replace(x.write(tb, list), []byte("jam 7"), []byte("jam 8"), 1)
			return bytes.Replace(raw, []byte(mark[name][0]), []byte(mark[name][1]), 1)
		}
		path := filepath.Join(t.TempDir(), x.name)
		before, after := postsIn(t, x, path, list), postsIn(t, edited, path, list)
		for id, s := range before {
			if e := after[id]; s.Edited || !e.Edited || e.Text != "rapat jam 8\n[edited]" {
				t.Errorf("%s: %+v became %+v", name, before, after)
			}
		}
	}
}
