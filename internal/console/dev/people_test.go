package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	browserpkg "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/chromedp"
)

// person is a user with a token.
type person struct {
	t                          *testing.T
	v                          village
	id, password, email, token string
}

// person signs up a user with this name.
func (v village) person(t *testing.T, name string) *person {
	t.Helper()
	p := &person{t: t, v: v, password: "hujan-deras-2026", email: name + "@rt05.example"}
	var auth struct {
		Token string `json:"access_token"`
		ID    string `json:"user_id"`
	}
	v.call(t, "POST", "/v1/auth/signup", "", map[string]string{"email": p.email, "pass": p.password, "username": name, "community_id": "rt05"}, &auth)
	p.token, p.id = auth.Token, auth.ID
	return p
}

// send makes a request that must succeed. Answer may be nil.
func (p *person) send(method, path string, body, answer any) {
	p.t.Helper()
	if status := p.v.call(p.t, method, path, p.token, body, answer); status >= http.StatusBadRequest {
		p.t.Fatalf("%s %s got %d", method, path, status)
	}
}

// thread makes an open thread and returns its path.
func (p *person) thread(name string, with ...*person) string {
	p.t.Helper()
	var thread struct {
		ID string `json:"thread_id"`
	}
	p.send("POST", "/v1/chat/threads", map[string]string{"scope_id": "rt05", "privacy_level": "public", "name": name}, &thread)
	path := "/v1/chat/threads/" + thread.ID
	for _, other := range with {
		other.send("POST", path+"/join", map[string]string{}, nil)
	}
	return path
}

// signIn opens the page at an address for this user.
func (p *tab) signIn(address string, as *person) {
	p.t.Helper()
	p.do(chromedp.Navigate("http://" + address + "/"))
	p.await("the door", `!!document.querySelector('.door input[type=email]')`)
	p.do(chromedp.SendKeys("input[name=email]", as.email, chromedp.ByQuery), chromedp.SendKeys("input[name=pass]", as.password+"\r", chromedp.ByQuery))
	p.await("the list", `document.querySelectorAll('.sidebar .item').length > 0`)
}

// go opens a thread by its path in the API.
func (p *tab) enterThread(path string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`location.hash = '#/t/%s'`, path[len("/v1/chat/threads/"):]), nil)
	p.await("the thread", `document.querySelector('.messages')?.ariaBusy === 'false'`)
}

// fits fails if something is wider than the screen.
func (p *tab) fits(where string) {
	p.t.Helper()
	var wide bool
	p.eval(`document.documentElement.scrollWidth > innerWidth`, &wide)
	if wide {
		p.t.Errorf("%s is wider than the screen", where)
	}
}

// hindered: behind a proxy that lets no WebSocket through, with a storage that is
// full, on a phone, the page works all the same, and keeps the order of messages. A newer page is offered, and comes
// when its user wants it. The documents of the API fit on the phone.
func hindered(t *testing.T, in context.Context, v village) {
	var newer atomic.Bool
	var sends atomic.Int32
	held := make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: v.address})
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/sw.js" || !newer.Load() || r.StatusCode != http.StatusOK {
			return nil
		}
		b, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader("/* newer */" + string(b)))
		r.Header.Del("Content-Length")
		return err
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no upgrades here", http.StatusBadGateway)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/messages/send") && sends.Add(1) == 1 {
			<-held // meanwhile, no later message overtakes it
		}
		if r.URL.Path == "/sw.js" {
			r.Header.Del("If-None-Match")
			r.Header.Del("Accept-Encoding")
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close) // after the tab is closed
	address := strings.TrimPrefix(s.URL, "http://")
	ani, budi := v.person(t, "Ani"), v.person(t, "Budi")
	thread := ani.thread("Ronda", budi)

	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.do(chromedp.Navigate("http://" + address + "/docs"))
	p.await("the documents", `document.querySelectorAll('h1, h2').length > 3`)
	p.fits("/docs")
	p.clean("/docs")
	p.signIn(address, ani)
	p.eval(`(() => { for (let size = 1 << 20; size > 0; size >>= 1) for (let i = 0; ; i++) try { localStorage['fill' + size + '.' + i] = 'x'.repeat(size) } catch { break } })()`, nil)
	p.enterThread(thread)
	budi.send("POST", thread+"/messages/send", map[string]string{"body": "Siapa jaga malam ini?"}, nil)
	p.await("a message", `document.querySelector('li[data-row] .text')?.innerText.startsWith('Siapa jaga')`)
	p.write("Saya")
	p.write("sampai subuh")
	budi.send("POST", thread+"/messages/send", map[string]string{"body": "Baik"}, nil)
	p.await("both on their way", `document.querySelectorAll('.pending').length === 2 && [...document.querySelectorAll('.text')].some(e => e.innerText.startsWith('Baik'))`)
	close(held)
	p.await("that both are sent", `document.querySelectorAll('.pending').length === 0 && document.querySelectorAll('.mine[data-row]').length === 2`)
	p.inOrder([]string{"Baik", "Saya", "sampai subuh"})
	p.await("a service worker", `!!navigator.serviceWorker.controller`)
	var full bool
	p.eval(`(() => { try { localStorage['one more'] = 'x'.repeat(100); return false } catch { return true } })()`, &full)
	if !full {
		t.Error("the storage is not full")
	}
	p.clean("full")
	newer.Store(true)
	p.eval(`document.dispatchEvent(new Event('visibilitychange'))`, nil)
	p.await("that a newer page is offered", `document.querySelector('.toast')?.innerText.includes('new version')`)
	p.fits("the offer")
	p.clean("offer of an update")
	p.eval(`window.old = true`, nil)
	p.click(".toast .link")
	p.await("the newer page", `!window.old && !document.querySelector('.toast') && document.querySelectorAll('li[data-row]').length === 4`)
}

