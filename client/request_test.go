package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// script answers requests one after the other.
type script struct {
	answers []reply
	keys    []string
	bodies  []string
	tokens  []string
	paths   []string
}

// reply is one answer, or none.
type reply struct {
	err    error // instead of an answer
	status int
	header http.Header
	body   string
	cut    bool // after the body, which is not all
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.bodies = append(s.bodies, string(b))
	}
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	s.paths = append(s.paths, r.Method+" "+r.URL.RequestURI())
	a := s.answers[min(len(s.keys), len(s.answers))-1]
	if a.err != nil {
		return nil, a.err
	}
	var body io.Reader = strings.NewReader(a.body)
	if a.cut {
		body = io.MultiReader(body, iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &http.Response{
		StatusCode: a.status, Header: a.header, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}, nil
}

func answer(status int, body string, header ...string) reply {
	h := http.Header{"Content-Type": {"application/json"}}
	if status >= 400 {
		h.Set("Content-Type", "application/problem+json")
	}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return reply{status: status, header: h, body: body}
}

var broken = reply{err: errors.New("connection reset")}

func problem(status int, code gotong.Code, header ...string) reply {
	return answer(status, problemJSON(status, gotong.NewError(code, "No.")), header...)
}

func scripted(t *testing.T, s *script, tokens client.TokenSource) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{
		BaseURL: "http://gotong.test/base/", HTTPClient: &http.Client{Transport: s}, Token: tokens,
		Backoff: func(int) time.Duration { return time.Second },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWritesRepeatWhileUnknown(t *testing.T) {
	ok := answer(201, `{"thread_id":"t1","seq":1}`, "Idempotency-Replayed", "true")
	for name, c := range map[string]struct {
		first reply
		wait  time.Duration
		final gotong.Code // of the error; empty where it is repeated
	}{
		"network":       {first: broken, wait: time.Second},
		"500":           {first: problem(500, gotong.CodeInternal), wait: time.Second},
		"502 of others": {first: answer(502, "<html>", "Content-Type", "text/html"), wait: time.Second},
		"503 and when":  {first: problem(503, gotong.CodeBusy, "Retry-After", "7"), wait: 7 * time.Second},
		"503 and until": {first: problem(503, gotong.CodeBusy, "Date", "Mon, 23 Nov 2026 10:00:00 GMT", "Retry-After", "Mon, 23 Nov 2026 10:00:09 GMT"), wait: 9 * time.Second},
		"507":           {first: problem(507, gotong.CodeStorageFull), wait: time.Second},
		"408":           {first: problem(408, "request_timeout"), wait: time.Second},
		"425":           {first: problem(425, "too_early"), wait: time.Second},
		"429":           {first: problem(429, gotong.CodeRateLimited, "Retry-After", "3"), wait: 3 * time.Second},
		"in progress":   {first: problem(409, gotong.CodeInProgress), wait: time.Second},
		"conflict":      {first: problem(409, gotong.CodeConflict), final: gotong.CodeConflict},
		"reused":        {first: problem(422, gotong.CodeReused), final: gotong.CodeReused},
		"not found":     {first: problem(404, gotong.CodeNotFound), final: gotong.CodeNotFound},
		"forbidden":     {first: answer(403, "", "Content-Type", "text/html"), final: gotong.CodeForbidden},
		"teapot":        {first: answer(418, "?", "Content-Type", "text/plain"), final: gotong.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []reply{c.first, ok}}
				begin, replayed := time.Now(), false
				th, err := scripted(t, s, nil).CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "public"}, client.Replayed(&replayed))
				if gotong.CodeOf(err) != c.final {
					t.Fatalf("ended with %v", err)
				}
				if c.final != "" {
					if len(s.keys) != 1 {
						t.Errorf("%d tries", len(s.keys))
					}
					return
				}
				if len(s.keys) != 2 || s.keys[0] != s.keys[1] || s.bodies[0] != s.bodies[1] || !gotong.ValidRequestID(s.keys[0]) {
					t.Errorf("keys %q, bodies %q", s.keys, s.bodies)
				}
				if th.ThreadID != "t1" || th.Stream() != "thread/t1" || !replayed || time.Since(begin) != c.wait {
					t.Errorf("%+v, replayed %v, after %s", th, replayed, time.Since(begin))
				}
			})
		})
	}
}

func TestWriteEndsUnknownWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{broken}}
		ctx, cancel := context.WithTimeout(t.Context(), 89500*time.Millisecond)
		defer cancel()
		_, err := scripted(t, s, nil).Send(ctx, "t1", client.NewMessage{Body: "x"}, client.RequestID("mine"))
		var unknown *client.UnknownError
		if !errors.As(err, &unknown) || unknown.RequestID != "mine" || !errors.Is(err, context.DeadlineExceeded) || len(s.keys) != 90 {
			t.Errorf("ended with %v after %d tries", err, len(s.keys))
		}
	})
}

func TestReadsAreTriedFourTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{problem(503, gotong.CodeNotYet)}}
		_, err := scripted(t, s, nil).Thread(t.Context(), "t1")
		if gotong.CodeOf(err) != gotong.CodeNotYet || len(s.keys) != 4 || s.keys[0] != "" {
			t.Errorf("ended with %v after %d tries", err, len(s.keys))
		}
	})
}

func TestTruncatedAnswerIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := answer(201, `{"thread_id"`)
		cut.cut = true
		s := &script{answers: []reply{cut, answer(201, `{"thread_id":"t1"}`)}}
		th, err := scripted(t, s, nil).CreateThread(t.Context(), client.NewThread{})
		if err != nil || th.ThreadID != "t1" || len(s.keys) != 2 || s.keys[0] != s.keys[1] {
			t.Errorf("%+v, %v, keys %q", th, err, s.keys)
		}
	})
}

func TestSessionRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := func(n int) string {
			return fmt.Sprintf(`{"access_token":"a%d","refresh_token":"r%d","user_id":"u"}`, n, n)
		}
		s := &script{answers: []reply{
			problem(401, gotong.CodeUnauthorized), // the old access token
			broken,                                // refresh: unknown
			answer(200, auth(2)),                  // refresh: the same again
			answer(200, `{"thread_id":"t1"}`),
		}}
		plain := scripted(t, s, nil)
		var stored []string
		session := client.NewSession(plain, client.Auth{AccessToken: "a1", RefreshToken: "r1"}, func(a client.Auth) {
			stored = append(stored, a.RefreshToken)
		})
		if _, err := scripted(t, s, session).Thread(t.Context(), "t1"); err != nil {
			t.Fatal(err)
		}
		if want := []string{"Bearer a1", "", "", "Bearer a2"}; !slices.Equal(s.tokens, want) {
			t.Errorf("tokens %q, want %q", s.tokens, want)
		}
		if s.keys[1] == "" || s.keys[1] != s.keys[2] || s.bodies[1] != `{"refresh":"r1"}` {
			t.Errorf("keys %q, bodies %q", s.keys, s.bodies)
		}
		if !slices.Equal(stored, []string{"r2"}) || session.Auth().AccessToken != "a2" {
			t.Errorf("stored %q, have %+v", stored, session.Auth())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []reply{problem(401, gotong.CodeUnauthorized)}}
		session := client.NewSession(scripted(t, s, nil), client.Auth{AccessToken: "a1", RefreshToken: "r1"}, nil)
		if _, err := scripted(t, s, session).Me(t.Context()); !errors.Is(err, client.ErrTokenRefused) || len(s.keys) != 2 {
			t.Errorf("ended with %v after %d requests", err, len(s.keys))
		}
	})
}

