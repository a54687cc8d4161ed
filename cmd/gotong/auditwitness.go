package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/proof"
)

// cosigners are the witnesses that must have cosigned a checkpoint.
type cosigners struct {
	WitnessKey    []string `name:"witness-key" help:"The verifier key of a witness that must have cosigned. Repeatable." placeholder:"KEY"`
	WitnessQuorum int      `name:"witness-quorum" help:"How many of these witnesses must have cosigned; 0 is all." placeholder:"N"`
}

// file returns the path of the file that keeps them, beside the checkpoints.
func (c *cosigners) file() string {
	if len(c.WitnessKey) > 0 {
		return audit.CosignedFile
	}
	return audit.CheckpointsFile
}

// trusted returns the keys that checkpoints must be signed with.
func (p *pins) trusted() (t proof.Trust, err error) {
	if t.Keys, err = p.keys(); err != nil {
		return t, err
	}
	for _, text := range p.WitnessKey {
		w, err := proof.ParseWitness(text)
		if err != nil {
			return t, unverifiable(err)
		}
		t.Witnesses = append(t.Witnesses, w)
	}
	if t.Quorum = p.WitnessQuorum; t.Quorum == 0 {
		t.Quorum = len(t.Witnesses)
	}
	if t.Quorum < 0 || t.Quorum > len(t.Witnesses) {
		return t, misuse("--witness-key, once for each of them", "cosignatures needed: %d; keys given: %d",
			t.Quorum, len(t.Witnesses))
	}
	return t, nil
}

// both returns the cosigned checkpoints of a directory, if it has any, and the
// newest ones.
func (p *pins) both() (both []audit.Pinned, err error) {
	keys, err := p.keys()
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(filepath.Join(p.Checkpoints, audit.CosignedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{err: err, code: codeIO}
	}
	if cosigned, err := audit.ReadNotes(file, proof.Trust{Keys: keys}); err == nil { // else of an earlier key: only the newest are used
		both = append(both, cosigned)
	}
	newest, err := p.read()
	return append(both, newest), err
}

// cosignedBy returns the witnesses of a checkpoint as the end of a sentence.
func cosignedBy(c proof.Checked) string {
	if len(c.Witnesses) == 0 {
		return ""
	}
	return ", cosigned by " + strings.Join(c.Witnesses, " and ")
}

type auditWitnessCmd struct {
	Checkpoints string `name:"checkpoints" required:"" help:"The directory of checkpoints." placeholder:"DIR"`
	YAML        bool   `name:"yaml" help:"Print the list that omniwitness reads."`
}

func (*auditWitnessCmd) Help() string {
	return `Each partition is a log of its own to a witness: one line has its origin and, after a blank, its verifier key. Give the lines to
the operator of the witness; then start the server with --witness. A new epoch has new origins, and a new key new lines.

Examples:

    gotong audit witness-config --checkpoints /var/lib/gotong-checkpoints
    gotong audit witness-config --checkpoints /var/lib/gotong-checkpoints --yaml >logs.yaml`
}

func (c *auditWitnessCmd) Run(std *stdio) error {
	p := pins{Checkpoints: c.Checkpoints}
	keys, err := p.keys()
	if err != nil {
		return err
	}
	pinned, err := p.read()
	if err != nil {
		return err
	}
	if c.YAML {
		_, _ = fmt.Fprintln(std.out, "Logs:")
	}
	for i := range pinned {
		origin := pinned[i].Checkpoint.Origin.String()
		for _, k := range keys {
			if c.YAML {
				_, err = fmt.Fprintf(std.out, "  - Origin: %s\n    PublicKey: %s\n", origin, k.For(origin))
			} else {
				_, err = fmt.Fprintln(std.out, origin, k.For(origin))
			}
		}
	}
	return err
}
