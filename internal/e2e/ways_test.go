package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gotong.dev/gotong"
)

// ways are the ways to read a thread; each holds what it got against the oracle.
var ways = []func(*walk, string, *talk){
	(*walk).newestPage, (*walk).pageAfter, (*walk).pageBefore, (*walk).pageSince, (*walk).getMessage,
	(*walk).getThread, (*walk).setMark, (*walk).timeline, (*walk).sendAgain, (*walk).pollAll,
	(*walk).inbox, (*walk).listReplies, (*walk).listPins, (*walk).sseAll, (*walk).wsAll, (*walk).search,
}

// search checks what a search in one thread returns: each message as the user may see
// it now, newest first. The index follows the log, so it may lack the newest messages.
// A user who may not read the thread gets no hits and no cursor.
func (w *walk) search(user string, k *talk) {
	w.t.Helper()
	path := fmt.Sprintf("/v1/search?query=canary+in:%s&limit=%d", k.stream.ID(), 1+w.rnd.IntN(50))
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
	w.watch(user, path, []byte(fmt.Sprint(a.header, " ", a)))
	var found struct {
		Items []struct {
			Seq     int `json:"seq"`
			Snippet struct {
				Text string `json:"text"`
			} `json:"snippet"`
		} `json:"items"`
		Next string `json:"next_cursor"`
	}
	if err := json.Unmarshal(a.body, &found); err != nil || a.status != http.StatusOK {
		w.t.Fatalf("%s: GET %s: %d %v: %.300s", user, path, a.status, err, a.body)
	}
	if !k.members[user] && (len(found.Items) > 0 || found.Next != "") {
		w.t.Errorf("%s, %s: GET %s: %.300s", user, k.state(user), path, a.body)
	}
	last := len(k.facts) + 1
	for _, m := range found.Items {
		if m.Seq >= last || !k.sees(user, m.Seq) || k.message(user, m.Seq).Body != m.Snippet.Text {
			w.t.Errorf("%s, %s: GET %s: message %d after %d: %.300s", user, k.state(user), path, m.Seq, last, a.body)
		}
		last = m.Seq
	}
}

// look has two users read a thread in three ways each.
func (w *walk) look() {
	w.t.Helper()
	for range 2 {
		k, user := w.talk(), w.pick(w.users)
		for range 3 {
			ways[w.rnd.IntN(len(ways))](w, user, k)
		}
	}
}

// get is a request whose answer is watched; 200 is for members, 404 for others.
func (w *walk) get(user string, k *talk, path string) (answer, bool) {
	w.t.Helper()
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
	w.watch(user, path, []byte(fmt.Sprint(a.header, " ", a)))
	if want := map[bool]int{true: 200, false: 404}[k.members[user]]; a.status != want {
		w.t.Errorf("%s, %s: GET %s: %d, want %d: %.300s", user, k.state(user), path, a.status, want, a.body)
	}
	return a, k.members[user] && a.status == 200
}

// listed is a message in an answer of REST.
type listed struct {
	Seq       int    `json:"seq"`
	Body      string `json:"body"`
	Withheld  bool   `json:"withheld"`
	DeletedMS int64  `json:"deleted_at_ms"`
	Revision  int    `json:"revision"`
	CreatedMS int64  `json:"created_at_ms"`
	Replies   int    `json:"replies"`
	Pinned    bool   `json:"pinned"`
	Reactions []struct {
		Emoji string   `json:"emoji"`
		Count int      `json:"count"`
		Users []string `json:"user_ids"`
	} `json:"reactions"`
}

func (m listed) shown() shown {
	var list []string
	for _, r := range m.Reactions {
		for _, user := range r.Users {
			list = append(list, r.Emoji+user)
		}
		if r.Count != len(r.Users) {
			list = append(list, "miscounted")
		}
	}
	slices.Sort(list)
	return shown{m.Body, m.Withheld, m.DeletedMS > 0, m.Revision, strings.Join(list, " ")}
}

