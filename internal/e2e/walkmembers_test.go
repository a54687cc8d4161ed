package e2e_test

import (
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// beginOrphan makes a thread whose only member has said something to all when
// their account is disabled; then an outsider is appointed to lead it.
func (w *walk) beginOrphan(name, lead string) {
	w.t.Helper()
	k := w.talkOf(name, lead, true)
	k.members, k.banned, k.since = map[string]bool{}, map[string]bool{}, map[string]string{}
	account := must(dial(w.t, w.url, "nobody").SignUp(w.ctx, client.SignUp{
		Email: "wati@example.org", Pass: "a long passphrase of hers", Username: "wati", CommunityID: "rt05",
	}))(w.t)
	wati := must(client.New(client.Options{BaseURL: w.url, Token: client.StaticToken(account.AccessToken)}))(w.t)
	defer wati.Close()
	th := must(wati.CreateThread(w.ctx, client.NewThread{ScopeID: "rt05", Privacy: "private", History: "all"}))(w.t)
	k.stream = th.Stream()
	k.path = "/v1/chat/threads/" + k.stream.ID()
	k.members[account.UserID] = true
	k.note(fact{by: account.UserID})
	for range 3 {
		text := w.text(k)
		m := must(wati.Send(w.ctx, th.ThreadID, client.NewMessage{Body: text}))(w.t)
		k.note(fact{what: "posted", by: account.UserID, text: text, id: m.MessageID.String()})
	}
	a := must(rest(w.ctx, w.http, w.url, stranger, http.MethodPost, "/v1/admin/users/"+account.UserID+"/disable", ""))(w.t)
	if a.status != http.StatusOK {
		w.t.Fatal(a)
	}
	come([]*talk{k}, lead)
	data := map[string]any{"user_id": lead, "members": []string{account.UserID}}
	if code, did := w.noted(stranger, k, "member.appoint", data, fact{by: stranger}); !did {
		w.t.Fatal(code)
	}
	k.from[lead] = len(k.facts)
}

// comeOrGo changes who is a member or banned, of a thread or of the group.
func (w *walk) comeOrGo(k *talk) {
	w.t.Helper()
	user := w.pick(w.users[1:8]) // neither the stranger nor, by chance, the latecomer
	if user == k.lead {
		return
	}
	do := "come"
	switch n := w.rnd.IntN(8); {
	case k.members[user] && n < 3:
		do = "ban"
	case k.members[user]:
		do = "go"
	case k.banned[user] && n < 5:
		do = "unban"
	case k.banned[user]:
		do = "knock"
	case n == 0:
		do = "ban"
	}
	w.have(k, user, do)
}

// ban is a removal that keeps out, for ever or for longer than the walk.
func (w *walk) ban(user string) map[string]any {
	if w.rnd.IntN(2) == 0 {
		return map[string]any{"user_id": user, "ban": true}
	}
	return map[string]any{"user_id": user, "ban_until_ms": 4_000_000_000_000}
}

// comeGoBanKnock does to one user of one thread, and then of the group, all that can
// be done to a member.
func (w *walk) comeGoBanKnock() {
	w.t.Helper()
	k, user := w.talks[0], "gita"
	switch {
	case k.banned[user]:
		w.ofThread(k, user, "unban")
	case k.members[user]:
		w.ofThread(k, user, "go")
	}
	for _, do := range []string{"come", "go", "come", "ban", "knock", "unban"} {
		w.ofThread(k, user, do)
		w.settle()
	}
	switch k = w.talks[2]; {
	case k.banned[user]:
		w.ofGroup(user, "unban")
	case k.members[user]:
		w.ofGroup(user, "go")
	}
	for _, f := range []func(){
		func() { w.byInvitation(user, "come") }, func() { w.ofGroup(user, "go") },
		func() { w.byRequest(user, "come") }, func() { w.ofGroup(user, "ban") },
		func() { w.byInvitation(user, "knock") }, func() { w.byRequest(user, "knock") }, func() { w.ofGroup(user, "unban") },
	} {
		f()
		w.settle()
	}
}

// byInvitation has the group invite a user, who may decline once, and then accepts.
// Until then they read nothing.
func (w *walk) byInvitation(user, do string) {
	w.t.Helper()
	invite := func() (int, string) {
		return w.commandOn("ani", w.group, "invitation.send", map[string]any{"user_id": user})
	}
	seq, code := invite()
	if seq > 0 && w.rnd.IntN(3) == 0 {
		w.outside(user)
		w.commandOn(user, w.group, "invitation.decline", map[string]any{})
		seq, code = invite()
	}
	if seq > 0 {
		w.outside(user)
		seq, code = w.commandOn(user, w.group, "invitation.accept", map[string]any{})
	}
	w.done(w.talks[2:4], user, do, seq > 0, code, gotong.CodeConflict)
}

// byRequest has a user request to join the group, which takes requests for so long.
// It may reject one, and then approves. Until then the user reads nothing.
func (w *walk) byRequest(user, do string) {
	w.t.Helper()
	path := "/v1/groups/" + w.group.ID() + "/requests"
	post := func(by, path, body string) answer {
		a := must(rest(w.ctx, w.http, w.url, by, http.MethodPost, path, body))(w.t)
		w.watch(by, path, a.body)
		return a
	}
	policy := func(name string) { w.commandOn("ani", w.group, "group.update", map[string]any{"join_policy": name}) }
	policy("persetujuan")
	a := post(user, path, `{"message":"Saya tetangga"}`)
	if a.status == http.StatusCreated && w.rnd.IntN(3) == 0 {
		w.outside(user)
		post("ani", path+"/"+a.str("request_id")+"/reject", "")
		a = post(user, path, "{}")
	}
	if a.status == http.StatusCreated {
		w.outside(user)
		a = post("ani", path+"/"+a.str("request_id")+"/approve", "")
	}
	policy("undangan")
	w.done(w.talks[2:4], user, do, a.status == http.StatusOK, a.str("code"), gotong.CodeForbidden)
}

// outside has a user who waits to be let in read the threads of the group.
func (w *walk) outside(user string) {
	w.t.Helper()
	for _, k := range w.talks[2:4] {
		w.newestPage(user, k)
	}
}

func (w *walk) ofGroup(user, do string) {
	w.t.Helper()
	if do == "come" || do == "knock" {
		switch w.rnd.IntN(3) {
		case 0:
			w.byInvitation(user, do)
			return
		case 1:
			w.byRequest(user, do)
			return
		}
	}
	typ, data := "member.add", map[string]any{"user_id": user, "role": "anggota"}
	switch do {
	case "go":
		typ, data = "member.remove", map[string]any{"user_id": user}
	case "ban":
		typ, data = "member.remove", w.ban(user)
	case "unban":
		typ, data = "member.unban", map[string]any{"user_id": user}
	}
	seq, code := w.commandOn("ani", w.group, typ, data)
	w.done(w.talks[2:4], user, do, seq > 0, code, gotong.CodeConflict)
}

func (w *walk) ofThread(k *talk, user, do string) {
	w.t.Helper()
	typ, by, data, refusal := "member.add", k.lead, map[string]any{"user_id": user}, gotong.CodeConflict
	self := w.rnd.IntN(2) == 0
	switch do {
	case "go":
		if typ = "member.remove"; self {
			typ, by, data = "thread.leave", user, map[string]any{}
		}
	case "ban":
		typ, data = "member.remove", w.ban(user)
	case "unban":
		typ = "member.unban"
	default:
		if self && k.name == "own public" {
			typ, by, data, refusal = "thread.join", user, map[string]any{}, gotong.CodeForbidden
		}
	}
	seq, code := w.command(by, k, typ, data)
	if seq > 0 && seq != len(k.facts)+1 {
		w.t.Fatalf("%s by %s: event %d of %s, after %d", typ, by, seq, k.name, len(k.facts))
	}
	w.done([]*talk{k}, user, do, seq > 0, code, refusal)
	if seq > 0 {
		k.note(fact{by: by})
	}
}

// done writes down what became of it. Who is banned is not let in.
func (w *walk) done(talks []*talk, user, do string, did bool, code string, refusal gotong.Code) {
	w.t.Helper()
	if did != (do != "knock") || !did && code != string(refusal) {
		w.t.Fatalf("%s of %s to %s: done %v, %s", do, user, talks[0].name, did, code)
	}
	switch member := talks[0].members[user]; {
	case do == "come":
		come(talks, user)
	case member:
		leave(talks, user)
	}
	if do == "ban" || do == "unban" {
		talks[0].banned[user] = do == "ban"
	}
}
