package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium returns the path of the browser. Without one, CI fails and a
// developer's test is skipped.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no Chromium: dev/install-packages installs it")
	}
	t.Skip("NOT TESTED: the console, because there is no Chromium")
	return ""
}

// village is a running demo.
type village struct {
	address  string // of the server, host:port
	token    string // of the guest, for an hour
	operator string // the address of the operators' page
	email    string
	password string
	mail     *mailbox
}

var (
	invited  = regexp.MustCompile(`http://(\S+)/#token=(\S+)`)
	sesame   = regexp.MustCompile(`as (\S+@\S+) with the password (\S+)`)
	operates = regexp.MustCompile(`http://\S+/#token=\S+&key=\S+`)
	complete = "Ctrl-C ends it."
)

// demo builds the program and starts a demo with it.
func demo(t *testing.T, args ...string) village {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gotong")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/gotong")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args = append([]string{"demo", "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--open=false"}, args...)
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), complete) {
		text.WriteString(lines.Text() + "\n")
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, out) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	})
	door, login := invited.FindStringSubmatch(text.String()), sesame.FindStringSubmatch(text.String())
	if door == nil || login == nil {
		t.Fatalf("no address in:\n%s", text.String())
	}
	return village{
		address: door[1], token: door[2], operator: operates.FindString(text.String()), email: login[1], password: login[2],
	}
}

// call sends a request to the API and returns the status of its answer.
func (v village) call(t *testing.T, method, path, token string, body, answer any) int {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+v.address+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodGet {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if answer != nil {
		if err := json.NewDecoder(a.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
	return a.StatusCode
}

// wire is a TCP proxy that can be cut, as a network is.
type wire struct {
	address string
	mu      sync.Mutex
	cut     bool
	open    map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String(), open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.carry(c, to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.set(true)
		running.Wait()
	})
	return w
}

func (w *wire) carry(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	w.mu.Lock()
	if w.cut {
		w.mu.Unlock()
		return
	}
	w.open[c], w.open[s] = true, true
	w.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(s, c); _ = s.Close() }()
	_, _ = io.Copy(c, s)
	_ = c.Close()
	<-done
	w.mu.Lock()
	delete(w.open, c)
	delete(w.open, s)
	w.mu.Unlock()
}

// set cuts all connections and lets no new one through, or heals the network.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.open {
			_ = c.Close()
		}
	}
}

// tab is a page in Chromium. What it reports is collected.
type tab struct {
	t     *testing.T
	ctx   context.Context
	phone bool

	mu     sync.Mutex
	faults []string
}

// view is a size of screen and the preferences of its user.
type view struct {
	width, height int64
	scale         float64
	phone         bool
	dark          bool
	language      string
}

// patience bounds what the page is waited for; a busy machine is slow.
const patience = 3 * time.Minute

func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("host-resolver-rules", "MAP gotong.test 127.0.0.1"))
	fonts, err := filepath.Abs("fonts.conf")
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, chromedp.Env("FONTCONFIG_FILE="+fonts))
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, in context.Context, v view) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(in)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, phone: v.phone}
	chromedp.ListenTarget(ctx, p.report)
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	p.do(log.Enable(), runtime.Enable(),
		emulation.SetFocusEmulationEnabled(true),
		emulation.SetDeviceMetricsOverride(v.width, v.height, v.scale, v.phone),
		emulation.SetTouchEmulationEnabled(v.phone),
		emulation.SetLocaleOverride().WithLocale(v.language),
		emulation.SetUserAgentOverride("Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36").WithAcceptLanguage(v.language),
		emulation.SetTimezoneOverride("Asia/Jakarta"),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(`window.violations = []
				document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber))`).Do(ctx)
			return err
		}))
	return p
}