// TestOperations holds the address and the body of every operation.
func TestOperations(t *testing.T) {
	id := gotong.NewEventID(1, 1)
	mid := id.String()
	for name, c := range map[string]struct {
		call func(ctx context.Context, c *client.Client) error
		want string
		body string
	}{
		"signup": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SignUp(ctx, client.SignUp{Email: "e", Pass: "p", Username: "u", CommunityID: "rt05"})
			return err
		}, "POST /base/v1/auth/signup", `{"email":"e","pass":"p","username":"u","community_id":"rt05"}`},
		"signin from a device": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SignIn(ctx, "e", "p", client.Device("d1.u.s.m"))
			return err
		}, "POST /base/v1/auth/signin", `{"email":"e","pass":"p","device_token":"d1.u.s.m"}`},
		"signin": {func(ctx context.Context, c *client.Client) error { _, err := c.SignIn(ctx, "e", "p"); return err },
			"POST /base/v1/auth/signin", `{"email":"e","pass":"p"}`},
		"logout": {func(ctx context.Context, c *client.Client) error { return c.Logout(ctx) }, "POST /base/v1/auth/logout", ""},
		"me":     {func(ctx context.Context, c *client.Client) error { _, err := c.Me(ctx); return err }, "GET /base/v1/auth/me", ""},
		"thread": {func(ctx context.Context, c *client.Client) error { _, err := c.Thread(ctx, "a/b"); return err },
			"GET /base/v1/chat/threads/a%2Fb", ""},
		"join":  {func(ctx context.Context, c *client.Client) error { _, err := c.JoinThread(ctx, "t"); return err }, "POST /base/v1/chat/threads/t/join", ""},
		"leave": {func(ctx context.Context, c *client.Client) error { _, err := c.LeaveThread(ctx, "t"); return err }, "POST /base/v1/chat/threads/t/leave", ""},
		"add": {func(ctx context.Context, c *client.Client) error {
			_, err := c.AddMember(ctx, "t", "u", "admin")
			return err
		},
			"POST /base/v1/chat/threads/t/members", `{"user_id":"u","role":"admin"}`},
		"remove": {func(ctx context.Context, c *client.Client) error { _, err := c.RemoveMember(ctx, "t", "u"); return err },
			"DELETE /base/v1/chat/threads/t/members/u", ""},
		"mute": {func(ctx context.Context, c *client.Client) error {
			_, err := c.MuteMember(ctx, "t", "u", 5)
			return err
		},
			"POST /base/v1/chat/threads/t/members/u/mute", `{"until_ms":5}`},
		"role": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SetMemberRole(ctx, "t", "u", "owner")
			return err
		},
			"POST /base/v1/chat/threads/t/members/u/role", `{"role":"owner"}`},
		"history": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SetHistory(ctx, "t", "from_join")
			return err
		},
			"PUT /base/v1/chat/threads/t/history", `{"policy":"from_join"}`},
		"send": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Send(ctx, "t", client.NewMessage{Body: "x", ReplyTo: id})
			return err
		}, "POST /base/v1/chat/threads/t/messages/send", `{"body":"x","reply_to":"` + mid + `"}`},
		"edit": {func(ctx context.Context, c *client.Client) error {
			_, err := c.EditMessage(ctx, "t", id, 2, "y")
			return err
		},
			"PATCH /base/v1/chat/threads/t/messages/" + mid, `{"body":"y"}`},
		"delete": {func(ctx context.Context, c *client.Client) error { _, err := c.DeleteMessage(ctx, "t", id); return err },
			"DELETE /base/v1/chat/threads/t/messages/" + mid, ""},
		"react": {func(ctx context.Context, c *client.Client) error {
			_, err := c.React(ctx, "t", id, "👍", true)
			return err
		},
			"PUT /base/v1/chat/threads/t/messages/" + mid + "/reactions/%F0%9F%91%8D", ""},
		"unreact": {func(ctx context.Context, c *client.Client) error {
			_, err := c.React(ctx, "t", id, "👍", false)
			return err
		},
			"DELETE /base/v1/chat/threads/t/messages/" + mid + "/reactions/%F0%9F%91%8D", ""},
		"pin": {func(ctx context.Context, c *client.Client) error { _, err := c.Pin(ctx, "t", id, true); return err },
			"PUT /base/v1/chat/threads/t/messages/" + mid + "/pin", ""},
		"unpin": {func(ctx context.Context, c *client.Client) error { _, err := c.Pin(ctx, "t", id, false); return err },
			"DELETE /base/v1/chat/threads/t/messages/" + mid + "/pin", ""},
		"mark": {func(ctx context.Context, c *client.Client) error { _, err := c.MarkRead(ctx, "t", id); return err },
			"POST /base/v1/chat/threads/t/read-cursor", `{"message_id":"` + mid + `"}`},
		"marked": {func(ctx context.Context, c *client.Client) error { _, err := c.ReadCursor(ctx, "t"); return err },
			"GET /base/v1/chat/threads/t/read-cursor", ""},
		"message": {func(ctx context.Context, c *client.Client) error { _, err := c.Message(ctx, "t", id); return err },
			"GET /base/v1/chat/threads/t/messages/" + mid, ""},
		"group": {func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateGroup(ctx, client.NewGroup{Name: "n", EntityType: "kelompok", JoinPolicy: "terbuka"})
			return err
		}, "POST /base/v1/groups", `{"name":"n","entity_type":"kelompok","join_policy":"terbuka"}`},
		"decide": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Decide(ctx, client.Verdict{ContentID: client.ContentID("t", id), Action: "block", ReasonCode: "spam"})
			return err
		}, "POST /base/v1/moderations", `{"content_id":"t:` + mid + `","moderation_action":"block","reason_code":"spam"}`},
		"moderation": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Moderation(ctx, "t:m/1")
			return err
		}, "GET /base/v1/moderations/t:m%2F1", ""},
		"open": {func(ctx context.Context, c *client.Client) error { _, err := c.OpenContent(ctx, "t:m"); return err },
			"POST /base/v1/moderations/t:m/open", ""},
		"appeal": {func(ctx context.Context, c *client.Client) error { _, err := c.Appeal(ctx, "t:m", "no"); return err },
			"POST /base/v1/moderations/t:m/appeal", `{"reason":"no"}`},
		"report": {func(ctx context.Context, c *client.Client) error {
			return c.Report(ctx, client.NewReport{ContentID: "t:m", Reason: "spam", Context: []gotong.EventID{id}})
		}, "POST /base/v1/reports", `{"content_id":"t:m","reason":"spam","context":["` + mid + `"]}`},
		"a group": {func(ctx context.Context, c *client.Client) error { _, err := c.Group(ctx, "ent-1"); return err }, "GET /base/v1/groups/ent-1", ""},
		"groups": {func(ctx context.Context, c *client.Client) error {
			_, err := c.Groups(ctx, client.Page{Limit: 5})
			return err
		}, "GET /base/v1/groups?limit=5", ""},
		"slow mode": {func(ctx context.Context, c *client.Client) error {
			_, err := c.UpdateThread(ctx, "t", client.ThreadChange{SlowModeS: new(int)})
			return err
		}, "PATCH /base/v1/chat/threads/t", `{"slow_mode_s":0}`},
		"policy": {func(ctx context.Context, c *client.Client) error {
			_, err := c.UpdateGroup(ctx, "g", client.GroupChange{Policy: &gotong.Policy{AutoHide: true, HideAt: 4}})
			return err
		}, "PATCH /base/v1/groups/g", `{"policy":{"edge_pod_outside":false,"auto_hold":false,"newcomer_hours":0,"hide_at":4,"auto_hide":true}}`},
		"join group":  {func(ctx context.Context, c *client.Client) error { _, err := c.JoinGroup(ctx, "g"); return err }, "POST /base/v1/groups/g/join", ""},
		"leave group": {func(ctx context.Context, c *client.Client) error { return c.LeaveGroup(ctx, "g") }, "POST /base/v1/groups/g/leave", ""},
		"add to group": {func(ctx context.Context, c *client.Client) error {
			_, err := c.AddGroupMember(ctx, "g", "u", "")
			return err
		},
			"POST /base/v1/groups/g/members", `{"user_id":"u"}`},
		"remove from group": {func(ctx context.Context, c *client.Client) error { return c.RemoveGroupMember(ctx, "g", "u") },
			"POST /base/v1/groups/g/members/u/remove", ""},
		"group role": {func(ctx context.Context, c *client.Client) error {
			_, err := c.SetGroupRole(ctx, "g", "u", "admin")
			return err
		},
			"POST /base/v1/groups/g/members/u/role", `{"role":"admin"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: []reply{answer(200, `{}`)}}
			if err := c.call(t.Context(), scripted(t, s, nil)); err != nil {
				t.Fatal(err)
			}
			if s.paths[0] != c.want || s.bodies[0] != c.body {
				t.Errorf("sent %s %s", s.paths[0], s.bodies[0])
			}
			if write := s.paths[0][:3] != "GET"; write != (s.keys[0] != "") {
				t.Errorf("key %q", s.keys[0])
			}
		})
	}
}

func TestLists(t *testing.T) {
	s := &script{answers: []reply{
		answer(200, `[{"thread_id":"t1","as_of":"k3f9:4"}]`, "X-Has-More", "true", "X-Next-Cursor", "abc"),
		answer(200, `[{"n":7,"reactions":[{"emoji":"x"}]}]`, "X-As-Of", "k3f9:9", "X-Has-More", "true", "X-Next-Seq", "k3f9:8"),
		answer(200, `[{"n":8,"reply_to":"`+gotong.NewEventID(1, 2).String()+`"}]`, "X-As-Of", "k3f9:9", "X-Has-More", "true", "X-Next-Seq", "k3f9:9"),
		answer(200, `[{"n":7,"replies":2,"pinned":true}]`, "X-As-Of", "k3f9:9"),
		answer(200, `[{"user_id":"u1"}]`),
		answer(200, `[{"thread_id":"t1","unread":3}]`),
		answer(200, `[{"user_id":"u1"}]`),
	}}
	c := scripted(t, s, nil)
	threads, err := c.Threads(t.Context(), "rt05", client.Page{Limit: 1, Cursor: "x"})
	if err != nil || len(threads.Items) != 1 || threads.Next != "abc" || threads.Items[0].AsOf != "k3f9:4" {
		t.Errorf("threads %+v, %v", threads, err)
	}
	m, err := c.Messages(t.Context(), "t1", client.Range{After: client.Start, Limit: 2})
	if err != nil || len(m.Items) != 1 || !m.More || m.AsOf != "k3f9:9" || m.Next != "k3f9:8" || m.Items[0].N != 7 {
		t.Errorf("messages %+v, %v", m, err)
	}
	replies, err := c.Replies(t.Context(), "t1", m.Items[0].MessageID, client.Start, 2)
	if err != nil || len(replies.Items) != 1 || !replies.More || replies.Next != "k3f9:9" || replies.Items[0].ReplyTo != gotong.NewEventID(1, 2) {
		t.Errorf("replies %+v, %v", replies, err)
	}
	pins, err := c.Pins(t.Context(), "t1")
	if err != nil || len(pins.Items) != 1 || pins.More || pins.Items[0].Replies != 2 || !pins.Items[0].Pinned {
		t.Errorf("pins %+v, %v", pins, err)
	}
	members, err := c.Members(t.Context(), "t1", client.Page{})
	if err != nil || len(members.Items) != 1 || members.Next != "" {
		t.Errorf("members %+v, %v", members, err)
	}
	unread, err := c.Unread(t.Context(), client.Page{})
	if err != nil || unread.Items[0].Unread != 3 {
		t.Errorf("unread %+v, %v", unread, err)
	}
	if _, err := c.GroupMembers(t.Context(), "g", client.Page{}); err != nil {
		t.Error(err)
	}
	want := []string{
		"GET /base/v1/chat/threads?cursor=x&limit=1&scope_id=rt05",
		"GET /base/v1/chat/threads/t1/messages?after_seq=start&limit=2",
		"GET /base/v1/chat/threads/t1/messages/" + m.Items[0].MessageID.String() + "/replies?after_seq=start&limit=2", "GET /base/v1/chat/threads/t1/pins",
		"GET /base/v1/chat/threads/t1/members", "GET /base/v1/chat/unread", "GET /base/v1/groups/g/members",
	}
	if !slices.Equal(s.paths, want) {
		t.Errorf("asked for %q", s.paths)
	}
}

func TestProblemCarriesAllFields(t *testing.T) {
	body, err := json.Marshal(map[string]any{
		"type": "/problems/invalid", "title": "T", "status": 422, "code": "invalid", "detail": "body must be there",
		"trace_id": "abc", "errors": []map[string]string{{"field": "body", "detail": "must be there"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{answers: []reply{answer(422, string(body))}}
	_, err = scripted(t, s, nil).Send(t.Context(), "t1", client.NewMessage{})
	var p *client.Problem
	var e *gotong.Error
	if !errors.As(err, &p) || !errors.As(err, &e) || p.Status != 422 || p.TraceID != "abc" || p.Title != "T" ||
		e.Code != gotong.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Field != "body" {
		t.Errorf("got %#v", err)
	}
}
