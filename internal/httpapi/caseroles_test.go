package httpapi_test

import (
	"net/http"
	"testing"
)

// TestARoleOfACaseMentionsAllWhoHoldIt, also those to whom it is the second of their roles.
func TestARoleOfACaseMentionsAllWhoHoldIt(t *testing.T) {
	w := newWorld(t)
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	of := ani.affair(budi)
	ani.do(http.MethodPut, "/v1/cases/"+of+"/members/"+citra.id, map[string]any{"track_roles": []string{"saksi", "participant"}}).want(200)
	th := ani.post("/v1/chat/threads", map[string]any{"scope_id": "rt05", "privacy_level": "private", "lender": "case/" + of}).want(201)
	for _, body := range []string{"@saksi, ingat yang terjadi?", "Halo @participant", "Halo"} {
		ani.say(th.header.Get("Location"), body)
	}
	for p, want := range map[*person]counted{budi: {3, 1}, citra: {3, 2}} {
		var got counted
		p.get("/v1/chat/unread/total").want(200).into(&got)
		if got != want {
			t.Errorf("%s: %v are unread, want %v", p.name, got, want)
		}
	}
}
