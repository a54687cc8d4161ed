package surreal

import (
	"context"

	"gotong.dev/gotong/internal/surreal"
)

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
