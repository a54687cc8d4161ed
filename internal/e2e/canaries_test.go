package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong/client"
)

// shows returns what a member gets of the canaries, by operation.
func (c *cage) shows(b bird) map[string][]string {
	of := func(which ...int) (list []string) {
		for _, i := range which {
			list = append(list, songs[i]+b.when)
		}
		return list
	}
	texts := append(of(0, 2, 3), mentioned, c.wati)
	return map[string][]string{
		"list-threads": of(1), "get-thread": of(1), "list-messages": texts, "poll-messages": texts, "get-message": of(0, 2),
		"list-replies": of(3), "list-pins": of(0), "search": append(of(0, 1, 2, 3), hiddenName), "link-attachment": of(2),
		"list-notifications": append(of(0), hiddenName), "realtime": append(of(0, 1, 2, 3), `"names":{"`+c.wati), "get-thread-timeline": {c.wati},
		"list-unread": {c.thread}, "get-group": {hiddenName}, "list-my-groups": {hiddenName}, "list-members": {c.wati},
	}
}

// sing waits until a member gets every canary by each operation that shows it: so the
// readers have followed.
func (c *cage) sing(user string, b bird) {
	c.t.Helper()
	paths := c.paths(b)
	for op, want := range c.shows(b) {
		eventually(c.t, op+" of "+user, func() string {
			var all []byte
			for _, path := range paths[op] {
				_, body := c.read(user, path)
				all = append(all, body...)
			}
			return string(all)
		}, func(all string) bool {
			return !slices.ContainsFunc(want, func(canary string) bool { return !strings.Contains(all, canary) })
		})
	}
}

// silent reads every path as a user who may read nothing of the birds. It fails if an
// answer holds a canary, if a path that names something private gets another answer than
// 404, or if a count includes what the user cannot read.
func (c *cage) silent(user string, canaries [][]byte, birds ...bird) {
	c.t.Helper()
	for _, b := range birds {
		for op, paths := range c.paths(b) {
			for _, path := range paths {
				status, body := c.read(user, path)
				none(c.t, user+" at "+path, body, canaries...)
				named := strings.Contains(path, c.thread) || strings.Contains(path, b.picture) || strings.Contains(path, c.hidden)
				if named && op != "realtime" && status != http.StatusNotFound {
					c.t.Errorf("%s at %s: %d, want 404: %s", user, path, status, body)
				}
				if slices.Contains([]string{"list-threads", "list-unread", "search", "review-queue"}, op) {
					none(c.t, user+" at "+path, body, []byte(c.thread))
				}
			}
		}
	}
	if got, want := c.count(user), c.count("endah"); got != want {
		c.t.Errorf("%s counts %s unread, another member of the open thread %s", user, got, want)
	}
}

// count returns the total of what a user has not read.
func (c *cage) count(user string) string {
	c.t.Helper()
	_, body := c.read(user, "/v1/chat/unread/total")
	body = bytes.TrimSpace(body)
	return string(body[bytes.LastIndexByte(body, '\n')+1:])
}

// linked uses the links of a bird: they work for members and for nobody else.
func (c *cage) linked(b bird, members ...string) {
	c.t.Helper()
	for user, file := range b.links {
		for _, link := range []string{file.URL, file.ThumbnailURL} {
			for _, holder := range []string{"", "budi", "dodi"} { // who sends it does not matter
				status, body := c.read(holder, link)
				if slices.Contains(members, user) != (status == http.StatusOK) || link == file.ThumbnailURL && (status == http.StatusOK) != bytes.Contains(body, b.thumb) {
					c.t.Errorf("the link of %s, used by %q: %d, %d bytes", user, holder, status, len(body))
				}
				if status != http.StatusOK {
					none(c.t, "the link of "+user, body, b.all()...)
				}
			}
		}
	}
}

// hooked adds two webhooks to the group, one of them to the thread. It returns a
// function that returns what the other got, once both have got what they may.
func (c *cage) hooked() func(text, marker string) []byte {
	c.t.Helper()
	inside, outside := newReceiver(c.t, nil), newReceiver(c.t, nil)
	admitted, _ := register(c.t, c.url, c.ani, c.group, inside, "")
	c.hook, _ = register(c.t, c.url, c.ani, c.group, outside, "")
	demand(c.t, c.url, c.ani, "PUT", "/v1/chat/threads/"+c.thread+"/webhooks/"+admitted, "", http.StatusOK)
	return func(text, marker string) (all []byte) {
		c.t.Helper()
		inside.until(text, has(text))
		for _, g := range outside.until(marker, has(marker)) {
			all = append(all, g.body...)
		}
		return all
	}
}

// exported looks for the canaries in both forms of export.
func (c *cage) exported(canaries [][]byte) {
	c.t.Helper()
	public, full := c.exports()
	for _, e := range c.events(true) {
		if len(e.Content) > 0 {
			coded := []byte(base64.StdEncoding.EncodeToString(e.Content))
			if canaries = append(canaries, coded); !bytes.Contains(full, coded) {
				c.t.Errorf("the search finds nothing: %s is not in the full export", coded)
			}
		}
	}
	none(c.t, "the public export", public, canaries...)
}

