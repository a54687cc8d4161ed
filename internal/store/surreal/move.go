package surreal

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// isEmpty is the condition that there are no rows but those of meta.
const isEmpty = "array::flatten([(SELECT VALUE id FROM request LIMIT 1), (SELECT VALUE id FROM head LIMIT 1), " +
	"(SELECT VALUE id FROM claim LIMIT 1), (SELECT VALUE id FROM register LIMIT 1), " +
	"(SELECT VALUE id FROM cursor LIMIT 1), (SELECT VALUE id FROM job LIMIT 1)]) = []"

// everyGate collides with every transaction that has begun, on any node, and with
// every node that is about to open the store.
var everyGate = []string{
	"UPDATE meta:gates SET writes += 1 RETURN NONE",
	"UPDATE gate SET writes += 1 RETURN NONE",
}

// State implements [store.Mover].
func (s *Store) State(ctx context.Context) (store.State, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return store.State{}, err
	}
	defer end()
	if err := s.readEras(ctx); err != nil {
		return store.State{}, err
	}
	state := store.State{Eras: slices.Clone(*s.eras.Load())}
	var r reading
	type row struct {
		_     struct{} `cbor:",toarray"`
		Name  string
		Value string
	}
	part(&r, "SELECT VALUE [record::id(id), value] FROM "+r.param(closedMeta)+" WHERE value != NONE", func(rows []row) error {
		for _, row := range rows {
			if row.Name == "sealed" {
				state.Sealed = row.Value
			} else {
				state.Progress = row.Value
			}
		}
		return nil
	})
	part(&r, "["+isEmpty+"]", func(rows []bool) error { state.Empty = len(rows) == 1 && rows[0]; return nil })
	if err := s.read(ctx, &r); err != nil {
		return store.State{}, err
	}
	return state, nil
}

// Seal implements [store.Mover]. It first writes the seal, so that no more
// transactions begin, and then every gate, so that it collides with each
// transaction that still runs.
func (s *Store) Seal(ctx context.Context, note string) error {
	write := "UPSERT meta:sealed SET value = $note RETURN NONE"
	if note == "" {
		write = "DELETE meta:sealed RETURN NONE"
	}
	if _, err := s.transact(ctx, []string{write}, surreal.Vars{"note": note}); err != nil {
		return err
	}
	_, err := s.transact(ctx, everyGate, surreal.Vars{})
	return err
}

// Renew implements [store.Mover].
func (s *Store) Renew(ctx context.Context, epoch gotong.Epoch) error {
	now := *s.eras.Load()
	if epoch == "" || slices.ContainsFunc(now, func(e store.Era) bool { return e.Epoch == epoch }) {
		return fmt.Errorf("%w: epoch %q", store.ErrMalformed, epoch)
	}
	for tries := 0; ; tries++ {
		positions, err := s.Positions(ctx)
		if err != nil {
			return err
		}
		next := now.Next(epoch, positions)
		vars := erasVars(next)
		vars["positions"] = positions
		_, err = s.alone(ctx, slices.Concat([]string{
			"IF (SELECT VALUE position FROM partition:0..=15) != $positions { THROW '" + otherwise + "' }",
			"UPDATE meta:eras SET value = $eras RETURN NONE",
			"UPDATE meta:epoch SET value = $epoch RETURN NONE",
		}, everyGate), vars)
		if err == nil {
			s.eras.Store(&next)
		}
		if err == nil || tries >= maxTries || !isConflict(err) {
			return err
		}
	}
}
