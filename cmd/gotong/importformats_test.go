package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotong.dev/gotong/client"
)

// chatLines are lines of a WhatsApp export, one a minute.
func chatLines(from, to int, author string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "17/08/26, 10:%02d - %s: kabar %d\n", i, author, i)
	}
	return b.String()
}

// TestImportFindsItsThread: an export that begins later goes into the thread that holds
// its beginning, a dry run says how much of it is there, and a renamed person is noticed.
func TestImportFindsItsThread(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	run := func(text string, args ...string) (ran, importReport) {
		file := filepath.Join(t.TempDir(), "chat.txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := command(t, env, append([]string{"import", file, "--zone=UTC", "--scope=rt05", "--json"}, args...)...)
		var report importReport
		if r.out != "" {
			if err := json.Unmarshal([]byte(r.out), &report); err != nil {
				t.Fatal(err)
			}
		}
		return r, report
	}
	_, first := run(chatLines(0, 20, "Budi"))
	if first.Written.Added != 21 {
		t.Fatalf("%+v", first)
	}
	if _, dry := run(chatLines(10, 30, "Budi"), "--dry-run"); dry.Thread != first.Thread || dry.Known.Present != 10 {
		t.Errorf("dry run: %+v", dry)
	}
	_, later := run(chatLines(10, 30, "Budi"))
	if later.Thread != first.Thread || later.Written.Present != 10 || later.Written.Added != 10 {
		t.Errorf("the later export: %+v", later)
	}
	mixed := chatLines(15, 20, "Budi") + chatLines(20, 30, "Pak Budi")
	if r, _ := run(mixed); r.code != 1 || !strings.Contains(r.err, `the thread has 10 messages of "Pak Budi" already, under the name "Budi"`) {
		t.Errorf("renamed: %+v", r)
	}
	if _, settled := run(mixed, "--alias=Pak Budi=Budi"); settled.Written.Added != 0 || settled.Written.Refused != 0 {
		t.Errorf("with --alias: %+v", settled)
	}
}

// TestImportOfEachFormat: a second import adds nothing, and all members have a name.
func TestImportOfEachFormat(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	const dir = "../../internal/importer/testdata/formats/"
	zipped := filepath.Join(t.TempDir(), "slack.zip")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if err := errors.Join(z.AddFS(os.DirFS(dir+"slack")), z.Close(), os.WriteFile(zipped, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	remote, err := client.New(client.Options{BaseURL: url, Token: client.StaticToken(env["GOTONG_TOKEN"])})
	if err != nil {
		t.Fatal(err)
	}
	for scope, file := range map[string]string{
		"slack": zipped, "discord": dir + "discord.json", "matrix": dir + "matrix.json", "mattermost": dir + "mattermost.jsonl",
	} {
		var first, second importReport
		for _, report := range []*importReport{&first, &second} {
			r := command(t, env, "import", file, "--scope="+scope, "--json")
			if err := json.Unmarshal([]byte(r.out), report); err != nil || (r.code != 0) != (report.Survey.Unreadable > 0) {
				t.Fatalf("%s: %+v, %v", scope, r, err)
			}
		}
		steps := first.Survey.Steps
		if first.Written.Added+first.Written.Loose < steps || first.Written.Refused > 0 || second.Thread != first.Thread ||
			second.Written.Added > 0 || second.Written.Done != first.Written.Done || second.Known.New > first.Written.Loose {
			t.Errorf("%s:\n%+v\n%+v", scope, first, second)
		}
		list, err := remote.Members(t.Context(), first.Thread, client.Page{Limit: 100})
		if err != nil || len(list.Items) < 2 {
			t.Fatalf("%s: %d members, %v", scope, len(list.Items), err)
		}
		for _, m := range list.Items {
			if m.Name == "" {
				t.Errorf("%s: a member without a name: %+v", scope, m)
			}
		}
	}
}

// TestImportRepliesAndPins: replies, pins and names of the chat become what they are
// here, and a second import adds nothing.
func TestImportRepliesAndPins(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	var report importReport
	for i, want := range []int{10, 0} {
		r := command(t, env, "import", "../../internal/importer/testdata/formats/telegram.json", "--scope=rt05", "--json")
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if w := report.Written; w.Added != want || w.Refused+w.Loose != 0 {
			t.Errorf("run %d: %+v", i+1, w)
		}
	}
	text := tailText(t, url, env["GOTONG_TOKEN"], report.Thread, "[set the name: RT 05 baru]") // the heading has the name too
	if !strings.Contains(text, "pinned") || !strings.Contains(text, "Siap") {
		t.Error(text)
	}
}

// edited are exports without and with ids, before and after a message was edited.
var edited = map[string]struct{ name, before, after string }{
	"whatsapp": {
		"chat.txt", chatLines(0, 5, "Budi") + chatLines(5, 6, "Siti") + "17/08/26, 10:05 - Siti: rapat jam 7\n17/08/26, 10:05 - Siti: ya\n",
		chatLines(0, 5, "Budi") + chatLines(5, 6, "Siti") + "17/08/26, 10:05 - Siti: rapat jam 8 \u200e<This message was edited>\n17/08/26, 10:05 - Siti: ya\n" +
			"17/08/26, 10:06 - Siti: baru <This message was edited>\n",
	},
	"telegram": {
		"result.json",
		telegram(`{"id":1,"type":"message","date_unixtime":"1786960800","from":"Siti","from_id":"user1","text":"rapat jam 7"}`),
		telegram(`{"id":1,"type":"message","date_unixtime":"1786960800","from":"Siti","from_id":"user1","text":"rapat jam 8","edited":"2026-08-17T10:02:00"}`),
	},
}

func telegram(messages string) string {
	return `{"name":"RT 05","type":"private_group","id":7,"messages":[` + messages + `]}`
}

// TestImportOfAnEditedMessage: it does not come twice, and the summary names it. The thread keeps
// its first text, because nobody may edit a message after so long.
func TestImportOfAnEditedMessage(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	for scope, c := range edited {
		file := filepath.Join(t.TempDir(), c.name)
		run := func(text string, args ...string) (r importReport) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ran := command(t, env, append([]string{"import", file, "--scope=" + scope, "--zone=UTC", "--json"}, args...)...)
			if err := json.Unmarshal([]byte(ran.out), &r); err != nil || ran.code != 0 {
				t.Fatalf("%s: %+v, %v", scope, ran, err)
			}
			return r
		}
		first := run(c.before)
		fresh := 0 // what was edited before it was ever imported is a message like any other
		if scope == "whatsapp" {
			fresh = 1
		}
		if dry := run(c.after, "--dry-run"); dry.Known.Changed != 1 || dry.Known.New != fresh || dry.Thread != first.Thread {
			t.Errorf("%s: dry run: %+v", scope, dry.Known)
		}
		for i, want := range []int{fresh, 0} {
			again := run(c.after)
			if again.Written.Added != want || again.Known.Changed != 1 || again.Known.Changes[0].Why != "its text was edited" {
				t.Errorf("%s: run %d: %+v, %+v", scope, i+2, again.Known, again.Written)
			}
		}
		if r := command(t, env, "import", file, "--scope="+scope, "--zone=UTC"); !strings.Contains(r.out, "1 line changed since the last import; the thread keeps what it has:\n    line ") {
			t.Errorf("%s: %s", scope, r.out)
		}
	}
}

// TestImportOfALaterPart: a reply finds its message, though only an earlier part had it.
func TestImportOfALaterPart(t *testing.T) {
	url := serving(t, "--command-rate=100000", "--command-burst=100000")
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": account(t, url, "Wati")}
	said := func(id int, more string) string {
		return fmt.Sprintf(`{"id":%d,"type":"message","date_unixtime":"1786960800","from":"Siti","from_id":"user1","text":"kata %d"%s}`, id, id, more)
	}
	file := filepath.Join(t.TempDir(), "result.json")
	var report importReport
	for i, text := range []string{
		telegram(said(1, "") + "," + said(2, "")),
		telegram(said(2, "") + "," + said(3, `,"reply_to_message_id":1`)),
		telegram(said(1, "") + "," + said(2, "") + "," + said(3, `,"reply_to_message_id":1`)),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := command(t, env, "import", file, "--scope=rt05", "--json")
		report = importReport{}
		if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != 0 || report.Written.Loose+report.Written.Moved > 0 {
			t.Fatalf("part %d: %+v, %v", i+1, r, err)
		}
	}
	if report.Written.Added != 0 || report.Written.Present != report.Written.Done {
		t.Errorf("the whole after its parts: %+v", report.Written)
	}
}
