package main

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// answers: a message shows how many replies it has, as they come, and leads to them and
// to a place to answer; its author, who owns the thread, pins it for all.
func answers(t *testing.T, in context.Context, v village) {
	ani, budi := v.person(t, "Anjani"), v.person(t, "Bunga")
	thread := ani.thread("Balasan", budi)
	var asked struct {
		ID string `json:"message_id"`
	}
	ani.send("POST", thread+"/messages/send", map[string]string{"body": "Siapa bisa bantu?"}, &asked)
	reply := func(body string) {
		budi.send("POST", thread+"/messages/send", map[string]string{"body": body, "reply_to": asked.ID}, nil)
	}
	reply("Saya bisa")
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "id-ID"})
	p.signIn(v.address, ani)
	p.enterThread(thread)
	p.await("the count", `document.querySelector('.replies')?.innerText === '1 balasan'`)
	reply("Saya juga")
	p.await("the count after a reply", `document.querySelector('.replies')?.innerText === '2 balasan'`)
	p.click(".replies")
	p.await("the replies", `[...document.querySelectorAll('.beside li .beside-text')].map(e => e.innerText).join() === 'Saya bisa,Saya juga'`)
	p.clean("replies")
	p.fits("the replies")
	p.await("replies of the full width", `(() => { const wide = document.querySelector('.beside ul').offsetWidth; return [...document.querySelectorAll('.beside .item')].every(e => e.offsetWidth === wide) })()`)
	p.do(chromedp.SendKeys(".beside textarea", "Terima kasih", chromedp.ByQuery))
	p.click(".beside .primary")
	p.await("the answer", `[...document.querySelectorAll('.beside li .beside-text')].at(-1)?.innerText === 'Terima kasih' && document.querySelector('.beside textarea').value === ''`)
	p.shot("console-replies-phone")
	p.click(".beside .plain")
	p.await("the count after an answer", `!document.querySelector('dialog') && document.querySelector('.replies')?.innerText === '3 balasan'`)
	p.click("li[data-row] .row-menu")
	p.await("the menu", `[...document.querySelectorAll('.menu-item')].some(e => e.innerText.includes('Sematkan'))`)
	p.eval(`[...document.querySelectorAll('.menu-item')].find(e => e.innerText.includes('Sematkan')).click()`, nil)
	p.await("that it is pinned", `document.querySelector('.pins')?.innerText.includes('Disematkan: 1')`)
	p.clean("pinned")
	p.click(".pins")
	p.await("the pinned messages", `document.querySelector('.beside li .beside-text')?.innerText === 'Siapa bisa bantu?'`)
	p.clean("pins")
	p.fits("the pins")
	p.shot("console-pins-phone")
	p.click(".beside .plain")
	p.click("li[data-row] .row-menu")
	p.await("the menu of a pinned message", `[...document.querySelectorAll('.menu-item')].some(e => e.innerText.includes('Lepas sematan'))`)
	p.eval(`[...document.querySelectorAll('.menu-item')].find(e => e.innerText.includes('Lepas sematan')).click()`, nil)
	p.await("that it is unpinned", `!document.querySelector('.pins')`)
}
