package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/netfault"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// ronda is a track of two steps: a consent and, once somebody objects, a vote in
// which two of three must take part; and a short vote.
const ronda = `
profiles:
  pilih:  {gate: vote, window: 40m, quorum: 60, threshold: 50}
  rembuk: {gate: consent, window: 24h, vote: pilih}
  kilat:  {gate: vote, window: 1m, quorum: 60, threshold: 50}
tracks:
  ronda:
    stages: [keresahan, bahas, garap]
    edges: [{from: keresahan, to: bahas, gate: rembuk}, {from: bahas, to: garap, gate: kilat}]
`

// gateWrites are the writes of a server while a gate opens, is voted on and
// closes, by the steps of [killedCase].
var gateWrites = [][]string{
	{"commit transition.proposed", "make transition.close"},
	{"commit transition.objected", "make transition.remind"},
	{"commit transition.voted"},
	{"claim transition.remind", "commit transition.reminded", "settle transition.remind"},
	{"commit transition.voted"},
	{"commit transition.voted"},
	{"claim transition.close", "commit transition.tallied", "settle transition.close"},
}

// never is the step of kills for which nobody waits.
const never = 100

// kill names the step and the store write at which the process kills itself.
type kill struct {
	step int
	fuse string
}

// TestGatesSurviveKills kills a server at every write around the opening, the vote
// and the close of a gate, before and after the write: the gate closes once, with
// the outcome that the votes before it give, and no answered vote is lost. In two
// cases the server is killed at all of these writes (in a short run under the race
// detector, in one case after each); without -short, also in one case per write, and
// GOTONG_SOAK adds cases with random kills.
func TestGatesSurviveKills(t *testing.T) { //nolint:tparallel // its subtests have subtests, which are parallel
	onlySQLite(t)
	t.Parallel() // it mostly waits
	plans := map[string][]kill{}
	whens := []string{"after", "before"}
	if raceDetector && testing.Short() {
		whens = whens[:1]
	}
	for _, when := range whens {
		seen := map[string]int{}
		for step, writes := range gateWrites {
			for _, write := range writes {
				if when == "before" && strings.HasPrefix(write, "claim") { // nothing is written yet
					continue
				}
				all := when + " every write"
				plans[all] = append(plans[all], kill{step, when + " 1 " + write})
				seen[write]++
				one := fmt.Sprintf("%s %d %s", when, seen[write], write)
				if !testing.Short() {
					plans[one] = []kill{{step, one}}
				}
			}
		}
	}
	t.Run("planned", func(t *testing.T) {
		for name, plan := range plans {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				killedCase(t, plan)
			})
		}
	})
	if d, err := time.ParseDuration(os.Getenv(soakEnv)); err == nil {
		const seed = 20261129
		rnd := rand.New(rand.NewPCG(seed, 0))
		for until := time.Now().Add(d); time.Now().Before(until) && !t.Failed(); {
			var plan []kill
			for range 1 + rnd.IntN(8) {
				writes := gateWrites[rnd.IntN(len(gateWrites))]
				when := []string{"before", "after"}[rnd.IntN(2)]
				plan = append(plan, kill{never, when + " 1 " + writes[rnd.IntN(len(writes))]})
			}
			t.Logf("%v", plan)
			killedCase(t, plan)
		}
	}
}

// onlySQLite skips a test that sets the clock of a server far ahead, which a
// database with a clock of its own refuses.
func onlySQLite(t *testing.T) {
	t.Helper()
	if os.Getenv(engineEnv) != "" {
		t.Skip("on SQLite alone")
	}
}

// phoenix is a server that is started again whenever it was killed, with the next
// fuse of its plan.
type phoenix struct {
	t       *testing.T
	dir     string
	front   *netfault.Proxy
	ctx     context.Context //nolint:containedctx // of the test
	stopped chan struct{}   // nothing is started any more

	mu     sync.Mutex
	server *child
	plan   []kill
	killed int           // the number of kills so far
	more   chan struct{} // closed at the next one
	ahead  time.Duration
	ending bool
}

