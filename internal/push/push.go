// Package push sends Web Push messages (RFC 8030), which browsers, UnifiedPush and
// ntfy accept. A reader, [Planner], makes a job for each thread with something to push
// or to withdraw; after a delay, the handler decides for each member and sends.
//
// A push holds ids and counts, and no text of a message: the receiver renders it. One
// push stands for everything unread in a thread. A later one replaces it; once nothing
// is unread, a push with the count 0 withdraws it.
//
// # Caveats
//
// Pushes are notices, not delivery: a push service may drop them. If a node crashes
// while it sends, the push is sent again and replaces the first one.
//
// After a read mark, the node that set it sends the withdrawal, and tries again as for a
// push. If that node crashes first, the next push of the thread corrects the count.
package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/thread"
	settings "gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// queue is the name of the reader and of its queue. The id of a job is a stream.
const queue = "push"

const (
	tooOld   = 24 * time.Hour // an older message is not announced, nor kept by a push service
	newest   = 256            // events of a thread that are considered
	members  = 500            // that are read at once
	batch    = 50             // users who are decided on with one read
	maxMarks = 4096           // reads that wait for their withdrawal
)

// Planner returns the reader that makes a job when a thread has something to push or
// to withdraw. With on false it only follows the log, so that a server on which push
// is enabled later begins with the newest messages.
func Planner(on bool, delay time.Duration) reader.Reader {
	return reader.Reader{Name: queue, Read: func(_ map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
		for _, c := range run {
			for i := range c.Events {
				e := &c.Events[i]
				due := e.At
				switch e.Type {
				case thread.EvPosted, thread.EvEdited, thread.EvReleased: // an edit may mention somebody
					if !bytes.Contains(e.Data, []byte(`"siaga":true`)) {
						due = due.Add(delay)
					}
				case thread.EvDeleted, thread.EvHeld, thread.EvBlocked:
				default:
					continue
				}
				if on && e.Stream.Kind() == thread.Name {
					step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: string(e.Stream), Due: due})
				}
			}
		}
		return step, nil
	}}
}

// Alerting returns the reader of inboxes, which then also makes a job for each user, and
// for each wide stream, to whose list it adds an item that no thread announces.
func Alerting(r reader.Reader, on bool, delay time.Duration) reader.Reader {
	read := r.Read
	r.Read = func(docs map[gotong.Key][]byte, run []reader.Commit) (reader.Step, error) {
		step, err := read(docs, run)
		for of, at := range inbox.Given(step.Changes, pushed...) {
			if on {
				step.Jobs = append(step.Jobs, store.Job{Queue: queue, ID: string(of), Due: at.Add(delay)})
			}
		}
		return step, err
	}
	return r
}

// Reading is what a user has read of a thread. A message whose ordinal is above Floor
// counts as unread.
type Reading struct {
	Readable, Muted bool
	Unread          int
	Floor           uint64
}

// Options are what a [Pusher] is made of; all are required.
type Options struct {
	Store interface {
		store.Loader
		store.Registers
	}
	Codec *store.Codec
	Views *view.Views
	Clock clock.Clock
	Guard *outbound.Guard
	Keys  *Keys
	Box   *inbox.Box
	Log   *slog.Logger

	Delay    time.Duration // before a message is announced
	Interval time.Duration // between two pushes of a thread to a user

	// Lives reports whether the login has not ended.
	Lives func(ctx context.Context, login auth.Principal) (bool, error)
	// Looks reports whether a session of the user says that they look at the stream.
	Looks   func(userID string, stream gotong.Stream) bool
	Reading func(ctx context.Context, viewer gotong.Viewer, stream gotong.Stream) (Reading, error)
	Badge   func(ctx context.Context, viewer gotong.Viewer) (int, error) // the unread messages of all threads
	Count   func(outcome string)                                         // counts requests: accepted, gone, failed, rejected
}

// Pusher decides and sends. It is safe for concurrent use.
type Pusher struct {
	Options
	client *http.Client
	slots  chan struct{} // requests at once
	marks  chan marked

	mu     sync.Mutex
	paused map[string]gotong.Instant // hosts that do not respond, and until when nothing is sent to them
	hosts  map[string]chan struct{}  // requests at once to a host
	later  map[marked]gotong.Instant // withdrawals that failed, and when they are tried again
}

