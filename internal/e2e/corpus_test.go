package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/store"
)

// corpusEnv names a folder of real exports.
const corpusEnv = "GOTONG_CORPUS"

// lastWords end a thread: whoever has followed it to here is done.
const lastWords = "these are the last words of the thread"

// export is one file and its thread.
type export struct {
	name    string
	text    []byte
	entries []importer.Entry
	thread  client.Thread
	home    gotong.Stream // the group whose members come and go; empty: the thread has its own
	owner   string
	halfway chan struct{} // closed when half of the import is answered

	steps     []importer.Step // of the first run
	followers []*follower
}

// exports are the own sample and, without -short, what the corpus folder holds.
func exports(t *testing.T) []*export {
	t.Helper()
	files := must(filepath.Glob("../../testdata/irc/*.txt"))(t)
	if dir := os.Getenv(corpusEnv); dir != "" && !testing.Short() {
		files = append(files, must(filepath.Glob(filepath.Join(dir, "*.txt")))(t)...)
	}
	list := make([]*export, 0, len(files))
	for _, name := range files {
		x := &export{name: filepath.Base(name), halfway: make(chan struct{})}
		x.text = must(os.ReadFile(name))(t)
		x.entries = parse(t, x.name, x.text)
		x.owner = "owner-" + gotong.DeriveID("test", "", x.name)
		list = append(list, x)
	}
	return list
}

