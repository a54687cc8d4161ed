package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	rules "gotong.dev/gotong/internal/community/papantest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/papantest"
)

// papan is the one row of wiring that a kind with members and routes needs.
var papan = kind{
	rules: rules.Kind(), creates: rules.StreamOf,
	routes: func(a *App) func(*httpapi.API) { return papantest.Routes(a.membersOptions()) },
}

// A kind costs its two packages, one row of wiring and one page of docs: nothing
// else in the tree names it.
func TestKindCostsTwoFilesOutsideItsPackages(t *testing.T) {
	var touched []string
	tree := os.DirFS("../..")
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "papantest" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !slices.ContainsFunc([]string{".go", ".md", ".json", ".yml", ".yaml"}, func(s string) bool { return strings.HasSuffix(path, s) }):
			return nil
		}
		text, err := fs.ReadFile(tree, path)
		if bytes.Contains(text, []byte("papantest")) {
			touched = append(touched, path)
		}
		return err
	})
	if want := []string{"docs/first-kind.md", "internal/app/kindcost_test.go"}; err != nil || !slices.Equal(touched, want) {
		t.Errorf("%q, %v, not %q", touched, err, want)
	}
}

// board is a server that has the kind.
type board struct {
	t   *testing.T
	url string
}

func startBoard(t *testing.T) *board {
	t.Helper()
	a, err := New(t.Context(), Options{
		Config: config.Config{
			Env: config.Development, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Data: t.TempDir(), Store: "memory:",
			AccessTokenLife: time.Hour, RefreshLife: time.Hour, PasswordHashes: 1, MaxSessions: 100,
			UserRate: 1000, UserBurst: 1000, CommandRate: 1000, CommandBurst: 1000, AddressRate: 1000, AddressBurst: 1000,
			ShutdownGrace: 5 * time.Second,
		},
		Log: slog.New(slog.DiscardHandler), kinds: []kind{papan},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &board{t, a.URL()}
}

// neighbour is somebody who signed up.
type neighbour struct {
	*board
	auth client.Auth
}

func (b *board) signUp(name string) *neighbour {
	b.t.Helper()
	c, err := client.New(client.Options{BaseURL: b.url})
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	u := &neighbour{board: b}
	if u.auth, err = c.SignUp(b.t.Context(), client.SignUp{
		Email: name + "@example.org", Pass: "selokan bersih", Username: name, CommunityID: "rt05",
	}); err != nil {
		b.t.Fatal(err)
	}
	return u
}

// call sends one request and reads the answer into out.
func (u *neighbour) call(method, path, body string, want int, out any) {
	u.t.Helper()
	req, err := http.NewRequestWithContext(u.t.Context(), method, u.url+path, strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+u.auth.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		u.t.Fatalf("%s %s: %d, not %d: %s, %v", method, path, resp.StatusCode, want, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			u.t.Fatal(err)
		}
	}
}

// The routes, the members and delivery over a socket work for a kind that the
// server knows by one row alone; a removal ends what the user follows.
func TestKindOfOneRowIsServed(t *testing.T) {
	b := startBoard(t)
	ani, budi, citra := b.signUp("ani"), b.signUp("budi"), b.signUp("citra")
	var made papantest.Board
	ani.call(http.MethodPost, "/v1/boards", `{"title":"Kerja bakti"}`, http.StatusCreated, &made)
	path, stream := "/v1/boards/"+made.ID, gotong.NewStream("papan", made.ID)
	budi.call(http.MethodGet, path, "", http.StatusNotFound, nil)
	budi.call(http.MethodPost, path+"/join", "{}", http.StatusOK, nil)
	ani.call(http.MethodPost, path+"/members", `{"user_id":"`+citra.auth.UserID+`"}`, http.StatusCreated, nil)
	citra.call(http.MethodPost, path+"/notices", `{"text":"Sabtu pukul tujuh"}`, http.StatusOK, nil)
	budi.call(http.MethodPost, path+"/notices", `{"texts":"Saya ikut"}`, http.StatusUnprocessableEntity, nil)
	citra.call(http.MethodDelete, path+"/members/"+budi.auth.UserID, "", http.StatusForbidden, nil)
	var list []papantest.MemberView
	if ani.call(http.MethodGet, path+"/members", "", http.StatusOK, &list); len(list) != 3 {
		t.Errorf("%+v", list)
	}
	var types []string
	err := budi.follow(stream, func(e client.Event) error {
		if types = append(types, e.Type); e.Type == "notice.posted" {
			ani.call(http.MethodDelete, path+"/members/"+budi.auth.UserID, "", http.StatusOK, nil)
		}
		return nil
	})
	if want := []string{"papan.created", "member.seated", "member.seated", "notice.posted"}; !slices.Equal(types, want) ||
		!errors.Is(err, client.ErrAccessRevoked) {
		t.Errorf("%q, %v", types, err)
	}
	budi.call(http.MethodGet, path, "", http.StatusNotFound, nil)
}

// follow follows a stream from its start over a WebSocket.
func (u *neighbour) follow(s gotong.Stream, handle func(client.Event) error) error {
	u.t.Helper()
	c, err := client.New(client.Options{
		BaseURL: u.url, Transports: []client.Transport{client.WebSocket},
		Token: client.StaticToken(u.auth.AccessToken),
	})
	if err != nil {
		u.t.Fatal(err)
	}
	defer c.Close()
	return c.Follow(u.t.Context(), map[gotong.Stream]client.From{s: client.Start}, handle)
}
