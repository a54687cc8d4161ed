package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/regular"
	"gotong.dev/gotong/internal/trouble"
	"gotong.dev/gotong/proof"
)

// CosignedFile of a directory holds the newest checkpoints that the quorum of
// witnesses has cosigned, as notes one after the other.
const CosignedFile = "cosigned"

// The paces and bounds of cosigning.
const (
	cosignEvery  = 5 * time.Second              // one round
	roundLimit   = 10 * time.Second             // of one witness in a round
	maxPause     = 64                           // rounds without a request to a witness that failed
	refreshAfter = 24 * time.Hour / cosignEvery // rounds after which a checkpoint is cosigned again, so that its time is fresh
	maxAnswer    = 64 << 10

	// MaxWitnesses is how many witnesses a server can have: readers of notes accept
	// at least 16 signatures, and those of the log's keys are among them.
	MaxWitnesses = 12
)

// Witness is a server that cosigns checkpoints (C2SP tlog-witness).
type Witness struct {
	proof.Witness

	url string // to which checkpoints are posted
}

// ParseWitnesses reads the addresses and verifier keys of witnesses, each with a
// blank between the two, and checks how many of them must cosign.
func ParseWitnesses(list []string, quorum int) (witnesses []Witness, err error) {
	for _, s := range list {
		w, err := parseWitness(s)
		if err != nil {
			return nil, err
		}
		for _, other := range witnesses {
			if w.Same(other.Witness) {
				return nil, fmt.Errorf("the witnesses %s and %s have the same key", other.Name(), w.Name())
			}
		}
		witnesses = append(witnesses, w)
	}
	if len(list) > MaxWitnesses || quorum < 0 || quorum > len(list) {
		return nil, fmt.Errorf("there are %d witnesses, of at most %d, and %d of them must cosign", len(list), MaxWitnesses, quorum)
	}
	return witnesses, nil
}

func parseWitness(s string) (w Witness, err error) {
	address, key, _ := strings.Cut(s, " ")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return w, fmt.Errorf("%q does not begin with the http or https URL of a witness", s)
	}
	w.url = u.JoinPath("add-checkpoint").String()
	w.Witness, err = proof.ParseWitness(strings.TrimSpace(key))
	return w, err
}

// cosigner is a witness with what this node knows of it.
type cosigner struct {
	Witness

	sizes  [gotong.Partitions]uint64 // of the trees that it has cosigned
	newest [gotong.Partitions]cosignature
	pause  uint64 // rounds without a request after the next failure
	until  uint64 // no request up to this round
	failed string // why it does not cosign; empty: it does
	silent *trouble.State
}

type cosignature struct {
	of    proof.Checkpoint
	line  []byte
	round uint64
}

// cosigning is the part of a keeper that asks the witnesses. Nothing waits for
// it: neither commits nor checkpoints.
type cosigning struct {
	witnesses []*cosigner
	trust     proof.Trust
	post      http.RoundTripper
	round     uint64
	lost      *trouble.State // what was cosigned cannot be written
	behind    atomic.Int64   // rounds since the quorum had cosigned every checkpoint of one
}

// CosignedAge returns for how long the quorum of witnesses has not cosigned every
// partition. It is 0 if there are none.
func (k *Keeper) CosignedAge() time.Duration {
	return time.Duration(k.cosigning.behind.Load()) * cosignEvery
}

func (k *Keeper) newCosigning() {
	k.cosigning.lost = k.trouble("the cosigned checkpoints cannot be written", "the cosigned checkpoints are written again")
	k.cosigning.post = k.o.Transport
	if k.o.Transport == nil {
		k.cosigning.post = http.DefaultTransport
	}
	if k.cosigning.trust.Quorum = k.o.Quorum; k.o.Quorum == 0 {
		k.cosigning.trust.Quorum = len(k.o.Witnesses)
	}
	for _, w := range k.o.Witnesses {
		k.cosigning.witnesses = append(k.cosigning.witnesses, &cosigner{Witness: w, pause: 1, silent: k.trouble(
			"the witness does not cosign; the server tries again at growing intervals", "the witness cosigns again", "witness", w.Name())})
		k.cosigning.trust.Witnesses = append(k.cosigning.trust.Witnesses, w.Witness)
	}
}

// readCosigned reads the cosigned checkpoints of the directory. What cannot be
// read or verified is left out: the witnesses cosign again.
func (k *Keeper) readCosigned(ctx context.Context) {
	if k.o.Dir == "" {
		return
	}
	text, err := regular.ReadFile(filepath.Join(k.o.Dir, CosignedFile))
	if err == nil {
		var p Pinned
		if p, err = ReadNotes(text, proof.Trust{Keys: k.Keys()}); err == nil {
			k.cosigned = p
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.o.Log.WarnContext(ctx, "the cosigned checkpoints are left out until the witnesses have cosigned again", "cause", err)
	}
}

// Cosigned returns the newest checkpoints that the quorum of witnesses has
// cosigned.
func (k *Keeper) Cosigned() Pinned {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cosigned
}

// runCosigning has the newest checkpoints cosigned, in rounds, until ctx ends.
func (k *Keeper) runCosigning(ctx context.Context) {
	tick := time.NewTicker(cosignEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.cosign(ctx)
		}
	}
}

