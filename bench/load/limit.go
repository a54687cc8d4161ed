package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/bench/bare"
	"gotong.dev/gotong/internal/bench"
	"gotong.dev/gotong/internal/store"
)

// Limits are bare loops of the same work, measured in the same run. They show
// what the machine allows at that moment.

const (
	frameSize  = 430 // a live frame of the load's text
	openFrames = 8   // in one write at full throttle
	maxBatch   = 64  // commits in one transaction
)

// limit measures the bare loops of a scenario.
func (r *run) limit(s bench.Scenario) (map[string]float64, error) {
	if s.Viewers > 0 {
		return r.fanoutLimit(s)
	}
	if s.Posters == 0 {
		return nil, nil
	}
	batch := min(s.Posters*max(s.Window, 1), maxBatch)
	rows, cpu, err := r.rowsLimit(batch, s.Threads)
	if err != nil {
		return nil, err
	}
	records, err := r.appendLimit(batch)
	return map[string]float64{"SQLite rows/s": rows, "SQLite CPU µs per row": cpu, "append + fdatasync records/s": records}, err
}

// serveLimit is a process that writes frames to connections: at a rate, each
// after a synced transaction with its row, or without one as fast as it can.
func serveLimit(args []string) error {
	threads, _ := strconv.Atoi(args[0])
	viewers, _ := strconv.Atoi(args[1])
	rate, _ := strconv.ParseFloat(args[2], 64)
	length, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	list := make([]net.Conn, threads*viewers)
	for i := range list {
		if list[i], err = ln.Accept(); err != nil {
			return err
		}
	}
	fmt.Println("go")
	if rate > 0 {
		err = steadyWrites(list, viewers, rate, length, args[4])
	} else {
		openWrites(list, length)
	}
	fmt.Println("done")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // the parent reads our CPU meanwhile
	return err
}

func steadyWrites(list []net.Conn, viewers int, rate float64, length time.Duration, dir string) error {
	db, err := bare.Open(context.Background(), filepath.Join(dir, "bare.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	frame := make([]byte, frameSize)
	seqs, due := make([]uint64, len(list)/viewers), make([]time.Time, 0, maxBatch)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	posts := 0
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		var batch []store.Commit
		due = due[:0]
		for until := int(time.Since(began).Seconds() * rate); posts < until; posts++ {
			due = append(due, began.Add(time.Duration(float64(posts+1)/rate*float64(time.Second))))
			thread := posts % len(seqs)
			seqs[thread]++
			batch = append(batch, row(thread, seqs[thread], uint64(posts)))
		}
		if len(batch) == 0 {
			continue
		}
		if err := db.Write(batch); err != nil {
			return err
		}
		for i := range batch {
			thread := (posts - len(batch) + i) % len(seqs)
			binary.LittleEndian.PutUint64(frame, uint64(due[i].UnixNano()))
			for _, conn := range list[thread*viewers : (thread+1)*viewers] {
				if _, err := conn.Write(frame); err != nil {
					return err
				}
			}
		}
	}
	return nil
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

// fanoutLimit runs such a process and counts what the connections receive.
func (r *run) fanoutLimit(s bench.Scenario) (map[string]float64, error) {
	dir, err := os.MkdirTemp("", "gotong-bare-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, self, "limit", strconv.Itoa(s.Threads), strconv.Itoa(s.Viewers),
		strconv.FormatFloat(s.Rate, 'f', -1, 64), r.length.String(), dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { _, _ = in.Close(), cmd.Wait() }()
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var a audience
	defer a.leave()
	if err := a.come(strings.TrimSpace(addr), s.Connections()); err != nil {
		return nil, err
	}
	child := &server{cmd: cmd}
	if _, err = lines.ReadString('\n'); err != nil {
		return nil, err
	}
	cpu, began := child.cpu(), time.Now()
	if _, err = lines.ReadString('\n'); err != nil {
		return nil, err
	}
	used, took := child.cpu()-cpu, time.Since(began)
	n := float64(a.got.Load()) / frameSize
	m := map[string]float64{"writes deliveries/s": n / took.Seconds(), "writes CPU-s per million": used.Seconds() / n * 1e6}
	a.leave()
	a.lateness(m)
	return m, nil
}

// audience is the connections that receive.
type audience struct {
	got     atomic.Int64 // bytes
	reading sync.WaitGroup
	viewers []*viewer
}

// come opens this number of connections.
func (a *audience) come(addr string, n int) error {
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		v := &viewer{conn: c, got: &a.got}
		a.viewers = append(a.viewers, v)
		a.reading.Go(func() { _, _ = io.Copy(v, c) })
	}
	return nil
}

func (a *audience) leave() {
	for _, v := range a.viewers {
		_ = v.conn.Close()
	}
	a.reading.Wait()
}

// lateness adds how late the frames arrived.
func (a *audience) lateness(to map[string]float64) {
	var late []float64
	for _, v := range a.viewers {
		late = append(late, v.late...)
	}
	if slices.Sort(late); len(late) > 0 {
		to["writes p50 ms"], to["writes p99 ms"] = late[len(late)/2], late[len(late)*99/100]
	}
}

// viewer is what one connection receives: frames, which begin with the instant
// at which they were due, or with 0.
type viewer struct {
	conn net.Conn
	got  *atomic.Int64 // bytes of all
	due  [8]byte
	at   int       // bytes of a frame so far
	late []float64 // in ms, from when each was due
}

func (v *viewer) Write(b []byte) (int, error) {
	now, size := time.Now(), len(b)
	v.got.Add(int64(size))
	for len(b) > 0 {
		n := min(frameSize-v.at, len(b))
		if v.at < len(v.due) {
			copy(v.due[v.at:], b[:n])
		}
		b = b[n:]
		if v.at = (v.at + n) % frameSize; v.at > 0 {
			break
		}
		if due := int64(binary.LittleEndian.Uint64(v.due[:])); due > 0 {
			v.late = append(v.late, float64(now.UnixNano()-due)/1e6)
		}
	}
	return size, nil
}

// rowsLimit commits batches of the same rows in a bare loop. Only the writing
// is timed.
func (r *run) rowsLimit(batch, threads int) (perSecond, cpuPerRow float64, err error) {
	dir, err := os.MkdirTemp("", "gotong-bare-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := bare.Open(context.WithoutCancel(r.ctx), filepath.Join(dir, "bare.db"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = db.Close() }()
	seqs := make([]uint64, threads)
	commits := make([]store.Commit, batch)
	var took, used time.Duration
	posts := 0
	for began := time.Now(); time.Since(began) < r.length && r.ctx.Err() == nil; {
		for i := range commits {
			posts++
			seqs[posts%threads]++
			commits[i] = row(posts%threads, seqs[posts%threads], uint64(posts))
		}
		from, cpu := time.Now(), ownCPU()
		if err := db.Write(commits); err != nil {
			return 0, 0, err
		}
		took += time.Since(from)
		used += ownCPU() - cpu
	}
	return float64(posts) / took.Seconds(), float64(used.Microseconds()) / float64(posts), nil
}

// appendLimit appends batches of records to a file and syncs it after each.
func (r *run) appendLimit(batch int) (perSecond float64, err error) {
	f, err := os.CreateTemp("", "gotong-append-*")
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }()
	records, n, began := make([]byte, batch*frameSize), 0, time.Now()
	for time.Since(began) < r.length && r.ctx.Err() == nil {
		if _, err := f.Write(records); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n += batch
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// row returns a post as the store receives it. Its chain is never checked.
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
