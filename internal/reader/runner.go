package reader

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/trouble"
)

// Store is the part of a store that readers and jobs use.
type Store interface {
	store.Loader
	store.Log
	store.Registers
	store.Readers
	store.Jobs
}

// Options configure a [Runner]. Store, Clock and Log are required.
type Options struct {
	Store    Store
	Clock    clock.Clock
	Log      *slog.Logger
	Shared   bool     // other nodes may use the same store
	Version  string   // of the program, which other nodes show
	Observer Observer // its fields may be nil
}

// Runner runs every reader in every partition, and the jobs of every queue.
// Nodes that share a store share the partitions: each belongs to one of the
// nodes that are up, by a hash that all of them compute. While they do not
// agree, the cursors let one of them succeed.
type Runner struct {
	opt     Options
	node    string
	readers []Reader
	parts   [gotong.Partitions]*partition
	queues  []*queue
	group   sync.WaitGroup
	version uint64 // of this node's register
	trouble trouble.State
}

// How often a node looks around.
const (
	poll     = 2 * time.Second  // at the log and at what operators decided
	presence = 15 * time.Second // for how long it counts as up after its last look
)

// New returns a runner. It returns an error for readers or handlers that cannot
// run together.
func New(opt Options, readers []Reader, handlers []Handler) (*Runner, error) {
	if err := check(readers, handlers); err != nil {
		return nil, err
	}
	r := &Runner{opt: opt, node: rand.Text(), readers: readers}
	r.trouble.Log, r.trouble.Clock, r.trouble.Level, r.trouble.Rest = opt.Log, opt.Clock, slog.LevelWarn, 2*poll
	r.trouble.Begins, r.trouble.Ends = "readers or jobs cannot use the store; they try again", "readers and jobs use the store again"
	for i := range r.parts {
		r.parts[i] = &partition{
			runner: r, id: gotong.Partition(i), wake: make(chan struct{}, 1), full: make(chan struct{}, 1), mine: !opt.Shared,
			halts: make([]halt, len(readers)),
		}
		for j := range readers {
			s := &r.parts[i].halts[j].State
			s.Log, s.Clock, s.Level = opt.Log.With("reader", readers[j].Name, "partition", i), opt.Clock, slog.LevelError
			s.Begins = "a reader stopped in a partition; correct the cause and restart, or run gotong reader skip"
			s.Ends = "the reader goes on in the partition"
		}
	}
	for i := range handlers {
		r.queues = append(r.queues, newQueue(r, &handlers[i]))
	}
	return r, nil
}

// Run runs readers and jobs until ctx ends. Then it writes the cursors, waits for
// the jobs that run, and returns nil. What cannot be done, because the store
// fails, is logged and tried again.
func (r *Runner) Run(ctx context.Context) error {
	if len(r.readers) > 0 {
		for _, p := range r.parts {
			r.group.Go(func() { p.run(ctx) })
		}
		r.group.Go(func() { r.look(ctx) })
	}
	for _, q := range r.queues {
		r.group.Go(func() { q.run(ctx) })
	}
	r.group.Wait()
	<-ctx.Done()
	return nil
}

// CatchUp has the readers process the whole log, and runs no jobs. Where another
// node runs them, it leaves that to the node.
func (r *Runner) CatchUp(ctx context.Context) error {
	ends, err := r.opt.Store.Positions(ctx)
	for i, p := range r.parts {
		p.reach(ends[i])
		for more := true; more && err == nil; {
			more, err = p.round(ctx)
		}
		if err == nil {
			err = p.write(ctx, true, nil)
		}
		if errors.Is(err, store.ErrConflict) {
			err = nil
		}
	}
	return err
}

// Committed hands over the events of one commit of this node, right after it
// became durable. It never blocks. The events must not be changed afterwards.
func (r *Runner) Committed(rows []store.Event) {
	if len(rows) > 0 && len(r.readers) > 0 {
		r.parts[rows[0].Partition].offer(Commit{Partition: rows[0].Partition, Position: rows[0].Position, Events: rows})
	}
}

// Woken notes that another node reported a commit. It is not trusted: the store
// is read.
func (r *Runner) Woken(p gotong.Partition, position uint64) {
	if len(r.readers) > 0 && int(p) < len(r.parts) {
		r.parts[p].reach(position)
	}
}

// look shares the partitions with other nodes, and finds what no wake-up
// reported: commits of other nodes, and decisions of operators.
func (r *Runner) look(ctx context.Context) {
	var marks map[string]rebuild
	for {
		err := store.Guard(func() (err error) { marks, err = r.lookOnce(ctx, marks); return err })
		switch {
		case err == nil:
			r.trouble.Over(ctx)
		case ctx.Err() == nil:
			r.fault(ctx, err)
		}
		if !pause(ctx, poll, nil) {
			break
		}
	}
	if r.version > 0 { // so that others need not wait
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := r.opt.Store.SetRegister(ctx, r.nodeKey(), r.version, nil, 0); err != nil {
			r.fault(ctx, err)
		}
	}
}

