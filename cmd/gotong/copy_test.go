package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/store"
)

// chatting is a database with the sample in it, the thread, and what tail
// shows of it.
func chatting(t *testing.T) (db, thread, text string) {
	t.Helper()
	data := t.TempDir()
	b := interruptible(t, serveArgs(data)...)
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	token := account(t, url, "Wati")
	thread = imported(t, url, token, sample, "--scope=rt05").Thread
	text = tailText(t, url, token, thread, sampleLast)
	if code := b.stop(); code != 0 {
		t.Fatalf("serve ended with %d: %s", code, b.errs.String())
	}
	return "sqlite:" + filepath.Join(data, "gotong.db"), thread, text
}

func serveArgs(data string, more ...string) []string {
	return append([]string{
		"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + data, "--log-level=error",
		"--command-rate=100000", "--command-burst=100000",
	}, more...)
}

// copiedChat is what tail shows of a thread on a server of this store.
func copiedChat(t *testing.T, db, thread string) string {
	t.Helper()
	b := interruptible(t, serveArgs(t.TempDir(), "--store="+db, "--checkpoints-new")...)
	defer b.stop()
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"}, "token", "--url="+url, "--email=Wati@example.org")
	if r.code != 0 {
		t.Fatalf("the account is not there: %+v", r)
	}
	return tailText(t, url, strings.TrimSpace(r.out), thread, sampleLast)
}

// done runs a command that has to succeed, with a report in JSON.
func done(t *testing.T, args ...string) copyReport {
	t.Helper()
	r := command(t, nil, append(args, "--json")...)
	var report copyReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 0 || r.err != "" {
		t.Fatalf("%v: %+v, %v", args, r, err)
	}
	return report
}

