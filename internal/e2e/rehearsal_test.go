package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// asked is a request that was answered.
type asked struct {
	user, method, path, body string
	header                   []string
	first                    answer
	again                    answer // when it was repeated at last; it shows what it made as it is then
}

// submitted is a command that was answered over WebSocket.
type submitted struct {
	stream    gotong.Stream
	requestID string
	data      string
	receipt   receipt
}

// rehearsal is a village that moves from store to store and lives on in each.
type rehearsal struct {
	t       *testing.T
	program *program
	http    *http.Client
	threads []string
	paths   []string // of what people read
	asked   []asked
	told    []submitted
	views   map[string]string // what they saw there at last
	tail    string
	last    string // the words that were said last

	mu   sync.Mutex
	keys map[gotong.Key]bool // of every document that there ever was
}

// noting sees the keys of documents on their way into a store.
type noting struct {
	store.Whole
	r *rehearsal
}

func (n noting) Submit(
	ctx context.Context, batch []store.Commit, announce func([]store.Outcome), done func([]store.Outcome, error),
) {
	n.r.mu.Lock()
	for i := range batch {
		for _, ch := range batch[i].Changes {
			n.r.keys[ch.Key] = true
		}
	}
	n.r.mu.Unlock()
	n.Whole.Submit(ctx, batch, announce, done)
}

// TestRehearsal: up from one machine to SurrealDB 3.x, over to 2.6.x and PostgreSQL and
// back, by the real program. In each, the next people see what the last ones saw. In all
// but PostgreSQL the log lives on, and what was asked there is answered in the end as it
// was the first time.
func TestRehearsal(t *testing.T) {
	if testing.Short() {
		t.Skip("long; internal/copy has a shorter one")
	}
	t.Setenv(engineEnv, "") // it has engines of its own
	began := time.Now()
	places := []string{
		"sqlite:" + filepath.Join(t.TempDir(), "first.db"), surrealtest.URL(t, surrealtest.V3),
		surrealtest.URL(t, surrealtest.V2), postgrestest.Start(t).Fresh(), "sqlite:" + filepath.Join(t.TempDir(), "last.db"),
	}
	r := &rehearsal{t: t, program: build(t), http: new(tap).http(t), views: map[string]string{}, keys: map[gotong.Key]bool{}}
	r.on(places[0], func(url string) { r.settle(url); r.liveOn(url, "the first store") })
	rows := uint64(0)
	for i, to := range places[1:] {
		rows += r.move(places[i], to)
		if i < len(places)-2 {
			r.on(to, func(url string) {
				if r.arrive(url); i < 2 {
					r.liveOn(url, fmt.Sprint("store ", i+2))
				}
			})
		}
	}
	old := len(r.asked) + len(r.told)
	events := r.end(places[4])
	t.Logf("SQLite, 3.x, 2.6.x, PostgreSQL, SQLite in %.1f s: %d events and %d documents the same in each, %d rows moved, %d old requests answered as at first",
		time.Since(began).Seconds(), events, len(r.keys), rows, old)
}

// on serves a store from this process, for as long as live takes.
func (r *rehearsal) on(address string, live func(url string)) {
	r.t.Helper()
	n := startNode(r.t, func(o *app.Options) {
		o.Config.Store = address
		o.Config.SigningKey = base64.StdEncoding.EncodeToString([]byte(secret))
		o.Wrap = func(s store.Whole) store.Whole { return noting{s, r} }
	})
	live(n.url)
	r.http.CloseIdleConnections()
	if err := n.end(); err != nil {
		r.t.Fatal(err)
	}
}

// ask is one request, kept to be asked again.
func (r *rehearsal) ask(url, user, method, path, body string, header ...string) answer {
	r.t.Helper()
	a := asked{user: user, method: method, path: path, body: body}
	a.header = append([]string{"Idempotency-Key", fmt.Sprintf("key-%04d", len(r.asked))}, header...)
	a.first = must(rest(r.t.Context(), r.http, url, user, method, path, body, a.header...))(r.t)
	if a.first.status >= http.StatusMultipleChoices {
		r.t.Fatalf("%s %s: %s", method, path, a.first)
	}
	r.asked = append(r.asked, a)
	return a.first
}

// tell is one command over WebSocket, kept to be told again.
func (r *rehearsal) tell(ws *line, stream gotong.Stream, data string) {
	r.t.Helper()
	c := submitted{stream: stream, requestID: fmt.Sprintf("told-%04d", len(r.told)), data: data}
	c.receipt = must(ask(r.t.Context(), ws, stream, "message.post", c.requestID, data))(r.t)
	if c.receipt.Op != "ack" || len(c.receipt.Receipt.EventIDs) != 1 {
		r.t.Fatalf("%+v", c.receipt)
	}
	r.told = append(r.told, c)
}

