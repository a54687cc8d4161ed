package importer

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gotong.dev/gotong"
)

// TestALongerExportExtends: wherever an export was cut, parsing ends without a panic, request ids
// are unique and allowed, the plan is sound, and the same export with more
// lines after it begins with the same steps.
func TestALongerExportExtends(t *testing.T) {
	// A nick with an invisible character is none: no command could hold it.
	check := func(head, tail []byte) {
		irc := Source{Format: IRC, Name: "2026-08-17.txt"}
		extends(t, irc, append(slices.Clone(head), '\n'), tail)
		// A message of WhatsApp goes on until the next begins.
		begin := []byte("17/08/26, 10:00 - Wati: ")
		extends(t, Source{Format: WhatsApp}, append(slices.Clone(head), '\n'), append(begin, tail...))
	}
	check([]byte("[22:44] <endah> ya"), []byte("=== jok\u00ad\u00adeliling [a@b] has joined #rt05\n[22:45] <jok\u00adeliling> halo\n"))
	for _, name := range []string{"testdata/2026-08-16.txt", "testdata/whatsapp-android-id.txt", "testdata/whatsapp-ios-en.txt"} {
		raw, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			t.Fatal(err)
		}
		for cut := 0; cut <= len(raw); cut += 40 {
			check(raw[:cut], raw[cut:])
		}
	}
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
		if a != b {
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
