package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// instance is the register that names the instance, with the public keys of all
// nodes that have signed for it. It is a convenience for operators: nothing is
// verified with it.
type instance struct {
	Instance string   `json:"instance"`
	Keys     []string `json:"keys"`
}

var instanceKey = gotong.Key{Collection: "audit", Owner: "instance", Name: "keys"}

func published(ctx context.Context, from store.Loader) (i instance, version uint64, err error) {
	r, err := store.ReadRegister(ctx, from, instanceKey)
	if err == nil && r.Version > 0 {
		if err = json.Unmarshal(r.Body, &i); err != nil {
			err = fmt.Errorf("%w: the register of the audit's instance: %w", store.ErrCorrupt, err)
		}
	}
	return i, r.Version, err
}

// publish names the instance, if the register names none, and adds this node's
// keys. It does nothing while the log is empty: an empty store has no register. So
// two nodes may begin with two names; the second one to publish then makes another
// key, as it has signed nothing but empty trees.
func (k *Keeper) publish(ctx context.Context) error {
	for !k.published {
		_, positions, err := sizes(ctx, k.o.Store)
		if err != nil || positions == [gotong.Partitions]uint64{} {
			return err
		}
		known, version, err := published(ctx, k.o.Store)
		if err != nil {
			return err
		}
		if known.Instance == "" {
			known.Instance = k.signers[0].Instance()
		}
		if k.differs(known) {
			if err := k.rename(ctx, known); err != nil {
				return err
			}
		}
		before := len(known.Keys)
		for _, key := range k.Keys() {
			if !slices.Contains(known.Keys, key.String()) {
				known.Keys = append(known.Keys, key.String())
			}
		}
		if len(known.Keys) == before {
			break
		}
		body, err := json.Marshal(known)
		if err != nil {
			return err
		}
		err = k.o.Store.SetRegister(ctx, instanceKey, version, body, 0)
		if err == nil || errors.Is(err, store.ErrSealed) { // a sealed log can only be read
			break
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	k.published = true
	return nil
}

// rename makes a key for the instance that another node has published.
func (k *Keeper) rename(ctx context.Context, known instance) error {
	if k.other(known) {
		return k.foreign(known)
	}
	if err := k.newKey(known.Instance); err != nil {
		return err
	}
	return k.pin(ctx)
}

// other reports whether this node has signed something but empty trees for
// another instance.
func (k *Keeper) other(known instance) bool {
	signed := false
	for p := range k.pinned {
		signed = signed || k.pinned[p].Checkpoint.Size > 0
	}
	return signed && k.differs(known)
}

func (k *Keeper) differs(known instance) bool {
	return known.Instance != "" && known.Instance != k.signers[0].Instance()
}

func (k *Keeper) foreign(known instance) error {
	return fmt.Errorf("audit: the checkpoints in %s are of the instance %s, and the log is of %s",
		k.o.Dir, k.signers[0].Instance(), known.Instance)
}
