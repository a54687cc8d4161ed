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

// registers reads those that exist now.
func (r *reading) registers(from, bound string, now gotong.Instant, into *[]store.Register) {
	query := "SELECT id, version, body, expires FROM " + from + " WHERE expires = 0 OR expires > " + r.param(now) + bound
	part(r, query, func(rows []registerRow) error {
		for i := range rows {
			register, err := rows[i].register()
			if err != nil {
				return err
			}
			*into = append(*into, register)
		}
		return nil
	})
}

// Register implements [store.Registers].
func (s *Store) Register(ctx context.Context, key gotong.Key) (store.Register, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return store.Register{}, err
	}
	defer end()
	var r reading
	var found []store.Register
	r.registers(r.param(registerID(key)), "", s.now(), &found)
	if err := s.read(ctx, &r); err != nil {
		return store.Register{}, err
	}
	if len(found) == 0 {
		return store.Register{Key: key}, nil
	}
	return found[0], nil
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
	r.registers(from, bound, s.now(), &found)
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
