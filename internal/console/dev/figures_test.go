package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestFigures prints what the page costs: a cold load, 60 messages a second, and
// 10,000 messages. It judges nothing, and runs only with GOTONG_FIGURES, best on a
// machine that does nothing else.
func TestFigures(t *testing.T) {
	if os.Getenv("GOTONG_FIGURES") == "" {
		t.Skip("measures only with GOTONG_FIGURES=1")
	}
	v := demo(t, "--user-rate=100000", "--user-burst=100000", "--address-rate=100000", "--address-burst=100000")
	var th struct {
		ID string `json:"thread_id"`
	}
	v.call(t, http.MethodPost, "/v1/chat/threads", v.token, map[string]any{"scope_id": "rt05", "privacy_level": "public", "name": "Figures"}, &th)
	posts := func(n int, every time.Duration) time.Duration {
		began, work := time.Now(), make(chan int)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for i := range work {
					body := map[string]any{"body": fmt.Sprintf("Pesan %d: air di depan mushola sudah surut", i)}
					if status := v.call(t, http.MethodPost, "/v1/chat/threads/"+th.ID+"/messages/send", v.token, body, nil); status != http.StatusCreated {
						t.Errorf("message %d: status %d", i, status)
					}
				}
			})
		}
		pace := time.NewTicker(max(every, time.Microsecond))
		defer pace.Stop()
		for i := range n {
			<-pace.C
			work <- i
		}
		close(work)
		group.Wait()
		return time.Since(began)
	}
	posts(20, 0)
	p := open(t, browser(t), view{width: 1200, height: 800, scale: 1, language: "en-GB"})
	p.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`new MutationObserver((_, me) => { if (document.querySelector('li[data-row]')) {
			window.shown = performance.now(); me.disconnect() } }).observe(document, { childList: true, subtree: true })`).Do(ctx)
		return err
	}))
	p.enter(v.address, v.token)
	p.click(`.sidebar .item[href*="` + th.ID + `"]`)
	p.await("messages", `document.querySelectorAll('li[data-row]').length >= 20`)
	p.do(network.SetBypassServiceWorker(true), network.ClearBrowserCache(), chromedp.Reload())
	p.await("messages", `document.querySelectorAll('li[data-row]').length >= 20`)
	var load struct{ Shown, Bytes float64 }
	p.eval(`({Shown: window.shown, Bytes: [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')].reduce((n, e) => n + e.transferSize, 0)})`, &load)
	t.Logf("a cold load: the first message after %.0f ms, %.1f KB", load.Shown, load.Bytes/1024)
	heap := func() float64 {
		var used float64
		p.do(heapprofiler.CollectGarbage(), chromedp.ActionFunc(func(ctx context.Context) (err error) {
			used, _, _, _, err = runtime.GetHeapUsage().Do(ctx)
			return err
		}))
		return used / (1 << 20)
	}
	before := heap()
	empty := open(t, p.ctx, view{width: 1200, height: 800, scale: 1, language: "en-GB"})
	empty.do(chromedp.Navigate("about:blank"))
	empty.frames("an empty page", func() time.Duration { return posts(600, time.Second/60) }, 600)
	p.await("the last of them", `[...document.querySelectorAll('li[data-row] .text')].slice(-10).some((row) => row.innerText.startsWith('Pesan 599:'))`)
	p.frames("the thread", func() time.Duration {
		took := posts(1200, time.Second/60)
		p.await("the last of them", `[...document.querySelectorAll('li[data-row] .text')].slice(-10).some((row) => row.innerText.startsWith('Pesan 1199:'))`)
		return took
	}, 1200)
	posts(8200, 0)
	p.await("the last of them", `[...document.querySelectorAll('li[data-row] .text')].slice(-10).some((row) => row.innerText.startsWith('Pesan 8199:'))`)
	var rows int
	p.eval(`document.querySelectorAll('li[data-row]').length`, &rows)
	t.Logf("after 10,000 messages: %.1f MB of heap (%.1f before), %d rows", heap(), before, rows)
}

// frames prints how long frames and the work of the page's main thread take while n
// messages are posted. The same of an empty page, which gets nothing, shows what is
// the machine's.
func (p *tab) frames(name string, run func() time.Duration, n int) {
	p.t.Helper()
	cpu := func() (of map[string]float64) {
		var list []*performance.Metric
		p.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
			list, err = performance.GetMetrics().Do(ctx)
			return err
		}))
		of = map[string]float64{}
		for _, m := range list {
			of[m.Name] = m.Value * 1000
		}
		return of
	}
	p.do(page.BringToFront(), performance.Enable().WithTimeDomain(performance.EnableTimeDomainThreadTicks))
	before := cpu()
	p.eval(`window.frames = []; (function step(last) { window.stepping = requestAnimationFrame((now) => { frames.push(now - last); step(now) }) })(performance.now())`, nil)
	took := run()
	after := cpu()
	var f struct{ N, Median, P99, Over33, Over50 float64 }
	p.eval(`(() => { cancelAnimationFrame(stepping); const f = [...frames].sort((a, b) => a - b)
		return { N: f.length, Median: f[f.length >> 1], P99: f[Math.floor(f.length * 0.99)], Over33: f.filter(x => x > 33.4).length, Over50: f.filter(x => x > 50).length } })()`, &f)
	per := func(metric string) float64 { return (after[metric] - before[metric]) / float64(n) }
	p.t.Logf("%s, while %d messages are posted in %.1f s: %+v; CPU time of the main thread per message: %.2f ms (script %.2f, style %.2f, layout %.2f)",
		name, n, took.Seconds(), f, per("TaskDuration"), per("ScriptDuration"), per("RecalcStyleDuration"), per("LayoutDuration"))
}