// page holds a list of messages against the seqs that there should be.
func (w *walk) page(user string, k *talk, path string, want []int) {
	w.t.Helper()
	a, ok := w.get(user, k, path)
	if !ok {
		return
	}
	var list []listed
	if err := json.Unmarshal(a.body, &list); err != nil {
		w.t.Fatal(err)
	}
	var got []int
	for _, m := range list {
		got = append(got, m.Seq)
		if want := k.message(user, m.Seq); m.shown() != want {
			w.t.Errorf("%s of %s by %s: message %d is %+v, want %+v", user, k.name, path, m.Seq, m.shown(), want)
		}
		if m.Replies != len(k.replies(user, m.Seq)) || m.Pinned != slices.Contains(k.pins(user), m.Seq) {
			w.t.Errorf("%s of %s by %s: message %d has %d replies, pinned: %v; want %v and one of %v",
				user, k.name, path, m.Seq, m.Replies, m.Pinned, k.replies(user, m.Seq), k.pins(user))
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s of %s by %s: got messages %v, want %v", user, k.name, path, got, want)
	}
}

func (w *walk) newestPage(user string, k *talk) {
	w.t.Helper()
	list, limit := k.visible(user, 0, true), 1+w.rnd.IntN(60)
	name := w.pick([]string{"/messages", "/messages/poll"})
	w.page(user, k, fmt.Sprintf("%s%s?limit=%d", k.path, name, limit), list[max(0, len(list)-limit):])
}

func (w *walk) cursor(seq int) string { return fmt.Sprintf("%s:%d", w.ears[0].epoch, seq) }

func (w *walk) pageAfter(user string, k *talk) {
	w.t.Helper()
	after, limit := w.rnd.IntN(len(k.facts)+1), 1+w.rnd.IntN(60)
	list := k.visible(user, after, true)
	path := fmt.Sprintf("%s/messages?after_seq=%s&limit=%d", k.path, w.cursor(after), limit)
	w.page(user, k, path, list[:min(limit, len(list))])
}

func (w *walk) pageBefore(user string, k *talk) {
	w.t.Helper()
	before, limit := 1+w.rnd.IntN(len(k.facts)), 1+w.rnd.IntN(60)
	list := slices.DeleteFunc(k.visible(user, 0, true), func(seq int) bool { return seq >= before })
	path := fmt.Sprintf("%s/messages?before_seq=%s&limit=%d", k.path, w.cursor(before), limit)
	w.page(user, k, path, list[max(0, len(list)-limit):])
}

// listReplies asks for the replies to a message, which need not be one of the user's.
func (w *walk) listReplies(user string, k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	path := k.path + "/messages/" + k.fact(seq).id + "/replies"
	if k.sees(user, seq) {
		w.page(user, k, path+"?limit=200", k.replies(user, seq))
		return
	}
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
	w.watch(user, path, []byte(fmt.Sprint(a.header, " ", a)))
	if a.status != http.StatusNotFound {
		w.t.Errorf("%s asks for the replies to message %d of %s: %s", user, seq, k.name, a)
	}
}

// listPins has the thread's leader pin a message, or unpin one, before the user asks.
func (w *walk) listPins(user string, k *talk) {
	w.t.Helper()
	if seq := w.message(k); seq > 0 {
		do := w.pick([]string{"pin", "pin", "unpin"})
		data := map[string]any{"message_id": k.fact(seq).id}
		code, did := w.noted(k.lead, k, "message."+do, data, fact{what: do + "ned", by: k.lead, target: seq})
		w.judged(k.lead, k, seq, code, did, false)
		w.settle()
	}
	w.page(user, k, k.path+"/pins", k.pins(user))
}

// timeline is the events of a thread; the bodies are watched as every answer is.
func (w *walk) timeline(user string, k *talk) {
	w.t.Helper()
	after := w.rnd.IntN(len(k.facts) + 1)
	a, ok := w.get(user, k, fmt.Sprintf("%s/timeline?after_seq=%s&limit=200", k.path, w.cursor(after)))
	if !ok {
		return
	}
	var list []listed
	if err := json.Unmarshal(a.body, &list); err != nil {
		w.t.Fatal(err)
	}
	var got []int
	for _, e := range list {
		got = append(got, e.Seq)
	}
	if want := k.visible(user, after, false); !slices.Equal(got, want[:min(200, len(want))]) {
		w.t.Errorf("%s of %s: the timeline after %d has %v, want %v", user, k.name, after, got, want)
	}
}

// pageSince asks after a message that anybody may know of, by its id and time.
func (w *walk) pageSince(user string, k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	id, err := gotong.ParseEventID(k.fact(seq).id)
	if err != nil {
		w.t.Fatal(err)
	}
	list := k.visible(user, seq, true)
	path := fmt.Sprintf("%s/messages?since_created_at_ms=%d&since_message_id=%s&limit=200", k.path, id.At().Milli(), id)
	w.page(user, k, path, list[:min(200, len(list))])
}

func (w *walk) getMessage(user string, k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	path := k.path + "/messages/" + k.fact(seq).id
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
	w.watch(user, path, a.body)
	if sees := k.sees(user, seq); !sees || a.status != 200 {
		if sees || a.status != 404 {
			w.t.Errorf("%s gets message %d of %s: %s", user, seq, k.name, a)
		}
		return
	}
	var m listed
	if err := json.Unmarshal(a.body, &m); err != nil {
		w.t.Fatal(err)
	}
	if want := k.message(user, seq); m.shown() != want {
		w.t.Errorf("%s gets message %d of %s as %+v, want %+v", user, seq, k.name, m.shown(), want)
	}
	tag := a.header.Get("Etag")
	a = must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, "", "If-None-Match", tag))(w.t)
	if a.status != 304 {
		w.t.Errorf("the tag %s does not hold: %d", tag, a.status)
	}
}

