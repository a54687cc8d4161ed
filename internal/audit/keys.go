package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// KeysStream is the one stream of the kind audit: the keys of checkpoints that
// began and ended to sign beside or in place of others.
const KeysStream = gotong.Stream("audit/keys")

// The events of the stream; their data is a [KeyChange].
const (
	evKeyAdded   = "key.added"
	evKeyRetired = "key.retired"

	cmdAddKey    = "key.add"
	cmdRetireKey = "key.retire"
)

// KeyChange says that a key signs checkpoints of these sizes and later ones, or
// that it signs none after them.
type KeyChange struct {
	Key      string   `json:"key"`                // a verifier key
	Replaces []string `json:"replaces,omitempty"` // the keys that it signs together with, and will replace
	Sizes    []uint64 `json:"sizes"`              // of the tree of each partition
}

// AddKey is the command to record that a key signs. Only the server issues it.
type AddKey KeyChange

// RetireKey is the command to record that a key no longer signs, as [AddKey].
type RetireKey KeyChange

// Keys is the document of the stream.
type Keys struct {
	Added   map[string][]string `json:"added"` // with the keys that each one replaces
	Retired map[string]bool     `json:"retired"`
}

var keysKey = gotong.Key{Collection: "audit_keys", Owner: KeysStream.ID()}

// KeysKind returns the rules of the stream of keys.
func KeysKind() gotong.Kind {
	return gotong.Kind{
		Name:      KeysStream.Kind(),
		Commands:  []gotong.Type{gotong.TypeOf[AddKey](cmdAddKey), gotong.TypeOf[RetireKey](cmdRetireKey)},
		Events:    []gotong.EventType{gotong.EventOf[KeyChange](evKeyAdded), gotong.EventOf[KeyChange](evKeyRetired)},
		Documents: []gotong.Type{gotong.TypeOf[Keys](keysKey.Collection)},
		Home: func(cmd gotong.Command) (gotong.Stream, error) {
			if _, ok := cmd.Data.(AddKey); !ok || cmd.Stream != KeysStream {
				return "", gotong.NotFound()
			}
			return cmd.Stream, nil
		},
		Needs:       func(gotong.State, gotong.Command) []gotong.Ref { return keysRefs() },
		Decide:      decideKeys,
		Project:     projectKeys,
		AccessNeeds: func(gotong.State, gotong.Viewer) []gotong.Ref { return keysRefs() },
		Access: func(s gotong.State, v gotong.Viewer) gotong.Grant { // verifier keys are public
			return gotong.Grant{Readable: s.Head.Exists() && v.UserID != "", Spans: []gotong.Span{{Stream: s.Stream}}}
		},
		Affects: func(gotong.Event) gotong.Affected { return gotong.Affected{} },
	}
}

func keysRefs() []gotong.Ref { return []gotong.Ref{{Stream: KeysStream, Key: keysKey}} }

func decideKeys(s gotong.State, cmd gotong.Command) (gotong.Decision, error) {
	if cmd.Actor.Role != gotong.RoleSystem {
		return gotong.Decision{}, gotong.NotFound()
	}
	keys, _ := gotong.Doc[Keys](s, keysKey)
	switch c := cmd.Data.(type) {
	case AddKey:
		if _, known := keys.Added[c.Key]; known {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: evKeyAdded, Data: KeyChange(c)})
	case RetireKey:
		if keys.Retired[c.Key] {
			return gotong.Accept()
		}
		return gotong.Accept(gotong.Fact{Type: evKeyRetired, Data: KeyChange(c)})
	default:
		return gotong.Decision{}, gotong.NotFound()
	}
}

func projectKeys(s gotong.State, e gotong.Event) []gotong.Change {
	was, _ := gotong.Doc[Keys](s, keysKey)
	keys := Keys{map[string][]string{}, map[string]bool{}}
	maps.Copy(keys.Added, was.Added)
	maps.Copy(keys.Retired, was.Retired)
	c, _ := e.Data.(KeyChange)
	if e.Type == evKeyAdded {
		keys.Added[c.Key] = c.Replaces
	} else {
		keys.Retired[c.Key] = true
	}
	return []gotong.Change{{Key: keysKey, Doc: keys}}
}

// record has the log say, before a new key signs anything, from which sizes on it
// signs, and after an old one was removed, up to which it signed.
func (k *Keeper) record(ctx context.Context) error {
	if k.recorded || k.o.Record == nil {
		return nil
	}
	snap, err := k.o.Store.Load(ctx, store.Need{Documents: []gotong.Key{keysKey}})
	if err != nil {
		return err
	}
	var known Keys
	if body := snap.Documents[keysKey]; body != nil {
		if err := json.Unmarshal(body, &known); err != nil {
			return err
		}
	}
	var names []string
	for _, key := range k.Keys() {
		names = append(names, key.String())
	}
	pinned, c := k.Pinned(), KeyChange{Key: names[0], Replaces: names[1:]}
	for p := range pinned {
		c.Sizes = append(c.Sizes, pinned[p].Checkpoint.Size)
	}
	list := []any{AddKey(c)}
	if len(names) == 1 {
		list = nil
		for _, old := range known.Added[names[0]] {
			list = append(list, RetireKey{Key: old, Sizes: c.Sizes})
		}
	}
	for _, data := range list {
		cmd := gotong.Command{Stream: KeysStream, Type: cmdRetireKey, Data: data, Actor: reader.System()}
		key := c.Key
		switch d := data.(type) {
		case AddKey:
			cmd.Type = cmdAddKey
		case RetireKey:
			key = d.Key
		}
		cmd.RequestID = "audit-" + gotong.DeriveID(cmd.Type, key, string(k.o.Store.Epoch()))
		if err := k.o.Record(ctx, cmd); err != nil && !errors.Is(err, store.ErrSealed) {
			return err
		}
	}
	k.recorded = true
	return nil
}

// periods are the sizes at which keys may have signed.
type periods map[string]*period

type period struct {
	from, to [gotong.Partitions]uint64
}

// see follows the stream of keys.
func (ps periods) see(e *store.Event) error {
	if e.Stream != KeysStream || len(e.Data) == 0 {
		return nil
	}
	var d store.Envelope[KeyChange]
	err := json.Unmarshal(e.Data, &d)
	if err == nil && len(d.Payload.Sizes) != gotong.Partitions {
		err = fmt.Errorf("it has %d sizes", len(d.Payload.Sizes))
	}
	if err != nil {
		return fmt.Errorf("the event names no key and sizes: %w", err)
	}
	at := ps[d.Payload.Key]
	if at == nil {
		at = &period{}
		for p := range at.to {
			at.to[p] = math.MaxUint64
		}
		ps[d.Payload.Key] = at
	}
	if e.Type == evKeyAdded {
		at.from = [gotong.Partitions]uint64(d.Payload.Sizes)
	} else {
		at.to = [gotong.Partitions]uint64(d.Payload.Sizes)
	}
	return nil
}

// judge returns what is wrong with the keys that signed a checkpoint; nil if one of
// them was in use at its size.
func (ps periods) judge(p gotong.Partition, pin *Pin) *Finding {
	for _, k := range pin.Keys {
		at := ps[k.String()]
		if at == nil || at.from[p] <= pin.Checkpoint.Size && pin.Checkpoint.Size <= at.to[p] {
			return nil
		}
	}
	if len(pin.Keys) == 0 {
		return nil
	}
	return &Finding{
		Code: Unverifiable, Partition: p,
		Detail: fmt.Sprintf("the checkpoint at %d is signed with a key that, as the log says, signed only before or after it",
			pin.Checkpoint.Size),
	}
}
