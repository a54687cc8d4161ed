package demo

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/clock"
)

// Options describe where to seed. URL and Secret are required.
type Options struct {
	URL    string // of the server
	Secret string // ids and passwords are derived from it
	Log    *slog.Logger

	// Pause waits and reports whether to continue; nil waits in real time.
	Pause func(ctx context.Context, d time.Duration) bool
}

// Neighbourhood is the result of [Seed].
type Neighbourhood struct {
	Group   client.Group
	Public  client.Thread // of the scope rt05
	Private client.Thread // of the group
	Case    client.Case   // of the group
	Guest   Account       // the user who watches

	opts   Options
	people map[name]*person
	known  map[string]bool // the user ids of the neighbours, without the guest
}

// Account is what a user needs to sign in.
type Account struct {
	Username, Email, Password string
	Auth                      client.Auth
}

// person is a member of the cast, signed in.
type person struct {
	name   name
	auth   client.Auth
	client *client.Client

	mu   sync.Mutex
	conn *client.Conn // during Talk
}

// Seed signs up the whole cast and makes the group, the threads, the case
// and the history. What exists already is not changed.
func Seed(ctx context.Context, opts Options) (*Neighbourhood, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Pause == nil {
		opts.Pause = clock.Pause
	}
	n := &Neighbourhood{opts: opts, people: map[name]*person{}, known: map[string]bool{}}
	for _, step := range []func(context.Context) error{n.signUp, n.found, n.gather, n.file, n.remember} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
	}
	return n, nil
}

func (n *Neighbourhood) secret() secret { return secret(n.opts.Secret) }

// once returns the request id of something that is seeded once.
func (n *Neighbourhood) once(what string) client.CallOption {
	return client.RequestID(n.secret().request(what))
}

