package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

type tailLines struct {
	std      *stdio
	zone     *time.Location
	day      string
	title    string            // of the thread
	names    map[string]string // of users, as far as events have shown them
	messages map[gotong.EventID]shown
	order    []gotong.EventID // of messages, the oldest first
}

// shown is what is remembered of a message, to refer to it later.
type shown struct{ author, at, text string }

const maxShown = 2000

func newTailLines(std *stdio, zone *time.Location) *tailLines {
	return &tailLines{std: std, zone: zone, names: map[string]string{}, messages: map[gotong.EventID]shown{}}
}

// learn requests the names of the members. Without an answer, ids are shown.
func (t *tailLines) learn(ctx context.Context, remote *client.Client, stream gotong.Stream) {
	switch stream.Kind() {
	case "thread":
		if th, err := remote.Thread(ctx, stream.ID()); err == nil {
			t.title = strings.TrimSpace(th.Icon + " " + th.Name)
			if th.With != nil {
				t.title = th.With.Name
			}
		}
		if list, err := remote.Members(ctx, stream.ID(), client.Page{Limit: 200}); err == nil {
			for _, m := range list.Items {
				t.name(m.UserID, m.Name)
			}
		}
	case "group":
		if list, err := remote.GroupMembers(ctx, stream.ID(), client.Page{Limit: 200}); err == nil {
			for _, m := range list.Items {
				t.name(m.UserID, m.Name)
			}
		}
	}
}

func (t *tailLines) name(userID, shown string) string {
	if shown != "" {
		t.names[userID] = shown
		return shown
	}
	if known := t.names[userID]; known != "" {
		return known
	}
	return shortened(userID, 12)
}

// eventData is the data of any event, as far as lines show it.
type eventData struct {
	Body        string              `json:"body"`
	SentBy      string              `json:"sent_by"`
	SentAtMS    int64               `json:"sent_at_ms"`
	ReplyTo     gotong.EventID      `json:"reply_to"`
	MessageID   gotong.EventID      `json:"message_id"`
	Emoji       string              `json:"emoji"`
	On          bool                `json:"on"`
	UserID      string              `json:"user_id"`
	WebhookID   string              `json:"webhook_id"`
	Role        string              `json:"role"`
	UntilMS     int64               `json:"until_ms"`
	Policy      string              `json:"policy"`
	Name        string              `json:"name"`
	Topic       string              `json:"topic"`
	Icon        string              `json:"icon"`
	Changed     []string            `json:"changed"`
	DeletedAtMS int64               `json:"deleted_at_ms"`
	Withheld    bool                `json:"withheld"`
	Revision    uint64              `json:"revision"`
	Attachments []client.Attachment `json:"attachments"`
}

func (t *tailLines) event(e client.Event) error {
	var d eventData
	if err := e.Decode(&d); err != nil {
		return fmt.Errorf("event %d cannot be decoded: %w", e.Seq, err)
	}
	actor := t.name(e.Actor.UserID, e.Actor.Name)
	at := e.At.Time().In(t.zone)
	if d.SentAtMS > 0 {
		at = time.UnixMilli(d.SentAtMS).In(t.zone)
	}
	if d.SentBy != "" { // imported: the actor only ran the import
		actor = d.SentBy
	}
	if day := at.Format("Monday, 2 January 2006"); day != t.day {
		if t.day == "" && t.title != "" {
			if err := t.write(t.std.paint(dim, "=== "+t.title+" ===")); err != nil {
				return err
			}
		}
		t.day = day
		if err := t.write(t.std.paint(dim, "--- "+day+" ---")); err != nil {
			return err
		}
	}
	clock := at.Format("15:04:05")
	note, text := t.describe(e, d)
	if e.Stream.Kind() == "case" {
		what, reason, err := t.minutes(e)
		if err != nil {
			return err
		}
		note, text = "["+what+"]", reason
	}
	switch e.Type {
	case "message.posted":
		t.remember(e.ID, shown{actor, clock, d.Body})
	case "message.edited", "message.deleted":
		t.replace(d.MessageID, d.Body)
	}
	return t.write(t.std.paint(dim, clock) + "  " + t.column(actor) + "  " + join(t.std.paint(dim, printable(note)), printable(text)))
}

func (t *tailLines) write(line string) error {
	_, err := fmt.Fprintln(t.std.out, line)
	return err
}

func join(note, text string) string {
	if note != "" && text != "" {
		return note + " " + text
	}
	return note + text
}