type marked struct {
	userID string
	stream gotong.Stream
}

// New returns a pusher.
func New(opt Options) *Pusher {
	return &Pusher{
		Options: opt, client: opt.Guard.Client(), slots: make(chan struct{}, inFlight), marks: make(chan marked, maxMarks),
		paused: map[string]gotong.Instant{}, hosts: map[string]chan struct{}{}, later: map[marked]gotong.Instant{},
	}
}

// Handler returns the handler of the planner's jobs.
func (p *Pusher) Handler() reader.Handler {
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		stream, err := gotong.ParseStream(job.ID)
		if err != nil {
			return reader.Done, err
		}
		t := p.turn(stream)
		switch stream.Kind() {
		case thread.Name:
			err = t.thread(ctx)
		case settings.Name:
			err = t.users(ctx, []string{stream.ID()})
		default:
			err = t.members(ctx, stream, t.inboxes)
		}
		if err != nil || t.next == 0 {
			return reader.Done, err
		}
		return reader.TooEarly(t.next), nil
	}}
}

// Marked notes that a user marked something as read in a thread, or in their inbox, so
// that its push is withdrawn. It does not block.
func (p *Pusher) Marked(userID string, stream gotong.Stream) {
	select {
	case p.marks <- marked{userID, stream}:
	default:
	}
}

// Run withdraws what was read, until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(4)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-again.C:
			p.overdue()
		case m := <-p.marks:
			group.Go(func() error { p.withdraw(ctx, m); return nil })
		}
	}
}

func (p *Pusher) withdraw(ctx context.Context, m marked) {
	t := p.turn(m.stream)
	reg, err := store.ReadRegister(ctx, p.Store, stateKey(m.stream, m.userID))
	if err == nil && reg.Version > 0 { // they were sent something
		err = t.users(ctx, []string{m.userID})
	}
	if err != nil && ctx.Err() == nil {
		p.Log.WarnContext(ctx, "a push that was read could not be withdrawn", "cause", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.later, m); t.next > 0 && len(p.later) < maxMarks {
		p.later[m] = t.next
	}
}

// overdue notes again the marks whose withdrawal is tried again now.
func (p *Pusher) overdue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Clock.Now()
	for m, at := range p.later {
		if at <= now {
			delete(p.later, m)
			p.Marked(m.userID, m.stream)
		}
	}
}

// turn is one run about a thread, or about the inbox of the user with this stream.
type turn struct {
	*Pusher
	stream gotong.Stream
	about  Payload // what all pushes of the thread say

	next gotong.Instant // when to decide again; 0: when something happens
	lock sync.Mutex     // guards next
}

func (p *Pusher) turn(stream gotong.Stream) *turn {
	about := Payload{V: 1, Type: "thread", Stream: stream}
	if stream.Kind() != thread.Name {
		about = Payload{V: 1, Type: "inbox"}
	}
	return &turn{Pusher: p, stream: stream, about: about}
}

func (t *turn) again(at gotong.Instant) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if at > 0 && (t.next == 0 || at < t.next) {
		t.next = at
	}
}

// thread decides for all members of the thread. A push names the group of the thread
// only if everybody may know of the group.
func (t *turn) thread(ctx context.Context) error {
	key := thread.ThreadKey(t.stream.ID())
	state, _, err := store.LoadState(ctx, t.Store, t.Codec, t.stream, func(s gotong.State) []gotong.Ref {
		refs := []gotong.Ref{{Stream: t.stream, Key: key}}
		if doc, _ := gotong.Doc[thread.Thread](s, key); doc.Home.HasMembers() {
			refs = append(refs, gotong.Ref{Stream: doc.Home, Key: gotong.StreamKey(doc.Home)})
		}
		return refs
	}, nil)
	doc, ok := gotong.Doc[thread.Thread](state, key)
	if err != nil || !ok || t.Clock.Now().Sub(state.Head.At) > tooOld {
		return err
	}
	t.about.Direct = doc.Direct()
	type named interface {
		gotong.Known
		Title() string
	}
	if home, ok := gotong.Doc[named](state, gotong.StreamKey(doc.Home)); ok && home.KnownToAll() {
		t.about.Group = home.Title()
	}
	return t.members(ctx, thread.Chain(doc, t.stream)[0], t.users)
}

