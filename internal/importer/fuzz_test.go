package importer

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// FuzzExtension: wherever an export was cut, parsing ends without a panic, request ids
// are unique and allowed, the plan is sound, and the same export with more
// lines after it begins with the same steps.
func FuzzExtension(f *testing.F) {
	f.Add([]byte("[22:44] <endah> ya"), []byte("=== jok\u00ad\u00adeliling [a@b] has joined #rt05\n[22:45] <jok\u00adeliling> halo\n"))
	year := "1 Mar, 10:00 - Joko: x\n28 Feb, 10:00 - Joko: x\n"
	for _, c := range [][2]string{ // each was once decided by what follows
		{"8/16/26, 10:00 - Joko: x", "y"},                                                   // the order of dates
		{"29 Feb, 10:00 - Joko: x\n" + year + year, "y\n" + year},                           // whether the date exists
		{"[17/08/26, 10:00:00] Joko: x", strings.Repeat("y\n17/08/26, 10:00 - Wati: ", 11)}, // the form of most lines
		{"1/8/26 1:00 - J\x00\x00\x00\x00: x", strings.Repeat("\x00", 40)},                  // UTF-16
		{
			"[17/08/26, 10:00:00] Wa: \u200eJoko left\n[17/08/26, 10:00:01] Wa: \u200elive\n[17/08/26, 10:00:01] Joko: x",
			"y\n[17/08/26, 10:00:02] Wa: x", // whose name is the group's
		},
	} {
		f.Add([]byte(c[0]), []byte(c[1]))
	}
	for _, name := range []string{"testdata/2026-08-16.txt", "testdata/whatsapp-android-id.txt", "testdata/whatsapp-ios-en.txt"} {
		raw, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			f.Fatal(err)
		}
		for cut := 0; cut <= len(raw); cut += 400 {
			f.Add(raw[max(cut-400, 0):cut], raw[cut:min(cut+400, len(raw))])
		}
	}
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		if _, plain := utf8Reader(bytes.NewReader(head)).(*bufio.Reader); !plain {
			t.Skip("in UTF-16, one byte is no line end")
		}
		irc := Source{Format: IRC, Name: "2026-08-17.txt"}
		extends(t, irc, append(slices.Clone(head), '\n'), tail)
		// A message of WhatsApp goes on until the next begins.
		begin := []byte("17/08/26, 10:00 - Wati: ")
		extends(t, Source{Format: WhatsApp, Latest: sampleTime}, append(slices.Clone(head), '\n'), append(begin, tail...))
	})
}

func extends(t *testing.T, s Source, head, tail []byte) {
	t.Helper()
	short, whole := fold(t, s, head), fold(t, s, append(slices.Clone(head), tail...))
	if len(short) > len(whole) {
		t.Fatalf("%s: %d steps became %d", s.Format, len(short), len(whole))
	}
	for i := range short {
		a, b := short[i], whole[i]
		a.SentAt, b.SentAt = 0, 0 // may be read anew; the identity stays
		if !alike(a, b) {
			t.Fatalf("%s: step %d was %+v, is %+v", s.Format, i, a, b)
		}
	}
}

func fold(t *testing.T, s Source, raw []byte) []Step {
	t.Helper()
	var entries []Entry
	ids := map[string]bool{}
	for e, err := range Parse(s, bytes.NewReader(raw)) {
		if err != nil {
			t.Fatal(err)
		}
		if id := e.RequestID(); ids[id] || !gotong.ValidRequestID(id) {
			t.Fatalf("id %s of line %d is not unique or not allowed", id, e.Line)
		}
		ids[e.RequestID()] = true
		entries = append(entries, e)
	}
	steps, _ := stepsOf(t, entries)
	sound(t, string(s.Format), steps)
	return steps
}
