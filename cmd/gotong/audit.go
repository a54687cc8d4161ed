package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/proof"
)

type auditCmd struct {
	Verify     auditVerifyCmd     `cmd:"" help:"Verify a whole log, or the proof of an event."`
	Prove      auditProveCmd      `cmd:"" help:"Write the proof of an event."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Print the newest checkpoints, or the keys that verify them."`
	Export     auditExportCmd     `cmd:"" help:"Write a log with its checkpoints to a file that others can verify."`
	Key        auditKeyCmd        `cmd:"" help:"Make a signing key, or retire the old one."`
	Witness    auditWitnessCmd    `cmd:"" name:"witness-config" help:"Print what a witness needs to cosign the checkpoints."`
}

// The exit codes of audit beside those of [audit.Code].
const (
	codeIO    = 3
	codeFiles = 14
)

// pins are the checkpoints and keys that a log is verified with.
type pins struct {
	Checkpoints string   `name:"checkpoints" help:"The server's directory of checkpoints or, better, a file of checkpoints that was kept elsewhere." placeholder:"PATH"`
	Key         []string `name:"key" help:"A verifier key of the server, as gotong audit checkpoint --keys prints it; repeatable. By default, those of the directory of checkpoints." placeholder:"KEY"`
	cosigners
}

func (p *pins) keys() (keys []proof.Key, err error) {
	for _, text := range p.Key {
		k, err := proof.ParseKey(text)
		if err != nil {
			return nil, unverifiable(err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 && p.Checkpoints != "" {
		signers, err := audit.ReadSigners(p.Checkpoints)
		if err != nil {
			return nil, misuse("--key, with the verifier key of the server", "there is no key to verify with")
		}
		keys = audit.KeysOf(signers)
	}
	return keys, nil
}

func (p *pins) read() (pinned audit.Pinned, err error) {
	if p.Checkpoints == "" {
		return pinned, nil
	}
	trust, err := p.trusted()
	if err != nil {
		return pinned, err
	}
	path := p.Checkpoints
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, p.file())
	}
	file, err := os.ReadFile(path) //nolint:gosec // the operator's own path
	if err != nil {
		return pinned, &failure{err: err, code: codeIO}
	}
	if pinned, err = audit.ReadNotes(file, trust); err != nil {
		return pinned, unverifiable(err)
	}
	return pinned, nil
}

func unverifiable(err error) error { return &failure{err: err, code: int(audit.Unverifiable)} }

type auditVerifyCmd struct {
	Store string `name:"store" help:"Address of a store to verify; a server may have it open." placeholder:"URL"`
	File  string `arg:"" optional:"" help:"A file that gotong audit export or gotong export wrote."`
	Proof string `name:"proof" help:"The proof of an event; - for standard input." placeholder:"FILE"`
	JSON  bool   `name:"json" help:"Print the report as JSON."`
	pins
	Files  string `name:"files" help:"With --store: also compare the bytes of attachments in this directory or bucket (s3://KEY:SECRET@HOST/BUCKET) with the log." env:"GOTONG_AUDIT_FILES" placeholder:"URL"`
	Signed string `name:"signed" help:"The checkpoints that the server shows now, as --checkpoints. If the log matches them and contradicts --checkpoints, two histories were signed." placeholder:"PATH"`
	trust
}

func (*auditVerifyCmd) Help() string {
	return `Reads a whole log, computes every hash, chain and tree again, and counts the votes of every gate again. It needs
no server and no network, and writes nothing. With checkpoints, above all with checkpoints that were kept elsewhere,
it also finds that the log was cut off, or rewritten with all of its hashes. A file from gotong audit export contains
its own checkpoints: give the key.

Exit codes: 0 verified, 10 altered, 11 cut off before a checkpoint, 12 two histories were signed (with --signed, or
the checkpoints in a file), 13 not verifiable, 14 the log is verified, and attachments are missing or differ (with
--files), 2 wrong use, 3 cannot be read.

Examples:

    gotong audit verify --store sqlite:/var/lib/gotong/gotong.db --checkpoints /var/lib/gotong-checkpoints
    gotong audit verify --store sqlite:/var/lib/gotong/gotong.db --files /var/lib/gotong/files
    gotong audit verify public.ndjson --key chat.example.org+1a2b3c4d+AY…
    gotong audit verify gotong.ndjson --checkpoints kept-elsewhere.txt --key chat.example.org+1a2b3c4d+AY…
    gotong audit verify --proof event.json --key chat.example.org+1a2b3c4d+AY…`
}

func (c *auditVerifyCmd) Validate() error {
	given := 0
	for _, what := range []string{c.Store, c.File, c.Proof} {
		if what != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("exactly one of FILE, --store and --proof is required")
	}
	if c.Signed != "" && (c.Checkpoints == "" || c.Proof != "") {
		return errors.New("--signed needs a log, and other checkpoints with --checkpoints")
	}
	if c.Files != "" && c.Store == "" {
		return errors.New("--files needs --store: a log in a file does not say what was removed since")
	}
	return errors.Join(checkStore("--store", c.Store), checkFiles("--files", c.Files))
}

func (c *auditVerifyCmd) Run(ctx context.Context, std *stdio) (err error) {
	if c.Proof != "" {
		return c.proof(std)
	}
	pinned, err := c.read()
	if err != nil {
		return err
	}
	bar := &stages{std: std}
	defer bar.clear()
	var source audit.Source
	var log *place
	parallel := runtime.GOMAXPROCS(0)
	if c.File != "" {
		parallel = 1 // the file is read once, in its order
		var stop func()
		if source, stop, err = c.file(ctx, bar, &pinned); err != nil {
			return err
		}
		defer stop()
	} else {
		if log, err = c.openToRead(ctx, c.Store); err != nil {
			return &failure{err: err, code: codeIO}
		}
		defer func() { err = errors.Join(err, log.Close()) }()
		if source, err = audit.FromStore(ctx, log); err != nil {
			return &failure{err: err, code: codeIO}
		}
	}
	if c.Signed != "" {
		if source.Signed, err = (&pins{Checkpoints: c.Signed, Key: c.Key}).read(); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var ledger files.Ledger
	var r auditReport
	r.Report, err = audit.Verify(ctx, source, audit.VerifyOptions{
		Pinned: pinned, Parallel: parallel, Replay: seenBy(&ledger, audit.Replay(codec())),
		Progress: func(done, total uint64) {
			mu.Lock()
			defer mu.Unlock()
			bar.show(logcopy.Progress{Stage: "verifying", Done: done, Total: total})
		},
	})
	if err == nil && c.Files != "" {
		r.Attachments, err = verifyFiles(ctx, c.Files, &ledger, log, bar.show)
	}
	bar.clear()
	if err != nil {
		return unreadable(err)
	}
	return c.print(std, &r)
}

func indented(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

func (c *auditVerifyCmd) proof(std *stdio) error {
	trust, err := c.trusted()
	if err != nil {
		return err
	}
	if len(trust.Keys) == 0 {
		return misuse("--key, with the verifier key of the server", "there is no key to verify with")
	}
	var text []byte
	if c.Proof == "-" {
		text, err = io.ReadAll(io.LimitReader(std.in, 64<<20))
	} else {
		text, err = os.ReadFile(c.Proof)
	}
	if err != nil {
		return &failure{err: err, code: codeIO}
	}
	e, err := proof.ParseEvent(text)
	var checked proof.Checked
	if err == nil {
		checked, err = e.Check(trust)
	}
	if err == nil {
		err = audit.CheckEvidence(codec(), &e)
	}
	switch {
	case errors.Is(err, proof.ErrAltered):
		return &failure{err: err, code: int(audit.Altered)}
	case err != nil:
		return unverifiable(err)
	case c.JSON:
		return indented(std.out, map[string]any{
			"code": 0, "stream": e.Stream, "seq": e.Seq, "origin": checked.Checkpoint.Origin.String(), "size": checked.Checkpoint.Size,
			"witnesses": checked.Witnesses,
		})
	}
	_, err = fmt.Fprintf(std.out, "Verified: event %d of %s, committed at %s, is in the log of %s%s.\n",
		e.Seq, e.Stream, gotong.Instant(e.At), checked.Checkpoint.Origin, cosignedBy(checked))
	if err == nil && len(e.Evidence) > 0 {
		_, err = fmt.Fprintf(std.out, "It was computed from %s, which the proof holds too.\n", count(len(e.Evidence), "event"))
	}
	return err
}

type auditProveCmd struct {
	Store       string `name:"store" required:"" help:"Address of the store; a server may have it open." env:"GOTONG_STORE" placeholder:"URL"`
	Checkpoints string `name:"checkpoints" required:"" help:"The directory of checkpoints." placeholder:"DIR"`
	Event       string `arg:"" help:"The event, as STREAM:SEQ."`
	trust
}

func (c *auditProveCmd) Validate() error { return checkStore("--store", c.Store) }

func (*auditProveCmd) Help() string {
	return `Prints the proof of one event, with its data and content; for a tally of a gate that is not secret, with the
votes too. gotong audit verify --proof verifies it anywhere, without the server.

Examples:

    gotong audit prove thread/0192f0c1-7f5e-7e3a-8000-0000000000aa:17 --store sqlite:/var/lib/gotong/gotong.db \
      --checkpoints /var/lib/gotong-checkpoints >event.json`
}

func (c *auditProveCmd) Run(ctx context.Context, std *stdio) (err error) {
	at := strings.LastIndexByte(c.Event, ':')
	stream, err := gotong.ParseStream(c.Event[:max(at, 0)])
	seq, err2 := strconv.ParseUint(c.Event[at+1:], 10, 63)
	if err != nil || err2 != nil {
		return misuse("STREAM:SEQ", "%q is not STREAM:SEQ", c.Event)
	}
	pinned, err := (&pins{Checkpoints: c.Checkpoints}).both()
	if err != nil {
		return err
	}
	s, err := c.openToRead(ctx, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	e, err := audit.Prove(ctx, s, codec(), state.Eras, pinned, stream, seq)
	if err != nil {
		return err
	}
	return indented(std.out, e)
}

type auditCheckpointCmd struct {
	Checkpoints string `name:"checkpoints" required:"" help:"The directory of checkpoints." placeholder:"DIR"`
	Keys        bool   `name:"keys" help:"Print the verifier keys of this node instead."`
}

func (*auditCheckpointCmd) Help() string {
	return `Prints the newest checkpoint of every partition. Keep the output on another machine: nobody who controls this one alone can
rewrite what it covers.

Examples:

    gotong audit checkpoint --checkpoints /var/lib/gotong-checkpoints | ssh elsewhere 'cat >gotong-$(date +%F).txt'
    gotong audit checkpoint --checkpoints /var/lib/gotong-checkpoints --keys`
}

func (c *auditCheckpointCmd) Run(std *stdio) error {
	p := pins{Checkpoints: c.Checkpoints}
	if c.Keys {
		keys, err := p.keys()
		for _, k := range keys {
			_, _ = fmt.Fprintln(std.out, k)
		}
		return err
	}
	pinned, err := p.read()
	if err != nil {
		return err
	}
	for i := range pinned {
		if _, err := std.out.Write(pinned[i].Note); err != nil {
			return err
		}
	}
	return nil
}

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
