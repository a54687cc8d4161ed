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
	closedNow = "gotong: takes no writes"
)

// alone runs a transaction that no batch shares, unless the store takes no
// writes, and repeats it while it collides with others. The results are those
// of its statements.
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

// transact is alone for what the store takes at any time.
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

// thrown is what a thrown text means.
func (s *Store) thrown(ctx context.Context, err error) error {
	switch text, _ := surreal.Thrown(err); text {
	case otherwise:
		return store.ErrConflict
	case sealedNow:
		return store.ErrSealed
	case misfits:
		return fmt.Errorf("%w: events that do not follow", store.ErrMalformed)
	case closedNow:
		return s.whyClosed(ctx)
	default:
		return err
	}
}

// whyClosed is why the store takes no writes, as it is now.
func (s *Store) whyClosed(ctx context.Context) (why error) {
	var r reading
	r.gate(s.Epoch(), func(err error) { why = err })
	if err := s.read(ctx, &r); err != nil {
		return err
	}
	if why == nil {
		why = store.ErrConflict // it was opened again meanwhile
	}
	return why
}
