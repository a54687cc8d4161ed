package proof

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"gotong.dev/gotong"
)

// ErrUnverified is wrapped by the errors of what cannot be verified: text that is
// no checkpoint or proof, or has no valid signature of a given key.
var ErrUnverified = errors.New("proof: not verifiable")

// Origin names the tree of a checkpoint. A checkpoint of one partition or epoch
// is never valid for another.
type Origin struct {
	Instance  string // of the server: a name that its operator chose
	Epoch     gotong.Epoch
	Partition gotong.Partition
}

// String returns INSTANCE/EPOCH/pPARTITION.
func (o Origin) String() string {
	return o.Instance + "/" + string(o.Epoch) + "/p" + strconv.Itoa(int(o.Partition))
}

// ValidInstance reports whether s can name an instance: 1 to 128 of
// a-z0-9.:-_ and slashes within, as in chat.example.org/gotong.
func ValidInstance(s string) bool {
	ok := s != "" && len(s) <= 128 && !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/")
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune(".:-_/", c))
	}
	return ok
}

func parseOrigin(s string) (o Origin, err error) {
	parts := strings.Split(s, "/")
	n := len(parts)
	if n < 3 {
		return o, fmt.Errorf("%w: the origin %q is not INSTANCE/EPOCH/pPARTITION", ErrUnverified, s)
	}
	p, err := strconv.ParseUint(strings.TrimPrefix(parts[n-1], "p"), 10, 8)
	o = Origin{strings.Join(parts[:n-2], "/"), gotong.Epoch(parts[n-2]), gotong.Partition(p)}
	if err != nil || p >= gotong.Partitions || o.Epoch == "" || !ValidInstance(o.Instance) || o.String() != s {
		return o, fmt.Errorf("%w: the origin %q is not INSTANCE/EPOCH/pPARTITION", ErrUnverified, s)
	}
	return o, nil
}

// Checkpoint says that the tree of Origin had this root when it had this size.
type Checkpoint struct {
	Origin Origin
	Size   uint64
	Root   gotong.Hash
}

// Text returns the text that is signed.
func (c Checkpoint) Text() string {
	return c.Origin.String() + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return c, fmt.Errorf("%w: a checkpoint has three lines", ErrUnverified)
	}
	if c.Origin, err = parseOrigin(lines[0]); err != nil {
		return c, err
	}
	c.Size, _ = strconv.ParseUint(lines[1], 10, 63)
	root, _ := base64.StdEncoding.DecodeString(lines[2])
	copy(c.Root[:], root)
	if c.Text() != text {
		return c, fmt.Errorf("%w: the checkpoint of %s has a malformed size or root", ErrUnverified, c.Origin)
	}
	return c, nil
}

// Key is the public key of an instance. It verifies the checkpoints of all its
// partitions and epochs: the same key under the name of each origin.
type Key struct {
	instance string
	public   ed25519.PublicKey
}

// ed25519Type is the type of an Ed25519 key in the encodings of signed notes.
const ed25519Type = 1

// ParseKey reads a verifier key in the form of signed notes,
// INSTANCE+HASH+BASE64.
func ParseKey(vkey string) (Key, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil || !ValidInstance(v.Name()) {
		return Key{}, fmt.Errorf("%w: %q is no verifier key of an instance", ErrUnverified, vkey)
	}
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return Key{}, fmt.Errorf("%w: %q is no Ed25519 key", ErrUnverified, vkey)
	}
	return Key{v.Name(), raw[1:]}, nil
}

// Instance returns the name of the instance.
func (k Key) Instance() string { return k.instance }

// String returns the verifier key of the instance.
func (k Key) String() string { return k.For(k.instance) }

// For returns the verifier key under another name, such as an origin: what a
// witness needs.
func (k Key) For(name string) string {
	s, err := note.NewEd25519VerifierKey(name, k.public)
	if err != nil {
		panic(err) // an Ed25519 key always has a verifier key
	}
	return s
}

// Signer is the private key of an instance.
type Signer struct {
	Key

	seed []byte
}

// NewSigner makes a private key. The text is what [ParseSigner] reads.
func NewSigner(instance string) (text string, err error) {
	if !ValidInstance(instance) {
		return "", fmt.Errorf("the name of the instance %q is not of a-z0-9.:-_ and slashes", instance)
	}
	text, _, err = note.GenerateKey(rand.Reader, instance)
	return text, err
}

