package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
)

// cage is a server with a private thread in an open group, and a group that only its
// members know. What stands in both is for members alone.
type cage struct {
	*hush
	thread, group, hook, hidden string

	ani, eko, wati string // users with accounts, who can block and be blocked or mentioned
}

// bird is what was planted at one time; every text of it ends with the time's name.
type bird struct {
	when, message, picture string
	thumb                  []byte
	links                  map[string]client.File // by the user who asked for them
}

// The canaries of a bird stand in a text, in the thread's name, in the name of a file
// and in an answer. They are words, so that a search finds them.
var songs = []string{"tekskenari", "namakenari", "berkaskenari", "balaskenari"}

func (b bird) all() (list [][]byte) {
	for _, song := range songs {
		list = append(list, []byte(song+b.when))
	}
	return append(list, b.thumb)
}

// hiddenName is that of a group, and mentioned the name of an account that only the
// private thread names.
const hiddenName, mentioned, flown = "grupkenari", "wati.kenari", "penandakenari"

func startCage(t *testing.T) *cage {
	t.Helper()
	c := &cage{hush: &hush{t: t, web: forgetful(t), clock: clocktest.Running(), cases: map[bool]gotong.Stream{}}}
	c.node = startNode(t, func(o *app.Options) {
		o.Config.PushContact = "mailto:ops@rt05.example"
		o.Config.FileSize, o.Config.FilesPerUser, o.Config.FilesPerGroup = 1, 8, 16
		o.Clock, o.Log = c.clock, slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for name, id := range map[string]*string{"ani": &c.ani, "eko": &c.eko, mentioned: &c.wati} {
		*id = must(dial(t, c.url, "nobody").SignUp(t.Context(), client.SignUp{
			Email: name + "@example.org", Pass: "a long passphrase of hers", Username: name, CommunityID: "rt05",
		}))(t).UserID
	}
	ani := dial(t, c.url, c.ani)
	c.group = must(ani.CreateGroup(t.Context(), client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "terbuka"}))(t).GroupID
	c.hidden = must(ani.CreateGroup(t.Context(), client.NewGroup{Name: hiddenName, EntityType: "kelompok", JoinPolicy: "undangan"}))(t).GroupID
	secret := must(ani.CreateThread(t.Context(), client.NewThread{ScopeID: c.group, Privacy: "private", History: "all"}))(t)
	open := must(ani.CreateThread(t.Context(), client.NewThread{ScopeID: c.group, Privacy: "public"}))(t)
	c.thread, c.cases[true], c.cases[false] = secret.ThreadID, secret.Stream(), open.Stream()
	for _, user := range []string{"budi", "citra", c.eko, c.wati} {
		must(ani.AddGroupMember(t.Context(), c.hidden, user, ""))(t)
		must(ani.AddMember(t.Context(), c.thread, user, ""))(t)
	}
	for _, user := range []string{"budi", "citra", c.eko, "dodi", "mod-dewi", "endah"} {
		must(ani.AddMember(t.Context(), open.ThreadID, user, ""))(t)
	}
	return c
}

// plant has ani plant canaries in the thread, and these users ask for links.
func (c *cage) plant(when string, shade uint8, users ...string) bird {
	c.t.Helper()
	ani, name := dial(c.t, c.url, c.ani), "namakenari"+when
	must(ani.UpdateThread(c.t.Context(), c.thread, client.ThreadChange{Name: &name}))(c.t)
	file := must(ani.UploadBytes(c.t.Context(), c.thread, "berkaskenari"+when+".png", painted(c.t, shade)))(c.t)
	m := must(ani.Send(c.t.Context(), c.thread, client.NewMessage{
		Body: "@here @" + mentioned + " tekskenari" + when, Attachments: []string{file.ID},
	}))(c.t)
	must(ani.Send(c.t.Context(), c.thread, client.NewMessage{Body: "balaskenari" + when, ReplyTo: m.MessageID}))(c.t)
	must(ani.Pin(c.t.Context(), c.thread, m.MessageID, true))(c.t)
	b := bird{when: when, message: m.MessageID.String(), picture: file.ID, links: map[string]client.File{}}
	for _, user := range append(users, c.ani) {
		b.links[user] = must(dial(c.t, c.url, user).File(c.t.Context(), file.ID))(c.t)
	}
	_, b.thumb = c.read("", b.links[c.ani].ThumbnailURL)
	return b
}

// painted returns a picture that is like no other shade's.
func painted(t *testing.T, shade uint8) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for i := range 640 * 480 {
		img.Set(i%640, i/640, color.RGBA{uint8(i % 640 / 3), uint8(i / 640 / 2), shade, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns the status and the body of an answer; a link is used without a user.
func (c *cage) read(user, path string) (status int, body []byte) {
	c.t.Helper()
	req := must(http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, http.NoBody))(c.t)
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	}
	resp, err := c.web.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	_ = resp.Header.Write(&b)
	head := b.Len()
	if _, err := b.ReadFrom(resp.Body); err != nil {
		c.t.Fatal(err)
	}
	if user == "" {
		return resp.StatusCode, b.Bytes()[head:]
	}
	return resp.StatusCode, b.Bytes()
}

// paths returns every path that the published document has for reading, by its
// operation, filled with what is private.
func (c *cage) paths(b bird) map[string][]string {
	c.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI, &doc); err != nil {
		c.t.Fatal(err)
	}
	queries := map[string][]string{
		"list-threads": {"", "?scope_id=" + c.group, "?archived=true"}, "list-webhooks": {"?scope_id=" + c.group},
		"list-notifications": {"?include_read=true"}, "find-user": {"?user=ani"}, "list-messages": {"?limit=50"},
		"search": {"?query=" + mentioned, "?query=" + hiddenName},
	}
	for _, song := range songs {
		queries["search"] = append(queries["search"], "?query="+song+b.when)
	}
	list := map[string][]string{"realtime": {"/v1/realtime/poll?wait=0&cursor=start&stream=" + string(c.cases[true])}}
	for path, methods := range doc.Paths {
		op, ok := methods["get"]
		if !ok || op.ID == "download-attachment" || op.ID == "get-event-proof" {
			continue // by links, and below
		}
		id := c.thread
		for part, of := range map[string]string{"/attachments/": b.picture, "/groups/": c.hidden, "/webhooks/": c.hook, "/users/": "ani"} {
			if strings.Contains(path, part) {
				id = of
			}
		}
		path = strings.NewReplacer("{id}", id, "{mid}", b.message, "{content_id}", c.thread+":"+b.message).Replace(path)
		if strings.Contains(path, "{") {
			c.t.Fatalf("%s: what is read at %s?", op.ID, path)
		}
		for _, q := range append(queries[op.ID], "")[:max(1, len(queries[op.ID]))] {
			list[op.ID] = append(list[op.ID], path+q)
		}
	}
	for _, e := range c.events(true) {
		list["get-event-proof"] = append(list["get-event-proof"], fmt.Sprintf("/v1/streams/%s/events/%d/proof", c.cases[true], e.Seq))
	}
	return list
}
