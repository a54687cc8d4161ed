package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// next is the target of the link to the next page; empty if there is none.
func (a *answer) next() string {
	for _, link := range a.header.Values("Link") {
		if target, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
			return strings.TrimPrefix(target, "<")
		}
	}
	return ""
}

// TestLinksLeadToTheNextPage: from page to page, each list is complete, and the last page
// has no link.
func TestLinksLeadToTheNextPage(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	var th string
	for i := range 3 {
		th = ani.thread("public")
		ani.say(th, fmt.Sprint("Halo ", i))
		ani.group("terbuka")
	}
	ani.say(th, "dua")
	ani.say(th, "tiga")
	of := "rt05"
	for path, items := range map[string]int{
		"/v1/chat/threads?limit=1&scope_id=" + of:      3,
		th + "/messages?limit=1":                       3,
		th + "/messages?after_seq=start&limit=2":       3,
		th + "/messages?since_created_at_ms=0&limit=1": 3,
		th + "/messages/poll?limit=2":                  3,
		th + "/timeline?limit=1&type=message.posted":   3,
		"/v1/groups?limit=2":                           3,
	} {
		got, pages, at := 0, 0, path
		for at != "" && pages < 10 {
			a := ani.get(at).want(http.StatusOK)
			var list []any
			if json.Unmarshal(a.body, &list) != nil {
				list, _ = a.object()["items"].([]any)
			}
			got, pages, at = got+len(list), pages+1, a.next()
		}
		if got != items || at != "" {
			t.Errorf("%s: %d of %d on %d pages, then %q", path, got, items, pages, at)
		}
	}
}

// TestTheEarlierRouteNamesItsSuccessor (RFC 9745), also when it rejects the request.
func TestTheEarlierRouteNamesItsSuccessor(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	const want = `<../messages>; rel="successor-version"`
	for _, a := range []*answer{ani.get(th + "/messages/poll").want(200), w.do(http.MethodGet, th+"/messages/poll", nil).want(401)} {
		if a.header.Get("Deprecation") != "@1795996800" || a.header.Values("Link")[0] != want {
			t.Errorf("%v", a.header)
		}
	}
	if a := ani.get(th + "/messages").want(200); a.header.Get("Deprecation") != "" {
		t.Errorf("%v", a.header)
	}
}

// TestAnyRevisionMatchesTheStar (RFC 9110, 13.1.1) of a message that exists.
func TestAnyRevisionMatchesTheStar(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	m := th + "/messages/" + ani.say(th, "Halo").str("message_id")
	for i, text := range []string{"satu", "dua"} {
		for range 2 { // the second time by its key
			a := ani.do(http.MethodPatch, m, map[string]any{"body": text}, ifMatch("*"), key(text)).want(200)
			if a.num("revision") != int64(i+1) {
				t.Errorf("%s", a.body)
			}
		}
	}
	ani.do(http.MethodDelete, m, nil, ifMatch("*")).want(200)
	none := m[:len(m)-1] + "0"
	if none == m {
		none = m[:len(m)-1] + "1"
	}
	ani.do(http.MethodPatch, none, map[string]any{"body": "x"}, ifMatch("*")).want(404)
	ani.do(http.MethodPatch, m, map[string]any{"body": "x"}, ifMatch(`"1", *`)).want(422)
}

// overtaken calls first before it executes the next command.
type overtaken struct {
	httpapi.Executor
	first func()
}

func (o *overtaken) Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error) {
	if first := o.first; first != nil {
		o.first = nil
		first()
	}
	return o.Executor.Execute(ctx, cmd)
}

// TestTheStarMatchesWhatIsThereThen: also an edit that came after the request.
func TestTheStarMatchesWhatIsThereThen(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("public")
	m := th + "/messages/" + ani.say(th, "Halo").str("message_id")
	engine := &overtaken{Executor: w.engine, first: func() {
		ani.do(http.MethodPatch, m, map[string]any{"body": "satu"}, ifMatch(`"0"`)).want(200)
	}}
	late := &person{w: newWorldOver(t, w, engine), token: ani.token}
	if a := late.do(http.MethodPatch, m, map[string]any{"body": "dua"}, ifMatch("*")).want(200); a.num("revision") != 2 || a.str("body") != "dua" {
		t.Errorf("%s", a.body)
	}
}