// settings: a user sets their display name and mutes a thread for themselves and sets its level.
func settings(t *testing.T, in context.Context, v village) {
	citra, dewi := v.person(t, "Citra"), v.person(t, "Dewi")
	thread := citra.thread("Posyandu", dewi)
	dewi.send("POST", thread+"/messages/send", map[string]string{"body": "Timbangan rusak"}, nil)
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.signIn(v.address, citra)
	p.click(".who")
	p.do(chromedp.SendKeys("dialog input[name=name]", "Bu Citra 🌷", chromedp.ByQuery))
	p.clean("account")
	p.click("dialog form .primary")
	p.await("that the dialog is closed", `!document.querySelector('dialog')`)
	var members []struct{ Name, Username string }
	dewi.send("GET", thread+"/members", nil, &members)
	if fmt.Sprint(members) != "[{Bu Citra 🌷 Citra} {Dewi Dewi}]" && fmt.Sprint(members) != "[{Dewi Dewi} {Bu Citra 🌷 Citra}]" {
		t.Errorf("members: %v", members)
	}
	p.await("a count", `document.querySelector('.sidebar .count span')?.innerText === '1' && document.title.startsWith('(1)')`)
	p.enterThread(thread)
	p.click(`.pane .bar button.icon-button`)
	p.click(`.drawer button[aria-pressed=false]`)
	p.await("that it is muted", `document.querySelector('.drawer button[aria-pressed=true]')?.innerText.includes('Unmute')`)
	p.clean("muted")
	p.await("the level", `document.querySelector('.drawer label select')?.value === 'all'`)
	p.eval(`(() => { const level = document.querySelector('.drawer label select'); level.value = 'mentions'; level.dispatchEvent(new Event('change')) })()`, nil)
	p.await("that it is kept", `fetch('/v1/notifications/preferences', { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }).then(r => r.json()).then(p => p.threads[location.hash.slice(4)] === 'mentions')`)
	p.click(`.drawer .buttons button:not([aria-pressed]):not(.danger)`)
	p.await("the form", `!!document.querySelector('.drawer select[name=slow]')`)
	p.eval(`document.querySelector('.drawer select[name=slow]').value = '60'`, nil)
	p.fits("the slow mode")
	p.clean("slow mode")
	p.shot("slow")
	p.click(`.drawer form .primary`)
	p.await("the slow mode", `document.querySelector('.drawer .slow')?.innerText.includes('one message every 1 min')`)
	p.eval(`document.querySelector('dialog').close()`, nil)
	dewi.send("POST", thread+"/messages/send", map[string]string{"body": "Sudah dibetulkan"}, nil)
	p.eval(`location.hash = '#/'`, nil)
	p.await("no count in the title", `document.title === 'Gotong'`)
}

