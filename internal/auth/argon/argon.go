// Package argon derives keys from passwords with argon2id, in child processes
// of a low priority.
//
// One hash takes 19 MiB and a processor for about 20 ms. Within the server's
// process, its memory becomes garbage that makes the collector run some 25
// times a second under a crowd of sign-ins, and the collector then waits up to
// 4 ms for the hash, because its inner loop is assembly that the runtime cannot
// interrupt. Every post waits with it. A child keeps both to itself, and with
// its low priority the operating system runs the posts first.
package argon

import (
	"context"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// Cost is what one hash costs: the parameters of argon2id, RFC 9106.
type Cost struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// Key returns n bytes derived from pass and salt in this process.
func (c Cost) Key(pass string, salt []byte, n int) []byte {
	return argon2.IDKey([]byte(pass), salt, c.Time, c.MemoryKiB, c.Threads, uint32(n)) //nolint:gosec // at most 64
}

const (
	// Command is the only argument of a program that runs [Serve].
	Command = "derive-keys"

	// keep is how long a child without work is kept.
	keep = time.Minute

	// patience is how long one hash may take before its child is killed.
	patience = 30 * time.Second
)

// request is one hash that a child is asked for; the reply is the key.
type request struct {
	Cost Cost
	Pass string
	Salt []byte
	N    int
}

// Serve answers requests until in ends. It lowers the priority of its process.
func Serve(in io.Reader, out io.Writer) error {
	lowerPriority()
	requests, replies := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := replies.Encode(r.Cost.Key(r.Pass, r.Salt, r.N)); err != nil {
			return err
		}
	}
}

// Pool derives keys in children. A child starts when no other is free, serves one
// hash at a time, and ends after a minute without work. The caller bounds how
// many hashes run at once, and so how many children there are.
type Pool struct {
	ctx     context.Context //nolint:containedctx // the life of the children
	program string
	failed  func(error)
	keep    time.Duration

	mu       sync.Mutex
	idle     []*child
	expiry   *time.Timer // ends the idle ones
	closed   bool
	children sync.WaitGroup // those whose processes were not waited for yet
}

// NewPool returns a pool whose children run program with the argument [Command],
// until ctx ends. Where program is empty, keys are derived in this process. What
// keeps a child from answering is reported to failed; the key is then derived in
// this process, so that users can sign in all the same.
func NewPool(ctx context.Context, program string, failed func(error)) *Pool {
	return newPool(ctx, program, failed, keep)
}

func newPool(ctx context.Context, program string, failed func(error), keep time.Duration) *Pool {
	p := &Pool{ctx: ctx, program: program, failed: failed, keep: keep}
	p.expiry = time.AfterFunc(keep, func() { end(p.drain()) })
	return p
}

// Key returns n bytes derived from pass and salt at cost c.
func (p *Pool) Key(c Cost, pass string, salt []byte, n int) []byte {
	if p.program == "" {
		return c.Key(pass, salt, n)
	}
	key, err := p.ask(request{c, pass, salt, n})
	if err != nil {
		if p.ctx.Err() == nil {
			p.failed(err)
		}
		return c.Key(pass, salt, n)
	}
	return key
}

func (p *Pool) ask(r request) ([]byte, error) {
	c, err := p.take()
	if err != nil {
		return nil, err
	}
	key, err := c.ask(r)
	if err != nil {
		c.end()
		return nil, err
	}
	if late := p.put(c); late {
		c.end()
	}
	return key, nil
}

func (p *Pool) take() (*child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	c, err := start(p.ctx, p.program)
	if err == nil {
		p.children.Go(func() { p.reap(c) })
	}
	return c, err
}

// reap waits for the process of a child. A free child that ends by itself is
// free no longer; the caller of one at work notices it.
func (p *Pool) reap(c *child) {
	_ = c.cmd.Wait()
	close(c.reaped)
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.end()
	}
}

// put keeps a free child that has not ended; it reports whether the child is to
// be ended instead.
func (p *Pool) put(c *child) (late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-c.reaped: // after its answer
		return true
	default:
	}
	if !p.closed {
		p.idle = append(p.idle, c)
		p.expiry.Reset(p.keep)
	}
	return p.closed
}

func (p *Pool) drain() []*child {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle = nil
	return idle
}

func end(children []*child) {
	for _, c := range children {
		c.end()
	}
}

// Close ends the children and waits for their processes. A child at work ends
// after its hash.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.expiry.Stop()
	end(p.drain())
	p.children.Wait()
}

var (
	errClosed = errors.New("argon: closed")
	errStuck  = errors.New("argon: a child did not answer within 30 s")
)

// child is one process that runs [Serve]. It belongs to the list of free children
// or to one caller; the last holder ends it.
type child struct {
	cmd      *exec.Cmd
	in, out  io.Closer
	requests *gob.Encoder
	replies  *gob.Decoder
	reaped   chan struct{} // closed when its process has ended
}

// start starts a child with an empty environment: it needs none of the
// server's secrets.
func start(ctx context.Context, program string) (*child, error) {
	cmd := exec.CommandContext(ctx, program, Command)
	cmd.Env = []string{"GOMAXPROCS=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it, before the last answer was read.
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	cmd.Stdout = theirs
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return &child{
		cmd: cmd, in: in, out: out, requests: gob.NewEncoder(in), replies: gob.NewDecoder(out), reaped: make(chan struct{}),
	}, nil
}

func (c *child) ask(r request) (key []byte, err error) {
	stuck := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	err = c.requests.Encode(r)
	if err == nil {
		err = c.replies.Decode(&key)
	}
	if !stuck.Stop() {
		return nil, errStuck
	}
	if err == nil && len(key) != r.N {
		err = errors.New("argon: a child answered with another length")
	}
	return key, err
}

// end kills a child that has no work left: one that is stopped, or that does not
// end with its input, would be waited for without end.
func (c *child) end() {
	_ = c.cmd.Process.Kill()
	_ = c.in.Close()
	_ = c.out.Close()
}
