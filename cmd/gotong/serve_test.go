package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestHangup: SIGHUP reads the keys of other issuers and the log level again. A configuration that
// is wrong changes nothing.
func TestHangup(t *testing.T) {
	kept := make(chan os.Signal, 1) // so that it never ends the test, and arrives under nohup too
	signal.Notify(kept, syscall.SIGHUP)
	defer signal.Stop(kept)
	dir := t.TempDir()
	file := filepath.Join(dir, "gotong.yaml")
	configure := func(level, key string) {
		write(t, file, "log-level: "+level+"\njwt-keys: [{kid: "+key+", alg: HS256, key: "+strings.Repeat(key, 32)+"}]\n")
	}
	configure("error", "a")
	b := interruptible(t, "serve", "--config="+file, "--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data="+filepath.Join(dir, "data"))
	url := field(t, b.out.await(t, "address", func(s string) bool { return strings.Contains(s, "Ctrl-C") }), "API")
	accepts := func(key string) int {
		t.Helper()
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "joko", "exp": time.Now().Add(time.Hour).Unix(), "jti": key})
		token.Header["kid"] = key
		text, err := token.SignedString([]byte(strings.Repeat(key, 32)))
		if err != nil {
			t.Fatal(err)
		}
		a, err := request(t.Context(), http.MethodGet, url+"/v1/chat/threads", text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.code
	}
	if accepts("a") != http.StatusOK || accepts("b") != http.StatusUnauthorized {
		t.Fatal("before the signal")
	}
	hangUp := func(says string, lines int) {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		b.errs.await(t, says, func(s string) bool { return strings.Count(s, says) == lines })
	}
	configure("error", "b ]")
	hangUp("the earlier one remains", 1)
	if accepts("b") != http.StatusUnauthorized {
		t.Error("keys of a configuration that is wrong were accepted")
	}
	configure("info", "b")
	hangUp("were read again", 1)
	if accepts("b") != http.StatusOK {
		t.Error("the new key is not accepted")
	}
	if code := b.stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	for line := range strings.Lines(b.errs.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if !strings.Contains(b.errs.String(), `"msg":"request"`) {
		t.Error("the new level is not used")
	}
}

// TestServeFailsInJSON: the last line of a server that cannot start is of the log too.
func TestServeFailsInJSON(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nothing was sent
	r := command(t, nil, "serve", "--addr="+taken.Addr().String(), "--admin-addr=127.0.0.1:0", "--data="+filepath.Join(t.TempDir(), "data"))
	if r.code == 0 || !strings.Contains(r.err, "the server ended") {
		t.Errorf("%+v", r)
	}
	for line := range strings.Lines(r.err) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
