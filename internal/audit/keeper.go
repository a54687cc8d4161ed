package audit

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/trouble"
	"gotong.dev/gotong/proof"
)

// The paces of a keeper.
const (
	signEvery = time.Second
	sayEvery  = time.Minute
	notYet    = 5 * time.Second // how long [Keeper.Await] waits
)

// Options configure a [Keeper]. Store and Log are required.
type Options struct {
	Store interface {
		Log
		store.Registers
		Epoch() gotong.Epoch
	}
	Dir      string // where the key and the checkpoints are kept; empty: in memory alone, for a store in memory
	Instance string // the name for a new key; empty: that of the store's other nodes, or a random one
	New      bool   // accept that there are no checkpoints, or damaged ones, although the log is not empty
	Accept   bool   // keep the checkpoints of another history aside, and begin with those of the log
	Log      *slog.Logger

	// Connections returns a number that grows with each new connection to the
	// database. Nil: there is none that could lead to another one.
	Connections func() uint64

	// Record executes a command about the keys; nil: the log does not have them.
	Record func(ctx context.Context, cmd gotong.Command) error

	Witnesses []Witness         // who cosign; at most [MaxWitnesses], each with another key
	Quorum    int               // how many of them must cosign a checkpoint before proofs use it; 0: all
	Transport http.RoundTripper // to the witnesses; nil is the default one
}

// Keeper signs the checkpoints of a node and keeps them. Each node signs those of
// all partitions, and first compares the log with the one that it signed before.
type Keeper struct {
	o       Options
	signers []proof.Signer

	published bool   // its keys are in the store
	recorded  bool   // the log says with which keys it signs
	compared  uint64 // Options.Connections before the last comparison of all partitions

	mu       sync.Mutex
	pinned   Pinned
	cosigned Pinned
	changed  chan struct{} // closed when pinned has changed
	said     Pinned        // what the log of the process has
	failure  error         // of the last step

	cosigning cosigning
}

// Open compares the log with the checkpoints of the directory, which it creates
// for an empty log. It returns [ErrMissing] if a log that is not empty has none,
// and a [Rollback] if the log does not continue that of the checkpoints.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	k := &Keeper{o: o, changed: make(chan struct{})}
	_, positions, err := sizes(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	known, _, err := published(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	empty := positions == [gotong.Partitions]uint64{}
	if o.Dir != "" {
		k.signers, k.pinned, err = readDir(o.Dir)
	} else {
		err = ErrMissing
	}
	if o.New && errors.Is(err, ErrDamaged) {
		if err := k.copyAside("damaged"); err != nil {
			return nil, err
		}
		err = ErrMissing
	}
	switch fresh := errors.Is(err, ErrMissing) && (empty || o.New || o.Dir == ""); {
	case fresh:
		err = k.begin(ctx, known)
	case err == nil && k.other(known):
		err = k.foreign(known)
	case err == nil:
		_, _, err = k.compare(ctx, true)
		if o.Accept && errors.Is(err, ErrRollback) {
			err = k.accept(ctx)
		}
	}
	if err == nil {
		err = k.publish(ctx)
	}
	if err != nil {
		return nil, err
	}
	k.newCosigning()
	k.readCosigned(ctx)
	return k, nil
}

// begin makes the first checkpoints of this node, and its key if it has none.
func (k *Keeper) begin(ctx context.Context, known instance) error {
	if len(k.signers) > 0 && k.differs(known) {
		return k.foreign(known)
	}
	if len(k.signers) == 0 {
		if err := k.newKey(known.Instance); err != nil {
			return err
		}
	}
	if err := k.publish(ctx); err != nil {
		return err
	}
	return k.pin(ctx)
}

// newKey makes the first key of this node, for the instance that the store names.
func (k *Keeper) newKey(instance string) error {
	if instance == "" {
		instance = k.o.Instance
	}
	if instance == "" {
		instance = "gotong-" + strings.ToLower(rand.Text()[:10])
	}
	text, err := proof.NewSigner(instance)
	if err == nil && k.o.Dir != "" {
		err = makeKey(k.o.Dir, text)
	}
	if err != nil {
		return err
	}
	s, err := proof.ParseSigner(text)
	k.signers = []proof.Signer{s}
	return err
}

// pin signs the checkpoints of the trees as they are. Until the nodes have agreed
// on an instance, it signs those of empty trees.
func (k *Keeper) pin(ctx context.Context) error {
	leaves, _, err := sizes(ctx, k.o.Store)
	if err != nil {
		return err
	}
	if !k.published {
		leaves = [gotong.Partitions]uint64{}
	}
	next := Pinned{}
	for p := range leaves {
		if err := k.sign(ctx, &next, gotong.Partition(p), leaves[p]); err != nil {
			return err
		}
	}
	return k.keep(next)
}

// accept keeps the checkpoints of the other history under the name of its epoch.
func (k *Keeper) accept(ctx context.Context) error {
	if err := k.publish(ctx); err != nil {
		return err
	}
	if err := k.copyAside(string(k.pinned[0].Checkpoint.Origin.Epoch)); err != nil {
		return err
	}
	return k.pin(ctx)
}

// copyAside keeps a copy of the file of checkpoints, with this word in its name.
func (k *Keeper) copyAside(word string) error {
	for n := 1; ; n++ {
		path := filepath.Join(k.o.Dir, fmt.Sprintf("%s.%s.%d", CheckpointsFile, word, n))
		if _, err := os.Stat(path); err == nil {
			continue
		}
		text, err := regular.ReadFile(filepath.Join(k.o.Dir, CheckpointsFile))
		if err != nil {
			return err
		}
		return writeFile(path, text)
	}
}

func (k *Keeper) sign(ctx context.Context, into *Pinned, p gotong.Partition, size uint64) error {
	root, err := rootAt(ctx, k.o.Store, p, size, size)
	if err != nil {
		return err
	}
	c := proof.Checkpoint{
		Origin: proof.Origin{Instance: k.signers[0].Instance(), Epoch: k.o.Store.Epoch(), Partition: p}, Size: size, Root: root,
	}
	note, err := c.Sign(k.signers...)
	into[p] = Pin{c, note, k.Keys()}
	return err
}

// keep makes the checkpoints those of this node: first in the file.
func (k *Keeper) keep(next Pinned) error {
	if k.o.Dir != "" {
		if err := next.write(k.o.Dir, CheckpointsFile); err != nil {
			return fmt.Errorf("the checkpoints cannot be written: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pinned = next
	close(k.changed)
	k.changed = make(chan struct{})
	return nil
}

// Run signs the checkpoints of all partitions that have grown, once a second, and
// has them cosigned. It returns a [Rollback] when the log does not continue the
// one that was signed, and nil when ctx ends. Errors of the store, of the
// directory and of witnesses are logged, and it tries again.
func (k *Keeper) Run(ctx context.Context) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return k.runSigning(ctx) })
	if len(k.cosigning.witnesses) > 0 {
		both.Go(func() error { k.runCosigning(ctx); return nil })
	}
	return both.Wait()
}

func (k *Keeper) runSigning(ctx context.Context) error {
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	say := time.NewTicker(sayEvery)
	defer say.Stop()
	unsigned := k.trouble("checkpoints cannot be signed; the server tries again every second", "checkpoints are signed again")
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-say.C:
			k.say(ctx)
		case <-tick.C:
			err := k.Step(ctx)
			if errors.Is(err, ErrRollback) {
				return err
			}
			if ctx.Err() == nil {
				unsigned.Set(ctx, err != nil, "cause", err)
			}
			switch {
			case errors.Is(err, ErrTrees): // to find that out, the log was read
				tick.Reset(sayEvery)
			case failed:
				tick.Reset(signEvery)
			}
			failed = err != nil
		}
	}
}