func (r *Runner) nodeKey() gotong.Key {
	return gotong.Key{Collection: registers, Owner: nodes, Name: r.node}
}

func (r *Runner) lookOnce(ctx context.Context, before map[string]rebuild) (map[string]rebuild, error) {
	if r.opt.Shared {
		if err := r.share(ctx); err != nil {
			return before, err
		}
	}
	ends, err := r.opt.Store.Positions(ctx)
	if err != nil {
		return before, err
	}
	rows, err := findAll[rebuild](ctx, r.opt.Store, rebuilds, "")
	if err != nil {
		return before, err
	}
	marks := map[string]rebuild{}
	for _, mark := range rows {
		marks[mark.Reader] = mark
	}
	stale := map[string]bool{}
	for name, mark := range marks {
		stale[name] = before[name] != mark
	}
	for i, p := range r.parts {
		if err := p.look(ctx, ends[i], stale); err != nil {
			return before, err
		}
	}
	return marks, nil
}

// share renews this node's register and gives each partition to one of the nodes
// whose registers have not expired.
func (r *Runner) share(ctx context.Context) error {
	key, now := r.nodeKey(), r.opt.Clock.Now()
	current, err := store.ReadRegister(ctx, r.opt.Store, key)
	if err != nil {
		return err
	}
	body, _ := json.Marshal(Node{Name: r.node, Version: r.opt.Version, At: now}) //nolint:errchkjson // plain fields
	if err := r.opt.Store.SetRegister(ctx, key, current.Version, body, now.Add(presence)); err != nil {
		return err
	}
	r.version = current.Version + 1
	list, err := Nodes(ctx, r.opt.Store)
	if err != nil {
		return err
	}
	var own []gotong.Partition
	if i := slices.IndexFunc(list, func(n Node) bool { return n.Name == r.node }); i >= 0 {
		own = list[i].Partitions
	}
	for _, p := range r.parts {
		p.give(slices.Contains(own, p.id))
	}
	return nil
}

// Node is a node that runs readers, and the partitions that are its own.
type Node struct {
	Name       string             `json:"node"` // random, a new one with each start
	Version    string             `json:"version,omitempty"`
	At         gotong.Instant     `json:"at"` // of its last look
	Partitions []gotong.Partition `json:"partitions,omitempty"`
}

// Nodes returns the nodes that share the partitions of a store; none if the store
// belongs to one node.
func Nodes(ctx context.Context, s store.Registers) ([]Node, error) {
	list, err := findAll[Node](ctx, s, nodes, "")
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	for p := range gotong.Partition(gotong.Partitions) {
		if i := slices.Index(names, ownerOf(p, names)); i >= 0 {
			list[i].Partitions = append(list[i].Partitions, p)
		}
	}
	return list, err
}

// ownerOf returns the node to which a partition belongs: the one with the largest
// hash, so that a node that comes or goes moves few of them.
func ownerOf(p gotong.Partition, names []string) (owner string) {
	var most [sha256.Size]byte
	for _, name := range names {
		if h := sha256.Sum256(append([]byte{byte(p)}, name...)); owner == "" || slices.Compare(h[:], most[:]) > 0 {
			owner, most = name, h
		}
	}
	return owner
}

func (r *Runner) fault(ctx context.Context, err error) {
	r.trouble.Met(ctx, "cause", err)
}

func (r *Runner) wakeJobs() {
	for _, q := range r.queues {
		signal(q.wake)
	}
}

// Status returns where the readers are in the partitions that this node runs.
func (r *Runner) Status() (list []Status) {
	for _, p := range r.parts {
		list = append(list, p.statuses()...)
	}
	return list
}

// Stopped returns the positions at which readers of this node stopped.
func (r *Runner) Stopped() (list []Stop) {
	for _, s := range r.Status() {
		if s.Stop != nil {
			list = append(list, *s.Stop)
		}
	}
	return list
}

// Late returns by how many seconds the oldest job of each queue that waits is
// late.
func (r *Runner) Late(now gotong.Instant) map[string]float64 {
	late := map[string]float64{}
	for _, q := range r.queues {
		q.mu.Lock()
		late[q.handler.Queue] = 0
		if q.next > 0 {
			late[q.handler.Queue] = max(now.Sub(q.next), 0).Seconds()
		}
		q.mu.Unlock()
	}
	return late
}
