package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/cases"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/timer"
	hooks "gotong.dev/gotong/internal/webhook"
	"gotong.dev/gotong/proof"
)

// The bounds of what one order shows.
const (
	tail         = 32 // newest commits of each partition, whose streams are listed
	mostStreams  = 100
	mostJobs     = 5000 // jobs, whose gates are listed
	mostGates    = 200
	mostWebhooks = 50
	mostLetters  = 100 // dead letters that are counted
)

// Look is what the console shows to operators. None of it contains a text of users,
// data of an event, or the address of a receiver.
type Look struct {
	Streams  []Recent      `json:"streams,omitempty"`
	Event    *proof.Event  `json:"event,omitempty"`
	Webhooks []Hook        `json:"webhooks,omitempty"`
	Gates    []OpenGate    `json:"gates,omitempty"`
	Nodes    []reader.Node `json:"nodes,omitempty"`
	Storage  *Storage      `json:"storage,omitempty"`
}

// Recent is a stream with its head and the position of its newest commit.
type Recent struct {
	Stream    gotong.Stream    `json:"stream"`
	Head      uint64           `json:"head"`
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
	At        gotong.Instant   `json:"at"`
}

// Hook is a webhook with the state of its delivery.
type Hook struct {
	ID           string          `json:"id"`
	Home         gotong.Stream   `json:"home"`
	Host         string          `json:"host"` // of the receiver; the rest of the URL may hold a secret
	Disabled     string          `json:"disabled,omitempty"`
	Failures     int             `json:"failures"`
	Blocked      int             `json:"blocked"` // streams that wait for the receiver to accept an event
	Dead         int             `json:"dead"`    // at most 100 are counted
	FailingSince gotong.Instant  `json:"failing_since,omitzero"`
	LastSuccess  gotong.Instant  `json:"last_success_at,omitzero"`
	Log          []hooks.Attempt `json:"log,omitempty"` // the newest last
}

// OpenGate is a gate of a case that has no outcome yet, without any choice.
type OpenGate struct {
	Stream   gotong.Stream  `json:"stream"`
	Gate     uint64         `json:"gate"`
	From     string         `json:"from_stage"`
	To       string         `json:"to_stage"`
	Phase    cases.Phase    `json:"phase"`
	Votes    bool           `json:"votes"`
	ClosesAt gotong.Instant `json:"closes_at"`
	Voters   int            `json:"voters"`
	TookPart int            `json:"took_part"`
}

// Storage is the size of the files of a database, in bytes.
type Storage struct {
	Database int64  `json:"database"`
	Log      int64  `json:"wal"`
	Free     uint64 `json:"free,omitempty"` // on its disk; 0: unknown
}

// order carries out an order on a running server.
func (a *App) order(ctx context.Context, o *Order) (reply Reply, err error) {
	switch o.Do {
	case "streams":
		reply.Streams, err = recent(ctx, a.bare, o.Stream)
	case "event":
		reply.Event, err = a.lookEvent(ctx, o.Stream, o.Seq)
	case "webhooks":
		reply.Webhooks, err = lookWebhooks(ctx, a.bare)
	case "gates":
		reply.Gates, err = openGates(ctx, a.bare)
	case "nodes":
		reply.Nodes, err = reader.Nodes(ctx, a.bare)
	case "replay":
		err = a.replay(ctx, o.Webhook)
	case "storage":
		if path, ok := sqlitePath(&a.cfg); ok {
			reply.Storage, err = storageOf(path)
		}
	case "reset":
		reply.Reset, err = a.reset(ctx, o.User)
	default:
		return o.on(ctx, a.bare, a.now())
	}
	return reply, err
}

// reset returns a reset token for the account of a user, by id, user name or e-mail address.
func (a *App) reset(ctx context.Context, who string) (*Reset, error) {
	id, err := findAccount(ctx, a.bare, who)
	if err != nil {
		return nil, err
	}
	token, expires, err := a.auth.ResetToken(ctx, id)
	return &Reset{id, token, expires}, err
}

// ResetLink returns the link to the page on which the holder of a reset token sets the
// password. The token is in the fragment, which browsers do not send.
func ResetLink(cfg *config.Config, token string) string {
	return cmp.Or(cfg.PublicURL, "http://"+cfg.Addr) + "/#reset=" + token
}

// recent returns the streams of the newest commits, the newest first; or the one
// stream that is named, if it exists.
func recent(ctx context.Context, from store.Store, named gotong.Stream) ([]Recent, error) {
	found := map[gotong.Stream]Recent{}
	add := func(e *store.Event) {
		if e.Position > found[e.Stream].Position {
			found[e.Stream] = Recent{Stream: e.Stream, Partition: e.Partition, Position: e.Position, At: e.At}
		}
	}
	if named != "" {
		stream, err := gotong.ParseStream(string(named))
		if err != nil {
			return nil, err
		}
		snap, err := from.Load(ctx, store.Need{Events: []store.EventRange{store.LastEvent(stream)}})
		if err != nil {
			return nil, err
		}
		for i := range snap.Events[0] {
			add(&snap.Events[0][i])
		}
	} else if err := tails(ctx, from, add); err != nil {
		return nil, err
	}
	list := slices.SortedFunc(maps.Values(found), func(x, y Recent) int {
		return cmp.Or(cmp.Compare(y.At, x.At), cmp.Compare(x.Stream, y.Stream))
	})
	list = list[:min(len(list), mostStreams)]
	var need store.Need
	for i := range list {
		need.Heads = append(need.Heads, list[i].Stream)
	}
	snap, err := from.Load(ctx, need)
	for i := range list {
		list[i].Head = snap.Heads[list[i].Stream].Seq
	}
	return list, err
}

