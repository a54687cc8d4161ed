package importer

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// present are the messages and actions of people in each sample, counted by hand.
var present = map[string]int{
	"2026-03-03.dircproxy.log": 3, "2026-03-03.ubuntu.txt": 2, "2026-03-03.znc.log": 2, "eggdrop.log": 2, "hexchat.log": 2, "hexchat-old.log": 1,
	"irssi.log": 3, "mirc.log": 2, "thelounge.log": 2, "weechat.log": 2, "weechat-old.log": 3,
	"discord.json": 2, "matrix.json": 5, "mattermost.jsonl": 2, "slack": 5, "telegram.json": 4,
	"wa-1252.txt": 1, "wa-arabic.txt": 1, "wa-buddhist.txt": 2, "wa-colon.txt": 3, "wa-cr.txt": 2, "wa-de.txt": 2, "wa-edited.txt": 3,
	"wa-hindi.txt": 1, "wa-hour0.txt": 3, "wa-ios2015.txt": 2, "wa-iosgroup.txt": 1, "wa-japanese.txt": 1, "wa-klo.txt": 2, "wa-months.txt": 3,
	"wa-near.txt": 20, "wa-nobody.txt": 2, "wa-noyear.txt": 3, "wa-persian.txt": 1, "wa-timefirst.txt": 2, "wa-utf16.txt": 2, "whatsapp-zip": 1,
}

const corpusPrefix = "corpus-"

// unread are the messages that no reader could import: one encrypted, one at 10:61.
var unread = map[string]int{"matrix.json": 1, "wa-near.txt": 1}

// Messages and actions of the dialect ubuntu, as plainly as it can be said: what has an author in
// brackets or after a star, and what is no event of the channel.
var (
	spokenLine = regexp.MustCompile(`^(?:\[\d\d:\d\d\] ?<|(?:\[\d\d:\d\d\])? *\* |=== )`)
	eventLine  = regexp.MustCompile(`^=== (?:mode/|\.\.\[topic/|topic/|.* has (?:joined|left|quit)|.* is now known as |.* was kicked )`)
)

// TestMessagesReadOfThosePresent prints, by format, how many of the messages in the samples are
// read; and in the folder of GOTONG_CORPUS, which holds real logs as Ubuntu publishes them.
func TestMessagesReadOfThosePresent(t *testing.T) {
	type row struct{ files, read, present int }
	rows := map[string]*row{}
	count := func(path string, there int) int {
		survey, _, err := opened(t, path, Source{})
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		what := string(survey.Format)
		if survey.Dialect != "" {
			what += " " + survey.Dialect
		}
		if strings.Contains(path, corpusPrefix) {
			what += ", corpus"
		}
		if rows[what] == nil {
			rows[what] = &row{}
		}
		r, n := rows[what], survey.Messages+survey.Actions
		r.files, r.read, r.present = r.files+1, r.read+n, r.present+there
		return n
	}
	for name, path := range samples(t) {
		if n := count(path, present[name]); n != present[name]-unread[name] {
			t.Errorf("%s: %d messages of %d", name, n, present[name])
		}
	}
	if dir := os.Getenv("GOTONG_CORPUS"); dir != "" {
		corpus := os.DirFS(dir)
		list, err := fs.Glob(corpus, "*-*-*.txt")
		if err != nil || len(list) == 0 {
			t.Fatalf("%s holds no logs, %v", dir, err)
		}
		for _, name := range list {
			raw, err := fs.ReadFile(corpus, name)
			if err != nil {
				t.Fatal(err)
			}
			path := write(t, corpusPrefix+dateInName.FindString(name)+".txt", raw)
			there := 0
			for line := range strings.Lines(string(raw)) {
				if spokenLine.MatchString(line) && !eventLine.MatchString(line) {
					there++
				}
			}
			if n := count(path, there); n != there {
				t.Errorf("%s: %d messages of %d", path, n, there)
			}
		}
	}
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(rows)) {
		r := rows[what]
		fmt.Fprintf(&b, "\n%-20s %2d files, %5d of %5d messages, %5.1f %%", what, r.files, r.read, r.present, 100*float64(r.read)/float64(r.present))
	}
	t.Log(b.String())
}
