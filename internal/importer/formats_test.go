package importer

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const formatsDir = "testdata/formats"

// samples are the invented exports; a folder is packed as a zip.
func samples(tb testing.TB) map[string]string {
	tb.Helper()
	list, err := os.ReadDir(formatsDir)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range list {
		path := filepath.Join(formatsDir, f.Name())
		if f.IsDir() {
			path = packed(tb, path)
		}
		if filepath.Ext(f.Name()) != ".golden" {
			files[f.Name()] = path
		}
	}
	return files
}

func packed(tb testing.TB, dir string) string {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if err := z.AddFS(os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return write(tb, filepath.Base(dir)+".zip", b.Bytes())
}

func write(tb testing.TB, name string, raw []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

var sampleTime = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// opened surveys a file and reads its entries.
func opened(tb testing.TB, path string, s Source) (Survey, []Entry, error) {
	tb.Helper()
	s.Latest = sampleTime
	f, err := Open(path, s)
	if err != nil {
		return Survey{}, nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	survey, err := f.Survey(s)
	if err != nil {
		return survey, nil, err
	}
	var list []Entry
	for e, err := range f.Entries(s) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, e)
	}
	return survey, list, nil
}

// TestFormats compares what is read of each sample with its table.
func TestFormats(t *testing.T) {
	for name, path := range samples(t) {
		t.Run(name, func(t *testing.T) {
			survey, list, err := opened(t, path, Source{})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "%s, %.0f %%, %s; %q; left out %q\n", survey.What(), 100*survey.Confidence, survey.Dates, survey.ChatName, survey.LeftOut)
			for _, e := range list {
				fmt.Fprintf(&b, "%s | %s | %q | %s", e.Author, e.At.Time().Format("2006-01-02 15:04:05"), e.body(), e.Kind)
				if e.ReplyTo != "" {
					fmt.Fprintf(&b, " | to %s", e.ReplyTo)
				}
				if e.Pin {
					b.WriteString(" | pinned")
				}
				b.WriteByte('\n')
			}
			golden := filepath.Join(formatsDir, name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || b.String() != string(want) {
				t.Errorf("differs from %s, %v:\n%s", golden, err, diff(string(want), b.String()))
			}
		})
	}
}

// TestRejected: what is no export is rejected with a sentence, before anything else.
func TestRejected(t *testing.T) {
	android := "17/08/26, 10:00 - Budi: halo\n"
	irssi := "--- Log opened Mon Aug 17 10:00:00 2026\n10:00 <budi> halo\n10:01 <wati> ya\n"
	weechat := "2026-08-17 10:00:00\tbudi\thalo\n2026-08-17 10:01:00\twati\tya\n"
	mirc := "Session Start: Mon Aug 17 10:00:00 2026\nSession Ident: #rt\n[10:00] <budi> halo\n"
	telegram := `{"name":"x","type":"bot_chat","id":1,"messages":[{"id":1,"type":"message","date_unixtime":"1","from":"b","text":"x"}]}`
	for name, c := range map[string]struct {
		file, raw string
		source    Source
		says      string
	}{
		"empty":          {"x.txt", "", Source{}, "empty"},
		"binary":         {"x.bin", "\x7fELF\x00\x01\x02 \x00\xff\xfe\x80 abc", Source{}, "binary"},
		"prose":          {"x.txt", "Dear all,\nthis is a letter.\n", Source{}, "no export"},
		"prose, forced":  {"x.txt", "Dear all,\nthis is a letter.\n", Source{Format: WhatsApp}, "0 % of this file"},
		"prose as irc":   {"x.txt", "Dear all,\nthis is a letter.\n", Source{Format: IRC}, "as irc, as ubuntu writes it"},
		"database":       {"x.db", "SQLite format 3\x00", Source{}, "database"},
		"PDF":            {"x.pdf", "%PDF-1.7", Source{}, "PDF"},
		"gzip":           {"x.gz", "\x1f\x8b\x08", Source{}, "gzip"},
		"broken zip":     {"x.zip", "PK\x03\x04abc", Source{}, "zip that cannot be read"},
		"another JSON":   {"x.json", `{"a": 1}`, Source{}, "JSON of a kind"},
		"a day of Slack": {"x.json", `[{"type": "message"}]`, Source{}, "Slack"},
		"viewer":         {"x.txt", "01.04.2015 - 16:00:27; ME: text\n", Source{}, "no export"},
		"telegram as wa": {"x.json", `{"name":"x","type":"bot_chat","id":1,"messages":[]}`, Source{Format: WhatsApp}, "looks like telegram"},
		"irssi as wa":    {"x.txt", irssi, Source{Format: WhatsApp}, "looks like irc of the dialect irssi: --format irc --dialect irssi"},
		"wa as irc":      {"x.txt", android, Source{Format: IRC}, "looks like whatsapp: --format whatsapp"},
		"weechat, other": {"x.txt", weechat, Source{Dialect: "ubuntu"}, "looks like irc of the dialect weechat: --format irc --dialect weechat"},
		"mirc, other":    {"2026-08-17.txt", mirc, Source{Format: IRC, Dialect: "ubuntu"}, "of the dialect mirc: --format irc --dialect mirc"},
		"other JSON":     {"x.json", telegram, Source{Format: Discord}, "looks like telegram: --format telegram"},
		"no messages":    {"x.json", `{"name":"x","type":"bot_chat","id":1,"messages":[]}`, Source{}, "no messages"},
		"irc, no date":   {"x.txt", "[10:00] <budi> halo\n", Source{}, "holds no date"},
		"unknown half":   {"x.txt", android + strings.Repeat("17/08/26, 99:99 - Budi: halo\n", 2), Source{}, "33 % of this file could be read as whatsapp (line 2: it begins with a date"},
		"newest first": {
			"x.json", `{"guild":{"id":"1"},"channel":{"id":"2","name":"x"},"messages":[{"id":"9","timestamp":"2026-01-01T00:00:00Z"},{"id":"8","timestamp":"2026-01-01T00:00:00Z"}]}`,
			Source{}, "newest messages first",
		},
		"several chats": {
			"x.json", `{"about":"x","chats":{"list":[{"name":"A","type":"x","id":1,"messages":[{"id":1,"type":"message","date_unixtime":"1","from":"b","text":"x"}]},` +
				`{"name":"B","type":"x","id":2,"messages":[{"id":1,"type":"message","date_unixtime":"1","from":"b","text":"x"}]}]}}`,
			Source{}, "2 chats",
		},
	} {
		_, list, err := opened(t, write(t, c.file, []byte(c.raw)), c.source)
		var r *RejectionError
		if !errors.As(err, &r) && name != "irc, no date" {
			t.Errorf("%s: %d entries, %v", name, len(list), err)
			continue
		}
		says := err.Error()
		if r != nil && r.Hint != "" {
			says += ": " + r.Hint
		}
		if len(list) > 0 || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d entries, %s", name, len(list), says)
		}
	}
}

// TestZipsThatLeadOutside are refused by their directory.
func TestZipsThatLeadOutside(t *testing.T) {
	for name, h := range map[string]*zip.FileHeader{
		"parent":   {Name: "../_chat.txt"},
		"absolute": {Name: "/_chat.txt"},
		"link":     linkHeader(),
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		if _, err := z.CreateHeader(h); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(write(t, "x.zip", b.Bytes()), Source{}); err == nil || !strings.Contains(err.Error(), "leads outside") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func linkHeader() *zip.FileHeader {
	h := &zip.FileHeader{Name: "_chat.txt"}
	h.SetMode(fs.ModeSymlink | 0o777)
	return h
}

// TestPageListsTheLanguages compares the page for users with the table of sentences.
func TestPageListsTheLanguages(t *testing.T) {
	page, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	if want := "are known in: " + strings.Join(Languages(), ", ") + "."; !strings.Contains(text, want) {
		t.Errorf("docs/import.md does not say: %s", want)
	}
}
