package surreal

import (
	"context"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/surreal"
)

func registerID(key gotong.Key) surreal.RecordID {
	return surreal.Record("register", key.Collection, key.Owner, key.Name)
}

type registerRow struct {
	ID      surreal.RecordID `cbor:"id"`
	Version uint64           `cbor:"version"`
	Body    []byte           `cbor:"body"`
	Expires gotong.Instant   `cbor:"expires"`
}

func (row *registerRow) register() (store.Register, error) {
	parts, _ := row.ID.Key.([]any)
	var key [3]string
	for i := range parts {
		text, ok := parts[i].(string)
		if !ok || len(parts) != len(key) {
			return store.Register{}, fmt.Errorf("surreal: an odd key in register")
		}
		key[i] = text
	}
	body := row.Body
	if body == nil {
		body = []byte{}
	}
	return store.Register{
		Key: gotong.Key{Collection: key[0], Owner: key[1], Name: key[2]}, Version: row.Version, Body: body, Expires: row.Expires,
	}, nil
}

// registers reads the registers of from that exist now.
func (r *reading) registers(from, bound string, now gotong.Instant, take func(store.Register)) {
	query := "SELECT id, version, body, expires FROM " + from +
		" WHERE version > 0 AND (expires = 0 OR expires > " + r.param(now) + ")" + bound
	part(r, query, func(rows []registerRow) error {
		for i := range rows {
			register, err := rows[i].register()
			if err != nil {
				return err
			}
			take(register)
		}
		return nil
	})
}

func (r *reading) registersOf(list []gotong.Key, now gotong.Instant, into map[gotong.Key]store.Register) {
	if len(list) == 0 {
		return
	}
	r.registers(r.param(idsOf(list, registerID)), "", now, func(register store.Register) { into[register.Key] = register })
}

// FindRegisters implements [store.Registers].
func (s *Store) FindRegisters(ctx context.Context, of store.KeyRange) (found []store.Register, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var r reading
	from, bound := r.rangeOf(of, "register", of.Collection)
	r.registers(from, bound, s.now(), func(register store.Register) { found = append(found, register) })
	if err := s.read(ctx, &r); err != nil {
		return nil, err
	}
	return found, nil
}

// SetRegister implements [store.Registers].
func (s *Store) SetRegister(
	ctx context.Context, key gotong.Key, expect uint64, body []byte, expires gotong.Instant,
) error {
	write := "UPSERT $id CONTENT { version: $next, body: $body, expires: $expires } RETURN NONE"
	if body == nil {
		write = "DELETE $id RETURN NONE"
	}
	_, err := s.alone(ctx, []string{
		"LET $version = (SELECT VALUE version FROM ONLY $id WHERE expires = 0 OR expires > $now)",
		"IF ($version ?? 0) != $expect { THROW '" + otherwise + "' }",
		write,
	}, surreal.Vars{
		"id": registerID(key), "now": s.now(), "expect": expect, "next": expect + 1, "body": body, "expires": expires,
	})
	return err
}

// purgeAtOnce is how many expired registers one transaction deletes.
const purgeAtOnce = 500

// clear deletes registers that have expired, of all nodes. It may fail: no read
// returns them, and the next call deletes them. This is the one query that uses an
// index; nothing depends on the index being complete.
func (s *Store) clear(ctx context.Context) {
	vars := surreal.Vars{"now": s.now(), "most": purgeAtOnce}
	for {
		var gone []surreal.RecordID
		err := s.db.Select(ctx, "SELECT VALUE id FROM register WHERE expires > 0 AND expires <= $now LIMIT $most", vars, &gone)
		if err != nil || len(gone) == 0 {
			return
		}
		// One of them may have been set again. And the table must not change
		// while a sealed store is copied.
		_, err = s.alone(ctx, []string{"DELETE $gone WHERE expires > 0 AND expires <= $now RETURN NONE"},
			surreal.Vars{"gone": gone, "now": vars["now"]})
		if err != nil || len(gone) < purgeAtOnce {
			return
		}
	}
}
