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
	if r, _ := run(mixed); r.code != 1 || !strings.Contains(r.err, `10 messages of "Pak Budi" are in the thread already, as messages of "Budi"`) {
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
