package importer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func entriesOf(t *testing.T, s Source, text string) []Entry {
	t.Helper()
	var list []Entry
	for e, err := range Parse(s, strings.NewReader(strings.TrimSuffix(text, "\n")+"\n")) {
		if err != nil {
			t.Fatalf("after %d entries: %v", len(list), err)
		}
		list = append(list, e)
	}
	return list
}

func stepsOf(t *testing.T, entries []Entry) ([]Step, Summary) {
	t.Helper()
	p := NewPlan("0198-thread")
	var list []Step
	for s, err := range p.Steps(all(entries)) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list, p.Summary()
}

// alike reports whether two steps are the same.
func alike(a, b Step) bool { return reflect.DeepEqual(a, b) }

func all(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestGoldenSamples(t *testing.T) {
	jakarta := time.FixedZone("WIB", 7*3600)
	for _, s := range []Source{
		{Format: IRC, Name: "testdata/2026-08-16.txt"},
		{Format: WhatsApp, Name: "testdata/whatsapp-android-id.txt", Zone: jakarta, Self: "Wati"},
		{Format: WhatsApp, Name: "testdata/whatsapp-ios-en.txt"},
	} {
		t.Run(filepath.Base(s.Name), func(t *testing.T) {
			raw, err := os.ReadFile(s.Name)
			if err != nil {
				t.Fatal(err)
			}
			got := render(t, entriesOf(t, s, string(raw)))
			golden := strings.TrimSuffix(s.Name, ".txt") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s:\n%s", golden, diff(string(want), string(got)))
			}
		})
	}
}

// render shows entries, steps and summary, one a line.
func render(t *testing.T, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%d %s %s|%s|%q #%d recoded=%v\n", e.Line, e.Kind, e.At, e.Author, e.Text, e.Occurrence, e.Recoded)
	}
	steps, sum := stepsOf(t, entries)
	for _, s := range steps {
		fmt.Fprintf(&b, "%d %s %s %s %s implied=%v %q\n", s.Line, s.Op, s.Name, s.UserID[:12], s.RequestID, s.Implied, s.Text)
	}
	fmt.Fprintf(&b, "%+v\n", sum)
	return b.Bytes()
}

// diff is the first line that differs.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n-%s\n+%s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines wanted, %d got", len(w), len(g))
}

