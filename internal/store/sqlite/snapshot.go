package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"
)

// Snapshot writes the database at path, as it is at one moment, to a new file. Other
// processes may write to the database meanwhile. The new file is not synced. Snapshot
// returns an error that wraps [store.ErrFull] if the disk is full; then, and when ctx
// ends, a part of the file may be left.
func Snapshot(ctx context.Context, path, to string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if err := checkFiles(path); err != nil {
		return err
	}
	c, err := openWith(path, sqlite.OpenReadOnly)
	if err != nil {
		return fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	c.db.SetInterrupt(ctx.Done())
	err = storage(c.once("VACUUM INTO '" + strings.ReplaceAll(to, "'", "''") + "'"))
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return errors.Join(err, c.db.Close())
}