// signUp makes the accounts concurrently, because each costs a password hash.
func (n *Neighbourhood) signUp(ctx context.Context) error {
	people, errs := make([]*person, len(cast)), make([]error, len(cast))
	var group sync.WaitGroup
	for i, who := range cast {
		group.Go(func() { people[i], errs[i] = n.account(ctx, who) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, p := range people {
		n.people[p.name] = p
		if p.name != guest {
			n.known[p.auth.UserID] = true
		}
	}
	n.Guest = Account{string(guest), guest.email(), n.secret().password(), n.people[guest].auth}
	return nil
}

func (n *Neighbourhood) account(ctx context.Context, who name) (*person, error) {
	door, err := client.New(client.Options{BaseURL: n.opts.URL})
	if err != nil {
		return nil, err
	}
	auth, err := door.SignUp(ctx, client.SignUp{
		Email: who.email(), Pass: n.secret().password(), Username: string(who), CommunityID: Scope,
	}, n.once("account "+string(who)))
	if err != nil {
		return nil, fmt.Errorf("account of %s: %w", who, err)
	}
	c, err := client.New(client.Options{
		BaseURL: n.opts.URL, Token: client.NewSession(door, auth, nil), Log: n.opts.Log,
	})
	return &person{name: who, auth: auth, client: c}, err
}

func (n *Neighbourhood) found(ctx context.Context) error {
	founder := n.people[joko].client
	var err error
	n.Group, err = founder.CreateGroup(ctx, client.NewGroup{
		Name: "RT 05", Description: "Pengurus dan relawan RT 05: bersih-bersih setelah banjir.",
		EntityType: "kelompok", JoinPolicy: "persetujuan",
	}, n.once("group"))
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	n.Private, err = founder.CreateThread(ctx, client.NewThread{
		ScopeID: n.Group.GroupID, Privacy: "private", Members: "home", Name: "Pengurus RT 05", Icon: "🤝",
	}, n.once("private"))
	if err != nil {
		return fmt.Errorf("thread of the group: %w", err)
	}
	n.Public, err = founder.CreateThread(ctx, client.NewThread{
		ScopeID: Scope, Privacy: "public", Name: "Warga RT 05", Topic: "Kabar setelah banjir", Icon: "🏘️",
	}, n.once("public"))
	if err != nil {
		return fmt.Errorf("public thread: %w", err)
	}
	return nil
}

// gather makes the whole cast members of both.
func (n *Neighbourhood) gather(ctx context.Context) error {
	for _, who := range cast[1:] {
		p := n.people[who]
		_, err := n.people[joko].client.AddGroupMember(ctx, n.Group.GroupID, p.auth.UserID, "", n.once("member "+string(who)))
		if err != nil {
			return fmt.Errorf("%s in the group: %w", who, err)
		}
		if _, err := p.client.JoinThread(ctx, n.Public.ThreadID, n.once("join "+string(who))); err != nil {
			return fmt.Errorf("%s in the thread: %w", who, err)
		}
	}
	return nil
}

// remember posts the history. A line that the server rejects is left out, for
// example an edit that comes too late because seeding was interrupted.
func (n *Neighbourhood) remember(ctx context.Context) error {
	for i, sc := range history {
		show := performance{n: n, scene: sc, ids: map[string]gotong.EventID{}}
		for j, l := range sc.lines {
			err := show.do(ctx, l, n.once(fmt.Sprintf("history %d %d", i, j)))
			var problem *client.Problem
			switch {
			case errors.As(err, &problem) && !problem.Unknown():
				n.opts.Log.InfoContext(ctx, "the server rejected a line of the history", "problem", problem.Error())
			case err != nil:
				return fmt.Errorf("history: %w", err)
			}
		}
	}
	return nil
}

// performance is a scene that is being played, with the messages that its lines
// named.
type performance struct {
	n     *Neighbourhood
	scene scene
	ids   map[string]gotong.EventID
}

func (t *performance) thread() client.Thread {
	if t.scene.place == private {
		return t.n.Private
	}
	return t.n.Public
}

// do carries out one line, with its text unchanged.
func (t *performance) do(ctx context.Context, l line, opts ...client.CallOption) error {
	c, id := t.n.people[l.who].client, t.thread().ThreadID
	var err error
	switch {
	case l.edit != "":
		_, err = c.EditMessage(ctx, id, t.ids[l.edit], 0, l.text, opts...)
	case l.react != "":
		_, err = c.React(ctx, id, t.ids[l.react], l.text, true, opts...)
	case l.undo != "":
		_, err = c.DeleteMessage(ctx, id, t.ids[l.undo], opts...)
	default:
		var m client.Message
		m, err = c.Send(ctx, id, client.NewMessage{Body: l.text, ReplyTo: t.ids[l.reply]}, opts...)
		if err == nil && l.key != "" {
			t.ids[l.key] = m.MessageID
		}
	}
	return err
}

// between returns a random time between two, as people take it.
func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least) //nolint:gosec // the time that a neighbour takes is not a secret
}

// name is a neighbour's user name, which others see.
type name string

// The neighbours.
const (
	joko  name = "Pak.Joko" // ketua RT
	endah name = "Bu.Endah" // treasurer
	wati  name = "Bu.Wati"  // the kitchen
	rudi  name = "Rudi"     // the young people
	sari  name = "Sari"     // nurse
	guest name = "Tamu"     // the user who watches the demo
)

// cast is all neighbours and the guest, the founder first.
var cast = []name{joko, endah, wati, rudi, sari, guest}

const host = wati

func (n name) email() string { return strings.ToLower(string(n)) + "@rt05.example" }

// Scope is the scope of the neighbourhood's public thread.
const Scope = "rt05"

type secret string

// derive returns 130 bits as 26 characters that fit into a request id.
func (s secret) derive(what string) string {
	mac := hmac.New(sha256.New, []byte(s))
	_, _ = mac.Write([]byte("gotong demo v1 " + what))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))[:26]
}

// request returns the request id of one thing that is seeded.
func (s secret) request(what string) string { return "demo:" + s.derive("request "+what) }

// password returns the password of all neighbours; they share one, so that it
// can be shown once.
func (s secret) password() string { return s.derive("password")[:16] }

// Host is the user name of the neighbour who answers guests.
const Host = string(host)

// Emails returns the addresses of the neighbours, the founder first.
func Emails() []string {
	var list []string
	for _, who := range cast {
		if who != guest {
			list = append(list, who.email())
		}
	}
	return list
}
