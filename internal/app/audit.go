package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/proofs"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// openKeeper compares the log with the checkpoints of this node, before any part
// uses it.
func (a *App) openKeeper(ctx context.Context, opts Options) error {
	witnesses, err := audit.ParseWitnesses(a.cfg.Witnesses, a.cfg.WitnessQuorum)
	if err != nil {
		return err
	}
	o := audit.Options{
		Store: a.bare, Instance: a.cfg.Instance, New: opts.CheckpointsNew, Log: a.log, Witnesses: witnesses, Quorum: a.cfg.WitnessQuorum,
	}
	if p, ok := StoreProperties(a.cfg.StoreURL()); ok && p.Durable.Holds {
		o.Dir = a.cfg.CheckpointsDir()
	}
	if s, ok := a.bare.(interface{ Connections() uint64 }); ok {
		o.Connections = s.Connections
	}
	o.Record = func(ctx context.Context, cmd gotong.Command) error {
		_, err := a.engine.Execute(ctx, cmd)
		return err
	}
	_, err = os.Stat(o.Dir)
	created := o.Dir != "" && errors.Is(err, os.ErrNotExist)
	if o.Dir != "" {
		if a.checkpoints, err = audit.Lock(o.Dir); err != nil {
			return err
		}
	}
	a.keeper, err = audit.Open(ctx, o)
	if back, ok := errors.AsType[*audit.Rollback](err); ok && opts.AcceptRollback {
		if err := a.acceptRollback(ctx, back, opts.KeepLogins); err != nil {
			return err
		}
		o.Accept = true
		a.keeper, err = audit.Open(ctx, o)
	}
	if err == nil && len(witnesses) > 0 {
		a.metrics.Witnesses(a.keeper.CosignedAge)
	}
	if err == nil && created {
		a.report.created = append(a.report.created,
			"The signing key and checkpoints of the log in "+o.Dir+"; keep them apart from backups of the database")
	}
	return err
}

// acceptRollback begins a new epoch, unless the operator has done so already.
func (a *App) acceptRollback(ctx context.Context, back *audit.Rollback, keepLogins bool) error {
	a.report.notes = append(a.report.notes, "A rollback was accepted: "+back.Error())
	if back.Pinned.Origin.Epoch != a.bare.Epoch() {
		return nil
	}
	if !keepLogins { // before the epoch: a start that was interrupted is repeated
		logins, err := auth.EndLogins(ctx, a.bare, a.now())
		if err != nil {
			return err
		}
		a.report.notes = append(a.report.notes, fmt.Sprintf("All logins have ended, %d of them of accounts in this store", logins))
	}
	return a.bare.Renew(ctx, store.NewEpoch())
}

// keepCheckpoints signs checkpoints until ctx ends. If the log turns out to be
// another one, no write is accepted any more, and the server ends.
func (a *App) keepCheckpoints(ctx context.Context) error {
	err := a.keeper.Run(ctx)
	if err != nil {
		a.damage.stop(fmt.Errorf("%w: %w", store.ErrFailed, err))
	}
	return err
}

func (a *App) proofRoutes() func(*httpapi.API) {
	return proofs.Routes(proofs.Options{
		Views: a.views, Prove: a.prove,
	})
}

// prove implements [proofs.Options.Prove].
func (a *App) prove(ctx context.Context, p gotong.Partition, position uint64, stream gotong.Stream, seq uint64) (proof.Event, error) {
	if _, _, err := a.keeper.Await(ctx, p, position); err != nil {
		return proof.Event{}, err
	}
	state, err := a.bare.State(ctx)
	if err != nil {
		return proof.Event{}, err
	}
	pinned := []audit.Pinned{a.keeper.Cosigned(), a.keeper.Pinned()}
	return audit.Prove(ctx, a.store, a.codec, state.Eras, pinned, stream, seq)
}
