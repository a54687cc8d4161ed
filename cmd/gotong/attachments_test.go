package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/files/filestest"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
)

// attach uploads a file for a thread and returns its id.
func attach(t *testing.T, url, token, thread, body string) string {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "catatan.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(body))
	_ = form.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/attachments/upload?thread_id="+thread, &b)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		ID string `json:"attachment_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	return got.ID
}

// TestAttachmentsMoveWithTheLog: a server keeps attachments in a directory; the log and
// the bytes are copied, into a PostgreSQL and a bucket and back, and audit verify finds what is lost.
func TestAttachmentsMoveWithTheLog(t *testing.T) {
	s := filestest.Start(t)
	data, dir := t.TempDir(), t.TempDir()
	dbs := []string{"sqlite:" + filepath.Join(data, "gotong.db"), postgrestest.Start(t).Fresh(), "sqlite:" + filepath.Join(dir, "c.db")}
	places := []string{filepath.Join(data, "files"), s.Bucket(t), filepath.Join(dir, "files")}
	b := interruptible(t, serveArgs(data)...)
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	token := account(t, url, "Wati")
	thread := imported(t, url, token, sample, "--scope=rt05").Thread
	id := attach(t, url, token, thread, "isi catatan")
	attach(t, url, token, thread, "yang kedua")
	verify := func(code int, db, place, says string) {
		t.Helper()
		r := command(t, map[string]string{"GOTONG_AUDIT_FILES": place}, "audit", "verify", "--store="+db, "--checkpoints="+data+"-checkpoints", "--json")
		var report auditReport
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != code || !strings.Contains(r.err, says) {
			t.Errorf("%s: %+v, %v", place, r, err)
		} else if report.Attachments == nil || report.Attachments.Objects != 2 || report.Attachments.Bytes != 21 {
			t.Errorf("%s: %+v", place, report.Attachments)
		}
	}
	verify(0, dbs[0], places[0], "") // beside the server
	if code := b.stop(); code != 0 {
		t.Fatalf("serve ended with %d: %s", code, b.errs.String())
	}
	if r := done(t, "copy", "--from="+dbs[0], "--to="+dbs[1], "--dry-run"); r.Attachments == nil || r.Attachments.Objects != 2 {
		t.Errorf("dry run: %+v", r.Attachments)
	}
	if r := command(t, nil, "copy", "--from="+dbs[0], "--to="+dbs[1]); r.code != 0 || !strings.Contains(r.out, "The log has 2 objects of attachments, with 21 bytes, which were not copied") {
		t.Errorf("without the attachments: %+v", r)
	}
	for i := range 2 {
		args := []string{"copy", "--from=" + dbs[i], "--to=" + dbs[i+1], "--files-from=" + places[i], "--files-to=" + places[i+1]}
		for again := range 2 {
			if r := done(t, args...); r.Attachments == nil || r.Attachments.Moved != 2-2*again || len(r.Attachments.Faults) > 0 || !r.Verified {
				t.Errorf("%v: %+v", args, r.Attachments)
			}
		}
		r := command(t, nil, append(args, "--verify-only")...)
		if r.code != 0 || !strings.Contains(r.out, "2 objects with 21 bytes, compared by hash") || strings.Contains(r.out+r.err, filestest.Secret) {
			t.Errorf("compared: %+v", r)
		}
		verify(0, dbs[i+1], places[i+1], "")
	}
	if err := os.Remove(filepath.Join(places[2], id[:2], id)); err != nil {
		t.Fatal(err)
	}
	verify(codeFiles, dbs[2], places[2], id+" is missing")
	lost := command(t, nil, "copy", "--from="+dbs[1], "--to="+dbs[2], "--verify-only", "--files-from="+places[1], "--files-to="+places[2])
	if lost.code != 1 || !strings.Contains(lost.err, id+" is missing") {
		t.Errorf("%+v", lost)
	}
}

// TestPlacesOfAttachmentsAreChecked: before anything is read or written.
func TestPlacesOfAttachmentsAreChecked(t *testing.T) {
	db := "sqlite:" + filepath.Join(t.TempDir(), "a.db")
	secret := "s3+http://key:sekrit@127.0.0.1:1/b"
	for _, args := range [][]string{
		{"copy", "--from=" + db, "--to=" + db + "2", "--files-to=x"},
		{"copy", "--from=" + db, "--to=" + db + "2", "--files-from=x"},
		{"copy", "--from=" + db, "--to=" + db + "2", "--files-from=x", "--files-to=s3://key:sek/rit@h/b"},
		{"copy", "--from=" + db, "--to=" + db + "2", "--files-from=x", "--files-to=http://h/b"},
		{"audit", "verify", "--files=x", "log.ndjson"},
		{"audit", "verify", "--files=s3://key:sekrit@h", "--store=" + db},
		serveArgs(t.TempDir(), "--files=s3://key:sekrit@h"),
	} {
		if r := command(t, nil, args...); r.code != 2 || !strings.Contains(r.err, "files") || strings.Contains(r.err, "sek") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := command(t, nil, serveArgs(t.TempDir(), "--files="+secret)...); r.code != 1 ||
		!strings.Contains(r.err, "attachments cannot be kept in s3+http://127.0.0.1:1/b") || strings.Contains(r.err, "sekrit") {
		t.Errorf("no server: %+v", r)
	}
	if r := command(t, nil, "config", "print", "--files="+secret); strings.Contains(r.out+r.err, "sekrit") {
		t.Errorf("%+v", r)
	}
	server := map[string]string{"GOTONG_FILES": t.TempDir()} // not what a proof or a file is compared with
	if r := command(t, server, "audit", "verify", filepath.Join(t.TempDir(), "gone.ndjson")); r.code != codeIO {
		t.Errorf("%+v", r)
	}
	if _, err := files.OpenDisk(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
