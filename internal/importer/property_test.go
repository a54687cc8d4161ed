package importer

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exportOf invents a WhatsApp export of n lines, several a minute, some of them equal.
func exportOf(r *rand.Rand, n int) []string {
	var list []string
	minute := 0
	for range n {
		minute += r.IntN(2)
		list = append(list, fmt.Sprintf("17/08/26, %02d:%02d - %s: %d\n", minute/60, minute%60,
			[]string{"Budi", "Siti"}[r.IntN(2)], r.IntN(3)))
	}
	return list
}

func postsOf(t *testing.T, lines []string) map[string]bool {
	t.Helper()
	posts := map[string]bool{}
	steps, _ := stepsOf(t, entriesOf(t, Source{Format: WhatsApp}, strings.Join(lines, "")))
	for _, s := range steps {
		if s.Op == Post {
			posts[s.RequestID] = true
		}
	}
	return posts
}

// TestTwoPartsAddUp: two parts of an export that share a whole minute are together the
// whole, with nothing twice.
func TestTwoPartsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		lines := exportOf(r, 60)
		minute := func(i int) string { return lines[i][:15] }
		from := r.IntN(40)
		to := from + 1
		for to < len(lines) && (minute(to) == minute(from) || minute(to) == minute(to-1)) {
			to++
		}
		for to++; to < len(lines) && minute(to) == minute(to-1); { // one more minute, whole
			to++
		}
		to = min(to, len(lines))
		union := postsOf(t, lines[:to])
		for id := range postsOf(t, lines[from:]) {
			union[id] = true
		}
		if whole := postsOf(t, lines); len(union) != len(whole) {
			t.Fatalf("parts to %d and from %d have %d messages, the whole %d:\n%s", to, from, len(union), len(whole), strings.Join(lines, ""))
		}
	}
}

// TestCutTextIsAPrefix: whatever is cut off a text export, what comes before its last
// line is as in the whole.
func TestCutTextIsAPrefix(t *testing.T) {
	for _, name := range []string{"wa-klo.txt", "wa-ios2015.txt", "wa-hour0.txt", "wa-de.txt", "2026-03-03.znc.log", "irssi.log", "weechat.log"} {
		path := filepath.Join(formatsDir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, Source{})
		if err != nil {
			t.Fatal(err)
		}
		s := Source{Format: f.Format, Dialect: f.Dialect, Name: path, Dates: "dmy", Latest: sampleTime}
		if name == "wa-hour0.txt" {
			s.Dates = "mdy"
		}
		whole, _ := stepsOf(t, entriesOf(t, s, string(raw)))
		for cut := 0; cut < len(raw); cut += 11 {
			var list []Entry
			for e, err := range Parse(s, bytes.NewReader(raw[:cut])) {
				if err == nil { // else its date is cut off
					list = append(list, e)
				}
			}
			if len(list) == 0 {
				continue
			}
			last := list[len(list)-1].Line
			part, _ := stepsOf(t, slices.DeleteFunc(list, func(e Entry) bool { return e.Line >= last }))
			if len(part) > len(whole) || !slices.Equal(part, whole[:len(part)]) {
				t.Fatalf("%s cut at %d is no prefix", name, cut)
			}
		}
	}
}

// TestRandomBytesAreRejected: they never become a thread.
func TestRandomBytesAreRejected(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	path := write(t, "x.txt", nil)
	for range 50 {
		raw := make([]byte, 1+r.IntN(4096))
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if survey, list, err := opened(t, path, Source{}); err == nil || len(list) > 0 {
			t.Fatalf("%d bytes became %d entries: %+v", len(raw), len(list), survey)
		}
	}
}

// FuzzOpen: whatever the bytes, nothing panics, and what is accepted has messages.
func FuzzOpen(f *testing.F) {
	for _, path := range samples(f) {
		raw, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		survey, list, err := opened(t, write(t, "x.txt", raw), Source{})
		if err != nil && len(list) > 0 || err == nil && survey.Steps == 0 {
			t.Errorf("%d entries, %d steps, %v", len(list), survey.Steps, err)
		}
	})
}

// TestAnExportWithoutMessages is rejected, also where a part of it could not be read.
func TestAnExportWithoutMessages(t *testing.T) {
	raw := []byte(`{"name":"x","type":"private_group","id":2,"messages":[{"id":1,"type":"service","date_unixtime":"1786960800",` +
		`"actor":"Wati","actor_id":"user1","action":"create_group","title":"RT 05","members":[],"text":""},{"id":2,`)
	if survey, list, err := opened(t, write(t, "x.json", raw), Source{}); err == nil || len(list) > 0 {
		t.Errorf("%d entries of %+v", len(list), survey)
	}
}

// TestAReaderOfSlackStops where its caller does, also within a damaged day.
func TestAReaderOfSlackStops(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"users.json": "[]", "channels.json": `[{"id":"C1","name":"rt"}]`,
		"rt/2026-08-17.json": `[{"type":"message","user":"U1","text":"halo","ts":"1786960800.000100"},{"ts":`,
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(write(t, "x.zip", b.Bytes()), Source{})
	if err != nil {
		t.Fatal(err)
	}
	for stop := range 4 {
		n := 0
		for _, err := range f.entries(Source{Format: Slack}, &evidence{}) {
			if n++; n > stop || err != nil {
				break
			}
		}
	}
}
