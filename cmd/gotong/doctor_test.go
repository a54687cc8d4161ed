package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/gates"
)

func examined(t *testing.T, args ...string) map[string]gates.Result {
	t.Helper()
	r := command(t, nil, append([]string{"doctor", "--json", "--addr=127.0.0.1:1"}, args...)...)
	report := object[gates.Report](t, r)
	if want := map[gates.Verdict]int{gates.Go: 0, gates.NoGo: exitNoGo}[report.Verdict]; r.code != want {
		t.Errorf("%s ends with %d", report.Verdict, r.code)
	}
	byName := map[string]gates.Result{}
	for _, g := range report.Gates {
		byName[g.Gate] = g
	}
	return byName
}

// TestDoctor: each fault of a machine is found by its check.
func TestDoctor(t *testing.T) {
	db, _, _ := chatting(t)
	path, _ := strings.CutPrefix(db, "sqlite:")
	data := filepath.Dir(path)
	healthy := examined(t, "--data="+data, "--max-sessions=10")
	for _, name := range []string{"config", "clock", "open files", "store", "mail"} {
		if r := healthy[name]; r.Verdict != gates.Go {
			t.Errorf("%+v", r)
		}
	}
	if r := healthy["request"]; r.Verdict != gates.NotChecked {
		t.Errorf("%+v", r)
	}
	if r := examined(t, "--data="+data, "--max-sessions=100000000")["open files"]; r.Verdict != gates.NoGo {
		t.Errorf("%+v", r)
	}
	if err := os.Chmod(filepath.Join(data, backupKey), 0o644); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	sick := examined(t, "--data="+data, "--max-sessions=10", "--url=http://127.0.0.1:1",
		"--smtp=smtp://127.0.0.1:1", "--mail-from=a@example.org", "--public-url=https://chat.example.org")
	for name, says := range map[string]string{"modes": "other users may read", "clock": "lies ahead", "request": "refused", "mail": "refused"} {
		if r := sick[name]; r.Verdict != gates.NoGo || !strings.Contains(r.Findings[0].Seen, says) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	write(t, path, strings.Repeat("no database ", 1000))
	if r := examined(t, "--data="+data)["store"]; r.Verdict != gates.NoGo {
		t.Errorf("%+v", r)
	}
}

// TestDoctorJudgesAnswers: what an answer shows of the way to the server.
func TestDoctorJudgesAnswers(t *testing.T) {
	soon := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: time.Now().Add(time.Hour)}}}
	for says, resp := range map[string]*http.Response{
		"plain http":           {StatusCode: http.StatusOK},
		"answers 502":          {StatusCode: http.StatusBadGateway, Status: "502 Bad Gateway"},
		"the certificate ends": {StatusCode: http.StatusOK, TLS: soon},
		"its clock is at 2001": {StatusCode: http.StatusOK, Header: http.Header{"Date": {"Mon, 01 Jan 2001 00:00:00 GMT"}}},
	} {
		c, f := doctorCmd{URL: "https://chat.example.org"}, findings{}
		c.judge(&f, &url.URL{Scheme: "https", Host: "chat.example.org"}, resp)
		if !f.say(says) {
			t.Errorf("%q is not found: %+v", says, f)
		}
	}
}

// TestDoctorJudgesOpenFiles: where the server lowers max-sessions to less than half, it is a no-go.
func TestDoctorJudgesOpenFiles(t *testing.T) {
	for limit, want := range map[uint64]gates.Verdict{
		0: gates.NotChecked, 1024: gates.NoGo, 10_999: gates.NoGo, 11_000: gates.Warning, 20_000: gates.Warning, 20_999: gates.Warning,
		21_000: gates.Go, 1<<64 - 1: gates.Go,
	} {
		f := findings{}
		if judgeFiles(&f, limit, 20_000); f.worst() != want {
			t.Errorf("%d: %+v", limit, f)
		}
	}
}

// say reports whether a finding other than go contains a text.
func (f *findings) say(text string) bool {
	return slices.ContainsFunc(*f, func(one gates.Finding) bool { return one.Verdict != gates.Go && strings.Contains(one.Seen, text) })
}

