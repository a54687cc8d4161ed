package main

import (
	"errors"
	"fmt"

	"gotong.dev/gotong/internal/audit"
)

type auditKeyCmd struct {
	Checkpoints string `name:"checkpoints" required:"" help:"The directory of checkpoints; no server may use it." placeholder:"DIR"`
	Instance    string `name:"instance" help:"The name of the server in its checkpoints; for the first key only." placeholder:"NAME"`
	Retire      bool   `name:"retire" help:"Remove the old key instead."`
}

func (*auditKeyCmd) Help() string {
	return `Makes a signing key. If the directory has one, the new key signs beside it from the next start of the server on. Publish its
verifier key, which is printed; once everybody who verifies has it, stop the server, retire the old key, and start again. The log
records from which checkpoint to which one each of the two keys signs. No key is ever overwritten.

Examples:

    gotong audit key --checkpoints /var/lib/gotong-checkpoints
    gotong audit key --checkpoints /var/lib/gotong-checkpoints --retire
    gotong audit key --checkpoints /var/lib/new-checkpoints --instance chat.example.org`
}

func (c *auditKeyCmd) Run(std *stdio) (err error) {
	lock, err := audit.Lock(c.Checkpoints)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if !c.Retire {
		key, err := audit.NewKey(c.Checkpoints, c.Instance)
		if err == nil {
			_, err = fmt.Fprintln(std.out, key)
		}
		return err
	}
	retired, err := audit.RetireKeys(c.Checkpoints)
	for _, key := range retired {
		_, _ = fmt.Fprintf(std.out, "Retired %s\n", key)
	}
	return err
}
