package app_test

import (
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/bus/redistest"
	"gotong.dev/gotong/internal/config"
)

// A user's commands over WebSocket are spent of one allowance, whichever
// connection they come by and, with Redis, whichever node; requests are spent of
// another one.
func TestCommandsHaveOneAllowancePerUser(t *testing.T) {
	s := redistest.Start(t)
	for name, nodes := range map[string]int{"one node": 1, "two nodes with Redis": 2} {
		t.Run(name, func(t *testing.T) {
			url := ""
			if nodes > 1 {
				url = s.URL()
			}
			w := startTown(t, nodes, url, func(c *config.Config) { c.CommandRate, c.CommandBurst = 0.001, 4 })
			if nodes > 1 {
				w.connected("ok")
			}
			ann := []*follower{w.follow(0, w.ann), w.follow(nodes-1, w.ann)} // two commands
			post := func(f *follower, id string) {
				t.Helper()
				f.send(fmt.Sprintf(`{"op":"command","id":%q,"request_id":%q,"stream":%q,"type":"message.post","data":{"body":"x"}}`, id, id, w.topic))
			}
			post(ann[0], "p1")
			ann[0].until(`"op":"ack" "p1"`, patience)
			post(ann[1], "p2")
			ann[1].until(`"op":"ack" "p2"`, patience)
			for i, f := range ann {
				// A node whose Redis is slow for a moment grants what it would alone,
				// which is no more than one allowance.
				for n := range 4 {
					post(f, fmt.Sprint("q", i, n))
				}
				f.until(`"rate_limited"`, patience)
			}
			bob := w.follow(0, w.bob)
			post(bob, "b1")
			bob.until(`"op":"ack" "b1"`, patience)
			if nodes == 1 {
				w.call(0, w.ann.AccessToken, "GET", "/v1/auth/me", nil, nil)
				return
			}
			// A key goes as soon as its allowance is whole again, that of requests
			// within moments: what counts is that it was there once.
			kept := map[string]bool{}
			for range 200 {
				w.call(0, w.ann.AccessToken, "GET", "/v1/auth/me", nil, nil)
				found := s.Do("KEYS", "gotong:rate:*")
				keys, err := found.AsStrSlice()
				if err != nil {
					t.Fatal(err)
				}
				users := false
				for _, key := range keys {
					kept[key] = true
					users = users || strings.Split(key, ":")[3] == "user"
				}
				if users {
					break
				}
			}
			count := map[string]int{}
			for key := range kept {
				count[strings.Split(key, ":")[3]]++
			}
			if count["command"] != 2 || count["user"] == 0 {
				t.Errorf("keys %v", kept)
			}
		})
	}
}
