package importer

import (
	"errors"
	"io"
	"path"
	"strconv"
	"strings"
)

// mmPost is a post, a reply or a direct post of a bulk export.
type mmPost struct {
	Team      string   `json:"team"`
	Channel   string   `json:"channel"`
	Members   []string `json:"channel_members"`
	User      string   `json:"user"`
	Type      string   `json:"type"`
	Message   string   `json:"message"`
	CreateAt  int64    `json:"create_at"`
	EditAt    int64    `json:"edit_at"`
	DeleteAt  int64    `json:"delete_at"`
	Pinned    bool     `json:"is_pinned"`
	Replies   []mmPost `json:"replies"`
	Reactions []struct {
		User  string `json:"user"`
		Emoji string `json:"emoji_name"`
	} `json:"reactions"`
	Files []struct {
		Path string `json:"path"`
	} `json:"attachments"`
}

// mmLine is one line: a type, and an object under its name.
type mmLine struct {
	Type    string  `json:"type"`
	Version int     `json:"version"`
	Post    *mmPost `json:"post"`
	Direct  *mmPost `json:"direct_post"`
	Channel *struct {
		Team    string `json:"team"`
		Name    string `json:"name"`
		Display string `json:"display_name"`
	} `json:"channel"`
	User *struct {
		Username string `json:"username"`
		Nickname string `json:"nickname"`
		First    string `json:"first_name"`
		Last     string `json:"last_name"`
	} `json:"user"`
}

func parseMattermost(_ Source, r io.Reader) entries {
	return walk(r, func(w *walker) error {
		names, titles, teams, seen := map[string]string{}, map[string]string{}, map[string]string{}, Set{}
		for {
			var l mmLine
			w.in.left = maxElement
			ok, err := w.message(&l)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			switch p := firstPost(l.Post, l.Direct); {
			case !ok:
			case p != nil:
				if err := p.put(w, mmNames{names, titles, teams, seen}, "", ""); err != nil {
					return err
				}
			case l.Type == "post" || l.Type == "direct_post":
				if err := w.put(unreadable("it has no post")); err != nil {
					return err
				}
			case l.Channel != nil:
				titles[l.Channel.Team+"/"+l.Channel.Name] = l.Channel.Display
			case l.User != nil:
				full := strings.TrimSpace(l.User.First + " " + l.User.Last)
				names[l.User.Username] = firstOf(l.User.Nickname, full, l.User.Username)
			}
		}
	})
}

func firstPost(list ...*mmPost) *mmPost {
	for _, p := range list {
		if p != nil {
			return p
		}
	}
	return nil
}

// mmNames are the names of users by their short names, those of channels, likewise after their
// team, the team whose channel has a short name alone, and the ids so far.
type mmNames struct {
	users, titles, teams map[string]string
	seen                 Set
}

func (n mmNames) chat(p *mmPost) string {
	switch team, taken := n.teams[p.Channel]; {
	case p.Channel == "":
		return strings.Join(p.Members, " ")
	case taken && team != p.Team: // every team has a town-square
		return p.Team + "/" + p.Channel
	default:
		n.teams[p.Channel] = p.Team
		return p.Channel
	}
}

func (p *mmPost) put(w *walker, names mmNames, chat, parent string) error {
	if chat == "" {
		chat = names.chat(p)
	}
	if p.CreateAt <= 0 {
		return w.put(Entry{Kind: Unreadable, Text: "it has no time", Chat: chat})
	}
	at := strconv.FormatInt(p.CreateAt, 10)
	e := Entry{
		Kind: Message, ID: "mattermost/" + chat + "/" + p.User + " " + at, Chat: chat, Stamp: at, At: ofMilli(p.CreateAt),
		Author: firstOf(names.users[p.User], p.User), Person: "mattermost:" + p.User, Text: p.Message,
		Edited: p.EditAt > 0, Pin: p.Pinned, ReplyTo: parent,
	}
	for id, n := e.ID, 2; names.seen.Has(e.ID); n++ { // a bot can post several within a millisecond
		e.ID = id + "#" + itoa(n)
	}
	names.seen.Add(e.ID)
	for _, f := range p.Files {
		e.Files = append(e.Files, Medium{Name: path.Base(f.Path), Path: f.Path})
	}
	var emoji []string
	by := map[string][]string{}
	for _, r := range p.Reactions {
		if by[r.Emoji] == nil {
			emoji = append(emoji, r.Emoji)
		}
		by[r.Emoji] = append(by[r.Emoji], firstOf(names.users[r.User], r.User))
	}
	for _, name := range emoji {
		e.Reactions = append(e.Reactions, reaction(":"+name+":", by[name], len(by[name])))
	}
	switch {
	case p.DeleteAt > 0:
		e.Kind = Deletion
	case p.Type == "system_join_channel", p.Type == "system_add_to_channel":
		e.Kind = Join
	case p.Type == "system_leave_channel", p.Type == "system_remove_from_channel":
		e.Kind = Leave
	case strings.HasPrefix(p.Type, "system_"):
		e.Kind = Notice
	case p.Type == "me":
		e.Kind = Action
	}
	channel := p.Team + "/" + p.Channel
	if title := names.titles[channel]; title != "" {
		delete(names.titles, channel)
		if err := w.put(Entry{Kind: Named, Text: asName(title), Chat: chat}); err != nil {
			return err
		}
	}
	if err := w.put(e); err != nil {
		return err
	}
	for i := range p.Replies {
		if err := p.Replies[i].put(w, names, chat, e.ID); err != nil {
			return err
		}
	}
	return nil
}
