package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/bench/bare"
	"gotong.dev/gotong/internal/store"
)

// limits is the same work with nothing around it, in the same run: what this
// machine allows at this moment.

const (
	frameSize  = 430 // a live frame of the load's text
	openFrames = 8   // in one write at open throttle
)

// serveLimit is a process that writes frames to connections and does nothing
// else: at 200 a second to a hundred connections each, or as fast as it can.
func serveLimit(mode string, conns int, length time.Duration) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	list := make([]net.Conn, conns)
	for i := range list {
		if list[i], err = ln.Accept(); err != nil {
			return err
		}
	}
	fmt.Println("go")
	if mode == "steady" {
		steadyWrites(list, length)
	} else {
		openWrites(list, length)
	}
	fmt.Println("done")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // the parent reads our CPU meanwhile
	return nil
}

func steadyWrites(list []net.Conn, length time.Duration) {
	frame := make([]byte, frameSize)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i, began := 0, time.Now(); time.Since(began) < length; i++ {
		<-tick.C
		for j := i % 10; j < len(list); j += 10 {
			if _, err := list[j].Write(frame); err != nil {
				return
			}
		}
	}
}

func openWrites(list []net.Conn, length time.Duration) {
	frames := make([]byte, frameSize*openFrames)
	began := time.Now()
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for time.Since(began) < length {
				for j := half; j < len(list); j += 2 {
					if _, err := list[j].Write(frames); err != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// fanoutLimit runs such a process and counts what 1,000 connections get.
func (r *run) fanoutLimit(mode string) (perSecond, cpuPerMillion float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	const conns = 1000
	cmd := exec.CommandContext(r.ctx, self, "limit", mode, strconv.Itoa(conns), r.length.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	var got atomic.Int64
	for range conns {
		c, err := net.Dial("tcp", strings.TrimSpace(addr))
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = c.Close() }()
		go func() {
			b := make([]byte, 64<<10)
			for {
				n, err := c.Read(b)
				got.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	child := &server{cmd: cmd}
	if _, err = lines.ReadString('\n'); err != nil {
		return 0, 0, err
	}
	cpu, began := child.cpu(), time.Now()
	if _, err = lines.ReadString('\n'); err != nil {
		return 0, 0, err
	}
	used, took := child.cpu()-cpu, time.Since(began)
	_ = in.Close()
	n := float64(got.Load()) / frameSize
	return n / took.Seconds(), used.Seconds() / n * 1e6, cmd.Wait()
}

// postsLimit commits batches of the same rows with nothing around them; only
// the writing is timed.
func (r *run) postsLimit(batch, threads int) (perSecond float64, err error) {
	dir, err := os.MkdirTemp(r.dir, "bare-*")
	if err != nil {
		return 0, err
	}
	db, err := bare.Open(context.WithoutCancel(r.ctx), filepath.Join(dir, "bare.db"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	seqs := make([]uint64, threads)
	commits := make([]store.Commit, batch)
	var took time.Duration
	posts := 0
	for began := time.Now(); time.Since(began) < r.length; {
		for i := range commits {
			posts++
			seqs[posts%threads]++
			commits[i] = row(posts%threads, seqs[posts%threads], uint64(posts))
		}
		from := time.Now()
		if err := db.Write(commits); err != nil {
			return 0, err
		}
		took += time.Since(from)
	}
	return float64(posts) / took.Seconds(), nil
}

// row is a post as the store gets it; nobody will check its chain.
func row(thread int, seq, random uint64) store.Commit {
	at := gotong.InstantOf(time.Now())
	id := gotong.NewEventID(at, random)
	stream := gotong.Stream(fmt.Sprintf("thread/019ab697-e800-7000-80e6-%012d", thread))
	var salt gotong.Salt
	_, _ = rand.Read(salt[:])
	return store.Commit{
		Request: gotong.RequestKey{Stream: stream, Actor: "owner", RequestID: id.String()},
		Home:    "scope/rt05", At: at, Salt: salt[:], Fingerprint: salt[:],
		Events: []store.Event{{
			Stream: stream, Seq: seq, ID: id, Type: "message.posted", At: at, Count: seq,
			Data: fmt.Appendf(nil, `{"actor":{"user_id":"owner","role":"user"},"request_id":%q,"correlation_id":%q,"payload":{"n":%d}}`,
				id.String(), id.String(), seq),
			Content: fmt.Appendf(nil, `{"body":%q}`, text), DataSalt: salt, ContentSalt: salt,
		}},
	}
}