func (k *Keeper) trouble(begins, ends string, attrs ...any) *trouble.State {
	return &trouble.State{Log: k.o.Log.With(attrs...), Clock: clock.System(), Level: slog.LevelError, Begins: begins, Ends: ends}
}

// Step signs what has grown, after it has compared every partition.
func (k *Keeper) Step(ctx context.Context) error {
	err := k.step(ctx)
	k.mu.Lock()
	k.failure = err
	k.mu.Unlock()
	return err
}

func (k *Keeper) step(ctx context.Context) error {
	if err := errors.Join(k.publish(ctx), k.record(ctx)); err != nil {
		return err
	}
	next, leaves, err := k.compareGrown(ctx)
	if err != nil {
		return err
	}
	grown := false
	for p := range leaves {
		again := leaves[p] >= next[p].Checkpoint.Size && len(next[p].Keys) != len(k.signers)
		if !again && !k.signs(next[p].Checkpoint, leaves[p]) {
			continue
		}
		if err := k.sign(ctx, &next, gotong.Partition(p), leaves[p]); err != nil {
			return err
		}
		grown = true
	}
	if !k.published || !grown {
		return nil
	}
	return k.keep(next)
}

// Pinned returns the newest checkpoints.
func (k *Keeper) Pinned() Pinned {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pinned
}

// Failure returns the error of the last [Keeper.Step].
func (k *Keeper) Failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure
}

// Keys returns the public keys with which this node signs.
func (k *Keeper) Keys() []proof.Key { return KeysOf(k.signers) }

// Await returns the newest checkpoint that covers a position. It waits for it up
// to 5 s and then returns [gotong.CodeNotYet].
func (k *Keeper) Await(ctx context.Context, p gotong.Partition, position uint64) (proof.Checkpoint, []byte, error) {
	late := time.NewTimer(notYet)
	defer late.Stop()
	for {
		k.mu.Lock()
		at, changed := k.pinned[p], k.changed
		k.mu.Unlock()
		if at.Checkpoint.Size >= position {
			return at.Checkpoint, at.Note, nil
		}
		select {
		case <-ctx.Done():
			return proof.Checkpoint{}, nil, ctx.Err()
		case <-late.C:
			return proof.Checkpoint{}, nil, gotong.NewError(gotong.CodeNotYet, "No checkpoint covers this event yet.")
		case <-changed:
		}
	}
}

// say writes the checkpoints that are new to the log of the process, in one line.
func (k *Keeper) say(ctx context.Context) {
	now := k.Pinned()
	var list []string
	for p := range now {
		if c := now[p].Checkpoint; c != k.said[p].Checkpoint {
			list = append(list, fmt.Sprintf("p%d %d %s", p, c.Size, base64.StdEncoding.EncodeToString(c.Root[:])))
		}
	}
	if k.said = now; len(list) > 0 {
		k.o.Log.InfoContext(ctx, "checkpoints", "instance", k.signers[0].Instance(), "epoch", k.o.Store.Epoch(),
			"trees", strings.Join(list, ", "))
	}
}
