package app_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/config"
)

// TestPushes: with two nodes on one store, a device gets one push; after a logout,
// none, while the user's other device gets it.
func TestPushes(t *testing.T) {
	var mu sync.Mutex
	var got []string
	more := make(chan struct{}, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.URL.Path)
		mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		more <- struct{}{}
	}))
	defer service.Close()
	w := startTown(t, 2, "", func(c *config.Config) {
		c.PushContact, c.OutboundNetworks = "mailto:ops@rt05.id", []string{"127.0.0.0/8"}
	})
	as := func(node int, token string) *client.Client {
		c, err := client.New(client.Options{BaseURL: w.nodes[node].URL(), Token: client.StaticToken(token), HTTPClient: web})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	subscribe := func(node int, token, device string) client.PushSubscription {
		s, err := as(node, token).Subscribe(t.Context(), client.NewPushSubscription{
			Endpoint: service.URL + "/" + device, Auth: "BTBZMqHH6r4Tts7J_aSIgg",
			P256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := func(devices ...string) {
		t.Helper()
		for range devices {
			<-more
		}
		mu.Lock()
		defer mu.Unlock()
		if slices.Sort(got); !slices.Equal(got, devices) {
			t.Errorf("pushes went to %v, want %v", got, devices)
		}
		got = nil
	}
	var second client.Auth
	w.call(1, "", http.MethodPost, "/v1/auth/signin", map[string]any{"email": "bob@example.org", "pass": "selokan bersih"}, &second)
	subscribe(0, w.bob.AccessToken, "phone")
	subscribe(1, second.AccessToken, "tablet")
	own := subscribe(0, w.ann.AccessToken, "own")
	w.call(0, w.ann.AccessToken, http.MethodPost, w.path+"/messages/send", map[string]any{"body": "Halo"}, nil)
	want("/phone", "/tablet")
	w.call(1, w.bob.AccessToken, http.MethodPost, "/v1/auth/logout", map[string]any{}, nil)
	var direct client.Thread
	w.call(1, w.ann.AccessToken, http.MethodPut, "/v1/chat/direct/"+w.bob.UserID, map[string]any{}, &direct)
	w.call(0, w.ann.AccessToken, http.MethodPost, "/v1/chat/threads/"+direct.ThreadID+"/messages/send", map[string]any{"body": "Bob?"}, nil)
	want("/tablet")
	var keys [2]string
	for node := range keys {
		var err error
		if keys[node], err = as(node, second.AccessToken).PushKey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] || keys[0] == "" {
		t.Errorf("the nodes have the keys %v", keys)
	}
	if err := as(0, w.ann.AccessToken).Unsubscribe(t.Context(), own.ID); err != nil {
		t.Error(err)
	}
}