// reported has a member report a message, which opens that one message to reviewers.
func (c *cage) reported(b bird, canaries [][]byte) {
	c.t.Helper()
	const text, queue = "laporkenari", "/v1/moderations/review-queue"
	open := func(user, message string) answer {
		return must(rest(c.t.Context(), c.web, c.url, user, "POST", "/v1/moderations/"+c.thread+":"+message+"/open", ""))(c.t)
	}
	if a := open("mod-dewi", b.message); a.status != http.StatusNotFound {
		c.t.Errorf("without a report, a moderator opens %s", a)
	}
	m := must(dial(c.t, c.url, "budi").Send(c.t.Context(), c.thread, client.NewMessage{Body: text}))(c.t).MessageID.String()
	if err := dial(c.t, c.url, c.eko).Report(c.t.Context(), client.NewReport{ContentID: c.thread + ":" + m, Reason: "spam"}); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the queue", func() string { _, q := c.read(c.ani, queue); return string(q) },
		func(q string) bool { return strings.Contains(q, m) })
	if a := open(c.ani, m); !strings.Contains(string(a.body), text) {
		c.t.Errorf("the search finds nothing: a reviewer opens %s", a)
	}
	for _, user := range []string{"citra", "dodi", "mod-dewi"} {
		_, q := c.read(user, queue)
		seen := slices.Concat(q, open(user, m).body, open(user, b.message).body)
		none(c.t, user+" after a report", seen, canaries...)
		if user != "mod-dewi" {
			none(c.t, user+" after a report", seen, []byte(text), []byte(m))
		}
	}
}

// framed looks for the canaries in the streams of a member, of one who was removed
// between the birds, and of others.
func (c *cage) framed(taps map[string]*tap, after bird, canaries [][]byte) {
	c.t.Helper()
	for user, p := range taps {
		switch name, _, _ := strings.Cut(user, ","); name {
		case "budi":
			for _, canary := range after.all()[:4] {
				if !bytes.Contains(p.text(), canary) {
					c.t.Errorf("the search finds nothing: %s gets no %s", user, canary)
				}
			}
		case "citra":
			none(c.t, "frames to "+user, p.text(), after.all()...)
		default:
			none(c.t, "frames to "+user, p.text(), canaries...)
		}
	}
}

// blocked: a block of the author keeps their texts out of the inbox, and changes no
// count of messages.
func (c *cage) blocked(canaries [][]byte) {
	c.t.Helper()
	_, inbox := c.read(c.eko, "/v1/notifications?include_read=true")
	none(c.t, "the inbox of a user who blocked the author", inbox, canaries[0], canaries[3], canaries[5], canaries[8])
	got, _, _ := strings.Cut(c.count(c.eko), `,"mentions"`) // those are stopped
	if want := c.count("budi"); !strings.HasPrefix(want, got) || got == "" {
		c.t.Errorf("a user who blocked the author counts %s, another %s", got, want)
	}
}

// TestCanariesStaySilent: what stands in a private thread, its name, those of its files
// and their pictures reach nobody but its members, by any operation for reading, by a
// stream, a link, a push, a webhook, a public export, the log, or the queue of moderators.
func TestCanariesStaySilent(t *testing.T) {
	c := startCage(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := dial(t, c.url, c.eko).Block(ctx, c.ani); err != nil {
		t.Fatal(err)
	}
	taps, until := map[string]*tap{}, map[string]func(string){}
	for _, user := range []string{"budi", "citra", "dodi", "mod-dewi"} {
		ws, sse := &tap{}, &tap{}
		taps[user], taps[user+", server-sent"] = ws, sse
		until[user], until[user+", server-sent"] = c.follow(ctx, user, ws), c.listen(ctx, user, sse)
	}
	sent, ani := c.hooked(), dial(t, c.url, c.ani)
	phones := map[string]func(string) []byte{}
	for _, user := range []string{"budi", "citra", "dodi", "mod-dewi", "endah"} {
		phones[user] = c.phone(user)
	}
	before := c.plant("lama", 10, "budi", "citra")
	c.sing("budi", before)
	c.sing("citra", before)
	c.linked(before, c.ani, "budi", "citra")
	must(ani.RemoveMember(ctx, c.thread, "citra"))(t)
	if err := ani.RemoveGroupMember(ctx, c.hidden, "citra"); err != nil {
		t.Fatal(err)
	}
	after := c.plant("baru", 200, "budi")
	c.sing("budi", after)
	must(ani.Send(ctx, c.cases[false].ID(), client.NewMessage{Body: flown + " " + flown}))(t)
	for _, wait := range until {
		wait(flown)
	}
	canaries := append(slices.Concat(before.all(), after.all()), []byte(hiddenName), []byte(mentioned), []byte(c.wati))
	c.framed(taps, after, canaries)
	c.pushed(phones, canaries)
	eventually(t, "the removal", func() string {
		_, inbox := c.read("citra", "/v1/notifications?include_read=true")
		return string(inbox)
	},
		func(inbox string) bool { return strings.Count(inbox, `"kind":"removed"`) == 2 })
	for _, user := range []string{"citra", "dodi", "mod-dewi"} {
		c.silent(user, canaries, before, after)
	}
	c.linked(before, c.ani, "budi")
	c.blocked(canaries)
	none(t, "requests to a webhook outside", sent("balaskenaribaru", flown+" "+flown), canaries...)
	none(t, "what operators see", c.operators(), append(canaries[:10:10], []byte(hiddenName))...)
	c.exported(canaries[:10:10])
	c.reported(before, canaries)
}