func startPhoenix(t *testing.T, plan []kill) *phoenix {
	t.Helper()
	p := &phoenix{t: t, dir: t.TempDir(), plan: plan, front: netfault.For(t, "127.0.0.1:1"), stopped: make(chan struct{}), more: make(chan struct{})}
	if err := os.WriteFile(filepath.Join(p.dir, "ronda.yaml"), []byte(ronda), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	p.ctx = ctx
	go func() { defer close(p.stopped); p.live() }()
	t.Cleanup(func() { cancel(); p.end() })
	return p
}

// live starts servers until one ended without having been killed.
func (p *phoenix) live() {
	for {
		p.mu.Lock()
		if p.ending {
			p.mu.Unlock()
			return
		}
		fuse := ""
		if p.killed < len(p.plan) {
			fuse = p.plan[p.killed].fuse
		}
		p.server = startChild(p.t, filepath.Join(p.dir, "data"), tracksEnv+"="+filepath.Join(p.dir, "ronda.yaml"),
			fmt.Sprint(aheadEnv, "=", p.ahead.Nanoseconds()), fuseEnv+"="+fuse)
		server := p.server
		p.mu.Unlock()
		listened := server.ready()
		if listened {
			p.front.Aim(host(server.url))
		}
		err := server.cmd.Wait()
		if status, ok := server.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			if !p.isEnding() || err != nil && listened { // one that is ended before it listens may end in any way
				p.t.Errorf("the server ended with %v", err)
			}
			return
		}
		p.pass(31 * time.Second) // past the leases of the killed server
		p.mu.Lock()
		p.killed++
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *phoenix) isEnding() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.ending }

// pass lets time pass for the server, and for those that follow it.
func (p *phoenix) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead += d
	_, _ = fmt.Fprintln(p.server.in, p.ahead.Nanoseconds()) // unless it was killed: then the next one starts with it
}

// after waits until all kills of the steps up to this one have happened.
func (p *phoenix) after(step int) {
	p.t.Helper()
	for {
		p.mu.Lock()
		more, killed := p.more, p.killed
		p.mu.Unlock()
		if killed == len(p.plan) || p.plan[killed].step > step {
			return
		}
		select {
		case <-more:
		case <-p.ctx.Done():
			p.t.Fatalf("not killed %s", p.plan[killed].fuse)
		}
	}
}

// end ends the server in good order.
func (p *phoenix) end() {
	p.mu.Lock()
	if !p.ending {
		p.ending = true
		_ = p.server.cmd.Process.Signal(syscall.SIGTERM)
	}
	p.mu.Unlock()
	<-p.stopped
}

// user returns a client of the server, whichever process that is.
func (p *phoenix) user(name string) *client.Client { return dial(p.t, p.front.URL(), name) }

