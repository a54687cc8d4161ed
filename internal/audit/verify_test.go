package audit

import (
	"maps"
	"slices"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store/memory"
)

// altered is a log that was tampered with, and what must be found.
type altered struct {
	commits  [gotong.Partitions][]Commit
	signed   *Pinned // set: the checkpoints that come with it
	position uint64  // of the first commit that is not the one that was signed
	p        gotong.Partition
	stream   gotong.Stream // empty: the log no longer shows it
	seq      uint64
	code     Code
}

// pick returns a partition with commits, and one of them that has a next one.
func (w *world) pick(a *altered) (i int) {
	for {
		p := gotong.Partition(w.rng.IntN(gotong.Partitions))
		if n := len(a.commits[p]); n > 3 {
			a.p, i = p, w.rng.IntN(n-1)
			a.at(i, 0)
			return i
		}
	}
}

// at says that event j of commit i is the first bad one.
func (a *altered) at(i, j int) {
	e := &a.commits[a.p][i].Events[j]
	a.position, a.stream, a.seq = uint64(i)+1, e.Stream, e.Seq
}

// renumber gives the commits of a partition the positions of their order.
func (a *altered) renumber() {
	for i := range a.commits[a.p] {
		a.commits[a.p][i].Position = uint64(i) + 1
		for j := range a.commits[a.p][i].Events {
			a.commits[a.p][i].Events[j].Position = uint64(i) + 1
		}
	}
}

// rehash computes a stream's chain anew.
func (a *altered) rehash(stream gotong.Stream) {
	prev, seq := gotong.Hash{}, uint64(0)
	for i := range a.commits[a.p] {
		for j := range a.commits[a.p][i].Events {
			if e := &a.commits[a.p][i].Events[j]; e.Stream == stream {
				seq++
				e.Prev, e.Seq = prev, seq
				e.Chain = e.Header("aaaaaaaa").Chain()
				prev = e.Chain
			}
		}
	}
}

func dropStream(w *world, a *altered) {
	w.pick(a)
	stream := a.stream
	first := slices.IndexFunc(a.commits[a.p], func(c Commit) bool { return c.Events[0].Stream == stream })
	a.commits[a.p] = slices.DeleteFunc(a.commits[a.p], func(c Commit) bool { return c.Events[0].Stream == stream })
	a.position, a.stream = uint64(first)+1, ""
	if first == len(a.commits[a.p]) {
		a.code = Truncated
	}
}

