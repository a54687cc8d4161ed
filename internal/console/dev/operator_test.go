package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// operate opens the operators' page and waits until it shows numbers.
func (p *tab) operate(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
	p.await("the tiles", `!location.href.includes('token') && document.querySelectorAll('.tile').length === 6 && document.querySelectorAll('.panel .named').length > 3`)
}

// operator: the page shows sessions and heads, proves an event, and shows nothing
// that a user wrote. A link that is none opens nothing.
func operator(t *testing.T, in context.Context, v village) {
	page, _, _ := strings.Cut(v.operator, "#")
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.do(chromedp.Navigate(page))
	p.await("the door", `document.querySelector('.op-door pre').innerText.startsWith('gotong console')`)
	p.clean("door")
	p.do(chromedp.Navigate(page + "#token=none")) // within the page: it is not loaded again
	p.await("that the link is not valid", `!!document.querySelector('.op-door [role=alert]')`)
	p.operate(v.operator)
	p.await("sessions", `Number(document.querySelector('.tile .figure').firstChild.data) > 0`) // of the neighbours
	p.await("that it is healthy", `document.querySelector('.health').innerText === 'Healthy'`)
	p.eval(`document.querySelectorAll('details').forEach(d => d.open = true)`, nil)
	p.await("a table for each chart", `[...document.querySelectorAll('.tile')].every(t => t.querySelector('tbody tr'))`)

	p.click(`.panel .named[data-name^="thread/"]`)
	p.await("the stream", `!!document.querySelector('.look tbody th')`)
	p.click(`.look .plain`)
	p.await("a proof", `document.querySelector('.verdict.good')?.innerText.startsWith('Checked')`)
	var wide, text bool
	p.eval(`document.documentElement.scrollWidth > innerWidth`, &wide)
	p.eval(`/balai|banjir|Pintu air/.test(document.body.innerText)`, &text) // of the conversation, and the title of the case
	if wide || text {
		t.Errorf("wider than the screen: %v; texts of users: %v", wide, text)
	}
	p.clean("operator")

	// Without a key, or without HTTPS, the page says that it has not checked.
	link, _, _ := strings.Cut(v.operator, "&key=")
	for where, address := range map[string]string{
		"no key": link, "Web Crypto is missing": strings.Replace(v.operator, "127.0.0.1", "gotong.test", 1),
	} {
		p.do(chromedp.Navigate("about:blank"))
		p.operate(address)
		p.click(`.panel .named[data-name^="thread/"]`)
		p.click(`.look .plain`)
		p.await(where, fmt.Sprintf(`document.querySelector('.verdict')?.innerText.startsWith('Not checked') && document.querySelector('.verdict').innerText.includes(%q)`, where))
		p.clean(where)
	}
}