// concerns: a mention reaches the inbox, whose item leads to the message; names are
// completed while one writes; a push shows a notification and a later one closes it; an emergency reaches the inbox.
func concerns(t *testing.T, in context.Context, v village) {
	eko, fitri := v.person(t, "Eko"), v.person(t, "Fitri")
	thread := eko.thread("Banjir", fitri)
	for i := range 90 {
		fitri.send("POST", thread+"/messages/send", map[string]string{"body": fmt.Sprintf("Air naik %d cm", i)}, nil)
		if i == 3 {
			fitri.send("POST", thread+"/messages/send", map[string]string{"body": "Tolong @eko cek pompa, @siapa saja"}, nil)
		}
	}
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.signIn(v.address, eko)
	p.await("that it is counted", `document.querySelector('.bell .count span')?.innerText === '1' && document.querySelector('.sidebar .item .count span')?.innerText === '@'`)
	p.click(".heading .link")
	p.await("that all is read", `!document.querySelector('.sidebar .item .count')`)
	p.click(".bell")
	p.await("the inbox", `document.querySelector('.inbox .item')?.innerText.includes('mentioned you')`)
	p.click(".week summary")
	p.await("the week", `document.querySelector('.week li')?.innerText.startsWith('1 × mentioned you')`)
	p.fits("the week")
	p.clean("week")
	p.click("details:not(.week) summary")
	p.await("settings", `document.querySelectorAll('details input[type=checkbox]').length > 2`)
	p.fits("the inbox")
	p.clean("inbox")
	p.click(".inbox .item")
	p.await("the message", `document.querySelector('.row.shown .mention.me')?.innerText === '@eko' && document.querySelectorAll('.mention').length === 1`)
	p.await("that it is in view", `(() => { const r = document.querySelector('.row.shown').getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight })()`)
	p.await("that it is read", `!document.querySelector('.bell .count')`)
	p.clean("a message that was looked for")
	p.do(chromedp.Focus(".composer textarea", chromedp.ByQuery), chromedp.SendKeys(".composer textarea", "Siap @fi", chromedp.ByQuery))
	p.await("the names", `document.querySelector('.names [aria-selected=true]')?.innerText.includes('@Fitri')`)
	p.fits("the names")
	p.clean("names")
	p.do(press("Enter"))
	p.await("the name", `document.querySelector('.composer textarea').value === 'Siap @Fitri ' && !document.querySelector('.names')`)
	p.click(".send")
	p.await("the mention", `[...document.querySelectorAll('.mine .mention')].some(e => e.innerText === '@Fitri' && !e.classList.contains('me'))`)

	p.eval(`[...document.querySelectorAll('.row:not(.mine) .row-menu')].at(-1).click()`, nil)
	p.await("the menu", `(() => { const b = [...document.querySelectorAll('dialog .menu-item')].find(b => b.innerText.includes('unread from here')); b?.click(); return !!b })()`)
	p.await("that it is unread again", `document.querySelector('.sidebar .item .count span')?.innerText === '1' && location.hash === '#/'`)
	p.clean("counts")
	p.click(`.sidebar a[href="#/search"]`)
	p.await("the form", `!!document.querySelector('input[type=search]')`)
	p.await("the index", `fetch('/v1/search?query=pompa', { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }).then(r => r.json()).then(f => f.items.length > 0)`)
	p.do(chromedp.SendKeys("input[type=search]", "pompa\r", chromedp.ByQuery))
	p.await("what was found", `document.querySelector('.found mark')?.innerText.toLowerCase().includes('pompa') && document.querySelector('.found').innerText.includes('Banjir')`)
	p.fits("search")
	p.clean("search")
	p.shot("console-search-phone")
	p.click(".found .item")
	p.await("the message again", `document.querySelector('.row.shown .mention.me')?.innerText === '@eko'`)
	p.click(`.bar a[href^="#/search/"]`)
	p.await("a search in the thread", `document.querySelector('input[type=search]')?.value.startsWith('in:Banjir')`)

	p.await("a service worker", `!!navigator.serviceWorker.controller`)
	worker := make(chan serviceworker.RegistrationID, 64)
	chromedp.ListenTarget(p.ctx, func(event any) {
		if e, ok := event.(*serviceworker.EventWorkerRegistrationUpdated); ok {
			for _, r := range e.Registrations {
				if strings.HasPrefix(r.ScopeURL, "http://"+v.address) && !r.IsDeleted {
					select {
					case worker <- r.RegistrationID:
					default:
					}
				}
			}
		}
	})
	p.do(browserpkg.GrantPermissions([]browserpkg.PermissionType{browserpkg.PermissionTypeNotifications}).WithOrigin("http://"+v.address), serviceworker.Enable())
	id := <-worker
	push := func(unread int) { // the browser may drop one while it starts the worker
		data := fmt.Sprintf(`{"v":1,"type":"thread","stream":"thread/x","kind":"mention","group":"RT 05","n":12,"at_ms":1795968000000,"unread":%d,"badge":%d}`, unread, unread)
		p.do(serviceworker.DeliverPushMessage("http://"+v.address, id, data))
	}
	const shown = `navigator.serviceWorker.ready.then(r => r.getNotifications()).then(l => l.map(n => n.title + ': ' + n.body).join())`
	p.await("a notification", shown+`.then(s => s === 'You were mentioned in RT 05: 3 unread')`, func() { push(3) })
	p.await("that it is closed", shown+`.then(s => s === '')`, func() { push(0) })

	p.eval(`location.hash = '#/inbox'`, nil)
	p.await("the inbox again", `document.querySelector('.inbox .item')?.innerText.includes('mentioned you')`)
	alarm := fitri.thread("Tanggul")
	fitri.send("POST", alarm+"/members", map[string]string{"user_id": eko.id}, nil)
	p.await("that Eko was added", `document.querySelector('.inbox .item')?.innerText.includes('Tanggul')`)
	fitri.send("POST", alarm+"/messages/send", map[string]any{"body": "Tanggul jebol!", "siaga": true}, nil)
	p.await("the emergency", `document.querySelector('.inbox .item')?.innerText.includes('Fitri · Emergency') && document.querySelector('.inbox .item').innerText.includes('Tanggul jebol!')`)
	p.clean("emergency")
	p.click(".inbox .item")
	p.await("its message", `document.querySelector('.row.shown .text')?.innerText.startsWith('Tanggul jebol!')`)
	p.click(".bar .back")
	p.await("its thread in the list", `[...document.querySelectorAll('.sidebar .item')].some(i => i.innerText.includes('Tanggul'))`)
	alarm = fitri.thread("Dapur")
	fitri.send("POST", alarm+"/members", map[string]string{"user_id": eko.id}, nil)
	p.await("the count and the thread", `!!document.querySelector('.bell .count') && [...document.querySelectorAll('.sidebar .item')].some(i => i.innerText.includes('Dapur'))`)
}

