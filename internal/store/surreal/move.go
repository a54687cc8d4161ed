package surreal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

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
	if err := s.readEras(ctx); err != nil {
		return store.State{}, err
	}
	state := store.State{Eras: slices.Clone(s.Eras())}
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
	now := s.Eras()
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
			s.SetEras(next)
		}
		if err == nil || tries >= store.MaxTries || !isConflict(err) {
			return err
		}
	}
}

// Rows implements [store.Mover]. A mark is the number of rows before the page: on
// 3.x the engine skips rows from the table's beginning far faster than it finds a
// place in the middle.
func (s *Store) Rows(ctx context.Context, section store.Section, after string, limit int) (rows store.Rows, err error) {
	if section == store.AllDocuments {
		return s.documentRows(ctx, after, store.Bound(limit))
	}
	start := 0
	if after != "" {
		if start, err = strconv.Atoi(after); err != nil || start < 0 {
			return rows, fmt.Errorf("surreal: %q is no mark", after)
		}
	}
	var r reading
	limit = store.Bound(limit)
	bound := fmt.Sprintf(" LIMIT %d START %d", limit, start)
	seen := 0
	switch section {
	case store.AllStreams:
		part(&r, "SELECT VALUE "+headColumns+" FROM head"+bound, each(&seen, func(row headRow) error {
			if row.Seq > 0 {
				rows.Streams = append(rows.Streams, store.StreamRow{Stream: row.Stream, Head: row.head()})
			}
			return nil
		}))
	case store.AllRecords:
		part(&r, "SELECT VALUE "+recordColumns+" FROM request"+bound, each(&seen, func(row recordRow) error {
			rows.Records = append(rows.Records, row.record())
			return nil
		}))
	case store.AllClaims:
		part(&r, "SELECT VALUE [record::id(id), stream] FROM claim"+bound, each(&seen, func(row claimRow) error {
			claim := gotong.Claim{Space: row.Key[0], Name: row.Key[1]}
			rows.Claims = append(rows.Claims, store.ClaimRow{Claim: claim, Stream: row.Stream})
			return nil
		}))
	case store.AllRegisters, store.AllCursors, store.AllJobs:
		s.sideRows(&r, section, bound, &seen, &rows)
	default:
		return rows, fmt.Errorf("surreal: there is no section %d", section)
	}
	if err := s.read(ctx, &r); err != nil {
		return store.Rows{}, err
	}
	if seen == limit {
		rows.Next = strconv.Itoa(start + seen)
	}
	return rows, nil
}

// documentRows returns the documents, one collection after the other. A mark is
// the collection and the number of its rows before the page.
func (s *Store) documentRows(ctx context.Context, after string, limit int) (rows store.Rows, err error) {
	names := slices.Sorted(maps.Keys(s.Collections))
	if len(names) == 0 {
		return rows, nil
	}
	name, text, marked := strings.Cut(after, " ")
	if !marked {
		name, text = names[0], "0"
	}
	start, err := strconv.Atoi(text)
	n, found := slices.BinarySearch(names, name)
	if err != nil || start < 0 || !found {
		return rows, fmt.Errorf("surreal: %q is no mark", after)
	}
	var r reading
	query := fmt.Sprintf("SELECT VALUE [record::id(id), body] FROM doc_%s LIMIT %d START %d", name, limit, start)
	part(&r, query, func(list []documentRow) error {
		rows.Documents = documentsOf(name, list)
		return nil
	})
	if err := s.read(ctx, &r); err != nil {
		return store.Rows{}, err
	}
	switch {
	case len(rows.Documents) == limit:
		rows.Next = fmt.Sprint(name, " ", start+limit)
	case n+1 < len(names):
		rows.Next = names[n+1] + " 0"
	}
	return rows, nil
}

func (s *Store) sideRows(r *reading, section store.Section, bound string, seen *int, rows *store.Rows) {
	switch section { //nolint:exhaustive // Rows has the others
	case store.AllRegisters:
		now := s.Now()
		part(r, "SELECT id, version, body, expires FROM register"+bound, each(seen, func(row registerRow) error {
			register, err := row.register()
			if err == nil && (register.Expires == 0 || register.Expires > now) {
				rows.Registers = append(rows.Registers, register)
			}
			return err
		}))
	case store.AllCursors:
		part(r, "SELECT VALUE "+cursorColumns+" FROM cursor"+bound, each(seen, func(row cursorRow) error {
			if row.Position > 0 {
				rows.Cursors = append(rows.Cursors, store.CursorRow{
					Reader: row.Key.Reader, Partition: row.Key.Partition, Position: row.Position,
				})
			}
			return nil
		}))
	case store.AllJobs:
		part(r, "SELECT VALUE "+jobColumns+" FROM job"+bound, each(seen, func(row jobRow) error {
			rows.Jobs = append(rows.Jobs, row.job())
			return nil
		}))
	}
}

// each calls take for each row and counts the rows.
func each[T any](seen *int, take func(T) error) func([]T) error {
	return func(rows []T) error {
		*seen = len(rows)
		for _, row := range rows {
			if err := take(row); err != nil {
				return err
			}
		}
		return nil
	}
}

// Restore implements [store.Mover].
func (s *Store) Restore(ctx context.Context, step store.Restoring) error {
	return s.TakeStep(&step, func(eras store.Eras) error {
		r := restoring{step: &step, events: step.Events(), w: &writing{vars: surreal.Vars{"from": step.From, "to": step.To}}}
		r.render(eras)
		_, err := s.transact(ctx, r.w.statements, r.w.vars)
		if surreal.Exists(err) {
			err = fmt.Errorf("%w: a row exists already", store.ErrMalformed)
		}
		return err
	})
}