// members calls decide with the members of a stream, some at a time.
func (t *turn) members(ctx context.Context, of gotong.Stream, decide func(context.Context, []string) error) error {
	key := gotong.MemberKey(of, "")
	r := store.KeyRange{Collection: key.Collection, Owner: key.Owner, To: "~", Limit: members}
	for {
		snap, err := t.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{r}})
		if err != nil {
			return err
		}
		var list []string
		for _, row := range snap.Ranges[0] {
			doc, err := t.Codec.Document(row.Key.Collection, row.Body)
			if err != nil {
				return err
			}
			if m, ok := doc.(interface{ Active() bool }); ok && m.Active() {
				list = append(list, row.Key.Name)
			}
			r.From = row.Key.Name + "!" // sorts before every id that this one begins
		}
		if err := decide(ctx, list); err != nil || len(snap.Ranges[0]) < members {
			return err
		}
	}
}

// inboxes decides about the inboxes of those of these users who have a subscription.
func (t *turn) inboxes(ctx context.Context, ids []string) error {
	var need store.Need
	for _, id := range ids {
		need.Registers = append(need.Registers, accountKey(id))
	}
	snap, err := t.Store.Load(ctx, need)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(batch)
	for _, id := range ids {
		if snap.Registers[accountKey(id)].Version == 0 {
			continue
		}
		group.Go(func() error {
			own := t.turn(gotong.NewStream(settings.Name, id))
			err := own.users(ctx, []string{id})
			t.again(own.next)
			return err
		})
	}
	return group.Wait()
}

// users decides for those of these users who have a subscription.
func (t *turn) users(ctx context.Context, ids []string) error {
	var need store.Need
	for _, id := range ids {
		need.Registers = append(need.Registers, accountKey(id), stateKey(t.stream, id))
	}
	snap, err := t.Store.Load(ctx, need)
	if err != nil {
		return err
	}
	var list []*user
	for _, id := range ids {
		account, state := snap.Registers[accountKey(id)], snap.Registers[stateKey(t.stream, id)]
		u := &user{turn: t, id: id, version: state.Version}
		u.reading = func(ctx context.Context) (Reading, error) { return u.Reading(ctx, u.viewer(), t.stream) }
		if err := errors.Join(parse(account, &u.account), parse(state, &u.State)); err != nil {
			return err
		}
		if len(u.List) > 0 {
			list = append(list, u)
		}
	}
	if t.stream.Kind() != thread.Name && len(list) > 0 {
		if err := list[0].readInbox(ctx); err != nil {
			return err
		}
		return list[0].serve(ctx)
	}
	for part := range slices.Chunk(list, batch) {
		if err := t.some(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// parse reads the body of a register, if there is one.
func parse(reg store.Register, into any) error {
	if reg.Version == 0 {
		return nil
	}
	if err := json.Unmarshal(reg.Body, into); err != nil {
		return fmt.Errorf("push: %s of %s: %w", reg.Key.Collection, reg.Key.Owner, err)
	}
	return nil
}

// some reads the newest events, as each of these users may see them now, and serves the
// users. A damaged event hides those before it.
func (t *turn) some(ctx context.Context, list []*user) error {
	viewers, more := make([]gotong.Viewer, len(list)), store.Need{}
	for i, u := range list {
		viewers[i] = u.viewer()
		more.Documents = append(more.Documents, gotong.SettingsRef(u.id).Key)
	}
	page := view.Span{Limit: newest, Bytes: store.MaxReadBytes, Descending: true}
	snap, err := t.Views.Load(ctx, t.stream, viewers, page, more, nil)
	for view.Spoilt(err) && page.Limit > 0 {
		page.Limit /= 2
		snap, err = t.Views.Load(ctx, t.stream, viewers, page, more, nil)
	}
	if err != nil {
		return err
	}
	var group errgroup.Group // of at most a batch: users whose host is slow hold up no others
	for i, u := range list {
		group.Go(func() error {
			if err := u.read(snap, snap.Grants[i]); err != nil {
				return err
			}
			return u.serve(ctx)
		})
	}
	return group.Wait()
}
