package proof_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// sample returns the proof of the second event of the commit at position 5 of 9.
func sample(t *testing.T, s proof.Signer) proof.Event {
	t.Helper()
	e := proof.Event{
		Form: proof.EventForm, Stream: "thread/x", Seq: 4, First: 3, Position: 5, Epoch: "e0", Partition: 2,
		ID: gotong.NewEventID(1_700_000_000_000_000, 7), Type: "message.posted", At: 1_700_000_000_000_000, Count: 1, Prev: gotong.Hash{9},
		Data: []byte(`{"payload":{}}`), DataSalt: make([]byte, 32), Content: []byte(`{"text":"hello"}`), ContentSalt: make([]byte, 32),
	}
	e.DataSalt[0], e.ContentSalt[0] = 1, 2
	e.DataCommitment = gotong.CommitData(gotong.Salt(e.DataSalt), e.Data)
	e.ContentCommitment = gotong.CommitContent(gotong.Salt(e.ContentSalt), e.Content)
	e.Chains = []gotong.Hash{e.Prev, e.Header().Chain()}
	seal(t, &e, s, proof.Origin{Instance: s.Instance(), Epoch: "e1", Partition: 2})
	return e
}

// seal puts the event's commit into a tree of nine.
func seal(t *testing.T, e *proof.Event, s proof.Signer, origin proof.Origin) {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (list []tlog.Hash, _ error) {
		for _, i := range at {
			list = append(list, stored[i])
		}
		return list, nil
	})
	var tree proof.Tree
	for n := range int64(9) {
		h := gotong.Hash{byte(n)}
		if n == 4 {
			h = proof.Leaf{Partition: e.Partition, Position: e.Position, Stream: e.Stream, First: e.First, Chains: e.Chains}.Hash()
		}
		more, err := tlog.StoredHashesForRecordHash(n, tlog.Hash(h), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		tree.Add(h)
	}
	record, err := tlog.ProveRecord(9, 4, read)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := proof.Checkpoint{Origin: origin, Size: 9, Root: tree.Root()}.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	var path []gotong.Hash
	for _, h := range record {
		path = append(path, gotong.Hash(h))
	}
	e.Proof = proof.TLogProof(4, path, signed)
}

func TestEventProof(t *testing.T) {
	s := newKey(t, "chat.example.org")
	e := sample(t, s)
	checked, err := e.Check(proof.Trust{Keys: []proof.Key{s.Key}})
	if err != nil || checked.Checkpoint.Size != 9 {
		t.Fatalf("a good proof: %+v, %v", checked, err)
	}
	e.Content, e.ContentSalt = nil, nil // erased, or withheld
	if _, err := e.Check(proof.Trust{Keys: []proof.Key{s.Key}}); err != nil {
		t.Fatalf("without content: %v", err)
	}
	if _, err := e.Check(proof.Trust{Keys: []proof.Key{newKey(t, "chat.example.org").Key}}); !errors.Is(err, proof.ErrUnverified) {
		t.Errorf("with another key: %v", err)
	}
}

// Whatever is changed in a proof, the check fails.
func TestChangedEventProof(t *testing.T) {
	s := newKey(t, "chat.example.org")
	for name, change := range map[string]func(*proof.Event){
		"stream":        func(e *proof.Event) { e.Stream = "thread/y" },
		"seq":           func(e *proof.Event) { e.Seq = 3 },
		"seq after":     func(e *proof.Event) { e.Seq = 5 },
		"first":         func(e *proof.Event) { e.First = 0 },
		"position":      func(e *proof.Event) { e.Position = 6 },
		"position 0":    func(e *proof.Event) { e.Position = 0 },
		"epoch":         func(e *proof.Event) { e.Epoch = "e2" },
		"partition":     func(e *proof.Event) { e.Partition = 3 },
		"id":            func(e *proof.Event) { e.ID[15]++ },
		"type":          func(e *proof.Event) { e.Type = "message.edited" },
		"at":            func(e *proof.Event) { e.At++ },
		"audience":      func(e *proof.Event) { e.Audience = "user/x" },
		"count":         func(e *proof.Event) { e.Count++ },
		"prev":          func(e *proof.Event) { e.Prev[0]++ },
		"data":          func(e *proof.Event) { e.Data = []byte(`{}`) },
		"data salt":     func(e *proof.Event) { e.DataSalt[5]++ },
		"short salt":    func(e *proof.Event) { e.DataSalt = nil },
		"content":       func(e *proof.Event) { e.Content = []byte(`{"text":"bye"}`) },
		"content alone": func(e *proof.Event) { e.ContentSalt = nil },
		"content salt":  func(e *proof.Event) { e.ContentSalt[5]++ },
		"commitment":    func(e *proof.Event) { e.ContentCommitment[0]++ },
		"chain":         func(e *proof.Event) { e.Chains[1][0]++ },
		"chain before":  func(e *proof.Event) { e.Chains[0][0]++ },
		"no chain":      func(e *proof.Event) { e.Chains = nil },
		"path":          func(e *proof.Event) { e.Proof = strings.Replace(e.Proof, "index 4", "index 5", 1) },
		"size":          func(e *proof.Event) { e.Proof = strings.Replace(e.Proof, "\n9\n", "\n8\n", 1) },
		"no proof":      func(e *proof.Event) { e.Proof = "" },
		"rehashed": func(e *proof.Event) {
			e.Data = []byte(`{}`)
			e.DataCommitment = gotong.CommitData(gotong.Salt(e.DataSalt), e.Data)
			e.Chains[1] = e.Header().Chain()
		},
		"another partition's checkpoint": func(e *proof.Event) {
			seal(t, e, s, proof.Origin{Instance: s.Instance(), Epoch: "e1", Partition: 3})
		},
	} {
		e := sample(t, s)
		change(&e)
		if _, err := e.Check(proof.Trust{Keys: []proof.Key{s.Key}}); !errors.Is(err, proof.ErrAltered) && !errors.Is(err, proof.ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
