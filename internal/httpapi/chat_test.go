package httpapi_test

import (
	"net/http"
	"testing"
)

func TestFirst(t *testing.T) {
	w := newWorld(t)
	ani := w.signUp("ani")
	th := ani.thread("private")
	ani.say(th, "Halo")
	m := ani.get(th + "/messages").want(http.StatusOK).list()
	if len(m) != 1 || m[0]["body"] != "Halo" {
		t.Errorf("%v", m)
	}
	ani.get(th).want(http.StatusOK)
}