// repeat asks all that was ever asked once more. A receipt is the one of the
// first time; what REST shows beside is what the request made, as it is now,
// and as it was shown when it was repeated in the store before.
func (r *rehearsal) repeat(url string, moved bool) {
	r.t.Helper()
	for i := range r.asked {
		a := &r.asked[i]
		again := must(rest(r.t.Context(), r.http, url, a.user, a.method, a.path, a.body, a.header...))(r.t)
		name := a.method + " " + a.path
		if moved {
			sameAnswer(r.t, name, a.again, again)
		}
		if a.again = again; again.status != a.first.status || again.header.Get("Idempotency-Replayed") != "true" {
			r.t.Errorf("%s was %s, and again %s", name, a.first, again)
		}
		for _, field := range []string{"thread_id", "message_id", "group_id", "seq", "n", "at", "request_id", "correlation_id"} {
			if was := a.first.str(field); a.first.str("message_id") != "" && again.str(field) != was {
				r.t.Errorf("%s: %s was %s, and again %s", name, field, was, again.str(field))
			}
		}
	}
	ws := socket(r.t.Context(), r.t, r.http, url, "ann")
	defer func() { _ = ws.CloseNow() }()
	for _, c := range r.told {
		again := must(ask(r.t.Context(), ws, c.stream, "message.post", c.requestID, c.data))(r.t)
		was := c.receipt
		if was.Receipt.Replayed = true; !reflect.DeepEqual(was, again) {
			r.t.Errorf("the receipt was %+v, and again %+v", was, again)
		}
	}
}

// settle fills the first store: an imported chat, accounts, a group, threads
// with members of their own and with those of the group.
func (r *rehearsal) settle(url string) {
	r.t.Helper()
	auth := dial(r.t, url, "nobody")
	must(auth.SignUp(r.t.Context(), client.SignUp{Email: "wati@example.org", Pass: password, Username: "wati", CommunityID: "rt05"}))(r.t)
	sample := must(filepath.Abs("../../testdata/irc/2026-09-12.rt05.txt"))(r.t)
	var report struct {
		Thread string `json:"thread"`
	}
	out := r.program.run("GOTONG_URL="+url+" GOTONG_TOKEN="+tokenOf("ann"), "import", sample, "--format=irc", "--zone=UTC", "--scope=rt05", "--json")
	if err := json.Unmarshal(out, &report); err != nil || report.Thread == "" {
		r.t.Fatalf("%v: %s", err, out)
	}
	group := r.ask(url, "ann", "POST", "/v1/groups", `{"name":"RT 05","entity_type":"kelompok","join_policy":"terbuka"}`).str("group_id")
	r.ask(url, "bob", "POST", "/v1/groups/"+group+"/join", `{}`)
	r.ask(url, "cat", "POST", "/v1/groups/"+group+"/join", `{}`)
	home := r.ask(url, "ann", "POST", "/v1/chat/threads", `{"scope_id":"`+group+`","privacy_level":"private","members":"home"}`).str("thread_id")
	own := r.ask(url, "ann", "POST", "/v1/chat/threads", `{"scope_id":"rt05","privacy_level":"public"}`).str("thread_id")
	r.ask(url, "bob", "POST", "/v1/chat/threads/"+own+"/join", `{}`)
	r.ask(url, "ann", "POST", "/v1/groups/"+group+"/members/cat/remove", ``)
	r.threads = []string{report.Thread, home, own}
	r.paths = []string{"/v1/chat/threads", "/v1/chat/unread", "/v1/groups", "/v1/groups/" + group, "/v1/groups/" + group + "/members"}
	for _, id := range r.threads {
		at := "/v1/chat/threads/" + id
		r.paths = append(r.paths, at, at+"/messages?after_seq=start&limit=200", at+"/members", at+"/read-cursor")
	}
}

// liveOn does some of everything, and remembers what people see then.
func (r *rehearsal) liveOn(url, where string) {
	r.t.Helper()
	reader := dial(r.t, url, "ann")
	ws := socket(r.t.Context(), r.t, r.http, url, "ann")
	defer func() { _ = ws.CloseNow() }()
	for _, id := range r.threads {
		at := "/v1/chat/threads/" + id
		say := func(body string) string {
			return r.ask(url, "ann", "POST", at+"/messages/send", `{"body":"`+body+`"}`).str("message_id")
		}
		first, second := say("said in "+where), say("taken back in "+where)
		r.ask(url, "ann", "PATCH", at+"/messages/"+first, `{"body":"changed in `+where+`"}`, "If-Match", `"0"`)
		r.ask(url, "ann", "DELETE", at+"/messages/"+second, ``)
		r.ask(url, "ann", "DELETE", at+"/messages/"+second, ``) // changes nothing
		r.ask(url, "ann", "PUT", at+"/messages/"+first+"/reactions/%F0%9F%91%8D", ``)
		must(reader.MarkRead(r.t.Context(), id, must(gotong.ParseEventID(first))(r.t)))(r.t)
		r.tell(ws, gotong.NewStream("thread", id), `{"body":"told in `+where+`"}`)
		say("the last of " + where)
	}
	r.repeat(url, false)
	r.last = "the last of " + where
	r.tail = r.program.tail(url, "ann", r.threads[0], r.last)
	r.views = r.look(url)
}