// ParseSigner reads a private key in the form of signed notes. Its error does not
// repeat the text.
func ParseSigner(text string) (Signer, error) {
	s, err := note.NewSigner(text)
	parts := strings.SplitN(text, "+", 5)
	if err != nil || len(parts) != 5 || !ValidInstance(s.Name()) {
		return Signer{}, errors.New("proof: this is no private key of an instance")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != ed25519Type {
		return Signer{}, errors.New("proof: this is no private Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey) //nolint:forcetypeassert // documented
	return Signer{Key{s.Name(), public}, raw[1:]}, nil
}

type originSigner struct {
	note.Verifier

	key ed25519.PrivateKey
}

// Sign implements [note.Signer].
func (s originSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Sign returns the checkpoint as a note, signed by each signer.
func (c Checkpoint) Sign(signers ...Signer) ([]byte, error) {
	var list []note.Signer
	for _, s := range signers {
		v, err := note.NewVerifier(s.For(c.Origin.String()))
		if err != nil {
			return nil, err
		}
		list = append(list, originSigner{v, ed25519.NewKeyFromSeed(s.seed)})
	}
	return note.Sign(&note.Note{Text: c.Text()}, list...)
}

// Trust is whose signatures a verifier requires.
type Trust struct {
	Keys      []Key     // of the instance: one of them must have signed
	Witnesses []Witness // independent servers that may have cosigned
	Quorum    int       // how many of them must have; two with the same key count once
}

// Checked is a checkpoint, with the names of those whose signatures were verified.
type Checked struct {
	Checkpoint Checkpoint
	Keys       []Key    // those of the trust that signed
	Witnesses  []string // those that cosigned
}

// Open returns the checkpoint of a note, if it has the signatures that the trust
// requires; those of unknown keys are ignored. A key of the trust counts only for
// checkpoints of its own instance.
func Open(signed []byte, trust Trust) (Checked, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	c, err := parseCheckpoint(text + "\n")
	if err != nil {
		return Checked{}, err
	}
	type id struct {
		name string
		hash uint32
	}
	own, known := map[id]Key{}, []note.Verifier{}
	for _, k := range trust.Keys {
		if k.instance != c.Origin.Instance {
			continue
		}
		v, err := note.NewVerifier(k.For(c.Origin.String()))
		if err != nil {
			return Checked{}, err
		}
		own[id{v.Name(), v.KeyHash()}] = k
		known = append(known, v)
	}
	witnesses, publics := map[id]Witness{}, map[string]bool{}
	for _, w := range trust.Witnesses {
		witnesses[id{w.Name(), w.verifier.KeyHash()}] = w
		known = append(known, w.verifier)
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err == nil && n.Text != c.Text() {
		err = errors.New("it has two texts")
	}
	if err != nil {
		return Checked{}, fmt.Errorf("%w: the checkpoint of %s: %w", ErrUnverified, c.Origin, err)
	}
	opened := Checked{Checkpoint: c}
	for _, s := range n.Sigs {
		if k, ok := own[id{s.Name, s.Hash}]; ok {
			opened.Keys = append(opened.Keys, k)
		} else if w := witnesses[id{s.Name, s.Hash}]; !publics[w.public] {
			publics[w.public] = true
			opened.Witnesses = append(opened.Witnesses, s.Name)
		}
	}
	switch {
	case len(opened.Keys) == 0:
		return Checked{}, fmt.Errorf("%w: the checkpoint of %s has no signature of a given key", ErrUnverified, c.Origin)
	case len(opened.Witnesses) < trust.Quorum:
		return Checked{}, fmt.Errorf("%w: %d witnesses cosigned the checkpoint of %s, and %d must",
			ErrUnverified, len(opened.Witnesses), c.Origin, trust.Quorum)
	}
	return opened, nil
}

// SplitNotes splits a file of several signed notes, one after the other.
func SplitNotes(file string) (notes []string) {
	const mark = "— "
	begin, signed, at := 0, false, 0
	for line := range strings.Lines(file) {
		switch {
		case strings.HasPrefix(line, mark):
			signed = true
		case signed && strings.TrimSpace(line) != "":
			notes = append(notes, strings.TrimRight(file[begin:at], "\n")+"\n")
			begin, signed = at, false
		}
		at += len(line)
	}
	if rest := strings.TrimRight(file[begin:], "\n"); rest != "" {
		notes = append(notes, rest+"\n")
	}
	return notes
}
