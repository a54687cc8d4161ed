package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckExitsAsTheServerIs(t *testing.T) {
	ready := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(ready)
		}
		_, _ = w.Write([]byte("answer"))
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	check := func(code int, says string, args ...string) {
		t.Helper()
		if r := command(t, nil, append([]string{"healthcheck"}, args...)...); r.code != code || !strings.Contains(r.out+r.err, says) {
			t.Errorf("%v: %+v, want %d with %q", args, r, code, says)
		}
	}
	check(0, "answer", "--admin-addr", addr)
	check(0, "answer", "--admin-addr", "0.0.0.0:"+port)
	check(0, "answer", "--admin-addr", ":"+port)
	ready = http.StatusServiceUnavailable
	check(1, "503", "--admin-addr", addr)
	check(0, "answer", "--admin-addr", addr, "--live")
	server.Close()
	check(1, "no answer", "--admin-addr", addr)
}
