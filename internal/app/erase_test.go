package app_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	sqlite3 "zombiezen.com/go/sqlite" //nolint:depguard // reads the file beside the server
	"zombiezen.com/go/sqlite/sqlitex" //nolint:depguard // so does this
)

// TestErasedTextIsInNoFile: after an erasure over the API, and after one on a file
// that no server has open, no byte of the text is in any file of the server: the
// message, its edit, its author's retry, a report on it, the name of a group that a document held, and
// what a reader keeps of each. So it is in a folder whose server runs on, in one
// whose server restarted beside a reader of the file, and in a copy.
func TestErasedTextIsInNoFile(t *testing.T) {
	for name, prepare := range map[string]func(*town, string, func()) (string, func()){
		"new":       func(_ *town, dir string, stop func()) (string, func()) { return dir, stop },
		"restarted": (*town).restart,
		"copied":    (*town).move,
	} {
		t.Run(name, func(t *testing.T) { erased(t, prepare) })
	}
}

// erased runs a server, prepares its folder and erases.
func erased(t *testing.T, prepare func(w *town, dir string, stop func()) (string, func())) {
	t.Helper()
	t.Cleanup(web.CloseIdleConnections)
	app.AddReader(t, copyist())
	dir := t.TempDir()
	w := &town{t: t, clock: clocktest.Running()}
	stop := w.alone(dir, io.Discard)
	w.settle()
	stop()
	cfg := onFile(dir)
	if _, err := app.GrantRole(t.Context(), &cfg, "ann", gotong.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	stop = w.alone(dir, io.Discard)
	var boss client.Auth
	w.call(0, "", http.MethodPost, "/v1/auth/signin", map[string]any{"email": "ann@example.org", "pass": "selokan bersih"}, &boss)
	var m client.Message
	w.call(0, w.bob.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "kenari satu"}, &m)
	w.call(0, w.bob.AccessToken, http.MethodPatch, w.path+"/messages/"+m.MessageID.String(), map[string]any{"body": "kenari dua", "revision": 0}, nil)
	w.call(0, w.bob.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "halo"}, nil)
	w.call(0, boss.AccessToken, http.MethodPost, "/v1/reports", map[string]any{
		"content_id": w.topic.ID() + ":" + m.MessageID.String(), "reason": "other", "text": "kenari lapor",
	}, nil)
	var group struct {
		ID string `json:"group_id"`
	}
	w.call(0, boss.AccessToken, http.MethodPost, "/v1/groups",
		map[string]any{"name": "kenari tiga", "entity_type": "kelompok", "join_policy": "terbuka"}, &group)
	if n := inFolder(t, dir, "kenari"); n < 5 { // four events and the group's document
		t.Fatalf("the text is in the files %d times", n)
	}
	for _, text := range []string{"satu", "dua", "tiga"} {
		until(t, func() bool { return inFolder(t, dir, "copy of kenari "+text) > 0 })
	}
	// The index of the search has the word as this hash.
	const hashed = "vnx4lidw"
	until(t, func() bool { return inFolder(t, dir, hashed) > 0 })
	dir, stop = prepare(w, dir, stop)
	cfg = onFile(dir)
	for range 60 { // the WAL is long, and what follows is at its end: a WAL that begins anew does not soon overwrite it
		w.call(0, w.bob.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": strings.Repeat("merpati ", 400)}, nil)
	}
	w.call(0, w.bob.AccessToken, http.MethodPatch, w.path+"/messages/"+m.MessageID.String(), map[string]any{"body": "kenari empat", "revision": 1}, nil)
	until(t, func() bool { return inFolder(t, dir, "copy of kenari empat") > 0 })
	w.call(0, boss.AccessToken, http.MethodPost, "/v1/admin/erasures",
		map[string]any{"stream": w.topic, "seqs": []uint64{m.Seq}, "reason": "by order"}, nil)
	until(t, func() bool { // the reader follows
		return inFolder(t, dir, "kenari satu")+inFolder(t, dir, "kenari dua")+inFolder(t, dir, "kenari empat") == 0
	})
	until(t, func() bool { return inFolder(t, dir, hashed)+inFolder(t, dir, "kenari lapor") == 0 })
	stop()
	for _, n := range []int{1, 0} { // then there is nothing left
		got, err := app.Erase(t.Context(), &cfg, gotong.NewStream("group", group.ID), []uint64{1}, "by order")
		if err != nil || got != n {
			t.Errorf("erased %d, want %d: %v", got, n, err)
		}
	}
	if n := inFolder(t, dir, "kenari"); n > 0 {
		t.Errorf("the text is in the files %d times", n)
	}
	if found := checked(t, filepath.Join(dir, "gotong.db")); len(found) > 0 {
		t.Errorf("the check: %q", found)
	}
	defer w.alone(dir, io.Discard)()
	if status, text := w.ask(0, boss.AccessToken, http.MethodGet, "/v1/groups/"+group.ID, nil); status != http.StatusOK || bytes.Contains(text, []byte("kenari")) {
		t.Errorf("the group: %d %s", status, text)
	}
}

