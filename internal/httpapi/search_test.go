package httpapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/search"
	"gotong.dev/gotong/internal/store"
)

// TestSearch: messages and names that the caller may see, in pages; and nothing in any
// answer shows that there are others, whatever the query and the cursor.
func TestSearch(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	secret := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private", "name": "Kenari rahasia"}).
		want(http.StatusCreated).header.Get("Location")
	shared := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "public", "name": "Arisan kenari"}).
		want(http.StatusCreated).header.Get("Location")
	for p, name := range map[*person]string{ani: "RT kenari tertutup", budi: "RT kenari terbuka"} {
		p.post("/v1/groups", map[string]any{"name": name, "entity_type": "kelompok", "join_policy": "undangan"}).want(http.StatusCreated)
	}
	for p, title := range map[*person]string{ani: "Kasus kenari tertutup", budi: "Kasus kenari hilang"} {
		p.post("/v1/cases", map[string]any{"scope_id": "rt05", "track": "Tuntaskan", "title": title}).want(http.StatusCreated)
	}
	for i := range 5 {
		ani.say(secret, fmt.Sprint("burung kenari nomor ", i))
	}
	budi.post(shared+"/join", map[string]any{}).want(http.StatusOK)
	ani.say(shared, "Kenari! Dia ditemukan 🐤 di "+strings.Repeat("kebun ", 40)+"https://rt05.example")
	budi.say(shared, "besok menemukan burung lagi")
	run, err := reader.New(reader.Options{Store: w.store, Clock: w.clock, Log: slog.New(slog.DiscardHandler)},
		[]reader.Reader{search.Reader(store.NewCodec(kinds()))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	find := func(p *person, query, more string) *answer {
		t.Helper()
		return p.get("/v1/search?query=" + url.QueryEscape(query) + more)
	}
	for _, tt := range []struct{ query, more, items, names string }{
		{"kenari", "", "[Kenari! Dia]", "[RT kenari terbuka Kasus kenari hilang Arisan kenari]"},
		{"burung", "", "[besok menem]", "[]"},
		{"temu", "", "[besok menem Kenari! Dia]", "[]"},
		{"temu", "&limit=1", "[besok menem]", "[]"},
		{`"di temu"`, "", "[]", "[]"},
		{"burung kenari", "", "[]", "[]"},
		{"temu from:ani", "", "[Kenari! Dia]", "[]"},
		{"temu from:" + ani.id, "", "[Kenari! Dia]", "[]"},
		{"temu from:nobody", "", "[]", "[]"},
		{"temu has:file", "", "[]", "[]"},
		{"temu has:link", "", "[Kenari! Dia]", "[]"},
		{`kenari in:"arisan kenari"`, "", "[Kenari! Dia]", "[Arisan kenari]"},
		{`kenari in:"kenari rahasia"`, "", "[]", "[]"},
		{"kenari in:" + strings.TrimPrefix(secret, "/v1/chat/threads/"), "", "[]", "[]"},
		{"kenari before:2020-01-01", "", "[]", "[]"},
		{"kenari after:2020-01-01", "", "[Kenari! Dia]", "[]"},
	} {
		a := find(budi, tt.query, tt.more).want(http.StatusOK)
		var items, names []string
		for _, item := range listOf(a, "items") {
			snippet := item["snippet"].(map[string]any)
			text := snippet["text"].(string)
			items = append(items, text[:11])
			for _, m := range snippet["marks"].([]any) {
				m := m.(map[string]any)
				word := strings.ToLower(string([]rune(text)[int(m["from"].(float64)):int(m["to"].(float64))]))
				if !slices.Contains([]string{"kenari", "ditemukan", "menemukan", "burung"}, word) {
					t.Errorf("%s marks %q", tt.query, word)
				}
			}
		}
		for _, name := range listOf(a, "names") {
			names = append(names, name["snippet"].(map[string]any)["text"].(string))
		}
		if fmt.Sprint(items) != tt.items || fmt.Sprint(names) != tt.names || strings.Contains(string(a.body), "rahasia") || strings.Contains(string(a.body), "tertutup") {
			t.Errorf("%s: %v %v, want %s %s", tt.query, items, names, tt.items, tt.names)
		}
		if asOf := len(listOf(a, "as_of")); asOf > 1 || asOf == 0 && len(items) > 0 { // budi is in one thread
			t.Errorf("%s: as_of has %d partitions: %s", tt.query, asOf, a.body)
		}
		if next, more := a.object()["next_cursor"]; more != (tt.more != "") {
			t.Errorf("%s: the next cursor is %v", tt.query, next)
		}
	}
	next := find(budi, "temu", "&limit=1").str("next_cursor")
	second := find(budi, "temu", "&limit=1&cursor="+next).want(http.StatusOK)
	if got := listOf(second, "items"); len(got) != 1 || len(listOf(second, "names")) != 0 || second.object()["next_cursor"] != nil {
		t.Errorf("the second page: %s", second.body)
	}
	if all := find(ani, "kenari", "").want(http.StatusOK); len(listOf(all, "items")) != 6 || len(listOf(all, "names")) != 4 {
		t.Errorf("its owner: %s", all.body)
	}
	for _, query := range []string{"", " ", `""`, "in:x", strings.Repeat("x", 10_000), "has:gold", "\x00"} {
		find(budi, query, "").problem(http.StatusUnprocessableEntity, gotong.CodeInvalid)
	}
	find(budi, "x", "&cursor=x").problem(http.StatusBadRequest, gotong.CodeCursorInvalid)
	find(budi, "x", "&limit=51").problem(http.StatusUnprocessableEntity, gotong.CodeInvalid)
}

// TestSearchIsBounded: a search that runs out of time is answered 503 busy. Its time
// includes the reading of what the user may see.
func TestSearchIsBounded(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "public"}).want(http.StatusCreated)
	ani.get("/v1/search?query=kopi").want(http.StatusOK)
	w.chat.Patience = -1
	w.server = w.node()
	ani.get("/v1/search?query=kopi").problem(http.StatusServiceUnavailable, gotong.CodeBusy)
}

