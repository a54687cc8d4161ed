package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	rules "gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/view"
	"gotong.dev/gotong/internal/webhook"
)

// hooked is a group with webhooks and 64 public threads, on an SQLite file.
type hooked struct {
	*testing.B
	codec   *store.Codec
	store   *sqlite.Store
	engine  *engine.Engine
	planner reader.Reader
	at      uint64 // as far as the planner has got
	n       int
}

const hookedThreads = 64

func newHooked(b *testing.B, webhooks int, url string) *hooked {
	b.Helper()
	kinds := []gotong.Kind{user.Kind(), group.Kind()}
	lenders := gotong.LendersOf(kinds)
	kinds = append(kinds, thread.Kind(lenders...), rules.Rules{Lenders: lenders}.Kind())
	for i := range kinds {
		kinds[i] = gotong.WithWebhooks(kinds[i], gotong.AnyIssuer)
	}
	h := &hooked{B: b, codec: store.NewCodec(kinds)}
	h.planner = webhook.Planner(h.codec)
	var err error
	h.store, err = sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gotong.db"), sqlite.Options{
		Collections: append(store.Collections(kinds), h.planner.Collections...), Now: clock.System().Now,
	})
	h.check(err)
	h.engine = engine.New(engine.Options{Store: h.store, Codec: h.codec, Clock: clock.System()})
	b.Cleanup(func() {
		_ = h.engine.Close(context.Background())
		_ = h.store.Close()
	})
	h.run("group/ent-rt", group.CmdCreate, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	for i := range hookedThreads {
		h.run(h.thread(i), thread.CmdCreate, thread.Create{ScopeID: "ent-rt", Privacy: thread.Public})
	}
	for i := range webhooks {
		id := fmt.Sprint("whk-", i)
		h.run(gotong.WebhookStream(id), rules.CmdRegister, rules.Register{ScopeID: "ent-rt", Types: []string{thread.EvPosted}})
		h.check(h.store.SetRegister(b.Context(), rules.ConfigKey(id), 0,
			fmt.Appendf(nil, `{"url":%q,"secrets":[{"key":%q}]}`, url, webhook.NewSecret("").Key), 0))
	}
	h.plan(h.commits())
	return h
}

func (h *hooked) thread(n int) gotong.Stream {
	return gotong.Stream(fmt.Sprintf("thread/019ab697-e800-7000-80e6-%012d", n%hookedThreads))
}

func (h *hooked) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *hooked) run(s gotong.Stream, name string, data any) {
	h.n++
	_, err := h.engine.Execute(context.Background(), gotong.Command{
		Stream: s, Type: name, Data: data, RequestID: fmt.Sprint("r", h.n), CorrelationID: "c",
		Actor: gotong.Actor{UserID: "wati", Role: gotong.RoleUser},
	})
	h.check(err)
}

// post posts so many messages, spread over the threads.
func (h *hooked) post(n int) {
	for i := range n {
		h.run(h.thread(i), thread.CmdPost, thread.Post{Body: postBody})
	}
}

// commits reads what the planner has not read.
func (h *hooked) commits() (list []reader.Commit) {
	p := gotong.PartitionOf("group/ent-rt")
	for from := h.at; ; {
		rows, err := h.store.ReadPartition(h.Context(), p, from, 1<<62, 500)
		h.check(err)
		if len(rows) == 0 {
			return list
		}
		for i := range rows {
			list = append(list, reader.Commit{Partition: p, Position: rows[i].Position, Events: rows[i : i+1]})
		}
		from = rows[len(rows)-1].Position
	}
}

// plan has the planner read commits in runs of 100, as it does under load: what the
// run needs, the step, and the write of it.
func (h *hooked) plan(all []reader.Commit) {
	for run := range slices.Chunk(all, 100) {
		need, asked := store.Need{}, map[gotong.Key]bool{}
		for _, c := range run {
			for _, key := range h.planner.Needs(c) {
				if !asked[key] {
					asked[key], need.Documents = true, append(need.Documents, key)
				}
			}
		}
		snap, err := h.store.Load(h.Context(), need)
		h.check(err)
		step, err := h.planner.Read(snap.Documents, run)
		h.check(err)
		to := run[len(run)-1].Position
		h.check(h.store.Advance(h.Context(), store.Step{
			Reader: h.planner.Name, Partition: run[0].Partition, From: h.at, To: to, Changes: step.Changes, Jobs: step.Jobs,
		}))
		h.at = to
	}
}

// BenchmarkWebhookPlanner measures how many events a second the planner marks for the
// webhooks of a group, its writes included.
func BenchmarkWebhookPlanner(b *testing.B) {
	for _, webhooks := range []int{1, 16} {
		b.Run(fmt.Sprint("webhooks=", webhooks), func(b *testing.B) {
			h := newHooked(b, webhooks, "https://hooks.example.org")
			h.post(b.N)
			all := h.commits()
			b.ResetTimer()
			cpu := cpuTime()
			h.plan(all)
			b.ReportMetric(float64(b.N)/(cpuTime()-cpu).Seconds(), "events/cpu-s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkWebhookSender sends b.N events of 64 threads to one webhook, whose receiver
// reads them and answers 204, and beside that the same bodies in a bare loop of
// net/http with as many requests at once. Both share the process with the receiver.
func BenchmarkWebhookSender(b *testing.B) {
	var mu sync.Mutex
	var bodies [][]byte
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies = append(bodies, body)
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	h := newHooked(b, 1, receiver.URL)
	sender := webhook.New(webhook.Options{
		Store: h.store, Codec: h.codec, Views: view.New(view.Options{Store: h.store, Codec: h.codec}), Engine: h.engine, Clock: clock.System(),
		Guard:    outbound.New(outbound.Options{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Accounts: gotong.AnyIssuer, Log: slog.New(slog.DiscardHandler),
	})
	h.post(b.N)
	h.plan(h.commits())
	b.ResetTimer()
	began, cpu := time.Now(), cpuTime()
	_, err := sender.Handler().Run(b.Context(), store.Job{Queue: webhook.Queue, ID: "whk-0"})
	h.check(err)
	took, used := time.Since(began), cpuTime()-cpu
	if len(bodies) != b.N {
		b.Fatalf("%d deliveries of %d events", len(bodies), b.N)
	}
	bareTook, bareUsed := bareDeliveries(h, receiver.URL, slices.Clone(bodies))
	b.ReportMetric(float64(b.N)/took.Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.N)/used.Seconds(), "deliveries/cpu-s")
	b.ReportMetric(float64(b.N)/bareTook.Seconds(), "bare/s")
	b.ReportMetric(float64(b.N)/bareUsed.Seconds(), "bare/cpu-s")
	b.ReportMetric(bareUsed.Seconds()/used.Seconds(), "of-bare-cpu")
	b.ReportMetric(0, "ns/op")
}

// bareDeliveries posts bodies, four at once.
func bareDeliveries(h *hooked, url string, bodies [][]byte) (took, cpu time.Duration) {
	h.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	began, before := time.Now(), cpuTime()
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := worker; i < len(bodies); i += 4 {
				res, err := client.Post(url, "application/cloudevents+json; charset=utf-8", bytes.NewReader(bodies[i]))
				if err != nil {
					h.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	group.Wait()
	return time.Since(began), cpuTime() - before
}