func parse(t *testing.T, name string, text []byte) []importer.Entry {
	t.Helper()
	var list []importer.Entry
	for e, err := range importer.Parse(importer.Source{Format: importer.IRC, Name: name}, bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// create makes the thread of an export, or finds it again.
func (x *export) create(t *testing.T, url string) {
	t.Helper()
	c := dial(t, url, x.owner)
	x.thread = must(c.CreateThread(t.Context(), client.NewThread{ScopeID: "rt05", Privacy: "public"},
		client.RequestID(importer.ThreadRequestID("rt05", importer.IRC, x.entries))))(t)
}

// run imports entries as the owner, over a connection of its own.
func (x *export) run(
	ctx context.Context, t *testing.T, url string, entries []importer.Entry, progress func(done, of int),
) (importer.Result, []importer.Step) {
	t.Helper()
	plan := importer.NewPlan(x.thread.ThreadID)
	var steps []importer.Step
	for step, err := range plan.Steps(pairs(entries)) {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	conn := connect(t, dial(t, url, x.owner), client.ConnOptions{})
	submit := func(ctx context.Context, typ string, data any, requestID string) (importer.Wait, error) {
		to := x.thread.Stream()
		if x.home != "" && typ != "message.post" {
			var of struct {
				UserID string `json:"user_id"`
			}
			if err := unmarshal(encode(data), &of); err != nil {
				return nil, err
			}
			to, data = x.home, of
		}
		call, err := conn.Submit(ctx, to, typ, data, client.RequestID(requestID))
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (gotong.Receipt, bool, error) {
			r, err := call.Wait(ctx)
			return r, call.PutOff(), err
		}, nil
	}
	began := time.Now()
	result, err := importer.Run(ctx, submit, pairs(steps), nil, func(r importer.Result) { progress(r.Done, len(steps)) })
	if err != nil || result.Refused > 0 || result.Done != len(steps) {
		t.Errorf("%s: %v, %+v", x.name, err, result)
	}
	t.Logf("%s: %d steps in %.1f s, %d of them new", x.name, len(steps), time.Since(began).Seconds(), result.Added)
	return result, steps
}

func pairs[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// watch makes n members and their followers: a third over each transport, and
// a third of them all through a proxy that cuts, coming back over another
// transport now and then.
func (x *export) watch(t *testing.T, url, cutting string, n int, kept *pool) {
	t.Helper()
	transports := []client.Transport{client.WebSocket, client.SSE, client.Poll}
	each(names("watcher", n), func(user string) {
		if _, err := dial(t, url, user).JoinThread(t.Context(), x.thread.ThreadID); err != nil {
			t.Error(err)
		}
	})
	for i, user := range names("watcher", n) {
		f := &follower{
			stream: x.thread.Stream(), pool: kept,
			last: func(e client.Event) bool { return strings.Contains(string(e.Data), lastWords) },
		}
		first, at := transports[i%3], url
		if i/3%3 == 0 {
			at, f.pauses = cutting, 3
			for k := range transports {
				f.clients = append(f.clients, dial(t, at, user, transports[(i+k)%3]))
			}
		} else {
			f.clients = append(f.clients, dial(t, at, user, first))
		}
		f.name = fmt.Sprintf("%s, %s over %s", x.name, user, first)
		x.followers = append(x.followers, f)
	}
}

// TestCorpus imports real exports into threads while many follow.
func TestCorpus(t *testing.T) {
	n := startNode(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var plans sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 1))
	cutting := netfault.For(t, host(n.url))
	cutting.Plan(func() netfault.Fault {
		plans.Lock()
		defer plans.Unlock()
		// From a few bytes to more than a page of the log: a cut within every
		// page would let nobody ever get on.
		f := netfault.Fault{After: 1 + rnd.Int64N(1<<(6+rnd.IntN(16))), Reset: rnd.IntN(2) == 0}
		if rnd.IntN(4) == 0 {
			f.Delay = time.Duration(rnd.IntN(3000)) * time.Microsecond
		}
		return f
	})
	kept, list, watchers := newPool(), exports(t), size(50, 12)
	for _, x := range list {
		x.create(t, n.url)
		x.watch(t, n.url, cutting.URL(), watchers, kept)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	var group sync.WaitGroup
	for k, x := range list {
		for i, f := range x.followers {
			rnd := rand.New(rand.NewPCG(seed, uint64(1000*k+i)))
			group.Go(func() {
				if i%5 == 4 {
					<-x.halfway
				}
				if err := f.run(ctx, rnd); err != nil {
					t.Errorf("%s, after %d events and %d pauses: %v", f.name, len(f.got), f.resumes, err)
				}
			})
		}
		group.Go(func() { x.importAll(ctx, t, n.url) })
	}
	group.Wait()
	took := time.Since(began)
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	report(t, readLog(t, n.dir), list, took, cutting.Cuts())
}

// importAll imports the export, then again, and says the last words.
func (x *export) importAll(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	half := sync.OnceFunc(func() { close(x.halfway) })
	defer half() // nobody waits for an import that failed
	var first importer.Result
	first, x.steps = x.run(ctx, t, url, x.entries, func(done, of int) {
		if done >= of/2 {
			half()
		}
	})
	owner := dial(t, url, x.owner)
	before, err := owner.Thread(ctx, x.thread.ThreadID)
	if err != nil {
		t.Error(err)
	}
	again, _ := x.run(ctx, t, url, x.entries, func(int, int) {})
	after, err := owner.Thread(ctx, x.thread.ThreadID)
	if err != nil || after.Seq != before.Seq || again.Added != 0 || again.Present != first.Added || again.Void != first.Void {
		t.Errorf("%s: the second import made %+v after %+v, and seq %d of %d", x.name, again, first, after.Seq, before.Seq)
	}
	if _, err := owner.Send(ctx, x.thread.ThreadID, client.NewMessage{Body: lastWords}); err != nil {
		t.Error(err)
	}
}

// report compares everybody with the log and tells the figures.
func report(t *testing.T, log *logbook, list []*export, took time.Duration, cuts int64) {
	t.Helper()
	lines, deliveries, resumes, followers := 0, 0, 0, 0
	for _, x := range list {
		rows := log.streams[x.thread.Stream()]
		x.checkImported(t, rows)
		lines += bytes.Count(x.text, []byte("\n"))
		for _, f := range x.followers {
			f.check(t, rows)
			if len(f.got) != len(rows) {
				t.Errorf("%s ended with %d of %d events", f.name, len(f.got), len(rows))
			}
			deliveries += len(f.got)
			resumes += f.resumes
			followers++
		}
		t.Logf("%s: %d lines, %d steps, %d events", x.name, bytes.Count(x.text, []byte("\n")), len(x.steps), len(rows))
	}
	t.Logf("%d files, %d lines, %d events of the log, %d followers: %d deliveries in %.1f s (%.0f/s), %d connections cut, %d left and resumed",
		len(list), lines, log.events, followers, deliveries, took.Seconds(), float64(deliveries)/took.Seconds(), cuts, resumes)
}

// checkImported compares the log with what the export says: every message and
// every coming and going, in order.
func (x *export) checkImported(t *testing.T, rows []store.Event) {
	t.Helper()
	var want, got []string
	for _, s := range x.steps {
		text := s.Text
		if s.Op != importer.Post {
			text = s.UserID
		}
		typ := map[importer.Op]string{
			importer.Post: "message.posted", importer.Add: "member.added", importer.Remove: "member.removed",
		}[s.Op]
		want = append(want, fmt.Sprintf("%s %s %s: %s", s.RequestID, typ, s.Name, text))
	}
	for i := range rows {
		env := envelope(t, &rows[i])
		if !strings.HasPrefix(env.RequestID, "import:") || rows[i].Seq == 1 {
			continue
		}
		var d struct {
			Body   string `json:"body"`
			UserID string `json:"user_id"`
			SentBy string `json:"sent_by"`
		}
		if err := json.Unmarshal([]byte(payload(t, &rows[i])), &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s: %s", env.RequestID, rows[i].Type, d.SentBy, d.Body+d.UserID))
	}
	if len(want) != len(got) {
		t.Errorf("%s: %d steps made %d events", x.name, len(want), len(got))
	}
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Errorf("%s: step %d should be\n%s\nand is\n%s", x.name, i+1, want[i], got[i])
			return
		}
	}
}

// TestLongerExport imports the first half of an export and then all of it: the
// thread is that of one import, and only the new lines are added.
func TestLongerExport(t *testing.T) {
	n := startNode(t)
	list := exports(t)
	if testing.Short() {
		list = list[:1]
	}
	for _, x := range list {
		text := x.text[:bytes.IndexByte(x.text[len(x.text)/2:], '\n')+len(x.text)/2+1]
		half := parse(t, x.name, text)
		whole := x.entries
		x.entries = half
		x.create(t, n.url)
		first := x.thread.ThreadID
		before, some := x.run(t.Context(), t, n.url, half, func(int, int) {})
		x.entries = whole
		x.create(t, n.url)
		if x.thread.ThreadID != first {
			t.Fatalf("%s: the longer export has another thread", x.name)
		}
		var after importer.Result
		after, x.steps = x.run(t.Context(), t, n.url, whole, func(int, int) {})
		if after.Present != before.Added || after.Added != len(x.steps)-len(some) || !reflect.DeepEqual(x.steps[:len(some)], some) {
			t.Errorf("%s: half made %+v, then all of it %+v, of %d steps", x.name, before, after, len(x.steps))
		}
	}
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	log := readLog(t, n.dir)
	for _, x := range list {
		x.checkImported(t, log.streams[x.thread.Stream()])
	}
}
