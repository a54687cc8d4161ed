package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

// newcomer is a member of a group who follows all of its threads over one
// connection, until the last words of each or until each was ended.
type newcomer struct {
	t       *testing.T
	name    string
	client  *client.Client
	streams []gotong.Stream
	live    *moment // got something of every thread

	mu    sync.Mutex
	seen  map[gotong.Stream]uint64 // the last seq
	over  map[gotong.Stream]bool   // got the last words
	ended map[gotong.Stream]bool   // was sent away
}

// run follows until nothing is left to follow.
func (w *newcomer) run(ctx context.Context) {
	done := func() error {
		if len(w.over)+len(w.ended) == len(w.streams) {
			return errLast
		}
		return nil
	}
	conn := w.client.NewConn(client.ConnOptions{
		Handle: func(e client.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.seen[e.Stream] = e.Seq; len(w.seen) == len(w.streams) {
				w.live.set()
			}
			if strings.Contains(string(e.Data), lastWords) {
				w.over[e.Stream] = true
			}
			return done()
		},
		OnEnded: func(e *client.Ended) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.ended[e.Stream] = true; !errors.Is(e, client.ErrAccessRevoked) {
				w.t.Errorf("%s: %v", w.name, e)
			}
			return done()
		},
	})
	for _, s := range w.streams {
		if err := conn.Subscribe(s, client.Start); err != nil {
			w.t.Error(err)
		}
	}
	if err := conn.Run(ctx); !errors.Is(err, errLast) {
		w.t.Errorf("%s ended with %v, after %v; over %v, ended %v", w.name, err, w.seen, w.over, w.ended)
	}
}

// TestCorpusAsAGroup imports real exports as the threads of one group. A join in
// the export adds the user to the group, a leave removes them. Half-way, the group
// removes half of the users who follow all threads: each of their streams ends, and
// they receive no event at or after the removal, and no message posted after the
// removal has returned. The others receive everything.
func TestCorpusAsAGroup(t *testing.T) {
	n := startNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	owner := dial(t, n.url, "owner")
	g := must(owner.CreateGroup(ctx, client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "undangan"}))(t)
	var streams []gotong.Stream
	list := exports(t)
	for _, x := range list {
		x.owner, x.home = "owner", g.Stream()
		x.thread, _ = makeThread(t, n.url, "owner", client.NewThread{ScopeID: g.GroupID, Privacy: "private", Members: "home"})
		streams = append(streams, x.thread.Stream())
	}
	transports := []client.Transport{client.WebSocket, client.SSE, client.Poll}
	var all []*newcomer
	for i, user := range names("watcher", size(18, 6)) {
		must(owner.AddGroupMember(ctx, g.GroupID, user, ""))(t)
		all = append(all, &newcomer{
			t: t, name: user, client: dial(t, n.url, user, transports[i%3]), streams: streams, live: newMoment(),
			seen: map[gotong.Stream]uint64{}, over: map[gotong.Stream]bool{}, ended: map[gotong.Stream]bool{},
		})
	}
	gone := all[:len(all)/2]
	var following, importing sync.WaitGroup
	for _, w := range all {
		following.Go(func() { w.run(ctx) })
	}
	for _, x := range list {
		importing.Go(func() {
			half := sync.OnceFunc(func() { close(x.halfway) })
			defer half()
			_, x.steps = x.run(ctx, t, n.url, x.entries, func(done, of int) {
				if done >= of/2 {
					half()
				}
			})
		})
	}
	for _, x := range list {
		<-x.halfway
	}
	each(gone, func(w *newcomer) {
		if !w.live.within(ctx, t, w.name+" never got anything") {
			return
		}
		if err := owner.RemoveGroupMember(ctx, g.GroupID, w.name); err != nil {
			t.Error(err)
		}
		for _, x := range list {
			must(owner.Send(ctx, x.thread.ThreadID, client.NewMessage{Body: "without " + w.name}))(t)
		}
	})
	importing.Wait()
	for _, x := range list {
		must(owner.Send(ctx, x.thread.ThreadID, client.NewMessage{Body: lastWords}))(t)
	}
	following.Wait()
	if err := n.end(); err != nil {
		t.Fatal(err)
	}
	checkGroup(t, readLog(t, n.dir), g.Stream(), list, all, gone)
}

// checkGroup compares what everybody got with the log of the group and its threads,
// which is one partition.
func checkGroup(t *testing.T, log *logbook, group gotong.Stream, list []*export, all, gone []*newcomer) {
	t.Helper()
	removed, moves := map[string]uint64{}, 0
	rows := log.streams[group]
	for i := range rows {
		if env := envelope(t, &rows[i]); strings.HasPrefix(env.RequestID, "import:") {
			moves++
		} else if rows[i].Type == "member.removed" {
			removed[userIn(t, &rows[i])] = rows[i].Position
		}
	}
	posts := 0
	for _, x := range list {
		events, want, got := log.streams[x.thread.Stream()], 0, 0
		for _, s := range x.steps {
			if s.Op == importer.Post {
				want++
			}
		}
		for i := range events {
			if strings.HasPrefix(envelope(t, &events[i]).RequestID, "import:") {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d messages of %d", x.name, got, want)
		}
		for _, w := range all {
			last := w.seen[x.thread.Stream()]
			switch at, is := removed[w.name]; {
			case !is && last != uint64(len(events)):
				t.Errorf("%s: %s ended with %d of %d events", x.name, w.name, last, len(events))
			case is && events[last-1].Position >= at:
				t.Errorf("%s: %s, removed at %d, got the event %d at %d", x.name, w.name, at, last, events[last-1].Position)
			}
		}
		posts += got
	}
	if len(removed) != len(gone) || moves == 0 {
		t.Errorf("%d of %d were removed, beside %d imported comings and goings", len(removed), len(gone), moves)
	}
	for _, w := range gone {
		if len(w.over) > 0 {
			t.Errorf("%s was removed and got the last words of %s", w.name, fmt.Sprint(w.over))
		}
	}
	t.Logf("%d threads of one group: %d messages, %d comings and goings, %d of %d removed", len(list), posts, moves, len(gone), len(all))
}
