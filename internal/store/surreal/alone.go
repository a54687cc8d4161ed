package surreal

import (
	"context"
	"fmt"
	"slices"

	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

// What transactions throw beside moved.
const (
	otherwise = "gotong: not what was expected"
	closedNow = "gotong: accepts no writes"
)

// alone runs a transaction that shares nothing with a batch, unless the store
// accepts no writes, and repeats it while it collides with others. It returns the
// results of its statements.
func (s *Store) alone(ctx context.Context, statements []string, vars surreal.Vars) (results surreal.Results, err error) {
	statements = slices.Concat([]string{
		"IF " + whatCloses + " != [] { THROW '" + closedNow + "' }",
		"UPSERT $gate SET writes += 1 RETURN NONE",
	}, statements)
	vars["closers"], vars["mine"] = closers, string(s.Epoch())
	results, err = s.transact(ctx, statements, vars)
	if err != nil {
		return nil, err
	}
	return results[2:], nil
}

// transact is alone for transactions that a sealed store accepts too.
func (s *Store) transact(ctx context.Context, statements []string, vars surreal.Vars) (results surreal.Results, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	err = s.again(ctx, func() error {
		return s.gated(ctx, func(gate surreal.RecordID) (err error) {
			vars["gate"] = gate
			results, err = s.db.Transact(ctx, statements, vars)
			return err
		})
	})
	if err != nil {
		return nil, s.thrown(ctx, err)
	}
	return results, nil
}

func (s *Store) thrown(ctx context.Context, err error) error {
	switch text, _ := surreal.Thrown(err); text {
	case otherwise:
		return store.ErrConflict
	case sealedNow:
		return store.ErrSealed
	case misfits:
		return fmt.Errorf("%w: events that do not follow those that exist", store.ErrMalformed)
	case closedNow:
		return s.whyClosed(ctx)
	default:
		return err
	}
}

// whyClosed returns why the store accepts no writes now.
func (s *Store) whyClosed(ctx context.Context) (why error) {
	var r reading
	r.gate(s.Epoch(), func(err error) { why = err })
	if err := s.read(ctx, &r); err != nil {
		return err
	}
	if why == nil {
		why = store.ErrConflict // it was unsealed meanwhile
	}
	return why
}