// cosign is one round: each witness that is not left alone is asked about the same
// checkpoints, so that they cosign the same trees.
func (k *Keeper) cosign(ctx context.Context) {
	c := &k.cosigning
	c.round++
	now := k.Pinned()
	var all sync.WaitGroup
	for _, w := range c.witnesses {
		if c.round > w.until {
			all.Go(func() {
				limited, stop := context.WithTimeout(ctx, roundLimit)
				defer stop()
				err := k.askAll(limited, w, &now)
				if ctx.Err() == nil {
					k.judge(ctx, w, err)
				}
			})
		}
	}
	all.Wait()
	err := k.keepCosigned(&now)
	c.lost.Set(ctx, err != nil, "cause", err)
}

// judge leaves a witness that failed alone for some rounds, each time for longer,
// and logs what has changed.
func (k *Keeper) judge(ctx context.Context, w *cosigner, err error) {
	w.failed = ""
	if err == nil {
		w.pause = 1
	} else {
		w.failed = err.Error()
		w.until = k.cosigning.round + w.pause + rand.Uint64N(w.pause/4+1) //nolint:gosec // to spread the requests
		w.pause = min(2*w.pause, maxPause)
	}
	w.silent.Set(ctx, err != nil, "cause", err)
}

// askAll asks a witness about all checkpoints that it has not cosigned, and returns
// the first error. It sends one request at a time, because witnesses reject others
// meanwhile. Each round begins with another partition, so that a slow witness
// cosigns all of them.
func (k *Keeper) askAll(ctx context.Context, w *cosigner, now *Pinned) (err error) {
	round := k.cosigning.round
	for i := range uint64(gotong.Partitions) {
		p := (i + round) % gotong.Partitions
		at, had := &now[p], &w.newest[p]
		if at.Checkpoint.Size == 0 || had.of == at.Checkpoint && round < had.round+uint64(refreshAfter) {
			continue
		}
		line, fault := k.ask(ctx, w, at.Checkpoint, at.Note)
		if fault == nil {
			*had = cosignature{at.Checkpoint, line, round}
		} else if err == nil {
			err = fault
		}
		if errors.Is(fault, errBusy) {
			break
		}
	}
	return err
}

// errBusy is wrapped by the errors after which a witness gets no other request in
// the same round.
var errBusy = errors.New("the witness is not available")

// ask posts a checkpoint to a witness, with the proof that its tree continues the
// one that the witness knows. If this node is wrong about the latter, the witness
// answers 409 with its size, and is asked once more.
func (k *Keeper) ask(ctx context.Context, w *cosigner, c proof.Checkpoint, note []byte) ([]byte, error) {
	size := &w.sizes[c.Origin.Partition]
	for range 2 {
		path, err := tree{ctx, k.o.Store, c.Origin.Partition}.consistency(c, *size)
		if err != nil {
			return nil, err
		}
		var body bytes.Buffer
		_, _ = fmt.Fprintf(&body, "old %d\n", *size)
		for _, h := range path {
			body.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
		body.WriteString("\n")
		body.Write(note)
		status, answer, err := k.postTo(ctx, w.url, &body)
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusOK:
			line, err := w.Cosignature(note, answer)
			if err == nil {
				*size = c.Size
			}
			return line, err
		case http.StatusConflict:
			known, err := strconv.ParseUint(strings.TrimSpace(string(answer)), 10, 63)
			if err != nil || known > c.Size {
				return nil, fmt.Errorf("the witness has cosigned a tree of %.20q commits for %s, and this node has signed one of %d: "+
					"the log was rolled back, or another node uses the witness", answer, c.Origin, c.Size)
			}
			*size = known
		case http.StatusUnprocessableEntity:
			return nil, fmt.Errorf("the witness has cosigned another history of %s than the one up to %d: %.200q", c.Origin, c.Size, answer)
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
			http.StatusGatewayTimeout:
			return nil, fmt.Errorf("%w: it answers %d: %.200q", errBusy, status, answer)
		default:
			return nil, fmt.Errorf("it answers %d to the checkpoint of %s: %.200q; gotong audit witness-config prints what it needs",
				status, c.Origin, answer)
		}
	}
	return nil, fmt.Errorf("the witness answers 409 twice to the checkpoint of %s at %d", c.Origin, c.Size)
}

// postTo sends one request. It follows no redirect.
func (k *Keeper) postTo(ctx context.Context, to string, body io.Reader) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, body)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := k.cosigning.post.RoundTrip(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errBusy, err)
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		err = fmt.Errorf("%w: %w", errBusy, err)
	}
	return resp.StatusCode, answer, err
}

// keepCosigned keeps the checkpoints of a round that the quorum has cosigned.
func (k *Keeper) keepCosigned(now *Pinned) error {
	next, changed, whole := k.Cosigned(), false, true
	trust := k.cosigning.trust
	trust.Keys = k.Keys()
	for p := range now {
		note := bytes.Clone(now[p].Note)
		for _, w := range k.cosigning.witnesses {
			if w.newest[p].of == now[p].Checkpoint {
				note = append(note, w.newest[p].line...)
			}
		}
		if now[p].Checkpoint.Size == 0 {
			continue
		}
		if _, err := proof.Open(note, trust); err != nil {
			whole = false
		} else if !bytes.Equal(note, next[p].Note) {
			next[p].Checkpoint, next[p].Note, changed = now[p].Checkpoint, note, true
		}
	}
	if k.cosigning.behind.Add(1); whole {
		k.cosigning.behind.Store(0)
	}
	if !changed {
		return nil
	}
	k.mu.Lock()
	k.cosigned = next
	k.mu.Unlock()
	if k.o.Dir == "" {
		return nil
	}
	return next.write(k.o.Dir, CosignedFile)
}