// sorts are the ways of tampering.
var sorts = map[string]func(w *world, a *altered){
	"flip a bit of the data": func(w *world, a *altered) {
		i := w.pick(a)
		j := w.rng.IntN(len(a.commits[a.p][i].Events))
		a.at(i, j)
		e := &a.commits[a.p][i].Events[j]
		e.Data[w.rng.IntN(len(e.Data))] ^= 1
	},
	"flip a bit of the content": func(w *world, a *altered) {
		i := w.pick(a)
		for a.commits[a.p][i].Events[0].Erased {
			i = w.pick(a)
		}
		e := &a.commits[a.p][i].Events[0]
		e.Content[w.rng.IntN(len(e.Content))] ^= 1
	},
	"change the time": func(w *world, a *altered) { a.commits[a.p][w.pick(a)].Events[0].At++ },
	"change the audience": func(w *world, a *altered) {
		i := w.pick(a)
		a.commits[a.p][i].Events[0].Audience = "user/x"
	},
	"change a chain value": func(w *world, a *altered) {
		i := w.pick(a)
		a.commits[a.p][i].Events[0].Chain[w.rng.IntN(32)] ^= 4
	},
	"delete a commit": func(w *world, a *altered) {
		i := w.pick(a)
		stream := a.stream
		a.commits[a.p] = slices.Delete(a.commits[a.p], i, i+1)
		if !slices.ContainsFunc(a.commits[a.p][i:], func(c Commit) bool { return c.Events[0].Stream == stream }) {
			a.stream = "" // nothing shows what was there
		}
	},
	"delete an event of a commit": func(w *world, a *altered) {
		i := w.pick(a)
		for len(a.commits[a.p][i].Events) < 2 {
			i = w.pick(a)
		}
		j := w.rng.IntN(len(a.commits[a.p][i].Events))
		a.at(i, j)
		a.commits[a.p][i].Events = slices.Delete(a.commits[a.p][i].Events, j, j+1)
		if j == len(a.commits[a.p][i].Events) { // the last one: the commit shows no gap
			a.seq = 0
		}
	},
	"insert an event and its chain": func(w *world, a *altered) {
		i := w.pick(a)
		c := a.commits[a.p][i]
		c.Events = slices.Clone(c.Events)
		c.Events[0].Data = []byte(`{"payload":{"forged":true}}`)
		a.commits[a.p] = slices.Insert(a.commits[a.p], i, c)
		a.renumber()
		a.rehash(a.stream)
	},
	"insert a copy": func(w *world, a *altered) {
		i := w.pick(a)
		c := a.commits[a.p][i]
		c.Events = slices.Clone(c.Events)
		a.commits[a.p] = slices.Insert(a.commits[a.p], i+1, c)
		a.renumber()
		a.position++
	},
	"swap two commits": func(w *world, a *altered) {
		i := w.pick(a)
		list := a.commits[a.p]
		list[i], list[i+1] = list[i+1], list[i]
		a.renumber()
		a.at(i, 0)
		a.seq = 0 // either of the two is wrong
	},
	"swap the data of two events": func(w *world, a *altered) {
		i := w.pick(a)
		x, y := &a.commits[a.p][i].Events[0], &a.commits[a.p][i+1].Events[0]
		x.Data, y.Data, x.DataSalt, y.DataSalt = y.Data, x.Data, y.DataSalt, x.DataSalt
	},
	"rehash a whole chain": func(w *world, a *altered) {
		i := w.pick(a)
		e := &a.commits[a.p][i].Events[0]
		e.Data = []byte(`{"payload":{"forged":true}}`)
		a.rehash(e.Stream)
	},
	"renumber and rehash a whole chain": func(w *world, a *altered) {
		i := w.pick(a)
		stream := a.stream
		a.commits[a.p] = slices.Delete(a.commits[a.p], i, i+1)
		a.renumber()
		a.rehash(stream)
		a.at(i, 0)
	},
	"cut the tail": func(w *world, a *altered) {
		i := w.pick(a)
		a.commits[a.p] = a.commits[a.p][:i]
		a.position, a.stream, a.code = uint64(i)+1, "", Truncated
	},
	"drop a stream": dropStream,
	"drop a stream and close the gaps": func(w *world, a *altered) {
		dropStream(w, a)
		a.renumber()
		if int(a.position) <= len(a.commits[a.p]) {
			a.at(int(a.position)-1, 0)
		}
	},
	"replay an old checkpoint": func(w *world, a *altered) {
		old := w.pinned[1]
		a.signed = &old
		for p := range a.commits { // all is as it was then
			n := old[p].Checkpoint.Size
			if int(n) < len(a.commits[p]) && a.position == 0 {
				a.p, a.position = gotong.Partition(p), n+1
			}
			a.commits[p] = a.commits[p][:n]
		}
		w.unerased(a)
		a.code = Truncated
	},
	"swap two partitions": func(w *world, a *altered) {
		w.pick(a)
		other := a.p
		for other == a.p {
			w.pick(a)
		}
		p, q := min(other, a.p), max(other, a.p)
		a.commits[p], a.commits[q] = a.commits[q], a.commits[p]
		a.p = p
		a.at(0, 0)
	},
	"move a partition": func(w *world, a *altered) { // with all of its chains
		w.pick(a)
		q := slices.IndexFunc(a.commits[:], func(c []Commit) bool { return len(c) == 0 })
		from := a.p
		a.commits[q], a.commits[from] = a.commits[from], nil
		a.p = gotong.Partition(q)
		seen := map[gotong.Stream]bool{}
		for i := range a.commits[q] {
			for j := range a.commits[q][i].Events {
				a.commits[q][i].Events[j].Partition = a.p
				seen[a.commits[q][i].Events[j].Stream] = true
			}
		}
		for stream := range seen {
			a.rehash(stream)
		}
		a.p, a.position, a.stream, a.code = from, 1, "", Truncated
	},
	"erase in silence": func(w *world, a *altered) {
		i := w.pick(a)
		for a.commits[a.p][i].Events[0].Erased {
			i = w.pick(a)
		}
		e := &a.commits[a.p][i].Events[0]
		e.Erased, e.Content, e.ContentSalt = true, nil, gotong.Salt{}
		a.position = 0
	},
	"a tally that its votes do not give": func(w *world, a *altered) { // and that was signed
		e := w.vote(1 + w.rng.IntN(3))
		w.fill(5)
		w.pin()
		a.commits, a.p, a.position, a.stream, a.seq = w.copied(), e.Partition, e.Position, e.Stream, e.Seq
	},
}

// unerased undoes what was erased after the first checkpoint.
func (w *world) unerased(a *altered) {
	for p := range a.commits {
		for i := range a.commits[p] {
			for j := range a.commits[p][i].Events {
				if e := &a.commits[p][i].Events[j]; e.Erased && w.before[e.ID].after >= 1 {
					*e = w.before[e.ID].event // as a backup from before the erasure has it
				}
			}
		}
	}
}