// moderation: a member reports a message; a moderator finds it in the queue, reads it
// and rejects it; its author appeals, and it is published.
func moderation(t *testing.T, in context.Context, v village) {
	gita, hadi, indah := v.person(t, "Gita"), v.person(t, "Hadi"), v.person(t, "Indah")
	thread := gita.thread("Pasar", hadi, indah)
	hadi.send("POST", thread+"/messages/send", map[string]string{"body": "Beli di sini, murah!"}, nil)
	member := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	menu := func(p *tab, item string) {
		t.Helper()
		p.click(".row-menu")
		p.await(item, fmt.Sprintf(`(() => { const b = [...document.querySelectorAll('dialog .menu-item')].find(b => b.innerText.includes(%q)); b?.click(); return !!b })()`, item))
	}
	member.signIn(v.address, indah)
	member.enterThread(thread)
	menu(member, "Report")
	member.await("the form", `!!document.querySelector('dialog select')`)
	member.eval(`document.querySelector('dialog select').value = 'spam'`, nil)
	member.clean("report")
	member.click("dialog .primary")
	member.await("that it is sent", `!document.querySelector('dialog')`)

	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.signIn(v.address, gita)
	decide := func(action, note string) {
		t.Helper()
		p.click(`.bell`)
		p.click(`.queue .item`)
		p.click(`.review .primary`)
		p.await("the text", `document.querySelector('.review .held')?.innerText.includes('Beli di sini')`)
		p.fits("the review")
		p.clean("review")
		p.shot("console-review-phone")
		p.click(`.review input[value=` + action + `]`)
		if action == "hold_for_review" {
			p.await("the duration", `!!document.querySelector('.review input[name=minutes]')`)
			p.eval(`document.querySelector('.review input[name=minutes]').value = '90'`, nil)
			p.click(`.review input[name=ends]`)
		}
		p.eval(`document.querySelector('.review select').value = 'spam'`, nil)
		p.eval(`document.querySelector('.review select[name=severity]').value = 'low'`, nil)
		p.do(chromedp.SendKeys(".review textarea", note, chromedp.ByQuery))
		p.fits("the form")
		p.clean("decision")
		p.click(`.review form .primary`)
		p.await("the note", `[...document.querySelectorAll('.review .events li')].some(e => e.innerText.includes('Spam: Low') && e.innerText.includes('`+note+`'))`)
		p.await("the decision", `!document.querySelector('.review form [aria-disabled=true]') && [...document.querySelectorAll('.review .events li')].some(e => /^(Rejected|Published|Under review)/.test(e.innerText))`)
		p.eval(`location.hash = '#/'`, nil)
	}
	p.await("the reader", `fetch('/v1/moderations/review-queue', { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }).then(r => r.json()).then(l => l.length === 1)`)
	decide("hold_for_review", "Tunggu pengurus")
	var held struct {
		Status  string `json:"moderation_status"`
		Expires int64  `json:"hold_expires_at_ms"`
		Decided int64  `json:"decided_at_ms"`
		Release bool   `json:"auto_release_if_no_action"`
	}
	queue := []any{&held}
	gita.send("GET", "/v1/moderations/review-queue", nil, &queue)
	if held.Status != "under_review" || held.Expires-held.Decided != (90*time.Minute).Milliseconds() || !held.Release {
		t.Errorf("the hold is %+v", held)
	}
	decide("block", "Bukan tempat jualan")
	member.await("that it is rejected", `document.querySelector('li[data-row] .text')?.innerText === 'Held for review'`)
	author := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	author.signIn(v.address, hadi)
	author.await("that they know", `document.querySelector('.bell .count span')?.innerText === '2'`)
	author.enterThread(thread)
	menu(author, "Appeal")
	author.await("the form", `!!document.querySelector('dialog textarea')`)
	author.clean("appeal")
	author.click("dialog .primary")
	author.await("that it is sent", `!document.querySelector('dialog')`)
	p.await("the reader", `fetch('/v1/moderations/review-queue', { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }).then(r => r.json()).then(l => l.length === 1)`)
	decide("publish_with_warning", "Sekali ini boleh")
	member.await("the warning", `document.querySelector('li[data-row] .text')?.innerText.startsWith('Beli') && document.querySelector('.meta').innerText.includes('Spam')`)
}

