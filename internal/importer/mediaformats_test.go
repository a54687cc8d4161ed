package importer

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mediaExports are exports of one message with files: the first of them is there, under
// the name "isi", and the export lacks the last, "hilang".
var mediaExports = map[Format]map[string]string{
	Telegram: {
		"ChatExport/result.json": `{"name":"RT","type":"private_group","id":7,"messages":[{"id":1,"type":"message","date_unixtime":"1786960800",` +
			`"from":"Budi","text":"lihat","photo":"photos/isi","file":"files/hilang"}]}`,
		"ChatExport/photos/isi": "bytes",
		"ChatExport/hilang":     "x", // not where the message says
	},
	Slack: {
		"users.json": `[{"id":"U1","name":"Budi"}]`, "channels.json": `[{"id":"C1","name":"rt"}]`,
		"rt/2026-08-17.json": `[{"type":"message","user":"U1","text":"lihat","ts":"1786960800.000100",` +
			`"files":[{"id":"F1","name":"isi"},{"id":"F2","name":"hilang","mode":"tombstone"}]}]`,
		"__uploads/F1/isi": "bytes",
	},
	Discord: {
		"rt.json": `{"guild":{"id":"1"},"channel":{"id":"2","name":"rt"},"messages":[{"id":"3","type":"Default","timestamp":"2026-08-17T10:00:00Z",` +
			`"content":"lihat","author":{"id":"5","name":"Budi"},"attachments":[{"url":"rt.json_Files\\isi-A1B2","fileName":"isi"},` +
			`{"url":"https://cdn.invalid/hilang","fileName":"hilang"}]}]}`,
		"rt.json_Files/isi-A1B2": "bytes",
	},
	Mattermost: {
		"import.jsonl": `{"type":"version","version":1}` + "\n" +
			`{"type":"post","post":{"team":"t","channel":"rt","user":"budi","message":"lihat","create_at":1786960800000,` +
			`"attachments":[{"path":"20260817/isi"},{"path":"20260817/hilang"}]}}` + "\n",
		"data/20260817/isi": "bytes",
	},
}

// TestEveryFormatTakesItsFiles: from a zip and from a directory, and each is named in the
// text of its message until it is attached.
func TestEveryFormatTakesItsFiles(t *testing.T) {
	for format, files := range mediaExports {
		dir := t.TempDir()
		zipped := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			zipped[name] = []byte(files[name])
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{dir, write(t, "x.zip", zipOf(t, zipped))} {
			takesItsFile(t, format, path)
		}
	}
}

func takesItsFile(t *testing.T, format Format, path string) {
	t.Helper()
	f, err := Open(path, Source{})
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	defer f.Close() //nolint:errcheck // only read
	survey, err := f.Survey(Source{})
	if err != nil || f.Format != format || survey.Files != 2 || survey.Media != 1 || survey.Bytes != 5 {
		t.Errorf("%s: %+v, %v", format, survey, err)
	}
	for s, err := range NewPlan("x").Steps(f.Entries(Source{})) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Op != Post {
			continue
		}
		if s.Text != "lihat\n[isi]\n[hilang]" && s.Text != "lihat\n[hilang]\n[isi]" || len(s.Media) != 1 {
			t.Errorf("%s: %+v", format, s)
		}
		for _, m := range s.Media {
			if m.Name != "isi" || bytesOf(t, m) != "bytes" {
				t.Errorf("%s: %+v", format, m)
			}
		}
	}
}

// TestADirectoryOfSeveralExports is rejected: the importer takes none of them silently.
func TestADirectoryOfSeveralExports(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.json", "b.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(mediaExports[Discord]["rt.json"]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, Source{}); err == nil || !strings.Contains(err.Error(), "a.json, b.json") {
		t.Error(err)
	}
}
