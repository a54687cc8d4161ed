package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// mailbox is a mail server on a loopback address that accepts everything.
type mailbox struct {
	address string
	tokens  chan string // of the links in the mail that came
}

var resets = regexp.MustCompile(`/#reset=(\S+)`)

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{l.Addr().String(), make(chan string, 8)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { m.receive(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return m
}

func (m *mailbox) receive(c net.Conn) {
	defer c.Close()
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 test")
	var text strings.Builder
	for lines, in := bufio.NewScanner(c), false; lines.Scan(); {
		switch line := lines.Text(); {
		case in && line == ".":
			in = false
			plain, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(text.String())))
			if found := resets.FindSubmatch(plain); found != nil {
				m.tokens <- string(found[1])
			}
			say("250 accepted")
		case in:
			text.WriteString(line + "\r\n")
		case strings.HasPrefix(line, "DATA"):
			in = true
			say("354 go on")
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return
		default:
			say("250 yes")
		}
	}
}

// fill types into the fields of a form, by name, and sends it.
func (p *tab) fill(form string, fields ...[2]string) {
	p.t.Helper()
	for _, f := range fields {
		at := fmt.Sprintf("%s [name=%s]", form, f[0])
		p.await(at, fmt.Sprintf(`!!document.querySelector(%q)`, at))
		p.eval(fmt.Sprintf(`document.querySelector(%q).value = ''`, at), nil)
		p.do(chromedp.SendKeys(at, f[1], chromedp.ByQuery))
	}
	p.click(form + " .primary")
}

// ownAccount: a user who forgot the password gets a link by mail, sets a new one, signs
// in, changes it and the address, ends another login, and deletes the account.
func ownAccount(t *testing.T, in context.Context, v village) {
	hani := v.person(t, "Hani")
	hani.thread("Kebun")
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.do(chromedp.Navigate("http://" + v.address + "/"))
	p.click(".door .forgot")
	p.await("the form", `document.querySelectorAll('.door input').length === 1`)
	p.clean("forgot")
	p.shot("forgot")
	p.fill(".door", [2]string{"email", hani.email})
	p.await("that a link is sent", `document.querySelector('.door [role=status]').innerText.includes('on its way')`)
	p.clean("sent")

	token := <-v.mail.tokens
	p.eval(fmt.Sprintf(`location.hash = '#reset=%s'`, token), nil) // in a tab that is open
	p.await("the new password", `!location.href.includes('reset') && document.querySelectorAll('.door input[type=password]').length === 2`)
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate("http://"+v.address+"/#reset="+token)) // and in a fresh one
	p.await("the new password", `!location.href.includes('reset') && document.querySelectorAll('.door input[type=password]').length === 2`)
	p.fits("the new password")
	p.clean("reset")
	p.shot("reset")
	p.fill(".door", [2]string{"new", "kebun-jagung-2026"}, [2]string{"again", "kebun-jagung-2025"})
	p.await("that they differ", `document.querySelector('.door [role=alert]').innerText.includes('differ')`)
	p.fill(".door", [2]string{"new", "kebun-jagung-2026"}, [2]string{"again", "kebun-jagung-2026"})
	p.await("that it is changed", `document.querySelector('.door .note')?.innerText.includes('changed') && !!document.querySelector('.door input[type=email]')`)
	p.clean("changed")
	if status := v.call(t, "GET", "/v1/auth/me", hani.token, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("the login of before goes on: %d", status)
	}
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate("http://"+v.address+"/#reset="+token))
	p.fill(".door", [2]string{"new", "satu-lagi-2026"}, [2]string{"again", "satu-lagi-2026"})
	p.await("that the link is spent", `document.querySelector('.door [role=alert]').innerText.includes('not valid')`)
	p.click(".door .plain")

	hani.password = "kebun-jagung-2026"
	p.signIn(v.address, hani)
	var other struct {
		Token string `json:"access_token"`
	}
	v.call(t, "POST", "/v1/auth/signin", "", map[string]string{"email": hani.email, "pass": hani.password}, &other)
	p.click(".who")
	p.click(`dialog a[href="#/account"]`)
	p.await("the logins", `document.querySelectorAll('.page .cards li').length === 2 && document.querySelectorAll('.page .cards .tag').length === 1`)
	p.fits("the account")
	p.clean("account")
	p.shot("account")
	p.click(".page .cards button")
	p.await("that one is ended", `document.querySelectorAll('.page .cards li').length === 1`)
	if status := v.call(t, "GET", "/v1/auth/me", other.Token, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("the ended login goes on: %d", status)
	}
	first, second := ".page > section:nth-of-type(1)", ".page > section:nth-of-type(2)"
	p.fill(first, [2]string{"current", "salah-semua"}, [2]string{"new", "kebun-cabai-2026"}, [2]string{"again", "kebun-cabai-2026"})
	p.await("that it is wrong", `document.querySelector('.page [role=alert]').innerText.includes('present password is wrong')`)
	p.fill(first, [2]string{"current", hani.password}, [2]string{"new", "kebun-cabai-2026"}, [2]string{"again", "kebun-cabai-2026"})
	p.await("the new password", `document.querySelector('.page [role=status]').innerText.includes('Password changed')`)
	p.fill(second, [2]string{"email", "hani@rt06.example"}, [2]string{"pass", "kebun-cabai-2026"})
	p.await("the new address", `document.querySelectorAll('.page [role=status]')[1].innerText === 'Saved'`)
	p.clean("saved")
	p.click(".page details summary")
	p.eval(`document.querySelector('.page details').scrollIntoView()`, nil)
	p.shot("delete")
	p.click(".page details input[type=checkbox]")
	p.clean("delete")
	p.fill(".page details", [2]string{"pass", "kebun-cabai-2026"})
	p.await("the door", `!!document.querySelector('.door input[type=email]')`)
	if status := v.call(t, "POST", "/v1/auth/signin", "", map[string]string{"email": "hani@rt06.example", "pass": "kebun-cabai-2026"}, nil); status != http.StatusUnauthorized {
		t.Errorf("the deleted account signs in: %d", status)
	}
}