func TestIRCLines(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"[10:00] <budi> halo", `message 10:00 budi "halo"`},
		{"[10:00] <budi>", `message 10:00 budi ""`},
		{"[10:00] <a[1] > ya", `message 10:00 a[1] "ya"`},
		{"[10:00] <+budi> a > b", `message 10:00 budi "a > b"`},
		{"[10:00]  * budi tidur", `action 10:00 budi "tidur"`},
		{" * budi tidur", `action 00:00 budi "tidur"`},
		{"=== budi tidur", `action 00:00 budi "tidur"`},
		{"=== budi [n=b@h]  has joined #rt", `join 00:00 budi ""`},
		{"=== budi has joined #rt", `join 00:00 budi ""`},
		{"=== a[1]  [n=b@h]  has joined #rt", `join 00:00 a[1] ""`},
		{"=== [B] olinho [n=b@h]  has joined #rt", `join 00:00 [B]olinho ""`},
		{`=== budi [n=b@h]  has left #rt ["pulang dulu"] `, `leave 00:00 budi "[\"pulang dulu\"]"`},
		{"=== budi [n=b@h] has quit [timeout]", `leave 00:00 budi "[timeout]"`},
		{"=== budi was kicked off #rt by wati (ribut)", `leave 00:00 budi "by wati (ribut)"`},
		{"=== kata orang budi has left #rt", `action 00:00 kata "orang budi has left #rt"`},
		{"=== budi is now known as Pak_Budi", `rename 00:00 budi "Pak_Budi"`},
		{"=== budi is now known as pak lurah", `rename 00:00 budi "paklurah"`},
		{"=== mode/#rt [+o wati]  by ChanServ", `notice 00:00  "mode/#rt [+o wati]  by ChanServ"`},
		{"=== ..[topic/#rt:wati] : halo", `notice 00:00  "..[topic/#rt:wati] : halo"`},
		{"=== #rt tidak ada", `notice 00:00  "#rt tidak ada"`},
		{"=== budi", `unreadable 00:00  "it is no line of the dialect ubuntu"`},
		{"[24:00] <budi> x", `unreadable 00:00  "its time does not exist"`},
		{"[10:00] budi: x", `unreadable 00:00  "it is no line of the dialect ubuntu"`},
		{"[10:00]", `unreadable 00:00  "it is no line of the dialect ubuntu"`},
		{"[10:00]  * ?? x", `unreadable 00:00  "it is no line of the dialect ubuntu"`},
		{"[10:00] <budi> \x0304,01merah\x03 \x02tebal\x0f", `message 10:00 budi "merah tebal"`},
		{"[10:00] <budi> caf\xe9 \x93ya\x94", `message 10:00 budi "café “ya”"`},
	} {
		e := entriesOf(t, Source{Format: IRC, Name: "2026-08-17.txt"}, c.line)
		if len(e) != 1 {
			t.Errorf("%q: %d entries", c.line, len(e))
			continue
		}
		got := fmt.Sprintf("%s %s %s %q", e[0].Kind, e[0].At.Time().Format("15:04"), e[0].Author, e[0].Text)
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestIRCTime(t *testing.T) {
	text := "=== a [h]  has joined #x\n[23:59] <a> 1\n[23:58] <a> 2\n=== a [h]  has left #x\n[00:01] <a> 3\n[09:00] <a> 4\n[01:00] <a> 5\n"
	var got []string
	for _, e := range entriesOf(t, Source{Format: IRC, Name: "/x/2026-12-31_2.txt"}, text) {
		got = append(got, e.At.Time().Format("01-02T15:04"))
	}
	want := []string{"12-31T00:00", "12-31T23:59", "12-31T23:58", "12-31T23:58", "01-01T00:01", "01-01T09:00", "01-02T01:00"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestZoneMovesTimeNotIdentity(t *testing.T) {
	text := "[10:00] <a> 1\n"
	utc := entriesOf(t, Source{Format: IRC, Name: "2026-08-17.txt"}, text)[0]
	wib := entriesOf(t, Source{Format: IRC, Name: "2026-08-17.txt", Zone: time.FixedZone("WIB", 7*3600)}, text)[0]
	if utc.RequestID() != wib.RequestID() || utc.At-wib.At != 7*3600*1e6 {
		t.Errorf("ids %s and %s, times %s and %s", utc.RequestID(), wib.RequestID(), utc.At, wib.At)
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct {
		s Source
		r io.Reader
	}{
		"format": {Source{Format: "telegram"}, strings.NewReader("x")},
		"date":   {Source{Format: IRC, Name: "log.txt"}, strings.NewReader("[10:00] <a> x\n")},
		"read":   {Source{Format: IRC, Name: "2026-08-17.txt"}, iotest.ErrReader(io.ErrClosedPipe)},
		"readwa": {Source{Format: WhatsApp}, iotest.ErrReader(io.ErrClosedPipe)},
		"size":   {Source{Format: WhatsApp}, io.LimitReader(forever{}, maxExport+1<<21)},
	} {
		n, last := 0, error(nil)
		for _, err := range Parse(c.s, c.r) {
			n, last = n+1, err
		}
		if n != 1 || last == nil || name == "read" && !errors.Is(last, io.ErrClosedPipe) {
			t.Errorf("%s: %d pairs, %v", name, n, last)
		}
	}
}

// forever is lines of half a MiB without an end.
type forever struct{}

func (forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	p[len(p)-1] = '\n'
	return len(p), nil
}

func TestLongLineIsUnreadable(t *testing.T) {
	text := "[10:00] <a> " + strings.Repeat("x", 3<<20) + "\n[10:01] <a> y\n"
	e := entriesOf(t, Source{Format: IRC, Name: "2026-08-17.txt"}, text)
	if len(e) != 2 || e[0].Kind != Unreadable || e[1].Text != "y" || e[1].Line != 2 {
		t.Errorf("%d entries, the last %+v", len(e), e[len(e)-1])
	}
}

func TestWhatsAppHeadIsReadInEachForm(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"17/08/26, 19:05 - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"17/08/26 19.05 - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"17/08/2026, 7:05 pm - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"8/17/26, 7:05\u202fPM - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"8/17/26, 12:05 a.m. - Budi: halo", `2026-08-17T00:05:00 message Budi "halo"`},
		{"2026-08-17 19:05 - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"17.08.26, 19:05 - Budi: halo", `2026-08-17T19:05:00 message Budi "halo"`},
		{"\u200e[17/08/26 19.05.33] \u202a+62 812\u00a00000\u202c: halo", `2026-08-17T19:05:33 message +62 812 0000 "halo"`},
		{"[17/08/26, 19:05:33] Budi: \u200eimage omitted", `2026-08-17T19:05:33 message Budi "image omitted"`},
		{"[17/08/26, 19:05:33] Budi: \u200eBudi changed the group name", `2026-08-17T19:05:33 notice  "Budi changed the group name"`},
		{"[17/08/26, 19:05:33] Budi: Siti left", `2026-08-17T19:05:33 message Budi "Siti left"`},
		{"[17/08/26, 19:05:33] Budi: \u200eSiti left", `2026-08-17T19:05:33 leave Siti ""`},
		{"17/08/26, 19:05 - Budi left", `2026-08-17T19:05:00 leave Budi ""`},
		{"17/08/26, 19:05 - Budi telah keluar.", `2026-08-17T19:05:00 leave Budi ""`},
		{"17/08/26, 19:05 - Budi dikeluarkan", `2026-08-17T19:05:00 leave Budi ""`},
		{"17/08/26, 19:05 - You were removed", `2026-08-17T19:05:00 leave Aku ""`},
		{"17/08/26, 19:05 - Budi joined using this group's invite link", `2026-08-17T19:05:00 join Budi ""`},
		{"17/08/26, 19:05 - Anda menambahkan Siti", `2026-08-17T19:05:00 join Siti ""`},
		{"17/08/26, 19:05 - Siti added You", `2026-08-17T19:05:00 join Aku ""`},
		{"17/08/26, 19:05 - Siti added this group to the community", `2026-08-17T19:05:00 notice  "Siti added this group to the community"`},
		{"17/08/26, 19:05 - Wati changed the subject from \"A: B\" to \"C\"", `2026-08-17T19:05:00 retitle Wati "C"`},
		{"17/08/26, 19:05 - +62 1 changed to +62 2", `2026-08-17T19:05:00 rename +62 1 "+62 2"`},
		{"17/08/26, 19:05 - Budi: This message was deleted", `2026-08-17T19:05:00 deletion Budi "This message was deleted"`},
		{"17/08/26, 19:05 - Budi:", `2026-08-17T19:05:00 message Budi ""`},
		{"32/13/26, 19:05 - Budi: halo", `1970-01-01T00:00:00 unreadable  "the date does not exist"`},
		{"halo", `1970-01-01T00:00:00 unreadable  "it belongs to no message"`},
		{"17/08/26, 25:05 - Budi: halo", `1970-01-01T00:00:00 unreadable  "it begins with a date and a time that cannot be read"`},
	} {
		list := slices.DeleteFunc(entriesOf(t, Source{Format: WhatsApp, Self: "Aku"}, c.line), func(e Entry) bool { return e.Kind == Named })
		if len(list) != 1 {
			t.Errorf("%q: %d entries", c.line, len(list))
			continue
		}
		e := list[0]
		got := fmt.Sprintf("%s %s %s %q", e.At.Time().Format("2006-01-02T15:04:05"), e.Kind, e.Author, e.Text)
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestLongerExportKeepsIdentityWithAnotherDateOrder(t *testing.T) {
	short := "03/04/26, 10:00 - A: x\n"
	a := entriesOf(t, Source{Format: WhatsApp}, short)
	b := entriesOf(t, Source{Format: WhatsApp}, short+"04/13/26, 10:00 - A: y\n")
	if a[0].At == b[0].At {
		t.Fatal("the longer export was to change how the date is read")
	}
	if a[0].RequestID() != b[0].RequestID() {
		t.Error("the line has another identity in the longer export")
	}
}
