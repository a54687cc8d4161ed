package audit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/proof"
)

// tallied returns a log with a vote of several users, and the proof of its tally.
func tallied(t *testing.T, secret bool) (*world, proof.Event) {
	t.Helper()
	w := newWorld(t, 5)
	w.secret = secret
	w.live = memory.New(w.epoch, memory.Options{})
	t.Cleanup(func() { _ = w.live.Close() })
	w.fill(5)
	var tally *store.Event
	for n := 0; n < 3; { // somebody has to vote
		tally = w.vote(0)
		n = int(tally.Seq) - 3
	}
	w.fill(5)
	w.grow()
	w.pin()
	e, err := w.prove(tally.Stream, tally.Seq)
	if err != nil {
		t.Fatal(err)
	}
	return w, e
}

func (w *world) prove(stream gotong.Stream, seq uint64) (proof.Event, error) {
	return Prove(w.t.Context(), w.live, codec, store.FirstEra(w.epoch), w.pinned[len(w.pinned)-1:], stream, seq)
}

// check returns what is wrong with a proof after its way over the wire.
func (w *world) check(e *proof.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := proof.ParseEvent(b)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := got.Check(proof.Trust{Keys: []proof.Key{w.signer.Key}}); err != nil {
		return err
	}
	return CheckEvidence(codec, &got)
}

// TestEvidence: the proof of a tally carries the proposal and each vote that it
// counts, without content, and they give the tally.
func TestEvidence(t *testing.T) {
	w, e := tallied(t, false)
	if err := w.check(&e); err != nil {
		t.Fatal(err)
	}
	var votes int
	for i, of := range e.Evidence {
		if of.Content != nil || of.ContentSalt != nil {
			t.Errorf("event %d has its content", of.Seq)
		}
		if want := map[bool]string{true: cases.EvProposed, false: cases.EvVoted}[i == 0]; of.Type != want {
			t.Errorf("event %d is a %s, want %s", of.Seq, of.Type, want)
		}
		votes += strings.Count(string(of.Data), `"choice"`)
	}
	if uint64(votes) != e.Seq-3 {
		t.Errorf("%d votes, want %d", votes, e.Seq-3)
	}
	other := w.vote(0)
	w.grow()
	w.pin()
	foreign, err := w.prove(other.Stream, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(e *proof.Event){
		"a vote is missing":     func(e *proof.Event) { e.Evidence = e.Evidence[:len(e.Evidence)-1] },
		"a vote is there twice": func(e *proof.Event) { e.Evidence = append(e.Evidence, e.Evidence[1]) },
		"there is no proposal":  func(e *proof.Event) { e.Evidence = e.Evidence[1:] },
		"of another stream":     func(e *proof.Event) { e.Evidence[0] = foreign },
		"of itself":             func(e *proof.Event) { e.Evidence[1] = *e; e.Evidence[1].Evidence = nil },
		"with evidence":         func(e *proof.Event) { e.Evidence[2].Evidence = []proof.Event{e.Evidence[1]} },
		"another choice": func(e *proof.Event) {
			e.Evidence[1].Data = []byte(strings.Replace(string(e.Evidence[1].Data), "r", "s", 1))
		},
		"a proposal as a vote":   func(e *proof.Event) { e.Evidence[1] = e.Evidence[0] },
		"a salt of another vote": func(e *proof.Event) { e.Evidence[1].DataSalt = e.Evidence[2].DataSalt },
	} {
		bad := e
		bad.Evidence = slices.Clone(e.Evidence)
		spoil(&bad)
		if err := w.check(&bad); !errors.Is(err, proof.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := e
	bad.Stream = "nothing/x"
	if err := CheckEvidence(codec, &bad); !errors.Is(err, proof.ErrUnverified) {
		t.Errorf("a kind that nobody knows: %v", err)
	}
}

// TestSecretTally: the proof of a tally of a secret gate carries no vote; each voter
// can compare their own with the seqs that the tally counts.
func TestSecretTally(t *testing.T) {
	w, e := tallied(t, true)
	if err := w.check(&e); err != nil || e.Evidence != nil || strings.Contains(string(e.Data), `"choice"`) {
		t.Fatalf("%v, %d events, %s", err, len(e.Evidence), e.Data)
	}
	var data store.Envelope[cases.Tallied]
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(3); seq < e.Seq; seq++ {
		own, err := w.prove(e.Stream, seq)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.check(&own); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(data.Payload.Ballots, func(b cases.Ballot) bool { return b.Seq == own.Seq }) {
			t.Errorf("the tally does not count vote %d", own.Seq)
		}
	}
}