// TestCopyServes: a chat is copied, and through a file copied again; both
// copies serve it to the same account, message by message.
func TestCopyServes(t *testing.T) {
	db, thread, text := chatting(t)
	dir := t.TempDir()
	second, third, file := "sqlite:"+filepath.Join(dir, "b.db"), "sqlite:"+filepath.Join(dir, "c.db"), filepath.Join(dir, "log.ndjson")

	if r := done(t, "copy", "--from="+db, "--to="+second, "--dry-run"); r.Rows[logcopy.Events] < 50 || r.Stage != "read" {
		t.Errorf("dry run: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(dir, "b.db")); err == nil {
		t.Error("a dry run made the target")
	}
	r := done(t, "copy", "--from="+db, "--to="+second)
	if !r.Verified || r.Moved == 0 || r.Rows[logcopy.Registers] == 0 || r.Rows[logcopy.Claims] < 2 {
		t.Errorf("copy: %+v", r)
	}
	if again := done(t, "copy", "--from="+db, "--to="+second); !again.Present || !again.Verified || again.Moved != 0 {
		t.Errorf("again: %+v", again)
	}
	if same := done(t, "copy", "--from="+db, "--to="+second, "--verify-only"); !same.Verified {
		t.Errorf("compared: %+v", same)
	}
	if text := command(t, nil, "copy", "--from="+db, "--to="+second); strings.Contains(text.out, "ttachments") {
		t.Errorf("a log without attachments is said to lack them: %s", text.out)
	}
	if e := done(t, "export", "--store="+second, file); e.Moved != r.Moved {
		t.Errorf("exported %d rows of %d", e.Moved, r.Moved)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if i := done(t, "import-log", "--store="+third, file, "--dry-run"); i.Rows[logcopy.Events] != r.Rows[logcopy.Events] {
		t.Errorf("read %+v", i)
	}
	if i := done(t, "import-log", "--store="+third, file); !i.Verified || i.Moved != r.Moved {
		t.Errorf("imported %+v", i)
	}
	for name, copied := range map[string]string{"copy": second, "copy through a file": third} {
		if got := copiedChat(t, copied, thread); got != text {
			t.Errorf("%s: the chat is\n%s\nwas\n%s", name, got, text)
		}
	}
}

// TestSealedSourceCanOnlyBeRead: the source accepts no writes, reports it, and can
// be unsealed.
func TestSealedSourceCanOnlyBeRead(t *testing.T) {
	db, thread, text := chatting(t)
	target := "sqlite:" + filepath.Join(t.TempDir(), "b.db")
	done(t, "copy", "--from="+db, "--to="+target)
	if r := command(t, nil, "copy", "--from="+db, "--to=sqlite:"+t.TempDir()+"/c.db"); r.code != 1 || !strings.Contains(r.err, "already sealed: copied to sqlite:") {
		t.Errorf("a second target: %+v", r)
	}
	b := interruptible(t, serveArgs(t.TempDir(), "--store="+db, "--checkpoints-new")...)
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	if !strings.Contains(b.out.String(), "sealed (copied to sqlite:") {
		t.Errorf("the server does not say that it can only be read:\n%s", b.out.String())
	}
	for path, body := range map[string]string{
		"signup": `{"email":"new@example.org","username":"newcomer","pass":"correct horse battery","community_id":"rt05"}`,
		"signin": `{"email":"wati@example.org","pass":"correct horse battery"}`,
	} {
		if status, problem := post(t, url+"/v1/auth/"+path, body); status != http.StatusServiceUnavailable || !strings.Contains(problem, `"store_sealed"`) {
			t.Errorf("%s: %d %s", path, status, problem)
		}
	}
	if code := b.stop(); code != 0 {
		t.Errorf("serve ended with %d: %s", code, b.errs.String())
	}
	u := command(t, nil, "copy", "--from="+db, "--unseal")
	if u.code != 0 || !strings.Contains(u.out, "no longer sealed") || !strings.Contains(u.err, "two histories") {
		t.Errorf("unseal: %+v", u)
	}
	e := command(t, nil, "epoch", "new", "--store="+db)
	if epochs := regexp.MustCompile(`(?m)^[a-z0-9]{8} +from`).FindAllString(e.out, -1); e.code != 0 || len(epochs) != 2 {
		t.Errorf("a new epoch: %+v", e)
	}
	if l := command(t, nil, "epoch", "list", "--store="+db); l.out != e.out {
		t.Errorf("epochs %q, then %q", e.out, l.out)
	}
	if got := copiedChat(t, db, thread); got != text {
		t.Errorf("in the new epoch the chat is\n%s\nwas\n%s", got, text)
	}
	r := command(t, nil, "copy", "--from="+db, "--to="+target)
	if r.code != 1 || !strings.Contains(r.err, "not empty") {
		t.Errorf("into a copy of the old epoch: %+v", r)
	}
}

// post sends JSON and returns status and body of the answer.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestCopyWrongUse(t *testing.T) {
	dir := t.TempDir()
	db := "sqlite:" + filepath.Join(dir, "a.db")
	if r := command(t, nil, "import-log", "--store="+db, emptyLog(t)); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	full := "sqlite:" + filepath.Join(dir, "full.db")
	some, err := trust{}.open(t.Context(), full, false)
	if err == nil {
		key := gotong.Key{Collection: "c", Owner: "o", Name: "n"}
		err = errors.Join(some.SetRegister(t.Context(), key, 0, []byte("x"), 0), some.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an empty source":   {[]string{"copy", "--from=" + db, "--to=sqlite:" + dir + "/b.db"}, 1, "is empty"},
		"no source":         {[]string{"copy", "--to=" + db}, 2, "--from"},
		"no target":         {[]string{"copy", "--from=" + full}, 2, "no target is given"},
		"no such source":    {[]string{"copy", "--from=sqlite:" + dir + "/gone.db", "--to=" + db}, 1, "there is no database"},
		"the same twice":    {[]string{"copy", "--from=" + full, "--to=sqlite:" + dir + "/./full.db"}, 2, "the same store"},
		"memory":            {[]string{"copy", "--from=" + full, "--to=memory:"}, 2, "in memory"},
		"no address":        {[]string{"copy", "--from=" + full, "--to=gotong.db"}, 2, "--to: must be sqlite:PATH"},
		"no adapter":        {[]string{"copy", "--from=" + full, "--to=oracle://u:geheim@h/x"}, 2, "--to: must be sqlite:PATH"},
		"two modes":         {[]string{"copy", "--from=" + db, "--dry-run", "--unseal"}, 2, "--unseal"},
		"not a log":         {[]string{"import-log", "--store=sqlite:" + dir + "/b.db", broken}, 1, "line 1: it has no sum"},
		"no file":           {[]string{"import-log", "--store=" + db, dir + "/gone"}, 2, "gone"},
		"file is there":     {[]string{"export", "--store=" + db, broken}, 2, "already exists"},
		"no store":          {[]string{"export", "--store=sqlite:" + dir + "/gone.db"}, 1, "there is no database"},
		"epoch of no store": {[]string{"epoch", "new", "--store=sqlite:" + dir + "/gone.db"}, 1, "there is no database"},
		"a database away":   {[]string{"epoch", "list", "--store=surreal://root:geheim@127.0.0.1:1/a/b"}, 1, "whether the database runs"},
		"nothing to verify": {[]string{"copy", "--from=" + full, "--to=sqlite:" + dir + "/gone.db", "--verify-only"}, 1, "there is no database"},
	} {
		r := command(t, nil, c.args...)
		if r.code != c.code || !strings.Contains(r.err, c.says) || strings.Contains(r.err+r.out, "geheim") {
			t.Errorf("%s: %+v, want code %d and %q", name, r, c.code, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "gone.db")); err == nil {
		t.Error("a database was made that had to be there")
	}
}

// emptyLog is an export of a log without anything.
func emptyLog(t *testing.T) string {
	t.Helper()
	b := interruptible(t, serveArgs(t.TempDir()+"/data", "--store=sqlite:"+t.TempDir()+"/e.db")...)
	db := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "Keeps")
	if code := b.stop(); code != 0 {
		t.Fatalf("serve ended with %d: %s", code, b.errs.String())
	}
	file := filepath.Join(t.TempDir(), "log")
	if r := command(t, nil, "export", "--store="+db, file); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	return file
}

func TestCopyHelpHasExamples(t *testing.T) {
	for _, name := range []string{"copy", "export", "import-log", "epoch list", "epoch new"} {
		r := command(t, nil, append(strings.Fields(name), "--help")...)
		if r.code != 0 || r.err != "" || !strings.Contains(r.out, "Examples:") || !strings.Contains(r.out, "gotong "+name) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestOldCursorIsExplained: after a new epoch, a cursor of the old one is rejected
// with a hint; from the start all events are there, and a repeated import adds
// none.
func TestOldCursorIsExplained(t *testing.T) {
	db, thread, text := chatting(t)
	file, _ := strings.CutPrefix(db, "sqlite:")
	begin := func() (b *background, url, token string) {
		b = interruptible(t, serveArgs(filepath.Dir(file))...)
		url = field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
		r := command(t, map[string]string{"GOTONG_PASSWORD": "correct horse battery"}, "token", "--url="+url, "--email=Wati@example.org")
		return b, url, strings.TrimSpace(r.out)
	}
	server, url, token := begin()
	lines := tailText(t, url, token, thread, sampleEnd, "--json")
	cursor := regexp.MustCompile(`"cursor":"([a-z0-9]+:60)"`).FindStringSubmatch(lines)
	if server.stop() != 0 || cursor == nil {
		t.Fatalf("no cursor in %s", lines)
	}
	if r := command(t, nil, "epoch", "new", "--store="+db); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	server, url, token = begin()
	defer server.stop()
	r := command(t, nil, "tail", thread, "--url="+url, "--token="+token, "--from="+cursor[1])
	if r.code != 1 || !strings.Contains(r.err, "history was restored") || !strings.Contains(r.err, "--from start") {
		t.Errorf("with the old cursor: %+v", r)
	}
	if again := imported(t, url, token, sample, "--scope=rt05"); again.Written.Added != 0 || again.Thread != thread {
		t.Errorf("imported again: %+v", again)
	}
	if got := tailText(t, url, token, thread, sampleLast); got != text {
		t.Errorf("the chat is\n%s\nwas\n%s", got, text)
	}
}

// TestUnfinishedCopyIsNotServed: a server does not take what is not yet a whole copy.
func TestUnfinishedCopyIsNotServed(t *testing.T) {
	db := "sqlite:" + filepath.Join(t.TempDir(), "half.db")
	to, err := trust{}.open(t.Context(), db, false)
	if err != nil {
		t.Fatal(err)
	}
	err = to.Restore(t.Context(), store.Restoring{To: "half", Eras: store.FirstEra("copied00")})
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	r := command(t, nil, serveArgs(t.TempDir(), "--store="+db)...)
	if r.code != 1 || !strings.Contains(r.err, "has not ended") || !strings.Contains(r.err, "the same gotong copy") {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"export", "--store=" + db}, {"copy", "--from=" + db, "--to=sqlite:" + t.TempDir() + "/c.db"}, {"epoch", "new", "--store=" + db}} {
		if r := command(t, nil, args...); r.code != 1 || !strings.Contains(r.err, "has not ended") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// TestCopyProgress: how far, how fast and how long still, of what this run has
// to do.
func TestCopyProgress(t *testing.T) {
	std, _, errs := pipes(nil)
	std.progress = true
	bar := &stages{std: std}
	bar.show(logcopy.Progress{Stage: "copying", Done: 500, Total: 2000}) // it goes on there
	bar.last = time.Time{}
	bar.began = time.Now().Add(-10 * time.Second)
	bar.show(logcopy.Progress{Stage: "copying", Done: 1000, Total: 2000})
	bar.clear()
	if text := errs.String(); !strings.Contains(text, "copying 1,000 of 2,000 (50 %), 50/s, 20s left") || !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("%q", text)
	}
	if got := bar.text(logcopy.Progress{Stage: "reading"}, time.Second); got != "reading" {
		t.Errorf("%q", got)
	}
}
