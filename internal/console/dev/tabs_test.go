package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// tabs: in two tabs of one browser, each message is shown once and in order, the
// unread counts are equal, and signing out in one signs out the other.
func tabs(t *testing.T, in context.Context, v village) {
	author, viewer := v.person(t, "Penulis"), v.person(t, "Pembaca")
	shown, beside := author.thread("", viewer), author.thread("", viewer)
	item := func(path string) string {
		return fmt.Sprintf(`.sidebar .item[href$="%s"]`, path[len("/v1/chat/threads/"):])
	}
	post := func(path, body string) {
		author.send("POST", path+"/messages/send", map[string]string{"body": body}, nil)
	}

	first := open(t, in, view{width: 1100, height: 700, scale: 1, language: "en-GB"})
	first.signIn(v.address, viewer)
	first.await("the threads", `document.querySelectorAll('.sidebar .item').length === 2`)
	second := open(t, first.ctx, view{width: 1100, height: 700, scale: 1, language: "en-GB"})
	second.do(chromedp.Navigate("http://" + v.address + "/")) // it is signed in as the first is
	both := []*tab{first, second}
	for _, p := range both {
		p.click(item(shown))
		p.await("the composer", `!!document.querySelector('.composer textarea') && document.querySelector('.messages')?.ariaBusy === 'false'`)
	}

	for i := range 6 {
		post(shown, fmt.Sprintf("from elsewhere %d", i))
		post(beside, fmt.Sprintf("beside %d", i))
		for j, p := range both {
			p.write(fmt.Sprintf("from tab %d, %d", j, i))
		}
	}
	for _, p := range both {
		p.await("its own are sent", `document.querySelectorAll('.pending').length === 0`)
	}
	post(shown, "the last")
	var messages []struct{ Body string }
	viewer.send("GET", shown+"/messages", nil, &messages)
	var want []string
	for _, m := range messages {
		want = append(want, m.Body)
	}
	if len(want) != 19 {
		t.Errorf("%d messages were stored: %q", len(want), want)
	}
	for _, p := range both {
		p.await("the last message", `[...document.querySelectorAll('li[data-row] .text')].at(-1)?.innerText.startsWith('the last')`)
		var got []string
		p.eval(`[...document.querySelectorAll('li[data-row] .text')].map(e => e.firstChild.textContent)`, &got)
		if !slices.Equal(got, want) {
			t.Errorf("shown %q, stored %q", got, want)
		}
		p.await("the count beside", `document.querySelector('`+item(beside)+` .count span')?.innerText === '6'`)
		p.await("that what is shown is read", `!document.querySelector('`+item(shown)+` .count')`)
	}
	second.click(item(beside))
	for _, p := range both {
		p.await("that nothing is unread", `!document.querySelector('.sidebar .count')`)
		p.clean("two tabs")
	}

	var token string
	second.eval(`JSON.parse(localStorage['gotong.login']).access`, &token)
	second.signOut()
	first.await("the door", `!!document.querySelector('.door input[type=email]') && !localStorage['gotong.login']`)
	first.await("that nothing is left", `indexedDB.databases().then(list => list.length === 0 && Object.keys(localStorage).every(k => k === 'gotong.language'))`)
	if status := v.call(t, "GET", "/v1/auth/me", token, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("after signing out, the token gets %d", status)
	}
}
