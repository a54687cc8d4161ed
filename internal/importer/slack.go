package importer

import (
	"cmp"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gotong.dev/gotong"
)

// slackMessage is one message of a day of a channel.
type slackMessage struct {
	Type      string    `json:"type"`
	Subtype   string    `json:"subtype"`
	User      string    `json:"user"`
	BotID     string    `json:"bot_id"`
	Username  string    `json:"username"`
	Text      string    `json:"text"`
	TS        string    `json:"ts"`
	Thread    string    `json:"thread_ts"`
	Name      string    `json:"name"` // of channel_name: the new one
	Edited    *struct{} `json:"edited"`
	Pinned    []string  `json:"pinned_to"`
	Reactions []struct {
		Name  string   `json:"name"`
		Users []string `json:"users"`
		Count int      `json:"count"`
	} `json:"reactions"`
	Files []struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Title string `json:"title"`
		Mode  string `json:"mode"`
	} `json:"files"`
}

// slackUser is a person in users.json; only the name is kept.
type slackUser struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Real    string `json:"real_name"`
	Profile struct {
		Display string `json:"display_name"`
		Real    string `json:"real_name"`
	} `json:"profile"`
}

// slackZip is an export that is being read.
type slackZip struct {
	Source
	users    map[string]string
	channels map[string]string // ids by name; of a folder without one, its name
	days     map[string][]*held
}

// slack reads the channels of the zip one after the other, each day by day.
func (f *File) slack(s Source) entries {
	return func(yield func(Entry, error) bool) {
		z := slackZip{s, map[string]string{}, map[string]string{}, map[string][]*held{}}
		for _, file := range f.held {
			switch name := path.Base(file.name); name {
			case "users.json", "org_users.json":
				if !each(file, yield, func(u slackUser) {
					z.users[u.ID] = firstOf(u.Profile.Display, u.Profile.Real, u.Real, u.Name)
				}) {
					return
				}
			case "channels.json", "groups.json", "mpims.json":
				if !each(file, yield, func(c slackUser) { z.channels[c.Name] = c.ID }) {
					return
				}
			default:
				if dateInName.MatchString(name) && path.Ext(name) == ".json" {
					folder := path.Base(path.Dir(file.name))
					z.days[folder] = append(z.days[folder], file)
				}
			}
		}
		var folders []string
		for name := range z.days {
			if s.Chat == "" || s.Chat == name {
				folders = append(folders, name)
			}
		}
		slices.Sort(folders)
		for _, name := range folders {
			if !z.channel(name, yield) {
				return
			}
		}
	}
}

// each reads a JSON array of the zip, element by element, as far as it can. What it cannot read
// it yields: messages would have ids for names. It returns false if the consumer wants no more.
func each[T any](file *held, yield func(Entry, error) bool, take func(T)) (more bool) {
	name := path.Base(file.name)
	r, err := file.open()
	if err != nil {
		return yield(unreadable("the file "+name+" cannot be unpacked"), nil)
	}
	more = true
	defer r.Close() //nolint:errcheck // only read
	walk(r, func(w *walker) error {
		return w.array(func() error {
			var v T
			if ok, err := w.message(&v); !ok {
				return err
			}
			take(v)
			return nil
		})
	})(func(e Entry, err error) bool {
		e.Text = name + ": " + e.Text
		more = yield(e, err)
		return more
	})
	return more
}

// maxDay bounds the messages of one day, which are held to be put in order.
const maxDay = 200_000

