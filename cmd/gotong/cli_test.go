package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/surreal"
)

func TestWrongUse(t *testing.T) {
	export, undated := "testdata/2026-08-16.txt", filepath.Join(t.TempDir(), "log.txt")
	text, err := os.ReadFile(export)
	if err == nil {
		err = os.WriteFile(undated, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says []string
	}{
		"nothing":          {nil, nil, 2, []string{"Usage: gotong <command>", "serve", "demo"}},
		"no such command":  {[]string{"frobnicate"}, nil, 2, []string{"frobnicate", "Try: gotong --help"}},
		"no such flag":     {[]string{"tail", "x", "--frob"}, nil, 2, []string{"--frob", "Try: gotong tail --help"}},
		"no thread":        {[]string{"tail"}, nil, 2, []string{"<thread>", "Try: gotong tail --help"}},
		"no token":         {[]string{"tail", "x"}, nil, 2, []string{"GOTONG_TOKEN is not set", "gotong token"}},
		"no thread's name": {[]string{"tail", "x y", "--token=t"}, nil, 2, []string{"is not a thread"}},
		"no address":       {[]string{"tail", "x", "--token=t", "--url=ftp://x"}, nil, 2, []string{"not an http or https address"}},
		"nobody there":     {[]string{"tail", "x", "--token=t", "--url=http://127.0.0.1:1"}, nil, 1, []string{"no answer from http://127.0.0.1:1", "gotong demo"}},
		"no email":         {[]string{"token"}, nil, 2, []string{"--email", "Try: gotong token --help"}},
		"another format":   {[]string{"import", export, "--format=signal"}, nil, 2, []string{"irc"}},
		"no export":        {[]string{"import", "gone.txt", "--format=irc"}, nil, 2, []string{"gone.txt"}},
		"no place":         {[]string{"import", export, "--format=irc"}, nil, 2, []string{"no target is given", "--scope"}},
		"two places":       {[]string{"import", export, "--format=irc", "--scope=a", "--thread=b"}, nil, 2, []string{"--scope", "--thread"}},
		"no zone":          {[]string{"import", export, "--format=irc", "--zone=Mars/Base", "--dry-run"}, nil, 2, []string{"Mars/Base", "--zone Asia/Jakarta"}},
		"no date":          {[]string{"import", undated, "--format=irc", "--dry-run"}, nil, 1, []string{"date"}},
		"no log":           {[]string{"import", "main.go", "--format=irc", "--dry-run"}, nil, 1, []string{"only 0 % of this file could be read as irc"}},
		"bad configuration": {[]string{"serve", "--addr=nonsense", "--redis=http://x"}, nil, 2,
			[]string{"addr: must be host:port", "redis: must be a URL", "gotong config print"}},
		"file":               {[]string{"serve", "--config=main.go"}, nil, 2, []string{"gotong: /", "main.go: this is not YAML"}},
		"port":               {[]string{"serve", "--addr=127.0.0.1:99999"}, nil, 2, []string{"addr: must end with a port"}},
		"port by variable":   {[]string{"serve"}, map[string]string{"GOTONG_ADMIN_ADDR": ":x"}, 2, []string{"admin-addr: must end with a port"}},
		"bus":                {[]string{"serve", "--bus=livequery"}, nil, 2, []string{"bus: livequery needs a SurrealDB"}},
		"hashes":             {[]string{"serve", "--password-hashes=1000000"}, nil, 2, []string{"password-hashes: must be between"}},
		"store":              {[]string{"serve", "--store=surreal://x", "--signing-key=Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs="}, nil, 2, []string{"store: its path"}},
		"postgres":           {[]string{"serve", "--store=postgres://a:b@h:x/d", "--signing-key=Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs="}, nil, 2, []string{"store: "}},
		"shared without key": {[]string{"serve", "--store=surreal://a:b@h/n/d"}, nil, 2, []string{"signing-key:"}},
		"memory":             {[]string{"serve", "--store=memory:", "--env=production"}, nil, 2, []string{"store: memory: loses acknowledged writes"}},
		"redis":              {[]string{"serve", "--redis=redis://h/x"}, nil, 2, []string{"redis: the URL has an invalid database number"}},
		"redis's port":       {[]string{"serve", "--redis=redis://h:99999/0"}, nil, 2, []string{"redis: the URL's port"}},
		"rate":               {[]string{"serve", "--user-rate=NaN"}, nil, 2, []string{"user-rate: must be above 0"}},
		"no duration":        {[]string{"serve", "--shutdown-grace=soon"}, nil, 2, []string{"--shutdown-grace"}},
		"server's port":      {[]string{"tail", "x", "--token=t", "--url=http://h:99999"}, nil, 2, []string{"not an http or https address"}},
		"no cursor":          {[]string{"tail", "x", "--token=t", "--from=bogus"}, nil, 2, []string{"--from", "is neither start, now nor"}},
		"copy from":          {[]string{"copy", "--from=surreal://x", "--to=sqlite:y"}, nil, 2, []string{"--from: its path"}},
		"copy to":            {[]string{"copy", "--from=sqlite:x", "--to=sqlite:"}, nil, 2, []string{"--to: sqlite: needs"}},
		"export":             {[]string{"export", "--store=bogus://x"}, nil, 2, []string{"--store: must be sqlite:PATH"}},
		"import-log":         {[]string{"import-log", "--store=sqlite:a?b=c", "main.go"}, nil, 2, []string{"--store: sqlite: accepts"}},
		"epochs":             {[]string{"epoch", "list", "--store=surreal://x"}, nil, 2, []string{"--store: its path"}},
		"new epoch":          {[]string{"epoch", "new", "--store=sqlite::memory:"}, nil, 2, []string{"--store: sqlite: needs"}},
		"grant":              {[]string{"admin", "grant", "x", "--store=surreal://x"}, nil, 2, []string{"store: its path"}},
		"gates":              {[]string{"gates", "--store=surreal://x"}, nil, 2, []string{"its path"}},
		"unknown variable":   {[]string{"inbox"}, map[string]string{"GOTONG_TOKN": "t"}, 2, []string{"GOTONG_TOKN is not", "did you mean GOTONG_TOKEN?", "Try: gotong inbox --help"}},
		"bad variable":       {[]string{"serve"}, map[string]string{"GOTONG_LOG_LEVEL": "loud"}, 2, []string{"GOTONG_LOG_LEVEL must be", "Try: gotong serve --help"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, c.env, c.args...)
			if r.code != c.code || r.out != "" {
				t.Errorf("code %d, want %d; output %q", r.code, c.code, r.out)
			}
			for _, want := range c.says {
				if !strings.Contains(r.err, want) {
					t.Errorf("does not print %q:\n%s", want, r.err)
				}
			}
		})
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, name := range []string{"serve", "demo", "import", "tail", "token", "bench", "admin grant", "admin key", "config print", "version", "completion"} {
		r := command(t, nil, append(strings.Fields(name), "--help")...)
		if r.code != 0 || r.err != "" || !strings.Contains(r.out, "Examples:") || !strings.Contains(r.out, "gotong "+name) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	r := command(t, nil, "tail", "--help")
	for _, want := range []string{"Which server:", "$GOTONG_URL", "$GOTONG_TOKEN"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("help of tail lacks %q", want)
		}
	}
	r = command(t, nil, "serve", "--help")
	for _, want := range []string{"Where it listens and what it keeps:", "Limits:", "$GOTONG_ADMIN_ADDR"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("help of serve lacks %q", want)
		}
	}
}

