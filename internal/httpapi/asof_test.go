package httpapi_test

import (
	"context"
	"maps"
	"path"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/view"
)

// roster is the list of a thread's members, by user id.
type roster struct {
	t     *testing.T
	w     *world
	who   *person
	th, g string
	roles map[string]string
	mutes map[string]int64
	at    map[gotong.Stream]gotong.Cursor
}

func (w *world) roster(who *person, th, g string) *roster {
	w.t.Helper()
	r := &roster{t: w.t, w: w, who: who, th: th, g: g, roles: map[string]string{}, mutes: map[string]int64{}}
	a := who.get(th + "/members").want(200)
	for _, m := range a.list() {
		r.roles[m["user_id"].(string)] = m["role"].(string)
		if until, ok := m["mute_until_ms"].(float64); ok {
			r.mutes[m["user_id"].(string)] = int64(until)
		}
	}
	r.at = map[gotong.Stream]gotong.Cursor{
		gotong.Stream("thread/" + id(th)): r.cursor(a.header.Get("X-As-Of")),
		gotong.Stream("group/" + id(g)):   r.cursor(a.header.Get("X-As-Of-Home")),
	}
	return r
}

func id(at string) string { return path.Base(at) }

func (r *roster) cursor(text string) gotong.Cursor {
	r.t.Helper()
	c, err := gotong.ParseCursor(text)
	if err != nil {
		r.t.Fatalf("%q: %v", text, err)
	}
	return c
}

// later applies the events after the cursors of the list, as a client does who
// follows both streams.
func (r *roster) later() {
	r.t.Helper()
	names := map[group.Role]string{group.Admin: "admin", group.Moderator: "admin", group.Anggota: "member"}
	for stream, c := range r.at {
		page, err := r.w.views.Read(context.Background(), gotong.Viewer{UserID: r.who.id, Role: gotong.RoleUser},
			view.Query{Stream: stream, From: c.Seq, Limit: 500})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range page.Events {
			switch d := e.Data.(type) {
			case group.Member:
				r.roles[d.UserID] = names[d.Role]
			case group.Removed:
				delete(r.roles, d.UserID)
			case group.Gone:
				delete(r.roles, d.UserID)
			case thread.Muted:
				r.mutes[d.UserID] = d.UntilMS
			}
		}
	}
}

// The members of a thread that borrows them come from two streams: the list
// says of each how far it was read, and with what came later it is the list of
// now (contract D11).
func TestAListOfBorrowedMembersNamesBothCursors(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra, dewi := w.signUp("ani"), w.signUp("budi"), w.signUp("citra"), w.signUp("dewi")
	g := ani.group("persetujuan")
	seat := func(p *person) { ani.post(g+"/members", map[string]any{"user_id": p.id}).want(201) }
	seat(budi)
	th := budi.post("/v1/chat/threads", map[string]any{"scope_id": id(g), "privacy_level": "public", "members": "home"}).
		want(201).header.Get("Location")
	budi.do("POST", th+"/members/"+ani.id+"/mute", map[string]any{"until_ms": 4102444800000}).want(200)
	ani.post(g+"/members/"+budi.id+"/role", map[string]any{"role": "moderator"}).want(200)
	before := w.roster(ani, th, g)
	detail := ani.get(th).want(200)
	steps := []func(){
		func() { seat(citra) },
		func() { seat(dewi) },
		func() { ani.post(g+"/members/"+citra.id+"/role", map[string]any{"role": "admin"}).want(200) },
		func() { ani.post(g+"/members/"+dewi.id+"/remove", nil).want(200) },
		func() {
			budi.post(th+"/members/"+citra.id+"/mute", map[string]any{"until_ms": 4102444800000}).want(200)
		},
	}
	for i, step := range steps {
		step()
		old := before
		old.later()
		now := w.roster(ani, th, g)
		old.roles[budi.id] = now.roles[budi.id] // who made the thread owns it: his role is not the group's to tell
		if !maps.Equal(old.roles, now.roles) || !maps.Equal(old.mutes, now.mutes) {
			t.Errorf("step %d: %v %v, want %v %v", i, old.roles, old.mutes, now.roles, now.mutes)
		}
		before = now
		fresh := ani.get(th).want(200)
		if fresh.str("home_as_of") != now.at[gotong.Stream("group/"+id(g))].String() {
			t.Errorf("step %d: %s", i, fresh.body)
		}
		if fresh.str("home_as_of") != detail.str("home_as_of") && fresh.header.Get("ETag") == detail.header.Get("ETag") {
			t.Errorf("step %d: another state under the same ETag", i)
		}
		detail = fresh
	}
}
