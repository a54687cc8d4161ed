package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/demo"
)

// invitation is what a demo prints: addresses to open and commands to paste.
// The lines to paste begin with four spaces and hold nothing else.
func (c *demoCmd) invitation(std *stdio, a *app.App, place *demo.Neighbourhood) string {
	var b strings.Builder
	head := func(text string) { b.WriteString("\n" + std.paint(bold, text) + "\n") }
	note := func(text string) { b.WriteString("\n  " + std.paint(dim, "# "+text) + "\n") }
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, "    "+format+"\n", args...) }
	self, thread, guest := ownCommand(), place.Public.ThreadID, place.Guest

	head("Gotong demo: RT 05, the day after the flood. The neighbours are talking.")
	b.WriteString("  Everything is in " + c.Data + "\n")

	if c.Console {
		head("Open the console in a browser, as " + guest.Username)
		b.WriteString("  " + consoleAddress(a, place) + "\n")
		b.WriteString("  or sign in at " + a.URL() + "/ as " + guest.Email + " with the password " + guest.Password + "\n")
	}
	if link, err := operatorPage(a.AdminURL(), &c.Config); c.Console && err == nil {
		head("See what the server does, as its operator, for an hour")
		b.WriteString("  " + link + "\n")
	}
	head("Read the documents of the API")
	for _, page := range []string{"/docs", "/openapi.json", "/asyncapi.json"} {
		b.WriteString("  " + a.URL() + page + "\n")
	}

	head("Paste into a second terminal")
	note("you are " + guest.Username + ", for an hour")
	line("export GOTONG_URL=%s", a.URL())
	line("export GOTONG_TOKEN=%s", guest.Auth.AccessToken)
	note("follow the neighbours (Ctrl-C ends it)")
	line("%s tail %s", self, thread)
	note("say something; " + demo.Host + " answers")
	line(`curl -sS -X POST $GOTONG_URL/v1/chat/threads/%s/messages/send -H "Authorization: Bearer $GOTONG_TOKEN" `+
		`-H "Content-Type: application/json" -d '{"body":"Halo, saya tetangga baru"}'`, thread)
	note("the same thread as server-sent events, from its beginning")
	line(`curl -sSN "$GOTONG_URL/v1/realtime/sse?stream=thread/%s&cursor=start" -H "Authorization: Bearer $GOTONG_TOKEN"`, thread)
	note("the group's own thread: its members are the group's")
	line("%s tail %s", self, place.Private.ThreadID)
	note("a case that is resolved in about two minutes, with an objection, votes and a close")
	line("%s tail %s --from=start", self, place.Case.Stream())
	note("a new token when this one has expired")
	line("export GOTONG_TOKEN=$(GOTONG_PASSWORD=%s %s token --email %s)", guest.Password, self, guest.Email)

	b.WriteString("\n  The neighbours sign in with the same password: " + strings.Join(demo.Emails(), ", ") + "\n")
	b.WriteString("  Metrics: " + a.AdminURL() + "/metrics\n")
	head("Ctrl-C ends it.")
	return b.String()
}

// consoleAddress returns the address that signs the guest in. The token is in the
// fragment, which browsers send to no server.
func consoleAddress(a *app.App, place *demo.Neighbourhood) string {
	return a.URL() + "/#token=" + place.Guest.Auth.AccessToken
}

// ownCommand returns how this program was called: by go run from a checkout, or
// by its path.
func ownCommand() string {
	path, err := os.Executable()
	if err != nil {
		return "gotong"
	}
	if filepath.Base(path) == "gotong" && strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/gotong"
	}
	return path
}
