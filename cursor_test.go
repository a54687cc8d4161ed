package gotong_test

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

func TestParseCursor(t *testing.T) {
	long := strings.Repeat("e", 32)
	for _, s := range []string{"k3f9:0", "k3f9:41", "0000:1", long + ":9223372036854775807"} {
		c, err := gotong.ParseCursor(s)
		if err != nil || c.String() != s {
			t.Errorf("%q: %+v, %v", s, c, err)
		}
	}
	for _, s := range []string{
		"", ":", "k3f9", "k3f9:", ":41", "k3f:41", long + "e:1", "K3F9:41", "k3f_9:41", "k3-f9:41", "k3f9:041", "k3f9:-1", "k3f9:+1",
		"k3f9: 41", "k3f9:41 ", "k3f9:4_1", "k3f9:0x1", "k3f9:9223372036854775808", "k3f9:41:2", "k3f9:41\n", "k3\x009:1", "ké9a:1",
	} {
		if c, err := gotong.ParseCursor(s); gotong.CodeOf(err) != gotong.CodeCursorInvalid || c != (gotong.Cursor{}) {
			t.Errorf("%q was read as %+v, %v", s, c, err)
		}
	}
}

func TestCursorCheck(t *testing.T) {
	for _, tt := range []struct {
		cursor string
		want   gotong.Code
	}{
		{"k3f9:0", ""}, {"k3f9:9", ""}, {"k3f9:10", ""}, {"k3f9:11", gotong.CodeCursorAhead},
		{"zzzz:1", gotong.CodeEpochChanged}, {"zzzz:11", gotong.CodeEpochChanged},
	} {
		c, err := gotong.ParseCursor(tt.cursor)
		if err != nil {
			t.Fatal(err)
		}
		if got := gotong.CodeOf(c.Check("k3f9", 10)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.cursor, got, tt.want)
		}
	}
}

func TestParseCursors(t *testing.T) {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	lines := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("thread/%d=k3f9:%d", i, i)
		}
		return strings.Join(list, "\n")
	}
	for _, s := range []string{lines(1), lines(2), lines(32)} {
		list, err := gotong.ParseCursors(encode(s))
		if err != nil || len(list) != strings.Count(s, "\n")+1 || gotong.FormatCursors(list) != encode(s) {
			t.Errorf("%q: %v, %v", s, list, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "not base64": "***", "padded": encode(lines(1)) + "=", "standard alphabet": "+/+/",
		"too many": encode(lines(33)), "twice": encode(lines(1) + "\n" + lines(1)), "empty line": encode(lines(1) + "\n"),
		"no stream": encode("=k3f9:1"), "no cursor": encode("thread/a"), "empty cursor": encode("thread/a="),
		"bad stream": encode("Thread/a=k3f9:1"), "bad cursor": encode("thread/a=k3f9:x"), "return": encode("thread/a=k3f9:1\r"),
		"loose bits": strings.TrimSuffix(encode("thread/a=k3f9:12"), "g") + "h",
	} {
		if list, err := gotong.ParseCursors(s); gotong.CodeOf(err) != gotong.CodeCursorInvalid || list != nil {
			t.Errorf("%s was read as %v, %v", name, list, err)
		}
	}
}

func TestParseStream(t *testing.T) {
	for _, s := range []string{"thread/a", "a/A.z_0:-", strings.Repeat("k", 32) + "/" + strings.Repeat("i", 128), "group/ent-rt05"} {
		got, err := gotong.ParseStream(s)
		if err != nil || string(got) != s || gotong.NewStream(got.Kind(), got.ID()) != got {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "/", "thread", "thread/", "/a", "Thread/a", "thread/a/b", "thread/a b", "thread/a\n", "thr-ead/a", "thread/ä", "thread/a=b",
		strings.Repeat("k", 33) + "/a", "a/" + strings.Repeat("i", 129), "../a", "thread/%61",
	} {
		if got, err := gotong.ParseStream(s); gotong.CodeOf(err) != gotong.CodeInvalid || got != "" {
			t.Errorf("%q was read as %q, %v", s, got, err)
		}
	}
}

func TestValidRequestID(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "0192aaaa-bbcc-7ddd-8eee-ffff00001111": true, "timer:1:2": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a/b": false, "ä": false, "a\x00": false,
	} {
		if gotong.ValidRequestID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"k3f9:41", "k3f9:041", ":", "k3f9:18446744073709551615"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := gotong.ParseCursor(s)
		if err != nil {
			if gotong.CodeOf(err) != gotong.CodeCursorInvalid || c != (gotong.Cursor{}) {
				t.Errorf("%q: %+v, %v", s, c, err)
			}
			return
		}
		if c.String() != s {
			t.Errorf("%q came back as %q", s, c)
		}
	})
}

func FuzzParseCursors(f *testing.F) {
	f.Add(gotong.FormatCursors([]gotong.StreamCursor{{Stream: "thread/a", Cursor: gotong.Cursor{Epoch: "k3f9", Seq: 1}}}))
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := gotong.ParseCursors(s)
		if err != nil {
			if gotong.CodeOf(err) != gotong.CodeCursorInvalid || list != nil {
				t.Errorf("%q: %v, %v", s, list, err)
			}
			return
		}
		seen := map[gotong.Stream]bool{}
		for _, c := range list {
			if _, err := gotong.ParseStream(string(c.Stream)); err != nil || seen[c.Stream] {
				t.Errorf("%q holds %q, twice: %v, %v", s, c.Stream, seen[c.Stream], err)
			}
			seen[c.Stream] = true
		}
		if again, err := gotong.ParseCursors(gotong.FormatCursors(list)); err != nil || !reflect.DeepEqual(again, list) || len(list) > gotong.MaxCursors {
			t.Errorf("%q: %v, then %v, %v", s, list, again, err)
		}
	})
}
