package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/demo"
)

// serve runs a server for the test and returns where it is.
func serve(t *testing.T) string { t.Helper(); return serveBy(t, nil) }

// serveBy does so by a clock; nil is the machine's.
func serveBy(t *testing.T, clock clock.Clock) string {
	t.Helper()
	tracks := filepath.Join(t.TempDir(), "tracks.yaml")
	if err := os.WriteFile(tracks, demo.Tracks, 0o600); err != nil {
		t.Fatal(err)
	}
	var cli struct{ config.Config }
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data=" + t.TempDir(), "--tracks=" + tracks, "--user-rate=10000", "--user-burst=10000"}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	a, err := app.New(t.Context(), app.Options{Config: cli.Config, Build: app.Build{Version: "test"}, Log: log, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a.URL()
}

func as(t *testing.T, url string, who client.Auth) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: url, Token: client.StaticToken(who.AccessToken)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestSeedTwiceAddsNothing(t *testing.T) {
	url := serve(t)
	first, err := demo.Seed(t.Context(), demo.Options{URL: url, Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	guest := as(t, url, first.Guest.Auth)
	before := heads(t, guest, first)
	messages, err := guest.Messages(t.Context(), first.Public.ThreadID, client.Range{Limit: 100})
	if err != nil || len(messages.Items) < 8 {
		t.Fatalf("%d messages, %v", len(messages.Items), err)
	}
	var edited, replies, reactions int
	for _, m := range messages.Items {
		edited += int(m.Revision)
		reactions += len(m.Reactions)
		if !m.ReplyTo.IsZero() {
			replies++
		}
	}
	if edited < 2 || replies < 3 || reactions < 3 {
		t.Errorf("%d edits, %d replies, %d reactions", edited, replies, reactions)
	}
	again, err := demo.Seed(t.Context(), demo.Options{URL: url, Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if after := heads(t, guest, again); before != after {
		t.Errorf("seeding again went from %v to %v", before, after)
	}
	if _, err := guest.SignIn(t.Context(), again.Guest.Email, again.Guest.Password); err != nil {
		t.Errorf("the guest cannot sign in: %v", err)
	}
}

// TestCaseIsResolved: the case goes through the whole track, with an objection, a
// vote and a close. The server's clock moves only while the neighbours wait, and
// the whole takes less than three minutes of it.
func TestCaseIsResolved(t *testing.T) {
	began := gotong.InstantOf(time.Now())
	clock := clocktest.Stopped(began)
	url := serveBy(t, clock)
	wait := func(ctx context.Context, d time.Duration) bool {
		clock.Pass(d)
		return hurried(ctx, d)
	}
	n, err := demo.Seed(t.Context(), demo.Options{URL: url, Secret: "s", Pause: wait})
	if err != nil {
		t.Fatal(err)
	}
	n.Deliberate(t.Context())
	guest := as(t, url, n.Guest.Auth)
	c, err := guest.Case(t.Context(), n.Case.CaseID)
	if err != nil || c.Stage != "tuntas" || c.Transition != "" {
		t.Errorf("%+v, %v", c, err)
	}
	var types []string
	err = guest.Follow(t.Context(), map[gotong.Stream]client.From{n.Case.Stream(): client.Start}, func(e client.Event) error {
		if types = append(types, e.Type); strings.Contains(string(e.Data), `"stage":"tuntas"`) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
	t.Logf("%q, in %s", types, clock.Now().Sub(began))
	for _, typ := range []string{"transition.objected", "transition.tallied", "transition.applied"} {
		if !slices.Contains(types, typ) {
			t.Errorf("no %s", typ)
		}
	}
}

func heads(t *testing.T, c *client.Client, n *demo.Neighbourhood) (seqs [3]uint64) {
	t.Helper()
	public, err1 := c.Thread(t.Context(), n.Public.ThreadID)
	private, err2 := c.Thread(t.Context(), n.Private.ThreadID)
	group, err3 := c.Group(t.Context(), n.Group.GroupID)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	if private.Members != "home" || private.MemberCount != 6 || public.MemberCount != 6 {
		t.Errorf("members: %+v, %+v", public, private)
	}
	return [3]uint64{public.Seq, private.Seq, group.Seq}
}

// TestNeighboursTalkAndAnswerGuests: the neighbours talk in both threads, and the
// host answers the guest, who posts as soon as the host types.
func TestNeighboursTalkAndAnswerGuests(t *testing.T) {
	url := serve(t)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute) // for a busy machine
	defer stop()
	n, err := demo.Seed(ctx, demo.Options{URL: url, Secret: "s", Pause: hurried})
	if err != nil {
		t.Fatal(err)
	}
	guest := as(t, url, n.Guest.Auth)
	got := &listener{t: t, guest: guest, n: n}
	follow := guest.NewConn(client.ConnOptions{Handle: got.event, OnSignal: got.signal})
	for _, s := range []gotong.Stream{n.Public.Stream(), n.Private.Stream()} {
		if err := follow.Subscribe(s, client.Now); err != nil {
			t.Fatal(err)
		}
	}
	talked := make(chan struct{})
	talking, hush := context.WithCancel(ctx)
	go func() { defer close(talked); n.Talk(talking) }()
	if err := follow.Run(ctx); !errors.Is(err, errEnough) {
		t.Errorf("%+v: %v", got, err)
	}
	hush()
	<-talked
}

// hurried is a fiftieth of the time that people take.
func hurried(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d / 50)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// listener records what the guest receives.
type listener struct {
	t        *testing.T
	guest    *client.Client
	n        *demo.Neighbourhood
	question gotong.EventID

	Answered bool
	Private  int
}

func (l *listener) signal(s client.Signal) {
	if s.Type != "typing" || s.Actor.Name != demo.Host || !l.question.IsZero() {
		return
	}
	m, err := l.guest.Send(l.t.Context(), l.n.Public.ThreadID, client.NewMessage{Body: "Halo, saya baru di sini"})
	if err != nil {
		l.t.Error(err)
	}
	l.question = m.MessageID
}

func (l *listener) event(e client.Event) error {
	var d struct {
		Body    string         `json:"body"`
		ReplyTo gotong.EventID `json:"reply_to"`
	}
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	if e.Stream == l.n.Private.Stream() {
		l.Private++
	}
	if !l.question.IsZero() && d.ReplyTo == l.question {
		l.Answered = e.Actor.Name == demo.Host && strings.HasPrefix(d.Body, "Halo Tamu")
	}
	if l.Answered && l.Private > 0 {
		return errEnough
	}
	return nil
}

var errEnough = errors.New("enough received")