// getThread is the thread, its members, who is there, the listings, and how
// much is unread.
func (w *walk) getThread(user string, k *talk) {
	w.t.Helper()
	for _, path := range []string{"/members", "/presence"} {
		w.get(user, k, k.path+path)
	}
	for _, path := range []string{k.path, "/v1/chat/threads", "/v1/chat/unread", "/v1/groups/" + w.group.ID(), k.path + "/read-cursor"} {
		a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
		w.watch(user, path, a.body)
		var v struct {
			Unread int `json:"unread"`
		}
		if path != k.path || json.Unmarshal(a.body, &v) != nil {
			continue
		}
		if want := k.unread(user); k.members[user] && v.Unread != want {
			w.t.Errorf("%s of %s has %d unread, want %d", user, k.name, v.Unread, want)
		}
	}
}

func (w *walk) setMark(user string, k *talk) {
	w.t.Helper()
	seq := w.message(k)
	if seq == 0 {
		return
	}
	body := encode(map[string]any{"message_id": k.fact(seq).id})
	a := must(rest(w.ctx, w.http, w.url, user, http.MethodPost, k.path+"/read-cursor", body))(w.t)
	w.watch(user, "read-cursor", a.body)
	if want := map[bool]int{true: 200, false: 404}[k.sees(user, seq)]; a.status != want {
		w.t.Errorf("%s marks event %d of %s: %s", user, seq, k.name, a)
	}
	if n := slices.Index(k.messages(), seq) + 1; k.sees(user, seq) {
		k.marks[user] = max(k.marks[user], n)
	}
}

// inbox is what concerns the user; the bodies are watched as every answer is.
func (w *walk) inbox(user string, _ *talk) {
	w.t.Helper()
	for _, path := range []string{"?include_read=true&limit=100", "/unread-count", "/weekly-digest"} {
		path = "/v1/notifications" + path
		a := must(rest(w.ctx, w.http, w.url, user, http.MethodGet, path, ""))(w.t)
		w.watch(user, path, a.body)
		if a.status != http.StatusOK {
			w.t.Errorf("%s: GET %s: %s", user, path, a)
		}
	}
}

// sendAgain repeats a request of the user, whose answer is rendered anew. An outsider
// who sent nothing there repeats one of somebody else, and learns nothing.
func (w *walk) sendAgain(user string, k *talk) {
	w.t.Helper()
	var own, others []sent
	for _, s := range w.sent {
		switch {
		case s.user == user:
			own = append(own, s)
		case s.path == k.path+"/messages/send":
			others = append(others, s)
		}
	}
	switch {
	case len(own) > 0:
		s := own[w.rnd.IntN(len(own))]
		a := must(rest(w.ctx, w.http, w.url, user, http.MethodPost, s.path, s.body, "Idempotency-Key", s.key))(w.t)
		w.watch(user, "a repeated send", a.body)
		if a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "true" {
			w.t.Errorf("%s repeats %s: %s", user, s.key, a)
		}
	case len(others) > 0 && !k.members[user]:
		s := others[w.rnd.IntN(len(others))]
		a := must(rest(w.ctx, w.http, w.url, user, http.MethodPost, s.path, s.body, "Idempotency-Key", s.key))(w.t)
		w.watch(user, "a send of another", a.body)
		joinable := strings.HasSuffix(k.name, "public")
		if a.status != http.StatusNotFound && (!joinable || a.status != http.StatusForbidden) {
			w.t.Errorf("%s repeats %s of %s: %s", user, s.key, s.user, a)
		}
	}
}
