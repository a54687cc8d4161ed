package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Witness is the public key of an independent server that cosigns checkpoints. It
// cosigns only a tree that continues every tree of the same origin that it
// cosigned before, so nobody can be shown another history (C2SP tlog-cosignature).
type Witness struct {
	verifier note.Verifier
	public   string
}

// ParseWitness reads the verifier key of a witness, NAME+HASH+BASE64: of type
// Ed25519, of its cosignatures (4), or ML-DSA-44 (6).
func ParseWitness(vkey string) (Witness, error) {
	v, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return Witness{}, fmt.Errorf("%w: %q is no verifier key of a witness: %w", ErrUnverified, vkey, err)
	}
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return Witness{}, fmt.Errorf("%w: %q is no verifier key of a witness: %w", ErrUnverified, vkey, err)
	}
	hash := v.KeyHash()
	if raw[0] == ed25519Type { // whose hash is that of the plain key
		plain, err := note.NewVerifier(vkey)
		if err != nil {
			return Witness{}, fmt.Errorf("%w: %q is no verifier key of a witness: %w", ErrUnverified, vkey, err)
		}
		hash = plain.KeyHash()
	}
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return Witness{}, fmt.Errorf("%w: the hash in %q is not that of its name and key", ErrUnverified, vkey)
	}
	return Witness{v, string(raw[1:])}, nil
}

// Name returns the name of the witness, under which it cosigns.
func (w Witness) Name() string { return w.verifier.Name() }

// Same reports whether the other witness has the same key.
func (w Witness) Same(other Witness) bool { return w.public == other.public }

// Cosignature returns the line of a note that is the cosignature of the witness
// for a signed checkpoint, from the lines of its answer.
func (w Witness) Cosignature(signed, lines []byte) ([]byte, error) {
	n, err := note.Open([]byte(string(signed)+string(lines)), note.VerifierList(w.verifier))
	if err == nil && !strings.HasPrefix(string(signed), n.Text+"\n") {
		err = errors.New("it is of another text")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the cosignature of %s: %w", ErrUnverified, w.Name(), err)
	}
	return fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil // the one verified signature
}
