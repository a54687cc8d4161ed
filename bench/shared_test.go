package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/postgres"
	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/store/surreal"
	client "gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// slice is how long a side works before it is the turn of the next one.
const slice = 400 * time.Millisecond

// side is one of those that take turns, so that disturbances of the machine affect
// all of them.
type side struct {
	name    string
	process string                    // of its database, a child of this one; "" if it is within this one
	work    func(until time.Time) int // returns how much was done

	done              int
	took, cpu, server time.Duration
}

// processes are the processes of databases. Both engines of SurrealDB run as node:
// the idle one adds little to the CPU of the other.
var processes = map[string]string{"postgres": "postgres", surrealtest.V3.String(): "node", surrealtest.V2.String(): "node"}

// turns lets the sides work b.N times in turns. It reports their rates, their CPU
// and the CPU of their databases, and the rate of the first side beside the others.
func turns(b *testing.B, what string, sides []*side) {
	b.Helper()
	for _, s := range sides {
		s.work(time.Now().Add(slice)) // warm
	}
	b.ResetTimer()
	for range b.N {
		for _, s := range sides {
			began, cpu, server := time.Now(), cpuTime(), childTime(s.process)
			s.done += s.work(began.Add(slice))
			s.took, s.cpu, s.server = s.took+time.Since(began), s.cpu+cpuTime()-cpu, s.server+childTime(s.process)-server
		}
	}
	rate := func(s *side) float64 { return float64(s.done) / s.took.Seconds() }
	for _, s := range sides {
		b.ReportMetric(rate(s), s.name+"-"+what+"/s")
		b.ReportMetric(float64(s.cpu.Microseconds())/float64(s.done), s.name+"-cpu-µs")
		if s.process != "" {
			b.ReportMetric(float64(s.server.Microseconds())/float64(s.done), s.name+"-server-cpu-µs")
		}
		if s != sides[0] {
			b.ReportMetric(rate(sides[0])/rate(s), sides[0].name+"/"+s.name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// childTime returns the user and system time of the children of this process that
// have this name, and of all their children (proc(5), stat).
func childTime(name string) (total time.Duration) {
	type process struct {
		parent string
		name   string
		ticks  int
	}
	all := map[string]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, rest, _ := strings.Cut(string(text), " (")
		end := strings.LastIndex(rest, ") ")
		p, fields := process{name: rest[:end]}, strings.Fields(rest[end+2:])
		p.parent = fields[1]
		for _, ticks := range fields[11:15] { // its own, and those of its children that have ended
			n, _ := strconv.Atoi(ticks)
			p.ticks += n
		}
		all[pid] = p
	}
	self := strconv.Itoa(os.Getpid())
	for pid, p := range all {
		for above := pid; above != "" && above != "0"; above = all[above].parent {
			if all[above].parent == self && all[above].name == name {
				total += time.Duration(p.ticks) * 10 * time.Millisecond // USER_HZ is 100 on Linux
				break
			}
		}
	}
	return total
}

// BenchmarkShared posts messages through the whole write path of nodes that share a
// database, without a network between callers and nodes, in turns with other stores
// and with bare loops of INSERT. Each caller has a thread of its own; the threads are
// in all partitions. A bare loop writes as many rows in one transaction as a node has
// callers.
func BenchmarkShared(b *testing.B) {
	for _, callers := range []int{1, 64, 200} {
		for _, nodes := range []int{1, 2, 3} {
			if nodes > callers {
				continue
			}
			b.Run(fmt.Sprintf("callers=%d/nodes=%d", callers, nodes), func(b *testing.B) {
				server := postgrestest.Start(b)
				address := server.Schema()
				sides := []*side{
					posting(b, "postgres", callers, nodes, func() engine.Store { return openPostgres(b, address) }),
					inserting(b, server.Schema(), "bare", callers, nodes, false),
					inserting(b, server.Schema(), "bare-arrays", callers, nodes, true),
				}
				for _, e := range surrealtest.All() {
					cfg := surrealtest.Launch(b, e, "").Fresh()
					sides = append(sides, posting(b, e.String(), callers, nodes, func() engine.Store { return openSurrealWith(b, cfg) }))
				}
				if nodes == 1 {
					sides = append(sides, posting(b, "sqlite", callers, 1, func() engine.Store { return openSQLite(b) }))
				}
				turns(b, "posts", sides)
			})
		}
	}
}

func collections() []string {
	return store.Collections([]gotong.Kind{thread.Kind(group.Kind()), group.Kind()})
}

func openPostgres(b *testing.B, address string) *postgres.Store {
	b.Helper()
	s, err := postgres.Open(b.Context(), address, postgres.Options{Collections: collections()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func openSurrealWith(b *testing.B, cfg client.Config) *surreal.Store {
	b.Helper()
	s, err := surreal.Open(b.Context(), cfg, surreal.Options{Collections: collections()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func openSQLite(b *testing.B) *sqlite.Store {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{Collections: collections()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// posting returns callers that post to nodes with one store.
func posting(b *testing.B, name string, callers, nodes int, open func() engine.Store) *side {
	b.Helper()
	kinds := []gotong.Kind{thread.Kind(group.Kind()), group.Kind()}
	owner := gotong.Actor{UserID: "owner", Role: gotong.RoleUser}
	list := make([]*engine.Engine, nodes)
	for i := range list {
		list[i] = engine.New(engine.Options{Store: open(), Codec: store.NewCodec(kinds)})
		b.Cleanup(func() { _ = list[i].Close(context.Background()) })
	}
	streams := make([]gotong.Stream, callers)
	for i := range streams {
		request := fmt.Sprint("create", i)
		streams[i] = gotong.NewStream(thread.Name, gotong.DeriveID(thread.Name, owner.UserID, request))
		_, err := list[i%nodes].Execute(b.Context(), gotong.Command{
			Stream: streams[i], Type: thread.CmdCreate, Actor: owner, RequestID: request,
			Data: thread.Create{ScopeID: fmt.Sprint("rt", i), Privacy: thread.Public},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var requests atomic.Int64
	return &side{name: name, process: processes[name], work: func(until time.Time) int {
		return together(callers, func(i int) (done int) {
			for ; time.Now().Before(until); done++ {
				_, err := list[i%nodes].Execute(context.Background(), gotong.Command{
					Stream: streams[i], Type: thread.CmdPost, Actor: owner, RequestID: fmt.Sprint(requests.Add(1)),
					Data: thread.Post{Body: postBody}, Raw: []byte(postBody),
				})
				if err != nil {
					b.Error(name, err)
					return done
				}
			}
			return done
		})
	}}
}

// together runs f(0) to f(n-1) at the same time and adds up what they return.
func together(n int, f func(i int) int) int {
	var sum atomic.Int64
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { sum.Add(int64(f(i))) })
	}
	group.Wait()
	return int(sum.Load())
}

const columns = `(partition, stream, position, seq, id, type, at, audience, count, data, content, data_salt, content_salt,
	content_commit, prev, chain, erased, request_id, actor, salt, fingerprint, last, decided)`

var (
	insertRow = "INSERT INTO events " + columns + ` VALUES
		($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`
	insertRows = "INSERT INTO events " + columns + ` SELECT unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::bigint[]),
		unnest($4::bigint[]), unnest($5::uuid[]), unnest($6::text[]), unnest($7::bigint[]), unnest($8::text[]),
		unnest($9::bigint[]), unnest($10::text[]), unnest($11::text[]), unnest($12::bytea[]), unnest($13::bytea[]),
		unnest($14::bytea[]), unnest($15::bytea[]), unnest($16::bytea[]), unnest($17::boolean[]), unnest($18::text[]),
		unnest($19::text[]), unnest($20::bytea[]), unnest($21::bytea[]), unnest($22::bigint[]), unnest($23::bigint[])`
)

// inserting returns loops that insert the same rows into the same table, each batch
// in one transaction of one round trip: an INSERT for each row, or one with arrays
// for all.
func inserting(b *testing.B, address, name string, callers, nodes int, arrays bool) *side {
	b.Helper()
	openPostgres(b, address) // makes the tables
	conns := make([]*pgx.Conn, nodes)
	for i := range conns {
		var err error
		if conns[i], err = pgx.Connect(b.Context(), address); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conns[i].Close(context.Background()) })
	}
	written := make([]int, nodes)
	return &side{name: name, process: "postgres", work: func(until time.Time) int {
		return together(nodes, func(i int) (done int) {
			for rows := callers / nodes; time.Now().Before(until); done += rows {
				if err := insert(conns[i], i, written[i], rows, arrays); err != nil {
					b.Error(err)
					return done
				}
				written[i] += rows
			}
			return done
		})
	}}
}

// insert writes so many rows in one transaction. The loop has written that many before.
func insert(c *pgx.Conn, loop, written, rows int, arrays bool) error {
	p, one := posts{maker: storetest.NewMaker("bare"), load: load{streams: 1, homes: 1}}, make([]store.Commit, 1)
	p.next(one)
	e, batch, lists := &one[0].Events[0], &pgx.Batch{}, make([][]any, 23)
	batch.Queue("BEGIN")
	for i := range rows {
		n := written + i
		row := []any{
			int16(i % gotong.Partitions), int64(loop*1000 + i), int64(n), int64(n), e.ID, e.Type, int64(e.At), string(e.Audience), int64(e.Count),
			string(e.Data), string(e.Content), e.DataSalt[:], e.ContentSalt[:], e.ContentCommit[:], e.Prev[:], e.Chain[:], false,
			fmt.Sprint(loop, n), "owner", one[0].Salt, one[0].Fingerprint, int64(n), int64(one[0].At),
		}
		if !arrays {
			batch.Queue(insertRow, row...)
			continue
		}
		for at, v := range row {
			lists[at] = append(lists[at], v)
		}
	}
	if arrays {
		args := make([]any, len(lists))
		for i := range lists {
			args[i] = lists[i]
		}
		batch.Queue(insertRows, args...)
	}
	batch.Queue("COMMIT")
	return c.SendBatch(context.Background(), batch).Close()
}

// BenchmarkSharedCatchUp reads the last 50 and 500 events of a thread, of 20,000
// events in ten threads, as a client does that returns. The bare loop selects the
// same columns and verifies nothing.
func BenchmarkSharedCatchUp(b *testing.B) {
	address := postgrestest.Start(b).Schema()
	bare, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = bare.Close(context.Background()) })
	stores := map[string]store.Whole{"postgres": openPostgres(b, address), "sqlite": openSQLite(b)}
	names := []string{"postgres", "sqlite"}
	for _, e := range surrealtest.All() {
		stores[e.String()] = openSurrealWith(b, surrealtest.Launch(b, e, "").Fresh())
		names = append(names, e.String())
	}
	var stream gotong.Stream
	for _, s := range stores {
		stream = fill(b, s)
	}
	const selectEvents = `SELECT seq, partition, position, id, type, at, audience, count, data, content, data_salt, content_salt,
		content_commit, prev, chain, erased FROM events WHERE stream = (SELECT no FROM streams WHERE name = $1)
		AND seq > $2 AND seq <= $3 ORDER BY seq`
	for _, n := range []uint64{50, 500} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			var sides []*side
			for _, name := range names {
				sides = append(sides, reading(b, name, processes[name], func() error {
					snap, err := stores[name].Load(context.Background(), store.Need{
						Heads: []gotong.Stream{stream}, Events: []store.EventRange{{Stream: stream, From: 2000 - n, To: 2000}},
					})
					if err == nil && len(snap.Events[0]) != int(n) {
						err = fmt.Errorf("%d events", len(snap.Events[0]))
					}
					return err
				}))
			}
			sides = append(sides, reading(b, "bare", "postgres", func() error {
				rows, err := bare.Query(context.Background(), selectEvents, string(stream), 2000-int(n), 2000)
				if err != nil {
					return err
				}
				for rows.Next() {
					_ = rows.RawValues()
				}
				return rows.Err()
			}))
			turns(b, "reads", sides)
		})
	}
}

// fill commits 20,000 posts and returns one of their ten threads.
func fill(b *testing.B, s store.Whole) gotong.Stream {
	b.Helper()
	p := posts{maker: storetest.NewMaker(s.Epoch()), load: load{batch: 200, streams: 10, homes: 1}}
	batch := make([]store.Commit, 200)
	for range 100 {
		p.next(batch)
		if _, err := store.CommitAll(b.Context(), s, batch); err != nil {
			b.Fatal(err)
		}
	}
	return batch[0].Request.Stream
}

// reading returns one caller that reads again and again.
func reading(b *testing.B, name, process string, read func() error) *side {
	b.Helper()
	return &side{name: name, process: process, work: func(until time.Time) (done int) {
		for ; time.Now().Before(until); done++ {
			if err := read(); err != nil {
				b.Error(name, err)
				return done
			}
		}
		return done
	}}
}
