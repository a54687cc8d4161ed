package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	settings "gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// waits holds the users for whom the job of a stream runs again, unless something new
// comes first.
type waits struct {
	due   gotong.Instant // of the job
	news  uint64         // the newest event, or item, that was considered
	users []string
}

type marked struct {
	userID string
	stream gotong.Stream
}

// turn is one run about a thread, or about the inbox of the user with this stream.
type turn struct {
	*Pusher
	stream gotong.Stream
	about  Payload        // what all pushes of the thread say
	due    gotong.Instant // of its job

	next gotong.Instant // when to decide again; 0: when something happens
	wait []string       // and about whom
	lock sync.Mutex     // guards next and wait
}

func (p *Pusher) turn(stream gotong.Stream) *turn {
	about := Payload{V: 1, Type: "thread", Stream: stream}
	if stream.Kind() != thread.Name {
		about = Payload{V: 1, Type: "inbox"}
	}
	return &turn{Pusher: p, stream: stream, about: about}
}

// again notes when the turn is to decide about a user again; 0: only when something happens.
func (t *turn) again(userID string, at gotong.Instant) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if at == 0 {
		return
	}
	if t.wait = append(t.wait, userID); t.next == 0 || at < t.next {
		t.next = at
	}
}

// waiting calls decide with the users who wait, if the last run of this job was on this
// node and nothing is newer: so one member whose host is slow causes no reads for all the
// others. Otherwise it calls decide with all members of a stream.
func (t *turn) waiting(ctx context.Context, of gotong.Stream, newest uint64, decide func(context.Context, []string) error) error {
	t.mu.Lock()
	was := t.waits[t.stream]
	delete(t.waits, t.stream)
	t.mu.Unlock()
	var err error
	if was.due == t.due && was.news == newest && len(was.users) > 0 {
		if was.users, err = t.Box.Members(ctx, t.stream, was.users); err == nil {
			err = decide(ctx, was.users)
		}
	} else {
		err = t.members(ctx, of, decide)
	}
	if slices.Sort(t.wait); err == nil && len(t.wait) > 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.waits) >= maxWaits { // all members are considered, then
			clear(t.waits)
		}
		t.waits[t.stream] = waits{t.next, newest, slices.Compact(t.wait)}
	}
	return err
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
	return t.waiting(ctx, thread.Chain(doc, t.stream)[0], state.Head.Seq, t.users)
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

// inboxes decides about the inboxes of the users among ids who have a subscription.
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
			t.again(id, own.next)
			return err
		})
	}
	return group.Wait()
}

// users decides for the users among ids who have a subscription.
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
		if !snap.Grants[i].Readable { // a former member of the home: not even a withdrawal
			continue
		}
		group.Go(func() error {
			if err := u.read(snap, snap.Grants[i]); err != nil {
				return err
			}
			return u.serve(ctx)
		})
	}
	return group.Wait()
}