// TestASearchLeavesOutTheNamesOfWhatIsClosed: of a case whose group the user has left,
// which their list still has, and of a thread from which they are removed while it is listed.
func TestASearchLeavesOutTheNamesOfWhatIsClosed(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	g := ani.group("undangan")
	member := map[string]any{"user_id": budi.id}
	ani.post(g+"/members", member).want(http.StatusCreated)
	affair := ani.post("/v1/cases", map[string]any{"scope_id": id(g), "track": "Tuntaskan", "title": "Kasus kenari"}).
		want(http.StatusCreated).str("case_id")
	ani.do(http.MethodPut, "/v1/cases/"+affair+"/members/"+budi.id, map[string]any{"track_roles": []string{"saksi"}}).want(http.StatusOK)
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private", "name": "Arisan kenari"}).
		want(http.StatusCreated).header.Get("Location")
	ani.post(th+"/members", member).want(http.StatusCreated)
	names := func(want int) {
		t.Helper()
		if got := listOf(budi.get("/v1/search?query=kenari").want(http.StatusOK), "names"); len(got) != want {
			t.Errorf("found the names %v, want %d", got, want)
		}
	}
	names(2)
	ani.post(g+"/members/"+budi.id+"/remove", nil).want(http.StatusOK)
	names(1)
	removed := false
	w.chat.Store = listing{w.chat.Store, func() {
		if !removed {
			removed = true
			ani.do(http.MethodDelete, th+"/members/"+budi.id, nil).want(http.StatusOK)
		}
	}}
	w.server = w.node()
	names(0)
	if !removed {
		t.Error("no list of threads was read")
	}
}

// listing is a store that calls a function each time that it has read a list of a user's threads.
type listing struct {
	store.Committer
	then func()
}

func (l listing) Load(ctx context.Context, need store.Need) (store.Snapshot, error) {
	snap, err := l.Committer.Load(ctx, need)
	if slices.ContainsFunc(need.Ranges, func(r store.KeyRange) bool { return r.Collection == thread.OfUser }) {
		l.then()
	}
	return snap, err
}

func listOf(a *answer, name string) (list []map[string]any) {
	a.t.Helper()
	all, _ := a.object()[name].([]any)
	for _, item := range all {
		list = append(list, item.(map[string]any))
	}
	return list
}
