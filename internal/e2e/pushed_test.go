package e2e_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/push/pushtest"
)

// phone subscribes a user to Web Push. It returns a function that returns all that the device has
// got, decrypted, once this stands in it.
func (c *cage) phone(user string) func(awaited string) []byte {
	c.t.Helper()
	key, secret := must(ecdh.P256().GenerateKey(rand.Reader))(c.t), make([]byte, 16)
	var mu sync.Mutex
	var all []byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the server ends
		}
		text, err := pushtest.Open(key, secret, body)
		if err != nil {
			c.t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(append(all, text...), '\n')
		w.WriteHeader(http.StatusCreated)
	}))
	c.t.Cleanup(service.Close)
	coded := base64.RawURLEncoding.EncodeToString
	must(dial(c.t, c.url, user).Subscribe(c.t.Context(), client.NewPushSubscription{
		Endpoint: service.URL, P256dh: coded(key.PublicKey().Bytes()), Auth: coded(secret),
	}))(c.t)
	return func(awaited string) []byte {
		c.t.Helper()
		return eventually(c.t, "a push to "+user, func() []byte { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) },
			func(all []byte) bool { return bytes.Contains(all, []byte(awaited)) })
	}
}

// pushed looks for the canaries in what the devices got, once all have got the push of a
// message in the open thread. Only members get one that names the private thread.
func (c *cage) pushed(phones map[string]func(string) []byte, canaries [][]byte) {
	c.t.Helper()
	phones["budi"](c.thread)
	for user, got := range phones {
		all := got(c.cases[false].ID())
		none(c.t, "pushes to "+user, all, canaries...)
		if user != "budi" && user != "citra" {
			none(c.t, "pushes to "+user, all, []byte(c.thread), []byte(c.hidden))
		}
	}
}
