package copy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	logcopy "gotong.dev/gotong/internal/copy"
)

func TestFileThereAndBack(t *testing.T) {
	from := note(newMemory())
	raw(t, from)
	for name, s := range map[string]*noted{"raw": from, "village": small(t)} {
		path := exported(t, s)
		to := note(newSQLite(t))
		file, err := logcopy.OpenFile(t.Context(), path, options())
		check(t, err)
		sum, err := logcopy.Run(t.Context(), file, to, options())
		if err != nil || !sum.Verified {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, s, to)
		again, err := os.ReadFile(exported(t, to))
		check(t, err)
		was, err := os.ReadFile(path)
		check(t, err)
		if len(again) != len(was) {
			t.Errorf("%s: exported again it has %d bytes, at first %d", name, len(again), len(was))
		}
	}
}

// forge computes all sums of a file anew, as somebody would who knows how.
func forge(lines []string) string { return sums(lines, true) }

// sums computes the sums of lines anew, and the hash over all where it shall.
func sums(lines []string, whole bool) string {
	var out strings.Builder
	sum := make([]byte, 32)
	for i, line := range lines {
		line = line[:strings.LastIndex(line, `,"sum":"`)]
		var row struct {
			N    uint64 `json:"n"`
			Kind string `json:"kind"`
		}
		if json.Unmarshal([]byte(line+"}"), &row) == nil {
			line = strings.Replace(line, fmt.Sprintf(`"n":%d,`, row.N), fmt.Sprintf(`"n":%d,`, i+1), 1)
		}
		if row.Kind == "end" && whole {
			all := sha256.Sum256([]byte(out.String()))
			at := strings.Index(line, `"sha256":"`) + len(`"sha256":"`)
			line = line[:at] + hex.EncodeToString(all[:]) + line[at+64:]
		}
		next := sha256.Sum256(slices.Concat(sum, []byte(line)))
		sum = next[:]
		out.WriteString(line + `,"sum":"` + hex.EncodeToString(sum[:16]) + "\"}\n")
	}
	return out.String()
}

