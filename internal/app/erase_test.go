package app_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// TestErasedTextIsInNoFile: after an erasure over the API, and after one on a file
// that no server has open, no byte of the text is in any file of the server: the
// message, its edit, its author's retry, the name of a group that a document held, and
// what a reader keeps of each.
func TestErasedTextIsInNoFile(t *testing.T) {
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
	var group struct {
		ID string `json:"group_id"`
	}
	w.call(0, boss.AccessToken, http.MethodPost, "/v1/groups",
		map[string]any{"name": "kenari tiga", "entity_type": "kelompok", "join_policy": "terbuka"}, &group)
	if n := inFolder(t, dir, "kenari"); n < 4 { // three events and the group's document
		t.Fatalf("the text is in the files %d times", n)
	}
	for _, text := range []string{"satu", "dua", "tiga"} {
		until(t, func() bool { return inFolder(t, dir, "copy of kenari "+text) > 0 })
	}
	w.call(0, boss.AccessToken, http.MethodPost, "/v1/admin/erasures",
		map[string]any{"stream": w.topic, "seqs": []uint64{m.Seq}, "reason": "by order"}, nil)
	until(t, func() bool { return inFolder(t, dir, "kenari satu")+inFolder(t, dir, "kenari dua") == 0 }) // the reader follows
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