// look is what two people see.
func (r *rehearsal) look(url string) map[string]string {
	r.t.Helper()
	seen := map[string]string{}
	for _, user := range []string{"ann", "bob"} {
		for _, path := range r.paths {
			a := must(rest(r.t.Context(), r.http, url, user, "GET", path, ""))(r.t)
			seen[user+" "+path] = traceID.ReplaceAllString(a.String(), "") + " " + a.header.Get("X-As-Of")
		}
	}
	return seen
}

// arrive compares what people see with what they saw in the store before.
func (r *rehearsal) arrive(url string) {
	r.t.Helper()
	for name, is := range r.look(url) {
		if was := r.views[name]; is != was {
			r.t.Errorf("%s\nwas %s\nis  %s", name, was, is)
		}
	}
	if is := r.program.tail(url, "ann", r.threads[0], r.last); is != r.tail {
		r.t.Errorf("gotong tail showed\n%s\nand shows\n%s", r.tail, is)
	}
}

// move copies with the command line, and compares the stores with eyes of its
// own.
func (r *rehearsal) move(from, to string) uint64 {
	r.t.Helper()
	var report struct {
		Moved    uint64 `json:"moved"`
		Verified bool   `json:"verified"`
		Present  bool   `json:"present"`
	}
	env := "GOTONG_COPY_FROM=" + from + " GOTONG_COPY_TO=" + to
	moved := uint64(0)
	for _, args := range [][]string{nil, nil, {"--verify-only"}} { // the second finds all of it there
		out := r.program.run(env, append([]string{"copy", "--json"}, args...)...)
		if err := json.Unmarshal(out, &report); err != nil || !report.Verified {
			r.t.Fatalf("%v: %s", err, out)
		}
		moved = max(moved, report.Moved)
	}
	was, is := openStore(r.t, from), openStore(r.t, to)
	defer func() { _, _ = was.Close(), is.Close() }()
	if a, b := checkLog(r.t, was), checkLog(r.t, is); !reflect.DeepEqual(a.streams, b.streams) || a.events == 0 {
		r.t.Fatalf("the log has %d events and had %d, or they differ", b.events, a.events)
	}
	r.compare(was, is)
	return moved
}

// compare compares what is beside the events, and the documents.
func (r *rehearsal) compare(was, is store.Whole) {
	r.t.Helper()
	a, b := must(storetest.Read(r.t.Context(), was, 500))(r.t), must(storetest.Read(r.t.Context(), is, 300))(r.t)
	for _, pair := range [][2]any{
		{a.Positions, b.Positions}, {a.Rows.Streams, b.Rows.Streams}, {a.Records(), b.Records()},
		{a.Rows.Claims, b.Rows.Claims}, {a.Rows.Registers, b.Rows.Registers}, {a.Rows.Cursors, b.Rows.Cursors},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			r.t.Errorf("%T:\nwas %.500v\nis  %.500v", pair[0], pair[0], pair[1])
		}
	}
	there := 0
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(r.keys)), 200) {
		x := must(was.Load(r.t.Context(), store.Need{Documents: chunk}))(r.t)
		y := must(is.Load(r.t.Context(), store.Need{Documents: chunk}))(r.t)
		for _, key := range chunk {
			if !bytes.Equal(x.Documents[key], y.Documents[key]) {
				r.t.Errorf("document %v\nwas %s\nis  %s", key, x.Documents[key], y.Documents[key])
			}
		}
		there += len(x.Documents)
	}
	if there < 20 {
		r.t.Errorf("only %d documents were compared", there)
	}
}

// end serves the last store as it will be served.
func (r *rehearsal) end(address string) (events int) {
	r.t.Helper()
	url, stop := r.program.serve(address)
	defer stop()
	r.arrive(url)
	r.repeat(url, true)
	r.arrive(url) // and that changed nothing
	must(dial(r.t, url, "nobody").SignIn(r.t.Context(), "wati@example.org", password))(r.t)
	was := r.views
	r.liveOn(url, "the last store")
	if maps.Equal(was, r.views) {
		r.t.Error("the log does not go on")
	}
	r.http.CloseIdleConnections()
	stop()
	s := openStore(r.t, address)
	defer func() { _ = s.Close() }()
	return checkLog(r.t, s).events
}

// password of the account that moves along.
var password = strings.Repeat("selokan ", 3)