// TestChangedFileIsRejectedAtItsLine: any change to a file is found, at its
// line, and nothing is written; also if all sums were computed again, as far as
// the chains reach.
func TestChangedFileIsRejectedAtItsLine(t *testing.T) {
	text, err := os.ReadFile(exported(t, small(t)))
	check(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if forge(lines) != string(text) {
		t.Fatal("the test forges wrongly")
	}
	join := func(l []string) string { return strings.Join(l, "\n") + "\n" }
	last := len(lines)
	event := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kind":"event"`) })
	noop := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kind":"noop"`) })
	first := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"record":{`) && strings.Contains(l, `"seq":1,`) })
	bare := regexp.MustCompile(`,"record":\{[^}]*\}`).FindString(lines[first])
	edit := func(at int, old, with string) []string {
		l := slices.Clone(lines)
		if l[at] = strings.Replace(l[at], old, with, 1); l[at] == lines[at] {
			t.Fatalf("line %d has no %s", at+1, old)
		}
		return l
	}
	for name, tt := range map[string]struct {
		file string
		want string
	}{
		"cut off after a line":    {join(lines[:last-1]), fmt.Sprintf("line %d: it ends without its last line", last)},
		"cut off in a line":       {string(text[:len(text)-500]), "line "},
		"cut off in the middle":   {join(lines[:40]), "line 41: it ends without its last line"},
		"empty":                   {"", "line 1: it ends without its last line"},
		"a line is missing":       {join(slices.Delete(slices.Clone(lines), 30, 31)), "line 31: its number is 32"},
		"a line is doubled":       {join(slices.Insert(slices.Clone(lines), 30, lines[29])), "line 31: its number is 30"},
		"two lines are swapped":   {join(swap(lines, 20, 21)), "line 21: its number is 22"},
		"a byte is changed":       {join(edit(event, `"count":`, `"count":1`)), fmt.Sprintf("line %d: its sum is wrong", event+1)},
		"a number is changed":     {join(edit(25, `"n":26`, `"n":27`)), "line 26: its number is 27"},
		"more after the end":      {string(text) + lines[3] + "\n", fmt.Sprintf("line %d: its number is", last+1)},
		"not JSON":                {"hello\n", "line 1: it has no sum"},
		"a blank line":            {join(slices.Insert(slices.Clone(lines), 5, "")), "line 6: it has no sum"},
		"no header":               {forge(lines[1:]), "line 1: it is not the header"},
		"another version":         {forge(edit(0, `"version":2`, `"version":1`)), "line 1: version 1: store: the log was written with another header version"},
		"forged: an event gone":   {forge(slices.Delete(slices.Clone(lines), event+3, event+4)), fmt.Sprintf("line %d: ", event+4)},
		"forged: an event twice":  {forge(slices.Insert(slices.Clone(lines), event, lines[event])), fmt.Sprintf("line %d: ", event+2)},
		"forged: events swapped":  {forge(swap(lines, event+2, event+3)), "line "},
		"forged: another type":    {forge(edit(event, `"type":"`, `"type":"x`)), fmt.Sprintf("line %d: ", event+1)},
		"forged: another epoch":   {forge(edit(0, `"epoch":"`, `"epoch":"x`)), fmt.Sprintf("line %d: ", event+1)},
		"forged: no such part.":   {forge(edit(event, `"partition":`, `"partition":9`)), fmt.Sprintf("line %d: ", event+1)},
		"forged: a no-op gone":    {forge(slices.Delete(slices.Clone(lines), noop, noop+1)), "its row counts do not match"},
		"forged: unknown sort":    {forge(edit(noop, `"kind":"noop"`, `"kind":"rumour"`)), fmt.Sprintf("line %d: a row has the unknown sort", noop+1)},
		"forged: unknown field":   {forge(edit(noop, `"at":`, `"worst":1,"at":`)), fmt.Sprintf("line %d: the row cannot be parsed", noop+1)},
		"forged: sorts mixed":     {forge(swap(lines, event, noop)), fmt.Sprintf("line %d: ", event+2)},
		"forged: no record":       {forge(edit(first, bare, "")), "has no record"},
		"forged: a longer commit": {forge(edit(first, `"last":`, `"last":1`)), "ends before its last event"},
		"forged: no such commit":  {forge(edit(first, `"last":`, `"last":-`)), fmt.Sprintf("line %d: the row cannot be parsed", first+1)},
		"forged: a long commit":   {forge(edit(first, `"last":`, `"last":9999`)), fmt.Sprintf("line %d: the record of a commit", first+1)},
		"forged: the whole hash":  {sums(edit(last-1, `"sha256":"`, `"sha256":"0`), false), "the hash over all lines is wrong"},
		"forged: other positions": {forge(edit(0, `"positions":[`, `"positions":[7`)), "do not end at the positions of the header"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		check(t, os.WriteFile(path, []byte(tt.file), 0o600))
		_, err := logcopy.OpenFile(t.Context(), path, options())
		if !errors.Is(err, logcopy.ErrFile) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestCommitThatWasSplitInAFile: events at one position are one commit, also
// where a forger gives each of them a record.
func TestCommitThatWasSplitInAFile(t *testing.T) {
	from := newMemory()
	raw(t, from)
	text, err := os.ReadFile(exported(t, from))
	check(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	second := slices.IndexFunc(lines, func(l string) bool {
		return strings.Contains(l, `"kind":"event"`) && !strings.Contains(l, `"record":{`)
	})
	number, last := regexp.MustCompile(`"seq":(\d+)`), regexp.MustCompile(`"last":\d+`)
	record := regexp.MustCompile(`,"record":\{[^}]*\}`).FindString(lines[second-1])
	lines[second-1] = last.ReplaceAllString(lines[second-1], `"last":`+number.FindStringSubmatch(lines[second-1])[1])
	lines[second] = strings.Replace(lines[second], `},"sum":"`, record+`},"sum":"`, 1)
	path := filepath.Join(t.TempDir(), "log")
	check(t, os.WriteFile(path, []byte(forge(lines)), 0o600))
	_, err = logcopy.OpenFile(t.Context(), path, options())
	if want := fmt.Sprintf("line %d: a second commit at position", second+1); !errors.Is(err, logcopy.ErrFile) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func swap(lines []string, a, b int) []string {
	l := slices.Clone(lines)
	l[a], l[b] = l[b], l[a]
	return l
}

// TestForgedRowsKeepTheCopyUnfinished: errors that only the target or the
// chains can find.
func TestForgedRowsKeepTheCopyUnfinished(t *testing.T) {
	text, err := os.ReadFile(exported(t, small(t)))
	check(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	find := func(kind string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kind":"`+kind+`"`) })
	}
	claim, stream, event := find("claim"), find("stream"), find("event")
	counted := func(l []string, kind string, by int) []string {
		last := len(l) - 1
		var end struct {
			Rows map[string]int `json:"rows"`
		}
		check(t, json.Unmarshal([]byte(l[last]), &end))
		l[last] = strings.Replace(l[last], fmt.Sprintf(`%q:%d`, kind, end.Rows[kind]), fmt.Sprintf(`%q:%d`, kind, end.Rows[kind]+by), 1)
		return l
	}
	head := slices.Clone(lines)
	head[stream] = strings.Replace(head[stream], `"count":`, `"count":1`, 1)
	first := slices.Clone(lines)
	first[event] = strings.Replace(first[event], `"record":{"actor":"`, `"record":{"actor":"x`, 1)
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"a claim twice":    {counted(slices.Insert(slices.Clone(lines), claim, lines[claim]), "claim", 1), "a row comes twice"},
		"a stream gone":    {counted(slices.Delete(slices.Clone(lines), stream, stream+1), "stream", -1), "of no stream"},
		"another record":   {first, "is of another request"},
		"a head that lies": {head, `of sort "stream"`},
	} {
		path := filepath.Join(t.TempDir(), "log")
		check(t, os.WriteFile(path, []byte(forge(tt.lines)), 0o600))
		file, err := logcopy.OpenFile(t.Context(), path, options())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		to := newSQLite(t)
		if _, err = logcopy.Run(t.Context(), file, to, options()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if state, err := to.State(t.Context()); err != nil || state.Progress == "" {
			t.Errorf("%s: was accepted: %+v, %v", name, state, err)
		}
	}
}

