package proof_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// cosigner is a witness that cosigns whatever it is given.
type cosigner struct {
	note.Signer

	skey, vkey string
	key        proof.Witness
}

func newCosigner(t *testing.T, name string) cosigner {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	return cosignerOf(t, skey, vkey)
}

func cosignerOf(t *testing.T, skey, vkey string) cosigner {
	t.Helper()
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseWitness(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return cosigner{s, skey, vkey, key}
}

// under returns the same key under another name.
func (c cosigner) under(t *testing.T, name string) cosigner {
	t.Helper()
	parts := strings.SplitN(c.skey, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil {
		t.Fatal(err)
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		t.Fatal(err)
	}
	return cosignerOf(t, fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, strings.Split(vkey, "+")[1], parts[4]), vkey)
}

// lines is what the witness answers to a checkpoint.
func (c cosigner) lines(t *testing.T, signed []byte) []byte {
	t.Helper()
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return c.over(t, text+"\n")
}

// over is the cosignature of a text.
func (c cosigner) over(t *testing.T, text string) []byte {
	t.Helper()
	cosigned, err := note.Sign(&note.Note{Text: text}, c)
	if err != nil {
		t.Fatal(err)
	}
	return cosigned[len(text)+1:]
}

func TestWitnessKeys(t *testing.T) {
	w := newCosigner(t, "example.org/w1")
	cosigning, err := fnote.VKeyToCosignatureV1(w.vkey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = proof.ParseWitness(cosigning); err != nil {
		t.Errorf("the key of type 4: %v", err)
	}
	parts := strings.SplitN(w.vkey, "+", 3)
	for name, bad := range map[string]string{
		"nothing": "", "text": "x", "no key": parts[0] + "+" + parts[1] + "+", "short": w.vkey[:len(w.vkey)-8],
		"the name of another":             "example.org/w2+" + parts[1] + "+" + parts[2],
		"type 4, and the name of another": strings.Replace(cosigning, "w1", "w2", 1),
		"a private key":                   "PRIVATE+KEY+" + w.vkey,
	} {
		if _, err := proof.ParseWitness(bad); !errors.Is(err, proof.ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A checkpoint counts if the log and so many of the known witnesses signed it.
func TestQuorum(t *testing.T) {
	s := newKey(t, "chat.example.org")
	c := proof.Checkpoint{Origin: proof.Origin{Instance: "chat.example.org", Epoch: "e1", Partition: 3}, Size: 7, Root: gotong.Hash{1}}
	signed, err := c.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	a, b, unknown := newCosigner(t, "example.org/a"), newCosigner(t, "example.org/b"), newCosigner(t, "example.org/u")
	skey, vkey, err := fnote.GenerateMLDSAKey("example.org/lattice")
	if err != nil {
		t.Fatal(err)
	}
	lattice := cosignerOf(t, skey, vkey)
	twin := a.under(t, "example.org/twin")
	if !twin.key.Same(a.key) || b.key.Same(a.key) {
		t.Error("the same key is not seen")
	}
	known := []proof.Witness{a.key, b.key, lattice.key, twin.key}
	for name, of := range map[string]struct {
		lines  string
		quorum int
		want   int // -1: not verified
	}{
		"none is needed":       {"", 0, 0},
		"one is missing":       {"", 1, -1},
		"one":                  {string(a.lines(t, signed)), 1, 1},
		"one of two":           {string(a.lines(t, signed)), 2, -1},
		"two":                  {string(a.lines(t, signed)) + string(lattice.lines(t, signed)), 2, 2},
		"an unknown one":       {string(a.lines(t, signed)) + string(unknown.lines(t, signed)), 2, -1},
		"one twice":            {string(a.lines(t, signed)) + string(a.lines(t, signed)), 2, -1},
		"one under two names":  {string(a.lines(t, signed)) + string(twin.lines(t, signed)), 2, -1},
		"all":                  {string(b.lines(t, signed)) + string(a.lines(t, signed)) + string(lattice.lines(t, signed)), 3, 3},
		"of another text":      {string(a.lines(t, []byte("x\n7\nAAAA\n\n"))), 0, -1},
		"an unknown one alone": {string(unknown.lines(t, signed)), 0, 0},
	} {
		got, err := proof.Open([]byte(string(signed)+of.lines), proof.Trust{Keys: []proof.Key{s.Key}, Witnesses: known, Quorum: of.quorum})
		if of.want < 0 && !errors.Is(err, proof.ErrUnverified) || of.want >= 0 && (err != nil || len(got.Witnesses) != of.want) {
			t.Errorf("%s: %+v, %v", name, got.Witnesses, err)
		}
	}
	if _, err := proof.Open(append(signed, a.lines(t, signed)...), proof.Trust{Witnesses: known, Quorum: 1}); !errors.Is(err, proof.ErrUnverified) {
		t.Errorf("without a key of the log: %v", err)
	}
}

// Of what a witness answers, only its own valid cosignature is used.
func TestCosignature(t *testing.T) {
	s, a, b := newKey(t, "chat.example.org"), newCosigner(t, "example.org/a"), newCosigner(t, "example.org/b")
	signed, err := proof.Checkpoint{Origin: proof.Origin{Instance: "chat.example.org", Epoch: "e1"}, Size: 1}.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	mine := string(a.lines(t, signed))
	for name, answer := range map[string]string{"alone": mine, "with others": string(b.lines(t, signed)) + mine} {
		if line, err := a.key.Cosignature(signed, []byte(answer)); err != nil || string(line) != mine {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
	for name, answer := range map[string]string{
		"nothing": "", "text": "well done\n", "another's": string(b.lines(t, signed)), "no newline": strings.TrimSpace(mine),
		"of another text":     string(a.lines(t, []byte("x\n7\nAAAA\n\n"))),
		"of more than a note": "\n" + string(a.over(t, string(signed))),
	} {
		if line, err := a.key.Cosignature(signed, []byte(answer)); !errors.Is(err, proof.ErrUnverified) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
}

// A note whose text goes on after a checkpoint is none, whoever signed it.
func TestTwoTexts(t *testing.T) {
	c := proof.Checkpoint{Origin: proof.Origin{Instance: "chat.example.org", Epoch: "e1"}, Size: 1}
	skey, vkey, err := note.GenerateKey(rand.Reader, c.Origin.String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := base64.StdEncoding.DecodeString(strings.SplitN(vkey, "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	named, err := note.NewEd25519VerifierKey("chat.example.org", public[1:])
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseKey(named)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{c.Text(): true, c.Text() + "\n" + c.Text(): false} {
		signed, err := note.Sign(&note.Note{Text: text}, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proof.Open(signed, proof.Trust{Keys: []proof.Key{key}}); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
