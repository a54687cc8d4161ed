package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/cases"
)

// shown gives an order for the operators' page.
func (h *hush) shown(do app.Order) (reply app.Reply) {
	h.t.Helper()
	_, body := h.order(h.operatorToken(), do)
	if err := json.Unmarshal(body, &reply); err != nil {
		h.t.Fatalf("%+v: %s", do, body)
	}
	return reply
}

// TestOperatorsPage: what the page for operators asks for is right, holds nothing
// that a user wrote and no address of a receiver, and is for the operator alone. An
// operator can have dead letters sent again.
func TestOperatorsPage(t *testing.T) {
	h := startHush(t)
	var accepts atomic.Bool
	r := newReceiver(t, func(got) int {
		if accepts.Load() {
			return http.StatusNoContent
		}
		return http.StatusUnprocessableEntity
	})
	r.url += "/kenari?kunci=kenari"
	hook, _ := register(t, h.url, "boss-eka", "rt05", r, "")
	demand(t, h.url, "ani", "PUT", "/v1/cases/"+h.cases[true].ID()+"/webhooks/"+hook, "", http.StatusOK)
	skip(t, h.url, "boss-eka", hook, string(h.cases[true]))
	accepts.Store(true)
	h.vote()
	secret := h.cases[true]
	gates := eventually(t, "both votes are shown", func() app.Reply { return h.shown(app.Order{Do: "gates"}) },
		func(r app.Reply) bool { return len(r.Gates) == 2 })
	hooks := eventually(t, "the dead letter is shown", func() app.Reply { return h.shown(app.Order{Do: "webhooks"}) },
		func(r app.Reply) bool { return len(r.Webhooks) == 1 && r.Webhooks[0].Dead == 1 })
	for _, g := range gates.Gates {
		if g.Phase != cases.InVote || !g.Votes || g.Voters != 3 || g.TookPart != 2 || g.To != "bahas" || g.ClosesAt <= h.clock.Now() {
			t.Errorf("%+v", g)
		}
	}
	if w := hooks.Webhooks[0]; w.ID != hook || w.Host != "127.0.0.1" || w.Log[0].Status != http.StatusUnprocessableEntity {
		t.Errorf("%+v", w)
	}
	if reply := h.shown(app.Order{Do: "replay", Webhook: hook}); reply.Error != "" {
		t.Error(reply.Error)
	}
	r.until("the dead letter", func(all []got) bool { return slices.ContainsFunc(all, func(g got) bool { return g.replay }) })
	for _, id := range []string{"", "whk-none", "x/y"} {
		if reply := h.shown(app.Order{Do: "replay", Webhook: id}); reply.Error == "" {
			t.Errorf("a replay of %q was accepted", id)
		}
	}
	events := h.events(true)
	last := events[len(events)-1]
	want := app.Recent{Stream: secret, Head: last.Seq, Partition: last.Partition, Position: last.Position, At: last.At}
	if named := h.shown(app.Order{Do: "streams", Stream: secret}).Streams; len(named) != 1 || named[0] != want {
		t.Errorf("%+v, want %+v", named, want)
	}
	if list := h.shown(app.Order{Do: "streams"}).Streams; !slices.Contains(list, want) {
		t.Errorf("%+v is not in %+v", want, list)
	}
	for _, e := range events {
		p := h.shown(app.Order{Do: "event", Stream: secret, Seq: e.Seq}).Event
		if p == nil || p.Chains[e.Seq-p.First] != p.Header().Chain() || p.Proof == "" || p.Data != nil || p.Content != nil || p.DataSalt != nil {
			t.Fatalf("%+v", p)
		}
	}
	if _, reply := h.order(h.operatorToken(), app.Order{Do: "event", Stream: secret, Seq: last.Seq + 1}); !bytes.Contains(reply, []byte(`"error"`)) {
		t.Errorf("of an event that does not exist: %s", reply)
	}
	if backendOf(t, h.dir).store == "" {
		if s := h.shown(app.Order{Do: "storage"}).Storage; s == nil || s.Database == 0 {
			t.Errorf("%+v", s)
		}
	}
	none(t, "what operators see", h.replies(), []byte("kenari"))
	for _, do := range h.orders() {
		for _, token := range []string{"", tokenOf("ani"), tokenOf("boss-eka")} {
			if status, reply := h.order(token, do); status != http.StatusUnauthorized || len(reply) > 0 {
				t.Errorf("%+v with the token %q: %d, %s", do, token, status, reply)
			}
		}
	}
}
