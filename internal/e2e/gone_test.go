package e2e_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// readRoutes are the paths of the published document by which a thread is
// read, and the transports.
func readRoutes(t *testing.T) []string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(must(os.ReadFile("../../api/openapi.json"))(t), &doc); err != nil {
		t.Fatal(err)
	}
	var list []string
	for path, operations := range doc.Paths {
		if _, reads := operations["get"]; reads && strings.HasPrefix(path, "/v1/chat/threads/{id}") {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	if len(list) < 6 {
		t.Fatalf("only %d routes read a thread: %q", len(list), list)
	}
	const messages, thread = "/v1/chat/threads/{id}/messages", "/v1/chat/threads/{id}"
	return append(list, thread+"?min_seq={epoch}:1", thread+"?min_seq={epoch}:1000000", messages+"?after_seq={epoch}:0", messages+"?min_seq={epoch}:1000000",
		messages+"?after_seq={epoch}:1000000", messages+"?since_created_at_ms=0", messages+"?before_seq={epoch}:2", "/v1/realtime/poll?wait=0&stream=thread/{id}",
		"/v1/realtime/poll?wait=0&cursor=start&stream=thread/{id}", "/v1/realtime/sse?stream=thread/{id}",
		"/v1/realtime/sse?cursor=start&stream=thread/{id}")
}

// traceID is of its own in every answer.
var traceID = regexp.MustCompile(`"trace_id":"[0-9a-f]*"`)

// plain is an answer without what is of the one request: its time and names.
func plain(a answer) string {
	h := a.header.Clone()
	for _, name := range []string{"Date", "X-Correlation-Id", "X-Request-Id", "X-Trace-Id", "Traceparent", "Content-Length"} {
		h.Del(name)
	}
	return encode(h) + traceID.ReplaceAllString(a.String(), `"trace_id":""`)
}

// TestGone reads, in every way there is, a thread that the reader was removed
// from, in it or in its group: the answers are those of a thread that never
// was.
func TestGone(t *testing.T) {
	n := startNode(t)
	owner := dial(t, n.url, "owner")
	group := must(owner.CreateGroup(t.Context(), client.NewGroup{Name: "G", EntityType: "kelompok", JoinPolicy: "undangan"}))(t)
	own, _ := makeThread(t, n.url, "owner", client.NewThread{ScopeID: "rt05", Privacy: "private"}, "ann")
	must(owner.AddGroupMember(t.Context(), group.GroupID, "ann", ""))(t)
	home, _ := makeThread(t, n.url, "owner", client.NewThread{ScopeID: group.GroupID, Privacy: "private", Members: "home"})
	conn := connect(t, dial(t, n.url, "owner", client.WebSocket), client.ConnOptions{})
	affair := makeCase(t, conn, group, []string{"ann"})
	inCase, _ := makeThread(t, n.url, "owner", client.NewThread{ScopeID: group.GroupID, Privacy: "private", Lender: string(affair)})
	http := new(tap).http(t)
	epoch, _, _ := strings.Cut(string(home.AsOf), ":")
	get := func(path, id, mid string) answer {
		path = strings.NewReplacer("{id}", id, "{mid}", mid, "{epoch}", epoch).Replace(path)
		return must(rest(t.Context(), http, n.url, "ann", "GET", path, ""))(t)
	}
	ann := dial(t, n.url, "ann")
	never := gotong.DeriveID("thread", "ann", "never made")
	for _, th := range []client.Thread{own, home, inCase} {
		must(owner.AddGroupMember(t.Context(), group.GroupID, "ann", ""))(t) // again
		m := must(ann.Send(t.Context(), th.ThreadID, client.NewMessage{Body: "mine"}))(t)
		must(ann.MarkRead(t.Context(), th.ThreadID, m.MessageID))(t)
		mid := m.MessageID.String()
		for _, path := range []string{"/v1/chat/threads/{id}", "/v1/chat/threads/{id}/messages/{mid}", "/v1/chat/threads/{id}/read-cursor"} {
			if a := get(path, th.ThreadID, mid); a.status != 200 {
				t.Fatalf("before the removal, %s: %s", path, a)
			}
		}
		if th.Members == "home" {
			if err := owner.RemoveGroupMember(t.Context(), group.GroupID, "ann"); err != nil {
				t.Fatal(err)
			}
		} else {
			must(owner.RemoveMember(t.Context(), th.ThreadID, "ann"))(t)
		}
		for _, path := range readRoutes(t) {
			was, none := get(path, th.ThreadID, mid), get(path, never, mid)
			if was.status != 404 || plain(was) != plain(none) {
				t.Errorf("%s of a thread with members %q\n%s\n%s, and of one that never was\n%s\n%s",
					path, th.Members, was.header, was, none.header, none)
			}
		}
		for _, path := range []string{"/v1/chat/threads", "/v1/chat/threads?scope_id=" + th.ScopeID, "/v1/chat/unread"} {
			if a := get(path, "", ""); a.status != 200 || strings.Contains(string(a.body), th.ThreadID) {
				t.Errorf("%s still tells of the thread: %s", path, a)
			}
		}
	}
}