// describe returns a note in brackets about the event, and the text of a
// message.
func (t *tailLines) describe(e client.Event, d eventData) (note, text string) {
	switch e.Type {
	case "message.posted":
		return t.posted(d)
	case "message.edited":
		if d.Body == "" { // a later edit or a deletion has removed its text
			return "[edited " + t.message(d.MessageID) + "]", ""
		}
		return "[edited " + t.message(d.MessageID) + "]", d.Body
	case "message.deleted":
		return "[deleted " + t.message(d.MessageID) + "]", ""
	case "message.reacted":
		if !d.On {
			return "[removes " + d.Emoji + " from " + t.quote(d.MessageID) + "]", ""
		}
		return "[" + d.Emoji + " for " + t.quote(d.MessageID) + "]", ""
	default:
		return "[" + t.happened(e, d) + "]", ""
	}
}

// posted returns a message as later events have left it.
func (t *tailLines) posted(d eventData) (note, text string) {
	switch {
	case d.DeletedAtMS > 0:
		return "[deleted]", ""
	case d.Withheld:
		return "[withheld]", ""
	case !d.ReplyTo.IsZero():
		if m, ok := t.messages[d.ReplyTo]; ok {
			note = "[to " + m.author + "]"
		} else {
			note = "[reply]"
		}
	}
	text = d.Body
	for _, f := range d.Attachments {
		text = join(text, "["+f.Name+" "+f.ID+"]")
	}
	if d.Revision > 0 {
		text += " (edited)"
	}
	return note, text
}

// happened describes an event that is not a message.
func (t *tailLines) happened(e client.Event, d eventData) string {
	who := ""
	if d.UserID != "" {
		who = t.name(d.UserID, "")
	}
	switch e.Type {
	case "member.added", "member.removed":
		return moved(e.Type == "member.added", d.SentBy != "", who)
	case "webhook.added", "webhook.removed":
		return moved(e.Type == "webhook.added", false, "the webhook "+d.WebhookID)
	case "thread.created":
		return "made this thread"
	case "group.created":
		return "made the group " + d.Name
	case "member.joined":
		return "joined"
	case "member.left":
		return "left"
	case "member.role_changed":
		return "made " + who + " " + d.Role
	case "member.muted":
		if d.UntilMS == 0 {
			return "unmuted " + who
		}
		return "muted " + who + " until " + time.UnixMilli(d.UntilMS).In(t.zone).Format("2006-01-02 15:04")
	case "thread.updated":
		if texts := strings.Fields(d.Icon + " " + d.Name + " " + d.Topic); len(texts) > 0 {
			return "set the " + strings.Join(d.Changed, ", ") + ": " + strings.Join(texts, " ")
		}
		return "removed the " + strings.Join(d.Changed, ", ")
	case "thread.archived":
		return "archived the thread"
	case "thread.unarchived":
		return "took the thread out of the archive"
	case "thread.history_changed":
		return "history is for " + d.Policy + " from now on"
	default:
		return e.Type
	}
}

// moved describes a member who was added or removed. An import adds and removes
// users who joined and left.
func moved(added, imported bool, who string) string {
	switch {
	case imported && added:
		return "joined"
	case imported:
		return "left"
	case added:
		return "added " + who
	default:
		return "removed " + who
	}
}

// remember keeps a message, and drops the oldest if there are too many.
func (t *tailLines) remember(id gotong.EventID, m shown) {
	t.messages[id] = m
	if t.order = append(t.order, id); len(t.order) > maxShown {
		delete(t.messages, t.order[0])
		t.order = t.order[1:]
	}
}

// replace changes the remembered text of a message; the text of a deleted one
// is empty.
func (t *tailLines) replace(id gotong.EventID, text string) {
	if m, ok := t.messages[id]; ok {
		m.text = text
		t.messages[id] = m
	}
}

// message refers to a message without its text.
func (t *tailLines) message(id gotong.EventID) string {
	if m, ok := t.messages[id]; ok {
		return "the message of " + m.at + " by " + m.author
	}
	return "a message"
}

// quote refers to a message by its first words.
func (t *tailLines) quote(id gotong.EventID) string {
	if m, ok := t.messages[id]; ok && m.text != "" {
		return m.author + ": " + shortened(strings.Join(strings.Fields(m.text), " "), 24)
	}
	return t.message(id)
}

// shortened returns the beginning of a text, of at most n characters.
func shortened(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " .,") + "…"
}

// column returns a name, padded to the width of its column and in its own
// colour.
func (t *tailLines) column(name string) string {
	name = shortened(printable(name), 12)
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	paint := colour(fmt.Sprintf("\x1b[3%dm", 1+h.Sum32()%6))
	return t.std.paint(paint, name) + strings.Repeat(" ", 12-utf8.RuneCountInString(name))
}

// printable makes a text harmless to a terminal. It removes control characters,
// which could move the cursor or set the title, and marks that change the
// direction of the following text. It indents further lines.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return utf8.RuneError
		default:
			return r
		}
	}, s)
	return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", 24))
}
