package httpapi_test

import (
	"net/http"
	"testing"

	"gotong.dev/gotong"
)

// TestSecretIsShownToItsRequestAlone: a repetition of a request shows the secret
// that it created, as long as that signs, and none that another admin created.
func TestSecretIsShownToItsRequestAlone(t *testing.T) {
	w := newWorld(t)
	ani, budi := w.signUp("ani"), w.signUp("budi")
	group := ani.post("/v1/groups", map[string]any{"name": "RT 05", "entity_type": "kelompok", "join_policy": "undangan"}).
		want(http.StatusCreated).str("group_id")
	ani.post("/v1/groups/"+group+"/members", map[string]any{"user_id": budi.id}).want(http.StatusCreated)
	ani.post("/v1/groups/"+group+"/members/"+budi.id+"/role", map[string]any{"role": "admin"}).want(http.StatusOK)
	hook := map[string]any{"scope_id": group, "url": "https://hooks.example.org/"}
	create := func() *answer { return ani.do("POST", "/v1/webhooks", hook, key("create")).want(http.StatusCreated) }
	secret := func(a *answer) string { s, _ := a.object()["secret"].(string); return s }
	first := create()
	of := "/v1/webhooks/" + first.str("webhook_id")
	if secret(first) == "" || secret(create()) != secret(first) {
		t.Error("the repetition does not show the first secret")
	}
	rotate := func(id string, hours int) *answer {
		return budi.do("POST", of+"/rotate", map[string]any{"keep_hours": hours}, key(id)).want(http.StatusOK)
	}
	second := rotate("rotate-1", 24)
	if secret(second) == secret(first) || secret(create()) != secret(first) || secret(rotate("rotate-1", 24)) != secret(second) {
		t.Error("a repetition shows the secret of another request")
	}
	if rotate("rotate-2", 0); secret(create()) != secret(first) || secret(rotate("rotate-1", 24)) != "" {
		t.Error("a repetition shows a secret, though its own signs no more")
	}
	budi.do("POST", "/v1/webhooks", hook, key("create")).want(http.StatusCreated)
	ani.do("PATCH", of, map[string]any{"description": "x"}, key("create")).problem(http.StatusUnprocessableEntity, gotong.CodeReused)
}