// TestDoctorJudgesProxies: what the server's own view of a request shows of the proxy.
func TestDoctorJudgesProxies(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "chat.example.org"}
	good := app.Seen{Host: "chat.example.org:443", Peer: "10.0.0.1", Trusted: true, Client: "203.0.113.9"}
	for says, change := range map[string]func(*app.Seen){
		"10.0.0.1 is in front of the server and is not trusted": func(s *app.Seen) { s.Trusted, s.Client = false, s.Peer },
		"believes an invented address":                          func(s *app.Seen) { s.Client = invented },
		"does not name its clients":                             func(s *app.Seen) { s.Client = s.Peer },
		"sees the host 127.0.0.1:8080":                          func(s *app.Seen) { s.Host = "127.0.0.1:8080" },
	} {
		f, seen := findings{}, good
		change(&seen)
		if judgeSeen(&f, u, &seen); !f.say(says) {
			t.Errorf("%q is not found: %+v", says, f)
		}
	}
	f := findings{}
	if judgeSeen(&f, u, &good); f.worst() != gates.Go {
		t.Errorf("%+v", f)
	}
}

// TestDoctorAsksTheServer: a running server tells the holder of its key, and nobody else, how a
// request reached it.
func TestDoctorAsksTheServer(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	b := interruptible(t, serveArgs(data, "--trusted-proxies=127.0.0.1")...)
	defer b.stop()
	address := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	r := examined(t, "--data="+data, "--max-sessions=10", "--url="+address)["request"]
	if f := findings(r.Findings); r.Verdict != gates.Warning || !f.say("on this machine alone") || !f.say("believes an invented address") {
		t.Errorf("%+v", r)
	}
	other := examined(t, "--data="+t.TempDir(), "--max-sessions=10", "--url="+address)["request"]
	if f := findings(other.Findings); f.say("believes") || !f.say("without the server's key") {
		t.Errorf("%+v", other)
	}
	for _, token := range []string{"", account(t, address, "Wati")} {
		if a, err := request(t.Context(), http.MethodGet, address+app.SeenPath, token, nil); err != nil || a.code != http.StatusNotFound {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

// TestDoctorRunsTheGates: of a SurrealDB, the gates decide too.
func TestDoctorRunsTheGates(t *testing.T) {
	args := []string{
		"doctor", "--store=surreal://root:hidden@127.0.0.1:1/a/b", "--addr=127.0.0.1:1", "--data=" + t.TempDir(), "--signing-key=" + auth.NewSigningKey(),
	}
	r := command(t, nil, args...)
	if r.code != exitNotKnown || !strings.Contains(r.err, "whether the server runs") || strings.Contains(r.out+r.err, "hidden") {
		t.Errorf("%+v", r)
	}
	r = command(t, nil, append(args, "--without-gates")...)
	if r.code != exitNoGo || !strings.Contains(r.out, "store        no-go") || strings.Contains(r.out+r.err, "hidden") {
		t.Errorf("%+v", r)
	}
}

// TestDoctorReport: the report as text and as JSON, with the numbers of this machine left out. The
// check of the disk, whose verdict depends on the machine, is not in it.
func TestDoctorReport(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o770); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o770); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	r := gates.Report{Server: "gotong", Target: data, Verdict: gates.Go}
	c := doctorCmd{Config: config.Config{Data: data, Addr: "127.0.0.1:1", MaxSessions: 10}}
	for _, check := range c.checks() {
		if f := (findings{}); check.name != "disk" && check.name != "config" {
			check.do(t.Context(), &f)
			r.Gates = append(r.Gates, gates.Result{Gate: check.name, Asks: check.asks, Verdict: f.worst(), Findings: f})
		}
	}
	asJSON, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(r.Text(nil)+string(asJSON)+"\n", dir, "DIR")
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`).ReplaceAllString(text, "TIME")
	golden(t, "testdata/doctor.golden", regexp.MustCompile(`\d+ files may`).ReplaceAllString(text, "N files may"))
}

// TestDataThatAllMayWrite: a server does not keep its data where every user may change it.
func TestDataThatAllMayWrite(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if r := command(t, nil, serveArgs(data)...); r.code != 1 || !strings.Contains(r.err, "chmod o-w "+data) {
		t.Errorf("%+v", r)
	}
}
