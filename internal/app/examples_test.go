package app_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/mail/mailtest"
)

var update = flag.Bool("update", false, "write api/examples.json and api/openapi.json anew")

// openapi is what the story needs of the published document.
type openapi struct {
	Paths map[string]map[string]struct {
		ID string `json:"operationId"`
	} `json:"paths"`
}

// told is a request and its answer, as api/examples.json has them.
type told struct {
	Path     string          `json:"path"`
	Request  json.RawMessage `json:"request,omitempty"`
	Key      string          `json:"idempotency_key,omitempty"` // where the operation needs one
	Headers  []string        `json:"headers,omitempty"`         // of a request by tus
	Response json.RawMessage `json:"response,omitempty"`
}

// story plays the life of a neighbourhood by every operation, and records the
// first answer of each.
type story struct {
	*town
	routes map[string][2]string // operation → method, path
	told   map[string]told
	at     string // the last Location
	dir    string // of the data
	mail   *mailtest.Server
}

// tus is the body of a request by tus, with its headers.
type tus struct {
	headers []string
	body    string
}

func (s *story) read(raw []byte) {
	s.t.Helper()
	var doc openapi
	if err := json.Unmarshal(raw, &doc); err != nil {
		s.t.Fatal(err)
	}
	s.routes = map[string][2]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			s.routes[op.ID] = [2]string{strings.ToUpper(method), path}
		}
	}
}

// teller is a person of the story.
type teller struct {
	s                *story
	id, token, again string
}

func (s *story) join(name string) *teller {
	s.t.Helper()
	a := (&teller{s: s}).do("sign-up", nil, map[string]any{
		"email": strings.ToLower(name) + "@rt05.example", "pass": "hujan-deras-2026", "username": name, "community_id": "rt05",
	})
	return &teller{s, a["user_id"].(string), a["access_token"].(string), a["refresh_token"].(string)}
}

// with are the values of the path's parameters, in their order; a last one that
// begins with ? is the query.
type with []string

// do calls an operation, which must succeed, and returns the object that is the
// answer, or the first of a list.
func (p *teller) do(operation string, in with, body any) map[string]any {
	p.s.t.Helper()
	route, ok := p.s.routes[operation]
	if !ok {
		p.s.t.Fatalf("there is no operation %s", operation)
	}
	path, query := route[1], ""
	for _, value := range in {
		if strings.HasPrefix(value, "?") {
			query = value
			continue
		}
		a, b := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:a] + value + path[b+1:]
	}
	key := ""
	if strings.HasPrefix(operation, "ask-edge-pod") {
		key, _ = body.(m)["request_id"].(string)
	}
	raw, answer := p.s.send(p.token, key, route[0], path+query, body)
	var list []map[string]any
	listed := json.Unmarshal(answer, &list) == nil
	if len(list) > 1 && operation == "list-edge-pod-contracts" { // all are long
		answer, _ = json.Marshal(list[:1])
	}
	if route[1] == "/v1/chat/attachments/{id}/download" {
		answer, query = nil, "?link=eyJwIjp7…" // the bytes
	}
	if _, ok := p.s.told[operation]; !ok {
		by, _ := body.(tus)
		p.s.told[operation] = told{Path: path + query, Request: raw, Key: key, Response: answer, Headers: by.headers}
	}
	if listed {
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	var object map[string]any
	_ = json.Unmarshal(answer, &object) // an empty answer is none
	return object
}