// restart restarts the server while a reader, such as a backup, holds an old view of
// the file.
func (w *town) restart(dir string, stop func()) (string, func()) {
	w.t.Helper()
	db, err := sqlite3.OpenConn(filepath.Join(dir, "gotong.db"), sqlite3.OpenReadOnly)
	if err == nil {
		err = sqlitex.ExecuteScript(db, "SAVEPOINT view; SELECT count(*) FROM sqlite_master;", nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	stop()
	stop = w.alone(dir, io.Discard)
	if err := db.Close(); err != nil {
		w.t.Error(err)
	}
	return dir, stop
}

// move copies the log of a stopped server to a new folder, moves its checkpoints and
// its key there, and starts a server on it.
func (w *town) move(dir string, stop func()) (string, func()) {
	w.t.Helper()
	stop()
	fresh := w.t.TempDir()
	from, to := w.file(dir), w.file(fresh)
	if err := logcopy.Seal(w.t.Context(), from, "moved"); err != nil {
		w.t.Fatal(err)
	}
	source, err := logcopy.FromStore(w.t.Context(), from)
	if err == nil {
		_, err = logcopy.Run(w.t.Context(), source, to, logcopy.Options{
			Codec: store.NewCodec(app.Kinds()), Readers: app.Readers(), Now: w.clock.Now,
		})
	}
	if err = errors.Join(err, from.Close(), to.Close(), os.Rename(dir+"-checkpoints", fresh+"-checkpoints")); err != nil {
		w.t.Fatal(err)
	}
	others, err := os.ReadDir(dir)
	for _, f := range others {
		if !strings.HasPrefix(f.Name(), "gotong.db") {
			err = errors.Join(err, os.Rename(filepath.Join(dir, f.Name()), filepath.Join(fresh, f.Name())))
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return fresh, w.alone(fresh, io.Discard)
}

func (w *town) file(dir string) store.Whole {
	w.t.Helper()
	s, err := app.OpenStore(w.t.Context(), "sqlite:"+filepath.Join(dir, "gotong.db"), app.Kinds(), nil, app.Trust{})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// copyist keeps the content of each event in a document until it is erased.
func copyist() reader.Reader {
	key := func(e *store.Event, seq uint64) gotong.Key {
		return gotong.Key{Collection: "copies", Owner: string(e.Stream), Name: gotong.SeqName(seq)}
	}
	return reader.Reader{
		Name: "copyist", Collections: []string{"copies"},
		Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (s reader.Step, err error) {
			for _, c := range run {
				for i := range c.Events {
					e := &c.Events[i]
					if e.Content != nil {
						s.Changes = append(s.Changes, store.Change{Key: key(e, e.Seq), Body: bytes.ReplaceAll(e.Content, []byte("kenari"), []byte("copy of kenari"))})
					}
					seqs, err := e.Erases()
					for _, seq := range seqs {
						s.Changes = append(s.Changes, store.Change{Key: key(e, seq)})
					}
					if err != nil {
						return s, err
					}
				}
			}
			return s, nil
		},
	}
}

// until waits until a condition holds.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	end := time.After(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it does not come true")
		}
	}
}

// inFolder counts a text in all files of a directory.
func inFolder(t *testing.T, dir, text string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		n += bytes.Count(b, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