// attached: a picture and a document are posted, on which others see the picture and
// get the document.
func attached(t *testing.T, in context.Context, v village) {
	joni, kartika := v.person(t, "Joni"), v.person(t, "Kartika")
	thread := joni.thread("Denah", kartika)
	dir := t.TempDir()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 400, 300))); err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(dir, "denah.png"), filepath.Join(dir, "iuran.txt")}
	for i, b := range [][]byte{picture.Bytes(), bytes.Repeat([]byte("iuran "), 1000)} {
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.signIn(v.address, joni)
	p.enterThread(thread)
	// Half of each of the first three parts arrives, and then the connection is cut.
	p.eval(`(() => { const whole = fetch; window.cuts = 0
		window.fetch = async (url, init) => {
			if (init?.method !== 'PATCH' || cuts === 3) return whole(url, init)
			cuts++
			await whole(url, { ...init, body: init.body.slice(0, init.body.size / 2) })
			throw new TypeError('cut')
		} })()`, nil)
	p.do(chromedp.SetUploadFiles("input[type=file]", files, chromedp.ByQuery))
	p.await("the cuts", `cuts === 3`)
	p.await("both uploads", `document.querySelectorAll('.uploads li').length === 2 && !document.querySelector('.uploads progress') && document.querySelector('.send').ariaDisabled === 'false'`)
	p.fits("the uploads")
	p.clean("uploads")
	p.click(".send")
	other := open(t, in, view{width: 1100, height: 700, scale: 1, language: "en-GB"})
	other.signIn(v.address, kartika)
	other.enterThread(thread)
	for _, of := range []*tab{p, other} {
		of.await("the picture", `document.querySelector('.picture img')?.naturalWidth > 100 && document.querySelector('.file')?.innerText.includes('iuran.txt')`)
	}
	other.click(".picture")
	other.await("the whole picture", `document.querySelector('dialog.large img')?.naturalWidth === 400`)
	other.clean("picture")
	var text string
	other.eval(`(async () => { const of = { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }
		const [m] = await (await fetch('`+thread+`/messages', of)).json()
		const { url } = await (await fetch('/v1/chat/attachments/' + m.attachments[1].attachment_id + '/link', of)).json()
		return (await fetch(url)).text() })()`, &text)
	if len(text) != 6000 {
		t.Errorf("the document has %d bytes", len(text))
	}
	other.await("the index", `fetch('/v1/search?query=has:file%20iuran', { headers: { authorization: 'Bearer ' + JSON.parse(localStorage['gotong.login']).access } }).then(r => r.json()).then(f => f.items.length === 1)`)
	for name, of := range map[string]*tab{"phone": p, "desktop": other} {
		of.eval(`document.querySelector('dialog')?.close(); location.hash = '#/search/has%3Afile%20iuran'`, nil)
		of.await("the file", `document.querySelector('.found .item mark')?.innerText === 'iuran' && document.querySelector('.found').innerText.includes('iuran.txt')`)
		of.fits("found files")
		of.clean("found files")
		of.shot("found-" + name)
	}
}
