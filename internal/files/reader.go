package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// queue is the name of the reader and of the queue of its jobs.
const queue = "files"

// usages is the collection of the reader: (user/… or home, partition) → Usage.
const usages = "file_usage"

// Usage is what a user or a home uses in one partition.
type Usage struct {
	Bytes int64 `json:"bytes"`
	Open  int   `json:"open,omitempty"` // uploads that are not finished
}

func usageKey(of string, p gotong.Partition) gotong.Key {
	return gotong.Key{Collection: usages, Owner: of, Name: strconv.Itoa(int(p))}
}

func ofUser(id string) string { return "user/" + id }

// order is the body of a job: to end the uploads of the message that is event Seq of
// Stream, or to remove the bytes of the upload Stream.
type order struct {
	Stream gotong.Stream `json:"stream"`
	Seq    uint64        `json:"seq,omitempty"`
}

// account is what an event of an upload says about quotas.
type account struct {
	gotong.Actor `json:"actor"`
	Payload      struct {
		Owner   string        `json:"owner"`
		Home    gotong.Stream `json:"home"`
		Size    int64         `json:"size_bytes"`
		Thumb   int64         `json:"thumb_size_bytes"`
		Max     int64         `json:"max_bytes"`
		Bytes   int64         `json:"bytes"`
		Open    bool          `json:"open"`
		Seq     uint64        `json:"seq"`        // of content.erased
		Target  uint64        `json:"target_seq"` // of message.deleted
		Uploads []string      `json:"uploads"`
	} `json:"payload"`
}

// change returns whose usage an event changes, and how.
func change(e *store.Event) (owner string, home gotong.Stream, by Usage, err error) {
	var a account
	if err = json.Unmarshal(e.Data, &a); err != nil {
		return
	}
	p := a.Payload
	switch owner, home = p.Owner, p.Home; e.Type {
	case upload.EvStarted:
		owner, by = a.UserID, Usage{p.Size, 1}
	case upload.EvStored:
		by = Usage{p.Size + p.Thumb - p.Max, -1}
	case upload.EvCollected, upload.EvErased:
		if by.Bytes = -p.Bytes; p.Open {
			by.Open = -1
		}
	default:
		owner = ""
	}
	return
}

// Reader returns the reader that counts what is used and makes the jobs by which
// bytes are removed.
func Reader() reader.Reader {
	return reader.Reader{
		Name: queue, Collections: []string{usages},
		Needs: func(c reader.Commit) (keys []gotong.Key) {
			if c.Events[0].Stream.Kind() != upload.Name {
				return nil
			}
			for i := range c.Events {
				if owner, home, _, err := change(&c.Events[i]); err == nil && owner != "" {
					keys = append(keys, usageKey(ofUser(owner), c.Partition), usageKey(string(home), c.Partition))
				}
			}
			return keys
		},
		Read: func(docs map[gotong.Key][]byte, run []reader.Commit) (step reader.Step, err error) {
			used := map[gotong.Key]Usage{}
			for _, c := range run {
				for i := range c.Events {
					if err := read(docs, used, &step, &c.Events[i]); err != nil {
						return step, err
					}
				}
			}
			for key, u := range used {
				body, err := json.Marshal(u)
				if err != nil {
					return step, err
				}
				step.Changes = append(step.Changes, store.Change{Key: key, Body: body})
			}
			return step, nil
		},
	}
}

func read(docs map[gotong.Key][]byte, used map[gotong.Key]Usage, step *reader.Step, e *store.Event) error {
	switch e.Stream.Kind() {
	case upload.Name:
		owner, home, by, err := change(e)
		if err != nil || owner == "" {
			return err
		}
		for _, key := range []gotong.Key{usageKey(ofUser(owner), e.Partition), usageKey(string(home), e.Partition)} {
			u, seen := used[key]
			if body := docs[key]; !seen && body != nil {
				if err := json.Unmarshal(body, &u); err != nil {
					return fmt.Errorf("files: usage of %s: %w", key.Owner, err)
				}
			}
			used[key] = Usage{u.Bytes + by.Bytes, u.Open + by.Open}
		}
		if e.Type == upload.EvCollected || e.Type == upload.EvErased {
			return add(step, e, order{Stream: e.Stream})
		}
	case thread.Name:
		if e.Type != thread.EvDeleted && e.Type != gotong.EvErased {
			return nil
		}
		var a account
		if err := json.Unmarshal(e.Data, &a); err != nil {
			return err
		}
		if e.Type == gotong.EvErased {
			return add(step, e, order{e.Stream, a.Payload.Seq})
		}
		if len(a.Payload.Uploads) > 0 {
			return add(step, e, order{e.Stream, a.Payload.Target})
		}
	}
	return nil
}

func add(step *reader.Step, e *store.Event, o order) error {
	body, err := json.Marshal(o)
	step.Jobs = append(step.Jobs, store.Job{
		Queue: queue, ID: reader.RequestID(queue, string(o.Stream), strconv.FormatUint(o.Seq, 10)), Due: e.At, Body: body,
	})
	return err
}

// System is the actor of the commands that say what is stored.
func System() gotong.Actor { return reader.System() }

// Executor runs commands; the engine is one.
type Executor interface {
	Execute(ctx context.Context, cmd gotong.Command) (gotong.Receipt, error)
}

// Handler returns the handler that ends the uploads of messages that were deleted or
// erased, and removes the bytes of those that ended.
func Handler(f *Files, from store.Loader, codec *store.Codec, exec Executor) reader.Handler {
	return reader.Handler{Queue: queue, Run: func(ctx context.Context, job store.Job) (reader.Result, error) {
		var o order
		if err := json.Unmarshal(job.Body, &o); err != nil {
			return reader.Done, err
		}
		if o.Seq == 0 {
			return reader.Done, f.Remove(ctx, o.Stream.ID())
		}
		snap, err := from.Load(ctx, store.Need{Events: []store.EventRange{{Stream: o.Stream, From: o.Seq - 1, To: o.Seq}}})
		if err != nil || len(snap.Events[0]) == 0 {
			return reader.Done, errors.Join(err, store.ErrCorrupt)
		}
		e, err := codec.Event(&snap.Events[0][0])
		posted, _ := e.Data.(thread.Posted) // else nothing is attached
		for _, id := range posted.Uploads {
			request := reader.RequestID(queue, job.ID, id)
			_, failed := exec.Execute(ctx, gotong.Command{
				Stream: thread.UploadStream(id), Type: upload.CmdErase, Actor: reader.System(), RequestID: request,
				CorrelationID: job.ID, Data: upload.Erase{},
			})
			err = errors.Join(err, failed)
		}
		return reader.Done, err
	}}
}

// Used returns what a user and a home use.
func Used(ctx context.Context, from store.Loader, userID string, home gotong.Stream) (user, all Usage, err error) {
	need := store.Need{}
	for _, of := range []string{ofUser(userID), string(home)} {
		need.Ranges = append(need.Ranges, store.KeyRange{Collection: usages, Owner: of, From: "0", To: "9"})
	}
	snap, err := from.Load(ctx, need)
	for i, sum := range []*Usage{&user, &all} {
		if err != nil {
			break
		}
		for _, d := range snap.Ranges[i] {
			var u Usage
			err = errors.Join(err, json.Unmarshal(d.Body, &u))
			*sum = Usage{sum.Bytes + u.Bytes, sum.Open + u.Open}
		}
	}
	return user, all, err
}