func (z slackZip) channel(name string, yield func(Entry, error) bool) bool {
	if !yield(Entry{Kind: Named, Text: asName(name), Chat: name}, nil) {
		return false
	}
	slices.SortFunc(z.days[name], func(a, b *held) int { return strings.Compare(a.name, b.name) })
	n := 0
	for _, file := range z.days[name] {
		var day []slackMessage
		more := true
		put := func(e Entry, err error) bool {
			e.Line, e.Chat = n, name
			more = yield(e, err)
			return more
		}
		r, err := file.open()
		if err != nil {
			return put(unreadable("the file "+path.Base(file.name)+" cannot be unpacked"), nil)
		}
		walk(r, func(w *walker) error {
			return w.array(func() error {
				var m slackMessage
				if ok, err := w.message(&m); !ok {
					return err
				}
				if day = append(day, m); len(day) > maxDay {
					return errTooLong
				}
				return nil
			})
		})(put)
		_ = r.Close()
		if !more {
			return false
		}
		slices.SortStableFunc(day, func(a, b slackMessage) int {
			return cmp.Or(cmp.Compare(len(a.TS), len(b.TS)), cmp.Compare(a.TS, b.TS))
		})
		for _, m := range day {
			n++
			w := walker{n: n, yield: put}
			if z.message(&w, name, m) != nil || !more {
				return false
			}
		}
	}
	return true
}

func (z slackZip) message(w *walker, channel string, m slackMessage) error {
	key := func(ts string) string { return "slack/" + firstOf(z.channels[channel], channel) + "/" + ts }
	seconds, micros, _ := strings.Cut(m.TS, ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return w.put(unreadable("it has no time"))
	}
	us, _ := strconv.ParseInt(micros, 10, 64)
	e := Entry{
		Kind: Message, ID: key(m.TS), Stamp: m.TS, At: gotong.InstantOf(time.Unix(sec, us*1000)),
		Author: z.name(firstOf(m.User, m.BotID), m.Username), Person: "slack:" + firstOf(m.User, m.BotID, m.Username),
		Text: z.plain(m.Text), Edited: m.Edited != nil, Pin: len(m.Pinned) > 0,
	}
	if m.Thread != "" && m.Thread != m.TS {
		e.ReplyTo = key(m.Thread)
	}
	for _, f := range m.Files {
		m := Medium{Name: firstOf(f.Name, f.Title, f.ID, f.Mode, "file")}
		if m.Path = "__uploads/" + f.ID + "/" + f.Name; f.ID == "" || f.Name == "" {
			m.Path = ""
		}
		e.Files = append(e.Files, m)
	}
	for _, r := range m.Reactions {
		var names []string
		for _, u := range r.Users {
			names = append(names, z.name(u, ""))
		}
		e.Reactions = append(e.Reactions, reaction(":"+r.Name+":", names, r.Count))
	}
	switch strings.TrimPrefix(m.Subtype, "group_") {
	case "", "bot_message", "thread_broadcast", "file_share", "file_comment", "channel_topic_reply":
	case "me_message":
		e.Kind = Action
	case "channel_join", "join":
		e.Kind = Join
	case "channel_leave", "leave":
		e.Kind = Leave
	case "channel_name", "name":
		e.Kind, e.Text = Retitle, asName(m.Name)
	case "tombstone", "message_deleted":
		e.Kind = Deletion
	default:
		e.Kind = Notice
	}
	return w.put(e)
}

// name returns the name of a user. Guests and deleted users may be missing from
// users.json; their id stands for them.
func (z slackZip) name(id, username string) string {
	return firstOf(z.users[id], username, id, "Slack")
}

var slackMarks = regexp.MustCompile(`<([@#!]?)([^>|]*)(?:\|([^>]*))?>`)

// plain returns text without the marks of Slack: names for users and channels, and
// the address of a link after its words.
func (z slackZip) plain(s string) string {
	s = slackMarks.ReplaceAllStringFunc(s, func(mark string) string {
		m := slackMarks.FindStringSubmatch(mark)
		switch {
		case m[1] == "@":
			return "@" + firstOf(z.users[m[2]], m[3], m[2])
		case m[1] == "#":
			return "#" + firstOf(m[3], m[2])
		case m[1] == "!":
			name, _, _ := strings.Cut(m[2], "^")
			return firstOf(m[3], "@"+name)
		case m[3] == "" || m[3] == m[2]:
			return m[2]
		default:
			return m[3] + " (" + m[2] + ")"
		}
	})
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// UnmarshalJSON reads a user or a channel whose other fields may be of any type.
func (u *slackUser) UnmarshalJSON(b []byte) error {
	type bare slackUser
	err := json.Unmarshal(b, (*bare)(u))
	if u.ID != "" {
		return nil
	}
	return err
}
