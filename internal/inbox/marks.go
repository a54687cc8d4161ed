package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// maxRaises is how often a mark of a partition can be raised until the times of the
// oldest raises are forgotten.
const maxRaises = 8

// marks are a user's read marks: by partition, the last times that its mark was raised,
// and to which number, the newest last. They are one register.
type marks map[gotong.Partition][]raise

type raise struct {
	N  uint64         `json:"n"`
	At gotong.Instant `json:"at"`
}

// Marks is the collection of registers (user id, "") → marks.
const Marks = "inbox_marks"

func marksKey(userID string) gotong.Key { return gotong.Key{Collection: Marks, Owner: userID} }

func marksOf(reg store.Register) (m marks, err error) {
	if m = (marks{}); reg.Version > 0 {
		if err = json.Unmarshal(reg.Body, &m); err != nil {
			err = fmt.Errorf("inbox: parse read marks: %w", err)
		}
	}
	return m, err
}

// number returns the mark of a partition: items up to it are read.
func (m marks) number(p gotong.Partition) uint64 {
	if n := len(m[p]); n > 0 {
		return m[p][n-1].N
	}
	return 0
}

// readAt returns when an item was read; 0: it is unread.
func (m marks) readAt(id ID) gotong.Instant {
	for _, r := range m[id.Partition] {
		if id.Number <= r.N {
			return r.At
		}
	}
	return 0
}

// Read marks an item and those before it in its partition as read, and returns it. The
// error has [gotong.CodeNotFound] if the user may not see it.
func (b *Box) Read(ctx context.Context, me gotong.Viewer, id ID) (Shown, error) {
	l, err := b.look(ctx, me)
	if err != nil {
		return Shown{}, err
	}
	items, _, err := l.next(ctx, Query{Before: ID{id.Number, id.Partition + 1}, Since: id.Number}, 1)
	for _, i := range items {
		if i.ID != id {
			continue
		}
		shown, ok, err := l.show(ctx, i)
		if err != nil {
			return Shown{}, err
		}
		if ok {
			shown.ReadAt, err = b.raise(ctx, me.UserID, []ID{id})
			return shown, err
		}
	}
	if err == nil {
		err = gotong.NotFound()
	}
	return Shown{}, err
}

// ReadAll marks everything as read that is in the lists now, up to an item; zero stands
// for the newest.
func (b *Box) ReadAll(ctx context.Context, me gotong.Viewer, upTo ID) error {
	l, err := b.look(ctx, me)
	if err != nil {
		return err
	}
	if upTo.Number > 0 {
		upTo.Partition++
	}
	// An item may still come with a number below the newest of another partition, so each
	// mark is raised to an item that exists.
	var to []ID
	items, _, err := l.next(ctx, Query{Before: upTo, Unread: true}, 1)
	for _, i := range items {
		to = append(to, i.ID)
	}
	if err == nil && len(to) > 0 {
		_, err = b.raise(ctx, me.UserID, to)
	}
	return err
}

// raise raises the marks of the partitions of these items, and returns when the first one
// was read.
func (b *Box) raise(ctx context.Context, userID string, to []ID) (gotong.Instant, error) {
	key := marksKey(userID)
	for range 10 { // another device may be faster
		reg, err := store.ReadRegister(ctx, b.Store, key)
		if err != nil {
			return 0, err
		}
		m, err := marksOf(reg)
		if err != nil {
			return 0, err
		}
		moved, now := false, b.Now()
		for _, id := range to {
			if m.number(id.Partition) < id.Number {
				m[id.Partition] = append(m[id.Partition], raise{id.Number, now})
				m[id.Partition] = m[id.Partition][max(0, len(m[id.Partition])-maxRaises):]
				moved = true
			}
		}
		if !moved {
			return m.readAt(to[0]), nil
		}
		body, err := json.Marshal(m)
		if err != nil {
			return 0, fmt.Errorf("inbox: encode read marks: %w", err)
		}
		switch err = b.Store.SetRegister(ctx, key, reg.Version, body, 0); {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return 0, err
		}
		b.Changed(userID)
		return m.readAt(to[0]), nil
	}
	return 0, gotong.NewError(gotong.CodeBusy, "Another device is marking the same inbox; try again.")
}
