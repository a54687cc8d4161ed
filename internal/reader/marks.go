package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// What operators and runners tell each other stands in registers of this
// collection, so that it is there on every node, after a restart and in a copy.
const (
	registers = "reader"
	stops     = "stop"    // where a reader stopped, and whether an operator passed it
	rebuilds  = "rebuild" // up to where a reader makes no jobs
	nodes     = "node"    // the nodes that share the partitions
)

// Stop is a position that a reader could not process.
type Stop struct {
	Reader    string           `json:"reader"`
	Partition gotong.Partition `json:"partition"`
	Position  uint64           `json:"position"`
	Error     string           `json:"error"`
	At        gotong.Instant   `json:"at"`
	Skipped   gotong.Instant   `json:"skipped,omitempty"` // when an operator passed it; 0: nobody did
}

func (s *Stop) key() gotong.Key { return stopKey(s.Reader, s.Partition, s.Position) }

// readStop returns a stop and the version of its register; both are zero if there
// is none.
func readStop(ctx context.Context, s store.Loader, key gotong.Key) (stop Stop, version uint64, err error) {
	r, err := store.ReadRegister(ctx, s, key)
	if err == nil && r.Version > 0 {
		if err := json.Unmarshal(r.Body, &stop); err != nil {
			return stop, 0, errors.Join(store.ErrCorrupt, err)
		}
	}
	return stop, r.Version, err
}

func stopKey(reader string, p gotong.Partition, position uint64) gotong.Key {
	return gotong.Key{Collection: registers, Owner: stops, Name: fmt.Sprintf("%s %02d %020d", reader, p, position)}
}

// rebuild is a register of a reader whose documents are, or were, made anew.
type rebuild struct {
	Reader   string                    `json:"reader"`
	Times    int                       `json:"times"`              // so that no two are the same
	Quiet    [gotong.Partitions]uint64 `json:"quiet"`              // it makes no jobs of positions up to these
	Clearing bool                      `json:"clearing,omitempty"` // its documents are being deleted, and it does not run
}

func rebuildKey(reader string) gotong.Key {
	return gotong.Key{Collection: registers, Owner: rebuilds, Name: reader}
}

// firstLine keeps the stack of a panic out of registers and lists.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line[:min(len(line), 500)]
}

func setJSON(ctx context.Context, s store.Registers, key gotong.Key, version uint64, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.SetRegister(ctx, key, version, body, 0)
}

// findAll returns the registers of one sort that begin with a prefix, decoded.
func findAll[T any](ctx context.Context, s interface {
	FindRegisters(ctx context.Context, r store.KeyRange) ([]store.Register, error)
}, sort, prefix string) (list []T, err error) {
	r := store.KeyRange{Collection: registers, Owner: sort, From: prefix, To: prefix + "~"}
	for {
		rows, err := s.FindRegisters(ctx, r)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			var value T
			if err := json.Unmarshal(rows[i].Body, &value); err != nil {
				return nil, errors.Join(store.ErrCorrupt, err)
			}
			list = append(list, value)
		}
		if len(rows) < store.MaxRead {
			return list, nil
		}
		r.From = rows[len(rows)-1].Key.Name + "\x00"
	}
}