func (s *story) send(token, key, method, path string, body any) (request, answer []byte) {
	s.t.Helper()
	var reader io.Reader
	kind := "application/json"
	by, parts := body.(tus)
	if f, ok := body.(form); ok {
		kind, reader = f.encode()
	} else if parts {
		kind, reader = "application/offset+octet-stream", strings.NewReader(by.body)
	} else if body != nil {
		var err error
		if request, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(request)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.nodes[0].URL()+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	for _, h := range by.headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := web.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	s.at = resp.Header.Get("Location")
	if answer, err = io.ReadAll(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return request, answer
}

// m is a body.
type m = map[string]any

// uploadInParts uploads a file with a pause in it.
func (p *teller) uploadInParts(thread string) {
	version := "Tus-Resumable: 1.0.0"
	p.do("describe-uploads", nil, nil)
	p.do("create-upload", with{"?thread_id=" + thread}, tus{[]string{version, "Upload-Length: 13", "Upload-Metadata: filename aXVyYW4udHh0"}, ""})
	id := p.s.at[strings.LastIndexByte(p.s.at, '/')+1:]
	p.do("append-upload", with{id}, tus{[]string{version, "Upload-Offset: 0"}, "Daftar "})
	p.do("get-upload", with{id}, tus{[]string{version}, ""})
	p.do("append-upload", with{id}, tus{[]string{version, "Upload-Offset: 7"}, "iuran\n"})
	if f := p.do("link-attachment", with{id}, nil); f["file_name"] != "iuran.txt" || f["size_bytes"] != 13.0 {
		p.s.t.Errorf("%v", f)
	}
}

func (s *story) accounts() (wati, joko *teller) {
	wati, joko = s.join("Bu.Wati"), s.join("Pak.Joko")
	in := (&teller{s: s}).do("sign-in", nil, m{"email": "bu.wati@rt05.example", "pass": "hujan-deras-2026"})
	(&teller{s: s}).do("refresh", nil, m{"refresh": in["refresh_token"]})
	wati.do("set-name", nil, m{"name": "Bu Wati 🌷"})
	wati.do("me", nil, nil)
	wati.do("my-audit", nil, nil)
	wati.do("create-ticket", nil, nil)
	s.ownAccount()
	return wati, joko
}

// ownAccount is the account of a person who leaves again.
func (s *story) ownAccount() {
	rina := s.join("Rina")
	(&teller{s: s}).do("sign-in", nil, m{"email": "rina@rt05.example", "pass": "hujan-deras-2026"})
	login := rina.do("list-logins", nil, nil)
	rina.do("end-login", with{login["login_id"].(string)}, nil)
	again := func(email, pass string) {
		rina.token = (&teller{s: s}).do("sign-in", nil, m{"email": email, "pass": pass})["access_token"].(string)
	}
	again("rina@rt05.example", "hujan-deras-2026")
	rina.do("set-password", nil, m{"current": "hujan-deras-2026", "pass": "banjir-surut-2026"})
	rina.do("set-email", nil, m{"email": "rina@rt06.example", "pass": "banjir-surut-2026"})
	(&teller{s: s}).do("reset-password", nil, m{"token": s.resetToken("rina@rt06.example"), "pass": "selokan-bersih-2026"})
	again("rina@rt06.example", "selokan-bersih-2026")
	rina.do("delete-account", nil, m{"pass": "selokan-bersih-2026"})
}

// resetToken asks for a token by mail, and reads the mail.
func (s *story) resetToken(email string) string {
	s.t.Helper()
	if offer := (&teller{s: s}).do("get-reset-offer", nil, nil); offer["offered"] != true {
		s.t.Error("no mail is sent")
	}
	(&teller{s: s}).do("request-reset", nil, m{"email": email})
	got := <-s.mail.Mail
	_, link, _ := strings.Cut(got.Text(s.t), "https://rt05.example/#reset=")
	token, _, _ := strings.Cut(link, "\n")
	if got.To != email {
		s.t.Errorf("sent to %s", got.To)
	}
	return token
}

func (s *story) chat(wati, joko, boss *teller) (thread, message string) {
	th := wati.do("create-thread", nil, m{"scope_id": "rt05", "privacy_level": "public", "name": "Kerja bakti"})
	thread = th["thread_id"].(string)
	wati.do("list-threads", with{"?scope_id=rt05"}, nil)
	wati.do("get-thread", with{thread}, nil)
	wati.do("start-direct-thread", with{joko.id}, nil)
	wati.do("update-thread", with{thread}, m{"topic": "Selokan dan pos ronda", "icon": "🧹"})
	joko.do("join-thread", with{thread}, nil)
	photo := wati.do("upload-attachment", with{"?thread_id=" + thread}, form{"selokan.png", png(s.t, 640, 480)})["attachment_id"].(string)
	posted := wati.do("send-message", with{thread}, m{
		"body": "Kerja bakti hari Minggu jam 7, kumpul di pos.", "attachments": []string{photo},
	})
	message = posted["message_id"].(string)
	link := joko.do("link-attachment", with{photo}, nil)["url"].(string)
	_, query, _ := strings.Cut(link, "?")
	joko.do("download-attachment", with{photo, "?" + query}, nil)
	other := wati.do("upload-attachment", with{"?thread_id=" + thread}, form{"salah.png", png(s.t, 1, 1)})["attachment_id"].(string)
	wati.do("discard-attachment", with{other}, nil)
	wati.uploadInParts(thread)
	joko.do("list-unread", nil, nil)
	s.until("the message is found", func() bool {
		delete(s.told, "search")
		items, _ := joko.do("search", with{"?query=minggu+has:file+from:bu.wati&limit=20"}, nil)["items"].([]any)
		return len(items) > 0
	})
	joko.do("list-messages", with{thread, "?limit=20"}, nil)
	joko.do("poll-messages", with{thread, "?limit=20"}, nil)
	joko.do("get-message", with{thread, message}, nil)
	joko.do("set-read-cursor", with{thread}, m{"message_id": message})
	joko.do("get-read-cursor", with{thread}, nil)
	joko.do("total-unread", with{}, nil)
	joko.do("read-all", with{}, m{"scope_id": "rt05"})
	joko.do("mute-thread", with{thread}, m{"until_ms": s.clock.Now().Milli() + 8*3_600_000})
	joko.do("unmute-thread", with{thread}, nil)
	joko.do("add-reaction", with{thread, message, "%F0%9F%92%AA"}, nil)
	joko.do("remove-reaction", with{thread, message, "%F0%9F%92%AA"}, nil)
	joko.do("get-presence", with{thread}, nil)
	wati.do("edit-message", with{thread, message}, m{"body": "Kerja bakti hari Minggu jam 6, kumpul di pos.", "revision": 0})
	offer := thread + ":" + joko.do("send-message", with{thread}, m{"body": "Dijual murah, hubungi saya!"})["message_id"].(string)
	wati.do("decide-content", nil, m{
		"content_id": offer, "moderation_action": "block", "reason_code": "spam", "reasoning": "Bukan tempat jualan.",
		"violations": []m{{"category": "spam", "severity": "low"}},
	})
	joko.do("appeal-decision", with{offer}, m{"reason": "Untuk kas RT."})
	wati.do("list-reviews", with{thread}, nil)
	wati.do("review-queue", with{"?limit=20"}, nil)
	wati.do("open-content", with{offer}, nil)
	wati.do("decide-content", nil, m{"content_id": offer, "moderation_action": "publish_with_warning", "reason_code": "iklan"})
	wati.do("get-moderation", with{offer}, nil)
	wati.do("decide-content", nil, m{"content_id": offer, "moderation_action": "hold_for_review"})
	boss.do("end-hold", with{offer}, nil)
	wati.do("get-thread-timeline", with{thread, "?limit=20"}, nil)
	wati.do("get-event-proof", with{"thread", thread, "1"}, nil)
	second := wati.do("send-message", with{thread}, m{"body": "Salah kirim", "reply_to": message})
	joko.do("list-replies", with{thread, message, "?limit=20"}, nil)
	wati.do("pin-message", with{thread, message}, nil)
	joko.do("list-pins", with{thread}, nil)
	wati.do("unpin-message", with{thread, message}, nil)
	wati.do("delete-message", with{thread, second["message_id"].(string)}, nil)
	wati.do("set-history", with{thread}, m{"policy": "from_join"})
	return thread, message
}

func (s *story) members(wati, joko *teller, thread, message string) {
	endah := s.join("Bu.Endah")
	wati.do("add-member", with{thread}, m{"user_id": endah.id, "role": "member"})
	wati.do("list-members", with{thread}, nil)
	wati.do("set-member-role", with{thread, endah.id}, m{"role": "admin"})
	wati.do("mute-member", with{thread, joko.id}, m{"until_ms": s.clock.Now().Milli() + 3_600_000})
	wati.do("ban-member", with{thread, endah.id}, nil)
	wati.do("unban-member", with{thread, endah.id}, nil)
	wati.do("add-member", with{thread}, m{"user_id": endah.id, "role": "member"})
	wati.do("remove-member", with{thread, endah.id}, nil)
	joko.do("report-content", nil, m{"content_id": thread + ":" + message, "reason": "other", "text": "Jamnya salah."})
	joko.do("leave-thread", with{thread}, nil)
}

func (s *story) groups(wati, joko *teller) (group string) {
	rudi, sari := s.join("Rudi"), s.join("Sari")
	g := wati.do("create-group", nil, m{"name": "Warga RT 05", "description": "Semua warga RT 05", "entity_type": "kelompok", "join_policy": "persetujuan"})
	group = g["group_id"].(string)
	joko.do("list-groups", nil, nil)
	joko.do("get-group", with{group}, nil)
	for i, decide := range []string{"reject", "withdraw", "approve"} {
		asked := joko.do("request-to-join-group", with{group}, m{"message": "Saya tinggal di nomor 12."})
		by := []*teller{wati, joko, wati}[i]
		wati.do("list-group-requests", with{group}, nil)
		by.do(decide+"-group-request", with{group, asked["request_id"].(string)}, nil)
		s.clock.Pass(8 * 24 * time.Hour) // after a rejection, the next request has to wait
	}
	for _, decide := range []string{"decline", "withdraw", "accept"} {
		wati.do("invite-to-group", with{group}, m{"user_id": rudi.id})
		wati.do("list-group-invitations", with{group}, nil)
		rudi.do("list-my-group-invitations", nil, nil)
		if decide == "withdraw" {
			wati.do("withdraw-group-invitation", with{group, rudi.id}, nil)
		} else {
			rudi.do(decide+"-group-invitation", with{group}, nil)
		}
		s.clock.Pass(8 * 24 * time.Hour)
	}
	wati.do("add-group-member", with{group}, m{"user_id": sari.id, "role": "anggota"})
	wati.do("list-group-members", with{group}, nil)
	wati.do("set-group-role", with{group, sari.id}, m{"role": "moderator"})
	wati.do("update-group", with{group}, m{"description": "Warga RT 05, Kelurahan Banyu", "join_policy": "terbuka"})
	wati.do("ban-group-member", with{group, sari.id}, nil)
	wati.do("unban-group-member", with{group, sari.id}, nil)
	sari.do("join-group", with{group}, nil)
	wati.do("remove-group-member", with{group, sari.id}, nil)
	rudi.do("leave-group", with{group}, nil)
	wati.do("list-my-groups", nil, nil)
	wati.do("get-group-timeline", with{group, "?limit=20"}, nil)
	return group
}

// step proposes a step of a case, and returns the transition.
func (s *story) step(by *teller, entity, from, to string, fast bool) string {
	body := m{"entity_id": entity, "from_stage": from, "to_stage": to}
	if fast {
		body["fast_track"] = true
	}
	return by.do("propose-transition", nil, body)["transition_id"].(string)
}

// closed passes the window of a transition, and waits for the phase after it.
func (s *story) closed(by *teller, transition string, window time.Duration, phase string) {
	s.t.Helper()
	s.clock.Pass(window + time.Minute)
	s.until(transition+" is "+phase, func() bool {
		return fmt.Sprint(by.do("get-gate", with{transition}, nil)["phase"]) == phase
	})
}

func (s *story) cases(wati, joko, boss *teller) {
	c := wati.do("create-case", nil, m{"scope_id": "rt05", "track": "musyawarah", "title": "Pos ronda baru", "privacy_level": "public"})
	id := c["case_id"].(string)
	dewi := s.join("Dewi")
	wati.do("list-cases", with{"?scope_id=rt05"}, nil)
	wati.do("get-case", with{id}, nil)
	for _, p := range []*teller{joko, dewi} {
		wati.do("set-case-member", with{id, p.id}, m{"track_roles": []string{"participant"}})
	}
	wati.do("list-case-members", with{id}, nil)
	first := s.step(wati, id, "usul", "bahas", false)
	wati.do("get-transition", with{first}, nil)
	wati.do("get-gate", with{first}, nil)
	joko.do("object", with{first}, m{"reason": "Lokasinya belum jelas."})
	wati.do("withdraw-transition", with{first}, nil)
	s.closed(wati, s.step(wati, id, "usul", "bahas", false), 24*time.Hour, "applied")
	second := s.step(wati, id, "bahas", "putuskan", false)
	for _, p := range []*teller{wati, joko, dewi} {
		p.do("vote", with{second}, m{"choice": "yes"})
	}
	wati.do("remove-case-member", with{id, dewi.id}, nil)
	boss.do("void-vote", with{second, dewi.id}, m{"reason": "Pindah rumah."})
	s.closed(wati, second, 48*time.Hour, "applied")
	wati.do("list-votes", with{second}, nil)
	third := s.step(wati, id, "putuskan", "jalankan", false)
	for _, p := range []*teller{wati, joko} {
		p.do("vote", with{third}, m{"choice": "yes"})
	}
	s.closed(wati, third, 72*time.Hour, "challenge")
	joko.do("dispute", with{third}, m{"reason": "Dananya belum ada."})
	boss.do("resolve-dispute", with{third}, m{"confirm": true, "reason": "Dana sudah dicek bendahara."})
	wati.do("get-active-stage", with{id}, nil)
	wati.do("get-timeline", with{id, "?limit=20"}, nil)
	joko.do("leave-case", with{id}, nil)

	quick := wati.do("create-case", nil, m{"scope_id": "rt05", "track": "tuntaskan", "title": "Pohon tumbang di jalan"})["case_id"].(string)
	s.closed(wati, s.step(wati, quick, "keresahan", "bahas", false), 24*time.Hour, "applied")
	boss.do("approve-transition", with{s.step(wati, quick, "bahas", "garap", true)}, nil)
}

func (s *story) inbox(joko, wati *teller, thread string) {
	var newest m
	s.until("the list holds that joko was added to the group", func() bool {
		delete(s.told, "list-notifications")
		items, _ := joko.do("list-notifications", with{"?limit=1&include_read=true"}, nil)["items"].([]any)
		if len(items) > 0 {
			newest, _ = items[0].(m)
		}
		return newest["kind"] == "added"
	})
	joko.do("count-notifications", nil, nil)
	joko.do("read-notification", with{newest["notification_id"].(string)}, nil)
	joko.do("get-weekly-digest", with{fmt.Sprint("?window_start_ms=", s.clock.Now().Milli()-60*24*3_600_000)}, nil)
	joko.do("read-notifications", nil, m{})
	joko.do("set-preferences", nil, m{"kinds": m{"gate_closing": false}, "threads": m{thread: "mentions"}})
	joko.do("get-preferences", nil, nil)
	joko.do("block-user", with{wati.id}, nil)
	joko.do("list-blocks", nil, nil)
	joko.do("unblock-user", with{wati.id}, nil)
}

func (s *story) webhooks(wati, joko *teller, group string) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	s.t.Cleanup(receiver.Close)
	hook := wati.do("create-webhook", nil, m{"scope_id": group, "url": receiver.URL + "/gotong", "description": "Papan pengumuman"})
	id := hook["webhook_id"].(string)
	in := wati.do("create-thread", nil, m{"scope_id": group, "privacy_level": "private"})["thread_id"].(string)
	wati.do("list-webhooks", with{"?scope_id=" + group}, nil)
	wati.do("get-webhook", with{id}, nil)
	wati.do("add-thread-webhook", with{in, id}, nil)
	wati.do("send-message", with{in}, m{"body": "Pos ronda dicat hari Sabtu."})
	s.until("an attempt is recorded", func() bool { return wati.do("list-webhook-deliveries", with{id}, nil) != nil })
	delete(s.told, "list-webhook-deliveries") // that of an empty list
	wati.do("list-webhook-deliveries", with{id}, nil)
	wati.do("skip-webhook-event", with{id}, m{"stream": "thread/" + in})
	wati.do("list-webhook-dead-letters", with{id}, nil)
	wati.do("remove-member", with{in, id}, nil)
	c := wati.do("create-case", nil, m{"scope_id": group, "track": "tuntaskan", "title": "Selokan mampet", "privacy_level": "private"})["case_id"].(string)
	wati.do("add-case-webhook", with{c, id}, nil)
	wati.do("remove-case-member", with{c, id}, nil)
	wati.do("set-group-role", with{group, joko.id}, m{"role": "admin"})
	// What follows concerns one to which nothing is sent.
	id = wati.do("create-webhook", nil, m{"scope_id": group, "url": receiver.URL + "/ronda"})["webhook_id"].(string)
	wati.do("update-webhook", with{id}, m{"types": []string{"message.posted"}})
	wati.do("rotate-webhook", with{id}, m{"keep_hours": 24})
	wati.do("disable-webhook", with{id}, nil)
	wati.do("enable-webhook", with{id}, nil)
	joko.do("take-over-webhook", with{id}, nil)
	wati.do("disable-webhook", with{id}, nil)
	wati.do("replay-webhook", with{id}, m{"since_ms": s.clock.Now().Milli() - 3_600_000})
	wati.do("remove-webhook", with{id}, nil)
}

// push has what a browser gives as its subscription: the keys are those of RFC 8291.
func (s *story) push(wati *teller) {
	wati.do("get-push-key", nil, nil)
	made := wati.do("put-push-subscription", nil, m{
		"endpoint": "https://push.example.org/up/7d0e5c", "auth": "BTBZMqHH6r4Tts7J_aSIgg", "withdraw": true,
		"p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
	})
	wati.do("list-push-subscriptions", nil, nil)
	wati.do("delete-push-subscription", with{made["subscription_id"].(string)}, nil)
	wati.do("set-active", nil, m{"stream": "thread/0192f0c1"})
}

func (s *story) pod(wati *teller) {
	wati.do("list-edge-pod-contracts", nil, nil)
	for i, op := range []string{"ask-edge-pod", "ask-edge-pod-api"} {
		id := fmt.Sprintf("req_0000000%d", i+1)
		wati.do(op, with{"04", "moderation"}, m{
			"request_id": id, "correlation_id": id, "trigger": "user_action", "payload_version": edgepod.PayloadVersion,
			"actor":      m{"user_id": wati.id, "platform_user_id": wati.id, "role": "member"},
			"content_id": "draft-1", "text": "Kerja bakti hari Minggu jam 7",
		})
	}
}

func (s *story) administration(boss, wati, joko *teller, thread, group string) {
	boss.do("find-user", with{"?user=Pak.Joko"}, nil)
	boss.do("user-audit", with{joko.id}, nil)
	boss.do("set-user-role", with{joko.id}, m{"role": "moderator"})
	boss.do("erase-content", nil, m{"stream": "thread/" + thread, "seqs": []int{4}, "reason": "Permintaan warga"})
	boss.do("disable-user", with{wati.id}, m{"reason": "Akun dicuri."})
	boss.do("list-ownerless", nil, nil)
	boss.do("appoint-owner", with{thread}, m{"user_id": joko.id})
	boss.do("disable-user", with{joko.id}, m{"reason": "Akun dicuri."})
	boss.do("appoint-admin", with{group}, m{"user_id": s.join("Rahmat").id})
	boss.do("enable-user", with{wati.id}, m{"reason": "Akun sudah kembali."})
	boss.do("logout", nil, nil)
}

func TestExamples(t *testing.T) {
	t.Cleanup(web.CloseIdleConnections)
	dir := t.TempDir()
	s := &story{town: &town{t: t, clock: clocktest.Stopped(gotong.InstantOf(time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)))}, told: map[string]told{}, dir: dir}
	s.mail = mailtest.Start(t, mailtest.Options{})
	stop := s.alone(dir, io.Discard)
	s.document()
	s.join("Ketua.RT")
	stop()
	cfg := onFile(dir)
	if _, err := app.GrantRole(t.Context(), &cfg, "Ketua.RT", gotong.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	defer s.alone(dir, io.Discard, func(cfg *config.Config) {
		cfg.SMTP, cfg.MailFrom, cfg.PublicURL = "smtp://"+s.mail.Addr, "no-reply@rt05.example", "https://rt05.example"
	})()
	delete(s.told, "sign-up")
	boss := &teller{s: s}
	in := boss.do("sign-in", nil, m{"email": "ketua.rt@rt05.example", "pass": "hujan-deras-2026"})
	boss.id, boss.token = in["user_id"].(string), in["access_token"].(string)
	delete(s.told, "sign-in")
	wati, joko := s.accounts()
	thread, message := s.chat(wati, joko, boss)
	s.members(wati, joko, thread, message)
	group := s.groups(wati, joko)
	s.cases(wati, joko, boss)
	s.inbox(joko, wati, thread)
	s.webhooks(wati, joko, group)
	s.push(wati)
	s.pod(wati)
	s.administration(boss, wati, joko, thread, group)
	s.compare()
}

func (s *story) document() {
	_, raw := s.send("", "", http.MethodGet, "/openapi.json", nil)
	s.read(raw)
}

func TestDocumentIsPublished(t *testing.T) {
	w := startTown(t, 1, "")
	_, got := (&story{town: w}).send("", "", http.MethodGet, "/openapi.json", nil)
	if *update {
		if err := os.WriteFile("../../api/openapi.json", got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, api.OpenAPI) {
		t.Error("api/openapi.json is not what the routes publish; run the test with -update and look at the difference")
	}
	_, page := (&story{town: w}).send("", "", http.MethodGet, "/docs", nil)
	for _, id := range operationIDs(t) { // it leaves out an operation whose tag is in no list
		if !bytes.Contains(page, []byte(`<section id="`+id+`">`)) {
			t.Errorf("the page of the documentation has no %s", id)
		}
	}
}

func operationIDs(t *testing.T) (ids []string) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for _, methods := range doc.Paths {
		for _, op := range methods {
			ids = append(ids, op.ID)
		}
	}
	return ids
}

// compare checks that the published examples are those of the story: of every
// operation, with the same request, and an answer of the same shape.
func (s *story) compare() {
	s.t.Helper()
	for _, operation := range slices.Sorted(maps.Keys(s.routes)) {
		if _, ok := s.told[operation]; !ok {
			s.t.Errorf("%s is not in the story: add it, and run the test with -update", operation)
		}
	}
	got := invented(s.told)
	if *update {
		text, err := json.MarshalIndent(got, "", " ")
		if err == nil {
			err = os.WriteFile("../../api/examples.json", append(text, '\n'), 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return
	}
	var want map[string]told
	if err := json.Unmarshal(api.Examples, &want); err != nil {
		s.t.Fatal(err)
	}
	for _, operation := range slices.Sorted(maps.Keys(s.told)) {
		g, w := got[operation], want[operation]
		if shape(s.t, g.Request) != shape(s.t, w.Request) || shape(s.t, g.Response) != shape(s.t, w.Response) {
			s.t.Errorf("api/examples.json is not what the server answers to %s; run the test with -update and look at the difference:\n%.600s\n%.600s",
				operation, g.Response, w.Response)
		}
	}
	if len(want) != len(s.told) {
		s.t.Errorf("%d examples for %d operations", len(want), len(s.told))
	}
}

// shape is a JSON text with the type of each value in place of the value, and
// of each list its first element.
func shape(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	if raw == nil {
		return ""
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	var typed func(v any) any
	typed = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				v[name] = typed(v[name])
			}
			return v
		case []any:
			if len(v) > 0 {
				return []any{typed(v[0])}
			}
			return v
		}
		return fmt.Sprintf("%T", v)
	}
	out, err := json.Marshal(typed(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What differs from one run to the next, and what stands in its place.
var (
	anyUUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyHash  = regexp.MustCompile(`\b[0-9a-f]{32,128}\b`)
	anyToken = regexp.MustCompile(`"eyJ[A-Za-z0-9_.-]{20,}"`)
	anyTail  = regexp.MustCompile(`\.[A-Za-z0-9_-]{43}"`)
	anyBytes = regexp.MustCompile(`(\\n)?[A-Za-z0-9+/_]{40,}={0,2}`)
	anyEpoch = regexp.MustCompile(`\b[a-z2-7]{8}:(\d+)`)
	anyLog   = regexp.MustCompile(`gotong-[a-z2-7]{10}/[a-z2-7]{8}/|"epoch":"[a-z2-7]{8}"`)
	anyPlace = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
)

// invented replaces what differs from one run to the next, so that the examples
// change only with the server, and hold no secret.
func invented(all map[string]told) map[string]told {
	ids := map[string]string{}
	id := func(found string) string {
		if _, ok := ids[found]; !ok {
			ids[found] = fmt.Sprintf("01a2c3f0-6c1e-7000-8000-%012d", len(ids)+1)
		}
		return ids[found]
	}
	clean := func(raw []byte) []byte {
		text := string(raw)
		text = anyUUID.ReplaceAllStringFunc(text, id)
		text = anyToken.ReplaceAllString(anyHash.ReplaceAllString(text, "7d1f9c…"), `"eyJhbGciOi…"`)
		text = anyTail.ReplaceAllString(text, `.q83vEjRW…"`)
		text = anyBytes.ReplaceAllString(text, "${1}q83vEjRW…")
		text = anyLog.ReplaceAllStringFunc(text, func(found string) string {
			if found[0] == '"' {
				return `"epoch":"rwjrtjnz"`
			}
			return "gotong-e4itma2dvn/rwjrtjnz/"
		})
		text = anyPlace.ReplaceAllString(text, "https://hooks.rt05.example")
		return []byte(anyEpoch.ReplaceAllString(text, "rwjrtjnz:$1"))
	}
	out := map[string]told{}
	for _, operation := range slices.Sorted(maps.Keys(all)) {
		e := all[operation]
		e.Path = string(clean([]byte(e.Path)))
		if e.Request != nil {
			e.Request = clean(e.Request)
		}
		if e.Response = clean(e.Response); len(e.Response) == 0 {
			e.Response = nil
		}
		out[operation] = e
	}
	return out
}