// Whatever is done to a log, the verifier finds it, and names the first commit
// that is not the one that was signed, and its event.
func TestTampering(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	names := make([]string, 0, len(sorts))
	for name := range sorts {
		names = append(names, name)
	}
	slices.Sort(names)
	for n := range rounds {
		w := newWorld(t, uint64(n))
		w.fill(30)
		w.pin()
		w.fill(30)
		w.pin()
		name := names[n%len(names)]
		a := &altered{commits: w.copied(), code: Altered}
		sorts[name](w, a)
		s := w.source(a.commits)
		if a.signed != nil {
			s.Signed = *a.signed
		}
		o := VerifyOptions{Pinned: w.pinned[len(w.pinned)-1], Replay: replay, Parallel: 1 + n%3}
		r, err := Verify(t.Context(), s, o)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Partition == a.p })
		if r.Code == Verified || at < 0 {
			t.Errorf("%s (%d): not found: %+v", name, n, r)
			continue
		}
		f := r.Findings[at]
		if f.Code != a.code || f.Position != a.position && a.position > 0 || f.Stream != a.stream || f.Seq != a.seq && a.seq > 0 && a.stream != "" {
			t.Errorf("%s (%d): found %+v, want %d at %d, %s event %d", name, n, f, a.code, a.position, a.stream, a.seq)
		}
		s.Tiles = nil // as in an exported file: it is still found
		if r, err = Verify(t.Context(), s, o); err != nil || r.Code == Verified {
			t.Errorf("%s (%d): not found without tiles: %+v, %v", name, n, r, err)
		}
	}
}

// No log that was not tampered with raises an alarm, at any checkpoint.
func TestHonestLogs(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	erased, events := 0, 0
	for n := range rounds {
		w := newWorld(t, uint64(n)+1_000_000)
		w.fill(20)
		w.pin()
		w.fill(20)
		w.pin()
		s := w.source(w.commits)
		for i, pinned := range w.pinned {
			r, err := Verify(t.Context(), s, VerifyOptions{Pinned: pinned, Replay: replay})
			if err != nil || r.Code != Verified || len(r.Findings) > 0 {
				t.Fatalf("log %d against checkpoint %d: %+v, %v", n, i, r, err)
			}
		}
		for p := range w.commits {
			for _, c := range w.commits[p] {
				for _, e := range c.Events {
					if events++; e.Erased {
						erased++
					}
				}
			}
		}
	}
	if share := float64(erased) / float64(events); share < 0.05 || share > 0.2 {
		t.Errorf("%.3f of the events are erased; about a tenth should be", share)
	}
}

// Two checkpoints that were signed for two histories are a fork.
func TestFork(t *testing.T) {
	w := newWorld(t, 1)
	w.fill(20)
	was := *w
	was.commits, was.docs = w.copied(), documents{}
	maps.Copy(was.docs, w.docs)
	was.heads = map[gotong.Stream]gotong.Head{}
	maps.Copy(was.heads, w.heads)
	w.write("thread/a", "group/0", 1)
	w.pin()
	was.write("thread/b", "group/0", 1)
	was.pin()
	r, err := Verify(t.Context(), was.source(was.commits), VerifyOptions{Pinned: w.pinned[len(w.pinned)-1]})
	if err != nil || r.Code != Forked {
		t.Errorf("found %+v, %v", r, err)
	}
}

func TestNothingToCompareWith(t *testing.T) {
	w := newWorld(t, 1)
	w.fill(5)
	r, err := Verify(t.Context(), w.source(w.commits), VerifyOptions{})
	if err != nil || r.Code != Unverifiable {
		t.Errorf("found %+v, %v", r, err)
	}
	if got := r.Findings[0].String(); got == "" {
		t.Error("the finding has no text")
	}
}

// After the newest checkpoint, the chains still show an event that is missing, and
// one that does not follow.
func TestAfterTheCheckpoint(t *testing.T) {
	for name, spoil := range map[string]func(a *altered){
		"missing": func(a *altered) {
			a.commits[a.p] = slices.Delete(a.commits[a.p], 1, 2)
			a.renumber()
		},
		"does not follow": func(a *altered) { // with hashes of its own
			e := &a.commits[a.p][1].Events[0]
			e.Data = []byte(`{"payload":{"forged":true}}`)
			e.Chain = e.Header("aaaaaaaa").Chain()
		},
	} {
		w := newWorld(t, 1) // whose checkpoint is of an empty log
		for range 4 {
			w.write("thread/a", "group/0", 1)
		}
		a := &altered{commits: w.copied(), p: gotong.PartitionOf("group/0")}
		spoil(a)
		r, err := Verify(t.Context(), w.source(a.commits), VerifyOptions{Pinned: w.pinned[0]})
		if err != nil || r.Code != Altered || r.Findings[0].Stream != "thread/a" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// An event that is erased while the log is read raises no alarm: the event that
// names it lies after the positions at which reading began.
func TestErasedMeanwhile(t *testing.T) {
	w := newWorld(t, 1)
	w.live = memory.New(w.epoch, memory.Options{})
	t.Cleanup(func() { _ = w.live.Close() })
	w.write("thread/a", "group/0", 2)
	w.pin()
	s, err := FromStore(t.Context(), w.live)
	if err != nil {
		t.Fatal(err)
	}
	w.write("thread/a", "group/0", 1, 2)
	r, err := Verify(t.Context(), s, VerifyOptions{Pinned: w.pinned[1]})
	if err != nil || r.Code != Verified {
		t.Errorf("found %+v, %v", r, err)
	}
}