func TestVersion(t *testing.T) {
	if r := command(t, nil, "version"); r.code != 0 || !strings.HasPrefix(r.out, "gotong ") {
		t.Errorf("%+v", r)
	}
	var v map[string]string
	r := command(t, nil, "version", "--json")
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || v["version"] == "" || !strings.HasPrefix(v["go"], "go1") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConfigPrint(t *testing.T) {
	key := "Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs="
	env := map[string]string{"GOTONG_SIGNING_KEY": key, "GOTONG_USER_RATE": "7"}
	r := command(t, env, "config", "print", "--addr=127.0.0.1:9")
	for _, want := range []string{`addr: "127.0.0.1:9"`, "# flag", "user-rate: 7", "# env GOTONG_USER_RATE", "# default"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("no %q in %+v", want, r)
		}
	}
	j := command(t, env, "config", "print", "--json")
	var list []struct {
		Key   string `json:"key"`
		From  string `json:"from"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal([]byte(j.out), &list); err != nil || len(list) < 20 {
		t.Fatalf("%+v, %v", j, err)
	}
	for _, e := range list {
		if e.Key == "user-rate" && (e.Value != 7.0 || e.From != "env GOTONG_USER_RATE") {
			t.Errorf("%+v", e)
		}
	}
	if strings.Contains(r.out+j.out, key) {
		t.Error("shows the signing key")
	}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "complete -F _gotong gotong", "zsh": "bashcompinit", "fish": "complete -c gotong",
	} {
		r := command(t, nil, "completion", shell)
		if again := command(t, nil, "completion", shell); r != again || r.code != 0 || !strings.Contains(r.out, want) || !strings.Contains(r.out, "scope") {
			t.Errorf("%s: %+v", shell, r)
		}
	}
}

func TestServePrintsAddressesAndNewFiles(t *testing.T) {
	data := filepath.Join(t.TempDir(), "kept")
	args := []string{"serve", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + data, "--log-level=error"}
	first := interruptible(t, args...)
	text := first.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	for _, want := range []string{"The data directory " + data, "The database " + data, "The signing key " + data, "API     http://127.0.0.1:", "Admin   http://127.0.0.1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not print %q:\n%s", want, text)
		}
	}
	second := command(t, nil, args...)
	if second.code != 1 || !strings.Contains(second.err, "is open in") || !strings.Contains(second.err, "another data directory") {
		t.Errorf("a second one on the file: %+v", second)
	}
	taken := strings.TrimPrefix(field(t, text, "API"), "http://")
	r := command(t, nil, "serve", "--addr="+taken, "--admin-addr=127.0.0.1:0", "--data="+t.TempDir())
	if r.code != 1 || !strings.Contains(r.err, taken) || !strings.Contains(r.err, "--addr") || strings.Contains(r.err, "Try: gotong demo") {
		t.Errorf("a taken port: %+v", r)
	}
	if code := first.stop(); code != 0 {
		t.Errorf("ended with %d: %s", code, first.errs.String())
	}
	again := interruptible(t, args...)
	text = again.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") })
	if strings.Contains(text, "Made ") {
		t.Errorf("made something a second time:\n%s", text)
	}
	if code := again.stop(); code != 0 {
		t.Errorf("ended with %d: %s", code, again.errs.String())
	}
}

func TestToken(t *testing.T) {
	url := serving(t)
	account(t, url, "Wati")
	right := map[string]string{"GOTONG_PASSWORD": "correct horse battery", "GOTONG_URL": url}
	r := command(t, right, "token", "--email=wati@example.org", "--json")
	var auth struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Username     string `json:"username"`
	}
	if err := json.Unmarshal([]byte(r.out), &auth); err != nil || auth.AccessToken == "" || auth.RefreshToken == "" || auth.Username != "Wati" {
		t.Errorf("%+v, %v", r, err)
	}
	std, out, errs := pipes(map[string]string{})
	std.in = strings.NewReader("correct horse battery\nnext line\n")
	if code := run(t.Context(), []string{"token", "--url=" + url, "--email=wati@example.org"}, std); code != 0 || strings.Count(out.String(), ".") != 2 {
		t.Errorf("from a pipe: %d, %s", code, errs.String())
	}
	asked := ""
	std.secret = func(prompt string) (string, error) { asked = prompt; return "correct horse battery", nil }
	if code := run(t.Context(), []string{"token", "--url=" + url, "--email=wati@example.org"}, std); code != 0 || !strings.Contains(asked, "wati@example.org") {
		t.Errorf("asked %q: %d, %s", asked, code, errs.String())
	}
	for name, c := range map[string]struct {
		pass string
		args []string
		code int
		says []string
	}{
		"wrong":     {"incorrect horse", nil, 1, []string{"the address or the password is wrong", "--signup"}},
		"none":      {"", nil, 2, []string{"no password is given", "GOTONG_PASSWORD"}},
		"taken":     {"correct horse battery", []string{"--signup", "--username=Wati2"}, 1, []string{"taken", "without --signup"}},
		"too odd":   {"correct horse battery", []string{"--signup", "--username=a b"}, 1, []string{"username must be"}},
		"elsewhere": {"correct horse battery", []string{"--url=" + url + "/docs"}, 2, []string{"not a Gotong server"}},
	} {
		r := command(t, map[string]string{"GOTONG_PASSWORD": c.pass, "GOTONG_URL": url}, append([]string{"token", "--email=wati@example.org"}, c.args...)...)
		if r.code != c.code || r.out != "" || strings.Contains(r.err, c.pass) && c.pass != "" {
			t.Errorf("%s: %+v", name, r)
		}
		for _, want := range c.says {
			if !strings.Contains(r.err, want) {
				t.Errorf("%s: does not print %q: %s", name, want, r.err)
			}
		}
	}
}

// TestOccupiedPortIsInUse: a port on which a process listens is in use, and is
// free when it no longer does. Another process may use it by then, so several
// ports are tried.
func TestOccupiedPortIsInUse(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if !inUse(l.Addr().String()) {
			t.Error("an occupied port counts as free")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if !inUse(l.Addr().String()) {
			return
		}
	}
	t.Error("20 free ports count as in use")
}

func TestDemoSecretStays(t *testing.T) {
	dir := t.TempDir()
	first, err := demoSecret(dir)
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := demoSecret(dir); err != nil || again != first {
		t.Errorf("%q, %v", again, err)
	}
	info, err := os.Stat(filepath.Join(dir, "demo-secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// leaves calls do with every command that can be run.
func leaves(n *kong.Node, do func(*kong.Node)) {
	if n.Leaf() {
		do(n)
	}
	for _, child := range n.Children {
		leaves(child, do)
	}
}

// TestAHintBelongsToItsCommand: whatever fails in whatever command, the hint names no flag
// that the command lacks, and no command that does not exist.
func TestAHintBelongsToItsCommand(t *testing.T) {
	parser, err := newParser(&cli{}, config.NewSource(), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]map[string]bool{}
	leaves(parser.Model.Node, func(n *kong.Node) {
		has := map[string]bool{}
		for _, group := range n.AllFlags(false) {
			for _, flag := range group {
				has["--"+flag.Name] = true
			}
		}
		commands[n.FullPath()] = has
	})
	refused := func(code gotong.Code) error { return &client.Problem{Err: gotong.NewError(code, "x")} }
	faults := []error{
		client.ErrTokenRefused, &client.Ended{Err: client.ErrAccessRevoked}, &client.Ended{Err: client.ErrResyncRequired}, audit.ErrMissing, audit.ErrDamaged, audit.ErrRollback, app.ErrNoStore, app.ErrNoAccount,
		&surreal.ConnError{}, &net.OpError{Op: "dial", Err: errors.New("x")},
		refused(gotong.CodeUnauthorized), refused(gotong.CodeForbidden), refused(gotong.CodeExists), refused(gotong.CodeRateLimited),
	}
	flags, hints := regexp.MustCompile(`--[a-z-]+`), 0
	other := regexp.MustCompile(`gotong [a-z-]+`)
	leaves(parser.Model.Node, func(n *kong.Node) {
		for _, fault := range faults {
			hint := fitting(explain(fault).hint, n)
			if hint == "" {
				t.Errorf("%s, %v: no hint", n.FullPath(), fault)
			}
			for part := range strings.SplitSeq(strings.ReplaceAll(hint, ", and ", "; or "), "; or ") {
				hints++
				has := commands[n.FullPath()]
				if name := other.FindString(part); name != "" && !strings.HasPrefix(part, n.FullPath()) {
					has = commands[name]
				}
				for _, flag := range flags.FindAllString(part, -1) {
					if !has[flag] && flag != "--help" {
						t.Errorf("%s, %v: %s", n.FullPath(), fault, hint)
					}
				}
			}
		}
	})
	if hints < len(faults)*len(commands) || len(commands) < 40 {
		t.Errorf("%d hints of %d commands", hints, len(commands))
	}
}

// TestNoHelpNamesAThingTwice in a row, such as a variable or a word.
func TestNoHelpNamesAThingTwice(t *testing.T) {
	var out strings.Builder
	parser, err := newParser(&cli{}, config.NewSource(), &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	leaves(parser.Model.Node, func(n *kong.Node) {
		texts := []string{n.Help, n.Detail}
		for _, group := range n.AllFlags(false) {
			for _, flag := range group {
				text := flag.Help
				for _, name := range flag.Envs {
					text += " ($" + name + ")" // as kong shows it
				}
				if strings.Count(text, "($") > 1 {
					t.Errorf("%s --%s: %s", n.FullPath(), flag.Name, text)
				}
				texts = append(texts, text)
			}
		}
		for _, text := range texts {
			for line := range strings.SplitSeq(text, "\n") {
				words := strings.Fields(line)
				for i := 1; i < len(words); i++ {
					if words[i] == words[i-1] {
						t.Errorf("%s: %s twice in %q", n.FullPath(), words[i], line)
					}
				}
			}
		}
	})
}