// TestFileExchangedAfterItsCheckIsRejected: another file takes its place
// between the check and the use.
func TestFileExchangedAfterItsCheckIsRejected(t *testing.T) {
	path, other := exported(t, small(t)), exported(t, newMemory())
	file, err := logcopy.OpenFile(t.Context(), path, options())
	check(t, err)
	text, err := os.ReadFile(other)
	check(t, err)
	check(t, os.WriteFile(path, text, 0o600))
	if _, err = logcopy.Run(t.Context(), file, newMemory(), options()); !errors.Is(err, logcopy.ErrFile) {
		t.Errorf("exchanged: %v", err)
	}
}

// FuzzFile: no bytes make the reader panic, or take a file that it would not
// write.
func FuzzFile(f *testing.F) {
	m := newMemory()
	source, err := logcopy.FromStore(f.Context(), m)
	check(f, err)
	var b bytes.Buffer
	_, err = logcopy.Export(f.Context(), source, &b, options())
	check(f, err)
	f.Add(b.Bytes())
	f.Add([]byte(`{"n":1,"kind":"gotong-log","sum":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "log")
		check(t, os.WriteFile(path, text, 0o600))
		file, err := logcopy.OpenFile(t.Context(), path, options())
		if err == nil && file.About().Eras.Epoch() == gotong.Epoch("") {
			t.Error("a log without an epoch")
		}
	})
}
