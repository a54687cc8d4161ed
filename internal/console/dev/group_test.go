package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// policy: an admin changes the policy of a group on its page, which names a number that
// is out of range; another member sees the page without the form.
func policy(t *testing.T, in context.Context, v village) {
	lina, maya := v.person(t, "Lina"), v.person(t, "Maya")
	var group struct {
		ID     string          `json:"group_id"`
		Policy json.RawMessage `json:"policy"`
	}
	var thread struct {
		ID string `json:"thread_id"`
	}
	lina.send("POST", "/v1/groups", map[string]string{"name": "Karang Taruna", "entity_type": "kelompok", "join_policy": "terbuka"}, &group)
	maya.send("POST", "/v1/groups/"+group.ID+"/join", map[string]string{}, nil)
	lina.send("POST", "/v1/chat/threads", map[string]string{"scope_id": group.ID, "privacy_level": "private", "members": "home"}, &thread)
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "id-ID"})
	p.signIn(v.address, lina)
	p.enterThread("/v1/chat/threads/" + thread.ID)
	p.click(`.pane .bar button.icon-button`)
	p.click(`.drawer .group`)
	p.await("the form", `document.querySelector('.policy [name=hide_at]')?.value === '5' && document.querySelector('h1.title').innerText === 'Karang Taruna'`)
	p.fits("the policy")
	p.clean("policy")
	p.shot("policy")
	p.fill(".policy", [2]string{"hide_at", "101"})
	p.await("what is wrong", `document.querySelector('.policy [role=alert]').innerText === 'Jumlah laporan sampai pesan disembunyikan: 1 sampai 100'`)
	p.clean("refused")
	p.shot("refused")
	kept := func(want string) {
		t.Helper()
		lina.send("GET", "/v1/groups/"+group.ID, nil, &group)
		if string(group.Policy) != want {
			t.Errorf("the policy is %s, want %s", group.Policy, want)
		}
	}
	kept(`{"edge_pod_outside":false,"auto_hold":false,"newcomer_hours":0}`)
	p.click(".policy [name=auto_hide]")
	p.click(".policy [name=auto_hold]")
	p.fill(".policy", [2]string{"hide_at", "4"}, [2]string{"newcomer_hours", "24"})
	p.await("that it is saved", `document.querySelector('.page [role=status]').innerText === 'Tersimpan' && document.querySelector('.policy [role=alert]').innerText === ''`)
	p.clean("saved")
	kept(`{"edge_pod_outside":false,"auto_hold":true,"newcomer_hours":24,"flag_at":3,"hide_at":4,"auto_hide":true}`)
	p.do(chromedp.Reload())
	p.await("the form again", `document.querySelector('.policy [name=hide_at]')?.value === '4' && document.querySelector('.policy [name=auto_hide]').checked && !document.querySelector('.policy [name=edge_pod_outside]').checked`)

	other := open(t, in, view{width: 1100, height: 700, scale: 1, language: "en-GB"})
	other.signIn(v.address, maya)
	other.eval(`location.hash = '#/g/`+group.ID+`'`, nil)
	other.await("the group", `document.querySelector('.page')?.innerText.includes('2 members') && !document.querySelector('.policy')`)
	other.clean("group")
}

// blocks: a user blocks another one from the list of members, once they confirm it,
// finds them in the list of the blocked, and lifts the block there.
func blocks(t *testing.T, in context.Context, v village) {
	nina, oki := v.person(t, "Nina"), v.person(t, "Oki")
	thread := nina.thread("Lapangan", oki)
	blocked := func(want string) {
		t.Helper()
		var list struct{ Items []struct{ Name string } }
		nina.send("GET", "/v1/blocks", nil, &list)
		if got := fmt.Sprint(list.Items); got != want {
			t.Errorf("blocked are %s, want %s", got, want)
		}
	}
	p := open(t, in, view{width: 360, height: 740, scale: 1, phone: true, language: "en-GB"})
	p.signIn(v.address, nina)
	p.enterThread(thread)
	p.click(`.pane .bar button.icon-button`)
	p.click(`.people [aria-label="Block Oki"]`)
	p.await("that it is asked", `document.querySelector('.people .danger')?.innerText === 'Block' && !document.querySelector('[aria-label="Block Nina"]')`)
	blocked("[]")
	p.fits("the members")
	p.clean("asked")
	p.shot("blocks")
	p.click(`.people .danger`)
	p.await("that it is done", `document.querySelector('.drawer [role=alert]').innerText.startsWith('Blocked. You get') && !document.querySelector('.people .danger')`)
	blocked("[{Oki}]")
	p.eval(`document.querySelector('dialog').close(); location.hash = '#/inbox'`, nil)
	p.click("details:not(.week) summary")
	p.await("the list", `document.querySelector('details .people')?.innerText.includes('Oki')`)
	p.clean("blocked")
	p.click(`details .people [aria-label="Unblock: Oki"]`)
	p.await("that it is lifted", `!document.querySelector('details .people')`)
	blocked("[]")
}