// report collects errors. Requests that fail are the network's, which the test cuts.
func (p *tab) report(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			args, _ := json.Marshal(e.Args)
			p.faults = append(p.faults, "console: "+string(args))
		}
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, "exception: "+e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork && !strings.Contains(e.Entry.Text, "WebSocket connection to") {
			p.faults = append(p.faults, "log: "+e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (p *tab) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval evaluates an expression in the page into out.
func (p *tab) eval(expression string, out any) {
	p.t.Helper()
	p.do(chromedp.Evaluate(expression, out, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
}

// await waits until an expression is true. It does what has to come before, again every
// few seconds.
func (p *tab) await(what, expression string, before ...func()) {
	p.t.Helper()
	var ok bool
	began := time.Now()
	defer func() { p.t.Logf("%s after %s", what, time.Since(began).Round(10*time.Millisecond)) }()
	var err error
	for time.Since(began) < patience && !ok {
		for _, f := range before {
			f()
		}
		asked, done := context.WithTimeout(p.ctx, 5*time.Second) // a page that is left while it is asked may never answer
		err = chromedp.Run(asked, chromedp.Poll(expression, &ok, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(4*time.Second)))
		done()
	}
	if err != nil || !ok {
		var body string
		_ = chromedp.Run(p.ctx, chromedp.Evaluate(`document.body.innerText`, &body))
		p.shot("failed")
		p.t.Fatalf("waited for %s: %v\n%s", what, err, body)
	}
}

// click clicks the first element that a selector finds.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.await(selector, fmt.Sprintf(`!!document.querySelector(%q)`, selector))
	p.eval(fmt.Sprintf(`document.querySelector(%q).click()`, selector), nil)
}

// enter opens the console with the address that a demo prints.
func (p *tab) enter(address, token string) {
	p.t.Helper()
	p.do(chromedp.Navigate("http://" + address + "/#token=" + token))
	p.await("the offer", `!location.href.includes('token') && document.querySelector('.door form strong')?.innerText === 'Tamu'`)
	p.clean("offer")
	p.click(".door .primary")
	p.await("the list", `!!document.querySelector('.sidebar')`)
}

// write types a message and sends it.
func (p *tab) write(text string) {
	p.t.Helper()
	p.do(chromedp.Focus(".composer textarea", chromedp.ByQuery), chromedp.SendKeys(".composer textarea", text, chromedp.ByQuery))
	if p.phone {
		p.click(".send")
	} else {
		p.do(press("Enter"))
	}
}

// texts returns the messages of the thread that is shown, in their order.
func (p *tab) texts() (list []string) {
	p.t.Helper()
	p.eval(`[...document.querySelectorAll('li[data-row] .text')].map(e => e.innerText)`, &list)
	return list
}

// clean fails if the page has reported anything, or breaks a rule of accessibility.
func (p *tab) clean(where string) {
	p.t.Helper()
	var violations []string
	p.eval(`window.violations`, &violations)
	p.mu.Lock()
	faults := append(violations, p.faults...)
	p.mu.Unlock()
	for _, f := range faults {
		p.t.Errorf("%s: %s", where, f)
	}
	axe, err := os.ReadFile("../app/node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Fatal(err)
	}
	var found []struct {
		ID    string
		Nodes []struct {
			HTML           string `json:"html"`
			FailureSummary string `json:"failureSummary"`
		}
	}
	p.eval(string(axe)+`;axe.run().then(r => r.violations)`, &found)
	for _, v := range found {
		for _, n := range v.Nodes {
			p.t.Errorf("%s: axe: %s: %s\n%s", where, v.ID, n.HTML, n.FailureSummary)
		}
	}
}

// shot writes a screenshot.
func (p *tab) shot(name string) {
	dir := os.Getenv("GOTONG_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot(&png)); err != nil {
		p.t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}

// TestConsole opens the console of a demo in the ways of its users.
func TestConsole(t *testing.T) {
	in := browser(t)
	mail := newMailbox(t)
	v := demo(t, "--smtp=smtp://"+mail.address, "--mail-from=no-reply@rt05.example", "--public-url=https://rt05.example", "--user-rate=100000", "--user-burst=100000", "--address-rate=100000", "--address-burst=100000", "--command-rate=100000", "--command-burst=100000")
	v.mail = mail
	t.Run("cuts", func(t *testing.T) { cuts(t, in, v) })
	t.Run("tabs", func(t *testing.T) { tabs(t, in, v) })
	t.Run("plain HTTP", func(t *testing.T) { plainHTTP(t, in, v) })
	t.Run("hindered", func(t *testing.T) { hindered(t, in, v) })
	t.Run("settings", func(t *testing.T) { settings(t, in, v) })
	t.Run("own account", func(t *testing.T) { ownAccount(t, in, v) })
	t.Run("concerns", func(t *testing.T) { concerns(t, in, v) })
	t.Run("answers", func(t *testing.T) { answers(t, in, v) })
	t.Run("moderation", func(t *testing.T) { moderation(t, in, v) })
	t.Run("attached", func(t *testing.T) { attached(t, in, v) })
	t.Run("blocks", func(t *testing.T) { blocks(t, in, v) })
	t.Run("policy", func(t *testing.T) { policy(t, in, v) })
	t.Run("operator", func(t *testing.T) { operator(t, in, v) })
	t.Run("devices", func(t *testing.T) { devices(t, in, v) })
	t.Run("newcomer", func(t *testing.T) { newcomer(t, in, v) }) // last, because it ends the login of the token
}

// newcomer opens the console for the first time: they sign in as the printed
// neighbour, write, get an answer, lose the network, write on, open the page again,
// close the lid, and come back. Every message is there, in order, once.
func newcomer(t *testing.T, in context.Context, v village) {
	network := newWire(t, v.address)
	p := open(t, in, view{width: 1200, height: 800, scale: 1, language: "id-ID"})
	p.enter(network.address, v.token)
	p.await("the threads", `document.querySelectorAll('.sidebar .item').length >= 1`)
	p.click(`.sidebar .item:not(:has(.item-line > .icon))`) // the open one
	p.await("the messages", `document.querySelectorAll('li[data-row]').length > 5`)
	p.write("Halo, saya tetangga baru")
	p.await("the answer", `[...document.querySelectorAll('li[data-row] .text')].some(e => e.innerText.includes('Halo Tamu, selamat datang'))`)
	p.clean("thread")
	p.await("the service worker", `!!navigator.serviceWorker.controller`)

	network.set(true)
	p.await("that the network is lost", `document.querySelector('.connection span').innerText !== ''`)
	p.write("Jaringan putus, saya tetap menulis")
	p.write("Pesan kedua tanpa jaringan")
	p.await("both waiting", `document.querySelectorAll('.pending').length === 2 && /2 menunggu/.test(document.querySelector('.connection').innerText)`)
	p.clean("offline")
	p.do(chromedp.Reload())
	p.await("both waiting after a reload", `document.querySelectorAll('.pending').length === 2 && document.querySelectorAll('li[data-row]').length > 8`)
	p.do(page.SetWebLifecycleState(page.SetWebLifecycleStateStateFrozen)) // the lid closes
	network.set(false)
	p.do(page.SetWebLifecycleState(page.SetWebLifecycleStateStateActive))
	p.await("both sent", `document.querySelectorAll('.pending').length === 0 && document.querySelector('.messages')?.ariaBusy === 'false'`)

	want := []string{"Halo, saya tetangga baru", "Halo Tamu, selamat datang", "Jaringan putus, saya tetap menulis", "Pesan kedua tanpa jaringan"}
	p.inOrder(want)
	p.do(chromedp.Reload())
	p.await("the messages again", `document.querySelector('.messages')?.ariaBusy === 'false'`)
	p.inOrder(want)
	var twice []string
	p.eval(`(() => { const ids = [...document.querySelectorAll('li[data-row]')].map(e => e.dataset.id); return ids.filter((id, i) => ids.indexOf(id) !== i) })()`, &twice)
	if len(twice) > 0 {
		t.Errorf("shown twice: %v", twice)
	}
	p.clean("back")
	p.signOut()
	if status := v.call(t, "GET", "/v1/auth/me", v.token, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("after signing out, the token gets %d", status)
	}
}

// press presses a key. Unlike chromedp's own keys, it types nothing if the page
// has handled the key.
func press(key string) chromedp.Action {
	down := input.DispatchKeyEvent(input.KeyDown).WithKey(key).WithCode(key)
	if key == "Enter" {
		down = down.WithText("\r").WithWindowsVirtualKeyCode(13)
	}
	return chromedp.Tasks{down, input.DispatchKeyEvent(input.KeyUp).WithKey(key).WithCode(key)}
}

// signOut signs out, and fails if anything of the user is left on the device.
func (p *tab) signOut() {
	p.t.Helper()
	p.click(".who")
	p.click("dialog .danger")
	p.await("the door", `!!document.querySelector('.door input[type=email]')`)
	p.await("that nothing is left", `indexedDB.databases().then(list => list.length === 0 && Object.keys(localStorage).every(k => k === 'gotong.language'))`)
}

// devices: the counts of two devices of one user agree, whichever reads. One is a
// phone, on which nothing is wider than the screen.
func devices(t *testing.T, in context.Context, v village) {
	phone := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	other := open(t, in, view{width: 1200, height: 800, scale: 1, language: "en-GB"})
	host := newWire(t, v.address) // another origin, hence another device
	phone.enter(v.address, v.token)
	other.enter(host.address, v.token)
	const counts = `document.querySelectorAll('.sidebar .count').length`
	for _, p := range []*tab{phone, other} {
		p.await("counts", counts+` >= 1`)
	}
	private := `.sidebar .item:has(.item-line > .icon)`
	phone.click(private)
	phone.await("the messages", `document.querySelectorAll('li[data-row]').length > 5`)
	var wide bool
	phone.eval(`document.documentElement.scrollWidth > innerWidth || document.querySelector('.messages .scroll').scrollWidth > innerWidth`, &wide)
	if wide {
		t.Error("the page is wider than 360 px")
	}
	phone.clean("phone")
	phone.eval(`document.querySelector('.messages .scroll').scrollTo(0, 1e6)`, nil)
	for _, p := range []*tab{phone, other} { // what the neighbours post now is read at once on the phone
		p.await("that nothing is unread", `!document.querySelector('`+private+` .count')`)
	}
	other.eval(`document.querySelector('`+private+`').focus()`, nil)
	other.do(press("Enter")) // by keyboard alone: open, go up in the list, open the actions, react
	other.await("the messages", `document.querySelectorAll('li[data-row]').length > 5`)
	other.eval(`document.querySelector('li[data-row][tabindex="0"]').focus()`, nil)
	other.do(press("ArrowUp"), press("Enter"))
	other.await("the actions", `!!document.querySelector('dialog.menu')`)
	other.do(press("Enter"))
	for _, p := range []*tab{phone, other} {
		p.await("the reaction", `[...document.querySelectorAll('.reactions button')].some(b => b.innerText.startsWith('👍'))`)
	}
	other.clean("keyboard")

	// A removal deletes the thread from both devices, with its copy, and a message
	// that had failed.
	copied := `(async () => (await new Promise((ok) => { const r = indexedDB.open('gotong', 1); r.onsuccess = () => ok(new Promise((keys) => {
		r.result.transaction('copies').objectStore('copies').getAllKeys().onsuccess = (e) => { r.result.close(); keys(e.target.result) } })) })).filter(k => k.includes('/thread/')).length)()`
	phone.await("the copy", copied+`.then(n => n > 0)`)
	phone.eval(`(() => { const outbox = 'gotong.outbox.' + JSON.parse(localStorage['gotong.login']).userId + '.empty'
		localStorage[outbox] = JSON.stringify({stream: 'thread/' + location.hash.split('/')[2], type: 'message.post', data: {body: ''}, requestId: 'empty'}) })()`, nil)
	phone.do(chromedp.Reload())
	phone.await("that the message failed", `!!document.querySelector('.pending .failed')`)
	var joko struct {
		Token string `json:"access_token"`
	}
	v.call(t, "POST", "/v1/auth/signin", "", map[string]string{"email": "pak.joko@rt05.example", "pass": v.password}, &joko)
	var groups struct {
		Items []struct {
			ID string `json:"group_id"`
		}
	}
	v.call(t, "GET", "/v1/groups/me", joko.Token, nil, &groups)
	var me string
	phone.eval(`JSON.parse(localStorage['gotong.login']).userId`, &me)
	if status := v.call(t, "POST", "/v1/groups/"+groups.Items[0].ID+"/members/"+me+"/remove", joko.Token, map[string]string{}, nil); status != http.StatusOK {
		t.Errorf("the removal got %d", status)
	}
	for _, p := range []*tab{phone, other} {
		p.await("that the thread is gone", `!document.querySelector('`+private+`') && document.querySelectorAll('li[data-row]').length === 0`)
	}
	phone.await("that its copy is gone", copied+`.then(n => n === 0)`)
	phone.await("that its message is gone", `!Object.keys(localStorage).some(k => k.startsWith('gotong.outbox.'))`)
}

// plainHTTP: on a page without HTTPS, where browsers have no service workers, locks
// or caches, all else works. The user signs in with the password.
func plainHTTP(t *testing.T, in context.Context, v village) {
	p := open(t, in, view{width: 900, height: 700, scale: 1, language: "fr"})
	_, port, err := net.SplitHostPort(v.address)
	if err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate("http://gotong.test:" + port + "/"))
	p.do(chromedp.SendKeys("input[name=email]", v.email, chromedp.ByQuery), chromedp.SendKeys("input[name=pass]", v.password+"\r", chromedp.ByQuery))
	p.await("the threads", `!isSecureContext && document.querySelectorAll('.sidebar .item').length >= 3`)
	p.click(`.sidebar .item:not(:has(.item-line > .icon))`)
	p.await("the messages", `document.querySelectorAll('li[data-row]').length > 5`)
	p.write("<b>Tanpa HTTPS</b> javascript:alert(1) http://rt05.example@rt06.example/ https://a:b@rt06.example http://rt05.example/x.")
	p.await("it is sent", `document.querySelectorAll('.pending').length === 0 && [...document.querySelectorAll('.mine .text')].some(e => e.innerText.startsWith('<b>Tanpa HTTPS</b>'))`)
	var links []string
	p.eval(`[...document.querySelectorAll('.text a')].map(a => a.href + ' ' + a.rel)`, &links)
	if len(links) != 1 || links[0] != "http://rt05.example/x noopener noreferrer" {
		t.Errorf("links: %q", links)
	}
	p.await("an import, from someone with another's name", `(async () => {
		const { access, username } = JSON.parse(localStorage['gotong.login'])
		const send = async (method, path, body) => (await fetch(path, { method, body: JSON.stringify(body), headers: {
			authorization: 'Bearer ' + access, 'content-type': 'application/json', 'idempotency-key': 'import-' + path.length } })).json()
		await send('PUT', '/v1/auth/me/name', { name: 'Pak RT' })
		const thread = await send('POST', '/v1/chat/threads', { scope_id: 'rt05', privacy_level: 'private' })
		await send('POST', '/v1/chat/threads/' + thread.thread_id + '/messages/send', { body: 'Kata orang lain', sent_by: 'Bu Wati' })
		location.hash = '#/t/' + thread.thread_id
		window.username = username
		return true
	})()`)
	p.await("that it is named an import", `/imported/.test([...document.querySelectorAll('li[data-row]')].find(e => e.innerText.includes('Kata orang lain'))?.querySelector('.meta').innerText)`)
	p.click(`.bar .icon-button[aria-label="Details and members"]`)
	p.await("the user name beside the display name", `document.querySelector('.people')?.innerText.includes('Pak RT') && document.querySelector('.people').innerText.includes('@' + username)`)
	p.click(`.drawer .account .icon-button`)
	p.await("that it is as before", `Promise.all([['PUT', '/v1/auth/me/name', '{"name":""}'], ['POST', '/v1/chat/threads/' + location.hash.slice(4) + '/leave']].map(([method, path, body]) =>
		fetch(path, { method, body, headers: { 'content-type': 'application/json', 'idempotency-key': 'undo', authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } })
	)).then(all => all.every(r => r.ok))`)
	p.clean("plain HTTP")
	p.signOut()
}

// inOrder fails unless each text begins exactly one message, in this order.
func (p *tab) inOrder(want []string) {
	p.t.Helper()
	at, list := -1, p.texts()
	for _, w := range want {
		found := 0
		for i, text := range list {
			if strings.HasPrefix(text, w) {
				if found++; i < at {
					p.t.Errorf("%q is at %d, before %d", w, i, at)
				}
				at = i
			}
		}
		if found != 1 {
			p.t.Errorf("%q is there %d times in %q", w, found, list)
		}
	}
}

// TestScreenshots writes the pictures of docs/images: eight states, on a phone and
// on a desktop. It runs for make screenshots alone.
func TestScreenshots(t *testing.T) {
	if os.Getenv("GOTONG_SCREENSHOTS") == "" {
		t.Skip("only for make screenshots")
	}
	v := demo(t)
	network := newWire(t, v.address)
	in := browser(t)
	phone := open(t, in, view{width: 360, height: 740, scale: 1.5, phone: true, language: "id-ID"})
	desktop := open(t, phone.ctx, view{width: 1120, height: 720, scale: 1, language: "en-GB"})
	tabs := []*tab{phone, desktop}
	each := func(state string, run func(p *tab)) {
		for _, p := range tabs {
			run(p)
			p.do(chromedp.Sleep(300 * time.Millisecond)) // what moves comes to rest; pictures only
			p.clean(state)
			p.shot("console-" + state + map[bool]string{true: "-phone", false: "-desktop"}[p.phone])
		}
	}
	each("signin", func(p *tab) {
		p.do(chromedp.Navigate("http://" + network.address + "/"))
		p.await("the door", `!!document.querySelector('.door')`)
	})
	phone.enter(network.address, v.token)
	each("list", func(p *tab) {
		if !p.phone {
			p.do(chromedp.Navigate("http://"+network.address+"/#/"), chromedp.Reload())
		}
		p.await("the list", `document.querySelectorAll('.item time').length >= 2 && document.querySelectorAll('.sidebar .tag').length > 0`)
	})
	each("case", func(p *tab) {
		p.click(`.sidebar .item[href*="#/c/"]`)
		p.await("a vote", `document.querySelectorAll('.vote').length === 3`)
		p.click(".vote.yes")
		p.await("the vote", `document.querySelector('.vote.yes').ariaPressed === 'true'`)
	})
	each("thread", func(p *tab) {
		p.click(`.sidebar .item:not(:has(.item-line > .icon))`)
		p.await("messages", `document.querySelectorAll('li[data-row]').length > 5`)
		if !strings.Contains(strings.Join(p.texts(), "\n"), "Saya bisa bantu") {
			p.write("Saya bisa bantu di dapur besok 🙋")
			p.await("the answer", `[...document.querySelectorAll('li[data-row] .text')].some(e => e.innerText.includes('kumpul di balai ya'))`)
		}
	})
	each("dark", func(p *tab) {
		p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	})
	each("menu", func(p *tab) {
		p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}))
		p.eval(`[...document.querySelectorAll('.row.mine .row-menu')].at(-1).click()`, nil)
		p.await("the menu", `!!document.querySelector('dialog.menu')`)
	})
	each("members", func(p *tab) {
		p.eval(`document.querySelector('dialog').close()`, nil)
		p.click(".pane .bar button.icon-button")
		p.await("members", `document.querySelectorAll('.drawer .people .item').length === 6`)
	})
	for _, p := range tabs {
		p.eval(`document.querySelector('dialog').close()`, nil)
		p.operate(v.operator)
		p.do(chromedp.Sleep(20 * time.Second)) // the charts get points; pictures only
		p.shot("operator" + map[bool]string{true: "-phone", false: "-desktop"}[p.phone])
		p.do(chromedp.Navigate("http://" + network.address + "/"))
		p.click(`.sidebar .item:not(:has(.item-line > .icon))`)
	}
	network.set(true)
	each("offline", func(p *tab) {
		p.await("that the network is lost", `document.querySelector('.connection span').innerText !== ''`)
		p.write("Saya bawa dua sekop dan gerobak")
		p.await("waiting", `document.querySelectorAll('.pending').length === 1`)
	})
	network.set(false)
}
