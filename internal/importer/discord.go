package importer

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"gotong.dev/gotong"
)

// discordUser is a user in an export of DiscordChatExporter.
type discordUser struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Nickname string `json:"nickname"`
}

func (u discordUser) shown() string { return firstOf(u.Nickname, u.Name, u.ID) }

type discordMessage struct {
	ID        string          `json:"id"`
	Type      json.RawMessage `json:"type"`
	Timestamp string          `json:"timestamp"`
	Edited    string          `json:"timestampEdited"` //nolint:tagliatelle // as the exporter names it
	Pinned    bool            `json:"isPinned"`        //nolint:tagliatelle // as the exporter names it
	Content   string          `json:"content"`
	Author    discordUser     `json:"author"`
	Files     []struct {
		URL  string `json:"url"`      // a path, if the exporter kept the file
		Name string `json:"fileName"` //nolint:tagliatelle // as the exporter names it
	} `json:"attachments"`
	Stickers []struct {
		Name string `json:"name"`
	} `json:"stickers"`
	Reactions []struct {
		Emoji struct {
			Name string `json:"name"`
		} `json:"emoji"`
		Count int           `json:"count"`
		Users []discordUser `json:"users"`
	} `json:"reactions"`
	Mentions  []discordUser `json:"mentions"`
	Reference struct {
		Message string `json:"messageId"` //nolint:tagliatelle // as the exporter names it
		Channel string `json:"channelId"` //nolint:tagliatelle // as the exporter names it
		Type    string `json:"type"`
	} `json:"reference"`
}

func parseDiscord(_ Source, r io.Reader) entries {
	return walk(r, func(w *walker) error {
		var channel struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}
		last := ""
		return w.object(func(key string) error {
			switch key {
			case "channel":
				if err := w.d.Decode(&channel); err != nil {
					return err
				}
				return w.put(Entry{Kind: Named, Text: asName(channel.Name), Chat: channel.Name})
			case "messages":
				return w.array(func() error {
					var m discordMessage
					if ok, err := w.message(&m); !ok {
						return err
					}
					if len(m.ID) < len(last) || len(m.ID) == len(last) && m.ID < last {
						return reject("the exporter again, with its default order", "this export has the newest messages first")
					}
					last = m.ID
					return m.put(w, channel.ID, channel.Name)
				})
			default:
				return w.skip()
			}
		})
	})
}

func (m discordMessage) put(w *walker, channel, name string) error {
	key := func(id string) string { return "discord/" + channel + "/" + id }
	e := Entry{
		Kind: Message, ID: key(m.ID), Chat: name, Stamp: m.Timestamp, Author: m.Author.shown(), Person: "discord:" + m.Author.ID,
		Text: m.Content, Edited: m.Edited != "", Pin: m.Pinned,
	}
	if t, err := time.Parse(time.RFC3339, m.Timestamp); err == nil {
		e.At = gotong.InstantOf(t)
	} else if id, err := strconv.ParseUint(m.ID, 10, 63); err == nil {
		e.At = ofMilli(int64(id>>22) + 1_420_070_400_000)
	} else {
		return w.put(Entry{Kind: Unreadable, Text: "it has no time", Chat: name})
	}
	if m.Reference.Message != "" && m.Reference.Channel == channel {
		e.ReplyTo = key(m.Reference.Message)
	}
	for _, f := range m.Files {
		e.Files = append(e.Files, Medium{Name: f.Name, Path: f.URL})
	}
	for _, s := range m.Stickers {
		e.Files = append(e.Files, Medium{Name: s.Name})
	}
	for _, r := range m.Reactions {
		var names []string
		for _, u := range r.Users {
			names = append(names, u.shown())
		}
		e.Reactions = append(e.Reactions, reaction(r.Emoji.Name, names, r.Count))
	}
	switch kind := string(m.Type); kind {
	case `"Default"`, `"Reply"`, "0", "19", `"ApplicationCommand"`, `"ChatInputCommand"`, "20", `"ThreadStarterMessage"`, "21":
	case `"GuildMemberJoin"`, "7":
		e.Kind = Join
	case `"RecipientAdd"`, `"RecipientRemove"`, "1", "2":
		if e.Kind = Join; kind == "2" || kind == `"RecipientRemove"` {
			e.Kind = Leave
		}
		if len(m.Mentions) > 0 {
			e.Author, e.Person = m.Mentions[0].shown(), "discord:"+m.Mentions[0].ID
		}
	case `"ChannelPinnedMessage"`, "6":
		e.Kind = Notice // the message itself says that it is pinned
	default:
		e.Kind = Notice
	}
	return w.put(e)
}
