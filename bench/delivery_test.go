package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/live"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// deliveryFollowers is how many sessions follow the thread.
const deliveryFollowers = 100

// BenchmarkDeliveryWithFeature measures what features add to a delivery: from a post to
// the moment when the last of 100 followers has its frame, in memory. It is run with the
// readers of every server and with all, and with plain messages and those that mention a
// member and answer an earlier one. Posts come one after the other.
func BenchmarkDeliveryWithFeature(b *testing.B) {
	for _, f := range []struct {
		name    string
		readers []reader.Reader
	}{{"none", named(b)}, {"all", allReaders(b)}} {
		for _, text := range []string{"plain", "mention+reply"} {
			b.Run(fmt.Sprintf("feature=%s/text=%s", f.name, text), func(b *testing.B) { deliverWithFeature(b, f.readers, text != "plain") })
		}
	}
}

// oneName is the names of users: the member whom texts mention has one.
type oneName struct{}

func (oneName) Names(_ context.Context, ids []string) map[string]string {
	if slices.Contains(ids, neighbour(0)) {
		return map[string]string{neighbour(0): neighbour(0)}
	}
	return nil
}

func (oneName) Known(id string) (string, bool) {
	return oneName{}.Names(nil, []string{id})[id], true //nolint:staticcheck // it uses no context
}

func deliverWithFeature(b *testing.B, readers []reader.Reader, rich bool) {
	b.Helper()
	codec := store.NewCodec(app.Kinds())
	s, r := running(b, readers)
	hub := live.New(live.Options{
		Store: s, Codec: codec, Views: view.New(view.Options{Store: s, Codec: codec}), Names: oneName{},
		Limits: live.Limits{UserSessions: 2 * deliveryFollowers},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) })
	e := engine.New(engine.Options{Store: s, Codec: codec, Committed: func(ctx context.Context, rows []store.Event) {
		r.Committed(rows)
		hub.Offer(ctx, rows)
	}})
	defer func() {
		_ = e.Close(context.Background())
		cancel()
		running.Wait()
	}()
	run := postsTo(b, e)
	var got atomic.Int64
	all := make(chan struct{}, 1) // every follower has its frame
	for range deliveryFollowers {
		session, err := hub.Open(viewerOf(owner), live.SessionOptions{})
		must(b, err)
		must(b, session.Subscribe(live.Subscription{Stream: "thread/a"}))
		running.Go(func() {
			defer session.Close()
			var frames []live.Frame
			for {
				var err error
				if frames, _, err = session.Next(ctx, frames[:0], 64<<10); err != nil {
					return
				}
				for range frames {
					if got.Add(1)%deliveryFollowers == 0 {
						all <- struct{}{}
					}
				}
				session.Written()
			}
		})
	}
	<-all // each subscription is answered with one frame
	post := thread.Post{Body: "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini"}
	first := run("first", thread.CmdPost, post)
	<-all
	if rich {
		post.Body, post.ReplyTo = "@"+neighbour(0)+" "+post.Body, first.EventIDs[0]
	}
	took, began := make([]time.Duration, b.N), cpuTime()
	for i := range took {
		began := time.Now()
		run(fmt.Sprint(i), thread.CmdPost, post)
		<-all
		took[i] = time.Since(began)
	}
	follow(r)
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(b.N)/deliveryFollowers, "cpu-ns/delivery")
	b.ReportMetric(0, "ns/op")
}

// postsTo makes a thread with 20 members, one of whom has an account and can be mentioned. It
// returns
// a function that runs a command of its owner.
func postsTo(b *testing.B, e *engine.Engine) func(request, typ string, data any) gotong.Receipt {
	b.Helper()
	do := func(by gotong.Actor, s gotong.Stream, request, typ string, data any) gotong.Receipt {
		r, err := e.Execute(b.Context(), gotong.Command{
			Stream: s, Type: typ, Data: data, RequestID: request, CorrelationID: "c", Actor: by, At: clock.System().Now(),
		})
		must(b, err)
		return r
	}
	run := func(request, typ string, data any) gotong.Receipt {
		return do(gotong.Actor{UserID: owner, Role: gotong.RoleUser}, "thread/a", request, typ, data)
	}
	first := neighbour(0)
	do(gotong.Anonymous(), gotong.NewStream(user.Name, first), "account", user.CmdRegister,
		user.Register{Email: first + "@rt05.example", Username: first, CommunityID: "rt05"})
	run("create", thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public})
	for i := range 20 {
		run(fmt.Sprint("add", i), thread.CmdAdd, thread.Add{UserID: neighbour(i)})
	}
	return run
}

// follow waits until the readers have read the whole log.
func follow(r *reader.Runner) {
	behind := func(s reader.Status) bool { return s.Cursor < s.End }
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(r.Status(), behind) {
		<-tick.C
	}
}