// tails calls add with the newest events of each partition.
func tails(ctx context.Context, from store.Log, add func(*store.Event)) error {
	ends, err := from.Positions(ctx)
	if err != nil {
		return err
	}
	for p, end := range ends {
		events, err := from.ReadPartition(ctx, gotong.Partition(p), end-min(end, tail), end, store.MaxRead)
		if err != nil {
			return err
		}
		for i := range events {
			add(&events[i])
		}
	}
	return nil
}

// lookEvent returns the proof of an event without what its author wrote.
func (a *App) lookEvent(ctx context.Context, named gotong.Stream, seq uint64) (*proof.Event, error) {
	stream, err := gotong.ParseStream(string(named))
	if err != nil || seq == 0 {
		return nil, gotong.NotFound()
	}
	snap, err := a.bare.Load(ctx, store.Need{Events: []store.EventRange{{Stream: stream, From: seq - 1, To: seq, Limit: 1}}})
	if err != nil {
		return nil, err
	}
	if len(snap.Events[0]) == 0 {
		return nil, gotong.NotFound()
	}
	row := &snap.Events[0][0]
	e, err := a.prove(ctx, row.Partition, row.Position, stream, seq)
	if err != nil {
		return nil, err
	}
	e.Data, e.DataSalt, e.Content, e.ContentSalt, e.Evidence = nil, nil, nil, nil, nil
	return &e, nil
}

func lookWebhooks(ctx context.Context, from store.Store) (list []Hook, err error) {
	all, err := hooks.Planned(ctx, from)
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(all))
	for _, id := range ids[:min(len(ids), mostWebhooks)] {
		state, err := hooks.ReadState(ctx, from, id)
		if err != nil {
			return nil, err
		}
		cfg, _, err := hooks.ReadConfig(ctx, from, id)
		if err != nil {
			return nil, err
		}
		dead, _, err := hooks.DeadLetters(ctx, from, id, "", mostLetters)
		if err != nil {
			return nil, err
		}
		h := Hook{
			ID: id, Home: all[id].Home, Disabled: string(cmp.Or(all[id].Disabled, all[id].Ended)), Failures: state.Failures,
			Blocked: len(state.Blocked), Dead: len(dead), FailingSince: state.FailingSince, LastSuccess: state.LastSuccess,
			Log: state.Log[max(0, len(state.Log)-20):],
		}
		if u, err := url.Parse(cfg.URL); err == nil {
			h.Host = u.Hostname()
		}
		list = append(list, h)
	}
	return list, nil
}

// replay has the dead letters of a webhook sent again, by a command of the server in
// the stream of the webhook.
func (a *App) replay(ctx context.Context, id string) error {
	stream, err := gotong.ParseStream(rules.Name + "/" + id)
	if err != nil {
		return gotong.NotFound()
	}
	replay := "rpl-" + strings.ToLower(rand.Text())
	_, err = a.engine.Execute(ctx, gotong.Command{
		Stream: stream, Type: rules.CmdReplay, Data: rules.Replay{ReplayID: replay}, RequestID: replay,
		Actor:     gotong.Actor{UserID: auth.Operator().UserID, Role: gotong.RoleSystem},
		Registers: []gotong.RegisterChange{{Key: hooks.ReplayKey(id, replay), Body: []byte(`{"dead":true}`)}},
	})
	return err
}

// openGates finds gates by their timers: each open gate has one.
func openGates(ctx context.Context, from store.Whole) (list []OpenGate, err error) {
	jobs, err := reader.Jobs(ctx, from, false, mostJobs)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for i := range jobs {
		if s := timer.StreamOf(jobs[i]); s.Kind() == cases.Name && len(ids) < mostGates {
			ids[s.ID()] = true
		}
	}
	var docs, gates store.Need
	for id := range ids {
		docs.Documents = append(docs.Documents, cases.CaseKey(id))
	}
	snap, err := from.Load(ctx, docs)
	if err != nil {
		return nil, err
	}
	for key, body := range snap.Documents {
		var c cases.Case
		if err := json.Unmarshal(body, &c); err != nil {
			return nil, err
		}
		if c.Gate > 0 {
			gates.Documents = append(gates.Documents, cases.GateKey(key.Owner, c.Gate))
		}
	}
	if snap, err = from.Load(ctx, gates); err != nil {
		return nil, err
	}
	for key, body := range snap.Documents {
		var g cases.Gate
		if err := json.Unmarshal(body, &g); err != nil {
			return nil, err
		}
		list = append(list, OpenGate{
			gotong.NewStream(cases.Name, key.Owner), g.Seq, g.From, g.To, g.Phase, g.Phase.Votes(), g.ClosesAt, g.Voters, len(g.Ballots),
		})
	}
	slices.SortFunc(list, func(x, y OpenGate) int {
		return cmp.Or(cmp.Compare(x.ClosesAt, y.ClosesAt), cmp.Compare(x.Stream, y.Stream))
	})
	return list, nil
}

func storageOf(path string) (*Storage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &Storage{Database: info.Size(), Free: FreeSpace(filepath.Dir(path))}
	if info, err := os.Stat(path + "-wal"); err == nil {
		s.Log = info.Size()
	}
	return s, nil
}