// await follows a case as a user until an event of one of these types.
func (p *phoenix) await(c *client.Client, s gotong.Stream, types ...string) {
	p.t.Helper()
	enough := errors.New("enough")
	err := c.Follow(p.ctx, map[gotong.Stream]client.From{s: client.Start}, func(e client.Event) error {
		if slices.Contains(types, e.Type) {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		p.t.Fatalf("none of %q: %v", types, err)
	}
}

// killedCase takes a case through an objection, a reminder, a vote and a close. All
// kills of the plan that belong to one of these steps must happen.
func killedCase(t *testing.T, plan []kill) {
	t.Helper()
	p := startPhoenix(t, plan)
	ani, budi, citra := p.user("ani"), p.user("budi"), p.user("citra")
	affair := must(ani.CreateCase(p.ctx, client.NewCase{ScopeID: "rt05", Track: "ronda", Title: "Selokan"}))(t)
	for _, user := range []string{"budi", "citra"} {
		must(ani.SetCaseMember(p.ctx, affair.CaseID, user, []string{"participant"}))(t)
	}
	gate := ""
	votes := map[string]string{"budi": "no", "ani": "yes", "citra": "yes"}
	vote := func(c *client.Client, user string) { must(c.Vote(p.ctx, gate, votes[user]))(t) }
	for step, do := range []func(){
		func() {
			gate = must(ani.Propose(p.ctx, client.Proposal{CaseID: affair.CaseID, From: "keresahan", To: "bahas"}))(t).TransitionID
		},
		func() { must(budi.Object(p.ctx, gate, "Belum ada dana"))(t) },
		func() { vote(budi, "budi") },
		func() {
			p.pass(30*time.Minute + time.Second)
			p.await(ani, affair.Stream(), cases.EvReminded)
		},
		func() { vote(ani, "ani") },
		func() { vote(citra, "citra") },
		func() {
			p.pass(10 * time.Minute)
			p.await(ani, affair.Stream(), cases.EvApplied, cases.EvRejected)
		},
		func() { // whatever was due before it runs before it, or with it
			must(ani.Propose(p.ctx, client.Proposal{CaseID: affair.CaseID, From: "bahas", To: "garap"}))(t)
			p.pass(time.Minute + time.Second)
			p.await(ani, affair.Stream(), cases.EvRejected)
		},
	} {
		do()
		p.after(step)
	}
	p.end()
	log := readLog(t, filepath.Join(p.dir, "data"))
	noJobLost(t, filepath.Join(p.dir, "data"))
	counted := checkGates(t, log.streams[affair.Stream()])
	if len(counted) != 2 || !maps.Equal(counted[0], votes) || len(counted[1]) > 0 {
		t.Errorf("counted %v", counted)
	}
}

// noJobLost compares the timers with the log.
func noJobLost(t *testing.T, dir string) {
	t.Helper()
	s := openStore(t, "sqlite:"+filepath.Join(dir, "gotong.db"))
	defer func() { _ = s.Close() }()
	for _, r := range app.Readers() {
		if err := reader.Compare(t.Context(), s, &r, 0, func(d reader.Difference) { t.Errorf("reader %s: %+v", r.Name, d) }); err != nil {
			t.Error(err)
		}
	}
}

// checkGates checks a case's events: each gate has one outcome, which its rules give
// for the votes before it. It returns the votes by gate, of those with a vote.
func checkGates(t *testing.T, events []store.Event) (counted []map[string]string) {
	t.Helper()
	var open *cases.Proposed
	var votes map[string]string
	var tally *cases.Tallied
	objected, reminded := false, map[gotong.Audience]int{}
	for i := range events {
		e := &events[i]
		read := func(into any) {
			if err := json.Unmarshal(envelope(t, e).Payload, into); err != nil {
				t.Fatal(err)
			}
		}
		if about := e.Type; open == nil && strings.HasPrefix(about, "transition.") && about != cases.EvProposed {
			t.Errorf("%d: %s, and no gate is open", e.Seq, about)
			continue
		}
		switch e.Type {
		case cases.EvProposed:
			if open != nil {
				t.Errorf("%d: opened while %d is open", e.Seq, open.Seq)
			}
			open, votes, tally, objected = &cases.Proposed{}, map[string]string{}, nil, false
			clear(reminded)
			read(open)
		case cases.EvObjected:
			if objected {
				t.Errorf("%d: a second objection", e.Seq)
			}
			objected = true
		case cases.EvVoted:
			var v cases.Voted
			read(&v)
			votes[envelope(t, e).Actor.UserID] = string(v.Choice)
		case cases.EvReminded:
			if reminded[e.Audience]++; reminded[e.Audience] > 1 {
				t.Errorf("%d: a second reminder for %s", e.Seq, e.Audience)
			}
		case cases.EvTallied:
			tally = &cases.Tallied{}
			read(tally)
			ayes, noes := 0, 0
			for _, choice := range votes {
				switch choice {
				case "yes":
					ayes++
				case "no":
					noes++
				}
			}
			passes := len(votes)*100 >= open.Terms.Quorum*open.Voters && ayes > noes
			if tally.Yes != ayes || tally.No != noes || tally.TookPart() != len(votes) || tally.Passed != passes {
				t.Errorf("%d: %+v of the votes %v", e.Seq, tally, votes)
			}
		case cases.EvApplied, cases.EvRejected:
			voted := objected || open.Terms.Gate == cases.Vote
			if voted != (tally != nil) || (e.Type == cases.EvApplied) != (tally == nil || tally.Passed) {
				t.Errorf("%d: %s after the tally %+v", e.Seq, e.Type, tally)
			}
			if tally != nil {
				counted = append(counted, votes)
			}
			open = nil
		}
	}
	if open != nil {
		t.Errorf("the gate %d never closed", open.Seq)
	}
	return counted
}
