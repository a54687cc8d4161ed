package importer

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// entriesAt are the entries that an import of these bytes brings; none if they are rejected.
func entriesAt(t *testing.T, path string, raw []byte, s Source) []Entry {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	survey, list, err := opened(t, path, s)
	var rejected *RejectionError
	if err != nil && !errors.Is(err, errNoDate) && !errors.As(err, &rejected) {
		t.Fatal(err)
	}
	if lost := slices.ContainsFunc(list, func(e Entry) bool { return e.Kind == Unreadable }); lost != (survey.Unreadable > 0) && err == nil {
		t.Fatalf("%d parts are counted as unreadable", survey.Unreadable)
	}
	return list
}

// TestWhatIsCutOffIsAPrefix: wherever an export was cut off, it is rejected, or what it brings
// is what the whole begins with, and the loss is counted if the cut is within an entry.
func TestWhatIsCutOffIsAPrefix(t *testing.T) {
	for name, path := range samples(t) {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Clean(path))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), filepath.Base(path))
			s := Source{}
			if strings.HasPrefix(name, "wa-") { // what is cut off may have decided it
				s = Source{Format: WhatsApp, Dates: map[bool]string{true: "mdy", false: "dmy"}[name == "wa-hour0.txt" || name == "wa-timefirst.txt"]}
			}
			whole := entriesAt(t, path, raw, s)
			for cut := 1; cut < len(raw); cut += 1 + len(raw)/12 {
				list := entriesAt(t, path, raw[:cut], s)
				if n := len(list) - 1; n >= 0 && list[n].Kind == Unreadable {
					list = list[:n] // where it was cut
				}
				n := len(list) - 1
				if n < 0 {
					continue
				}
				if multi := whole[min(n, len(whole)-1)]; isText(name) && list[n].Text != multi.Text && strings.HasPrefix(multi.Text, list[n].Text+"\n") {
					list[n] = multi // between two lines of one message, where nothing shows it
				}
				if n >= len(whole) || !slices.EqualFunc(list, whole[:n+1], sameEntry) {
					t.Fatalf("cut at %d: %+v", cut, list)
				}
			}
		})
	}
}

func isText(name string) bool { return filepath.Ext(name) == ".txt" }

func sameEntry(a, b Entry) bool {
	return a.RequestID() == b.RequestID() && a.At == b.At && a.Author == b.Author && a.body() == b.body() && a.ReplyTo == b.ReplyTo
}

// TestADamagedDayOfSlack: a day that is cut off within its zip brings what is whole.
func TestADamagedDayOfSlack(t *testing.T) {
	day := []byte(`[{"user":"U1","text":"satu","ts":"1786960800.000100"},{"user":"U1","text":"dua","ts":"1786960801.000100"}]`)
	path := filepath.Join(t.TempDir(), "x.zip")
	export := func(cut int) []byte {
		return zipOf(t, map[string]any{"users.json": []obj{}, "channels.json": []obj{{"id": "C1", "name": "rt"}}, "rt/2026-08-17.json": day[:cut]})
	}
	whole := entriesAt(t, path, export(len(day)), Source{})
	for cut := range day {
		list := entriesAt(t, path, export(cut), Source{})
		read := slices.DeleteFunc(slices.Clone(list), func(e Entry) bool { return e.Kind == Unreadable })
		if len(list) > 0 && (len(read) == len(list) || !slices.EqualFunc(read, whole[:len(read)], sameEntry)) {
			t.Fatalf("cut at %d: %+v", cut, list)
		}
	}
}

// TestRandomBytesAreRejected: they never become a thread, whatever format they are read as.
func TestRandomBytesAreRejected(t *testing.T) {
	sources := []Source{{}, {Format: WhatsApp}, {Format: Telegram}, {Format: Slack}, {Format: Discord}, {Format: Matrix}, {Format: Mattermost}}
	for _, d := range dialects {
		sources = append(sources, Source{Format: IRC, Dialect: d.name, Date: sampleTime})
	}
	r := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(t.TempDir(), "x.txt")
	for i := range 300 {
		raw := []byte([]string{"", "{", `{"messages":[`, "PK\x03\x04", "[10:00] <", "17/08/26, 10:00 - ", "\xff\xfe"}[i%7])
		for range 1 + r.IntN(200) {
			switch c := byte(r.Uint32()); i % 3 {
			case 0:
				raw = append(raw, c)
			case 1:
				raw = append(raw, ' '+c%95)
			default: // what heads, stamps and JSON are made of
				raw = append(raw, "0123456789/:-.,[]<>{}\"* \n\tam"[int(c)%28])
			}
		}
		s := sources[i%len(sources)]
		if list := entriesAt(t, path, raw, s); len(list) > 0 {
			t.Fatalf("as %s %s, %q became %+v", s.Format, s.Dialect, raw, list)
		}
	}
}
