package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/proof"
)

// publicOf returns a log with votes, and the public export of half of its streams.
func publicOf(t *testing.T, seed uint64) (w *world, named []gotong.Stream, file []byte) {
	t.Helper()
	w = newWorld(t, seed)
	w.vote(0)
	w.fill(15)
	w.pin()
	w.vote(0)
	w.fill(15)
	w.pin()
	w.fill(5) // beyond the checkpoint
	streams := slices.Sorted(maps.Keys(w.heads))
	for i, s := range streams {
		if i%2 == 0 || strings.HasPrefix(string(s), "case/") {
			named = append(named, s)
		}
	}
	var b bytes.Buffer
	pinned := w.pinned[len(w.pinned)-1]
	is := func(s gotong.Stream) bool { return slices.Contains(named, s) }
	if _, err := Publish(t.Context(), w.source(w.commits), &pinned, is, &b, func(uint64, uint64) {}); err != nil {
		t.Fatal(err)
	}
	return w, named, b.Bytes()
}

// rounds returns the number of logs that a test makes, and one in how many lines it
// changes.
func rounds() (logs uint64, step int) {
	if testing.Short() {
		return 5, 4
	}
	return 20, 1
}

// verifyPublic verifies a file against a checkpoint and those that it contains.
func verifyPublic(t *testing.T, w *world, file []byte, pinned *Pinned) (Report, error) {
	t.Helper()
	s, notes, stop, err := FromPublic(bytes.NewReader(file))
	if err != nil {
		return Report{}, err
	}
	defer stop()
	if s.Signed, err = ReadNotes([]byte(notes), proof.Trust{Keys: []proof.Key{w.signer.Key}}); err != nil {
		t.Fatal(err)
	}
	return Verify(t.Context(), s, VerifyOptions{Pinned: *pinned, Replay: replay})
}

// TestPublic: a public export is verified against each checkpoint that the log had,
// and shows nothing but the data of what is for all members of the named streams.
func TestPublic(t *testing.T) {
	logs, _ := rounds()
	for seed := range logs {
		w, named, file := publicOf(t, seed)
		for i := range w.pinned {
			if r, err := verifyPublic(t, w, file, &w.pinned[i]); err != nil || r.Code != Verified {
				t.Fatalf("log %d, checkpoint %d: %+v, %v", seed, i, r, err)
			}
		}
		in := func(b []byte) bool {
			return bytes.Contains(file, b) || bytes.Contains(file, []byte(base64.StdEncoding.EncodeToString(b)))
		}
		last := w.pinned[len(w.pinned)-1]
		shown, hidden := 0, 0
		for p := range w.commits {
			for _, c := range w.commits[p] {
				for _, e := range c.Events {
					public := slices.Contains(named, e.Stream) && c.Position <= last[p].Checkpoint.Size
					open := public && e.Audience == ""
					if open {
						shown++
					} else {
						hidden++
					}
					if in(e.Data) != open || in(e.DataSalt[:]) != open || bytes.Contains(file, []byte(e.ID.String())) != open {
						t.Errorf("%s event %d for %q: what is in the file is wrong", e.Stream, e.Seq, e.Audience)
					}
					if bytes.Contains(file, []byte(e.Chain.String())) != public && !open {
						t.Errorf("%s event %d: its chain value is wrong", e.Stream, e.Seq)
					}
					if !e.Erased && (in(e.Content) || in(e.ContentSalt[:])) {
						t.Errorf("%s event %d: its content is in the file", e.Stream, e.Seq)
					}
				}
			}
		}
		for s := range w.heads {
			if !slices.Contains(named, s) && bytes.Contains(file, []byte(`"`+s+`"`)) {
				t.Errorf("%s is named", s)
			}
		}
		if shown == 0 || hidden == 0 {
			t.Errorf("%d events are shown, %d are not", shown, hidden)
		}
	}
}

// TestPublicAltered: whatever is changed in a public export is found.
func TestPublicAltered(t *testing.T) {
	// each changes a line of a commit, if it is one that can be changed so
	changes := map[string]func(l *publicLine) bool{
		"partition": func(l *publicLine) bool { l.Partition = (l.Partition + 1) % gotong.Partitions; return true },
		"position":  func(l *publicLine) bool { l.Position++; return true },
		"leaf": func(l *publicLine) bool {
			if l.Leaf != nil {
				l.Leaf[3] ^= 1
			}
			return l.Leaf != nil
		},
		"no event":   func(l *publicLine) bool { l.Leaf, l.Events = &gotong.Hash{1}, nil; return true },
		"less":       func(l *publicLine) bool { l.Events = l.Events[:max(len(l.Events)-1, 0)]; return len(l.Events) > 0 },
		"twice":      event(func(*publicEvent) {}, func(l *publicLine) { l.Events = append(l.Events, l.Events[0]) }),
		"stream":     event(func(e *publicEvent) { e.Stream += "x" }, nil),
		"seq":        event(func(e *publicEvent) { e.Seq++ }, nil),
		"chain":      event(func(e *publicEvent) { e.Chain[0] ^= 1 }, nil),
		"id":         event(func(e *publicEvent) { e.ID[15] ^= 1 }, nil),
		"type":       event(func(e *publicEvent) { e.Type += "x" }, nil),
		"at":         event(func(e *publicEvent) { e.At++ }, nil),
		"count":      event(func(e *publicEvent) { e.Count++ }, nil),
		"prev":       event(func(e *publicEvent) { e.Prev[0] ^= 1 }, nil),
		"data":       event(func(e *publicEvent) { e.Data[0] ^= 1 }, nil),
		"salt":       event(func(e *publicEvent) { e.DataSalt[0] ^= 1 }, nil),
		"commitment": event(func(e *publicEvent) { e.ContentCommit[0] ^= 1 }, nil),
	}
	w, _, file := publicOf(t, 7)
	pinned := w.pinned[len(w.pinned)-1]
	lines := bytes.SplitAfter(bytes.TrimRight(file, "\n"), []byte("\n"))
	found := func(name string, lines [][]byte) {
		t.Helper()
		r, err := verifyPublic(t, w, bytes.Join(lines, nil), &pinned)
		if err != nil && !errors.Is(err, ErrFile) || err == nil && r.Code == Verified {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	tried := map[string]int{}
	_, step := rounds()
	for n := 1; n < len(lines)-1; n += step {
		for name, change := range changes {
			var l publicLine
			if err := json.Unmarshal(lines[n], &l); err != nil {
				t.Fatal(err)
			}
			if !change(&l) {
				continue
			}
			text, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			tried[name]++
			found(name, slices.Concat(lines[:n], [][]byte{append(text, '\n')}, lines[n+1:]))
		}
		found("a line is missing", slices.Delete(slices.Clone(lines), n, n+1))
		found("a line is doubled", slices.Insert(slices.Clone(lines), n, lines[n]))
		found("it was cut off", lines[:n])
	}
	if len(tried) != len(changes) {
		t.Errorf("tried only %v", tried)
	}
}

// TestPublicIsReadStrictly: verify rejects a file that another parser could read
// differently.
func TestPublicIsReadStrictly(t *testing.T) {
	w, _, file := publicOf(t, 7)
	pinned := w.pinned[len(w.pinned)-1]
	for name, to := range map[string]string{
		"as it is": `"type":"`, "a name twice": `"type":"x","type":"`, "in another case": `"Type":"`,
		"in both cases": `"Type":"x","type":"`, "an unknown name": `"extra":1,"type":"`,
	} {
		r, err := verifyPublic(t, w, bytes.Replace(file, []byte(`"type":"`), []byte(to), 1), &pinned)
		if name == "as it is" {
			if err != nil || r.Code != Verified {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		} else if !errors.Is(err, ErrFile) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// event changes the first event of a commit that is public.
func event(change func(*publicEvent), also func(*publicLine)) func(*publicLine) bool {
	return func(l *publicLine) bool {
		if len(l.Events) == 0 || l.Events[0].ID == nil {
			return false
		}
		change(&l.Events[0])
		if also != nil {
			also(l)
		}
		return true
	}
}

// TestPublishRefuses: a log that is not the one of the checkpoints is not published.
func TestPublishRefuses(t *testing.T) {
	for name, spoil := range map[string]func(w *world, a *altered){
		"a commit is missing":  sorts["delete a commit"],
		"it was cut off":       sorts["cut the tail"],
		"a chain was replaced": sorts["rehash a whole chain"],
	} {
		w := newWorld(t, 3)
		w.fill(30)
		w.pin()
		a := &altered{commits: w.copied()}
		spoil(w, a)
		pinned := w.pinned[len(w.pinned)-1]
		none := func(gotong.Stream) bool { return false }
		_, err := Publish(t.Context(), w.source(a.commits), &pinned, none, &bytes.Buffer{}, func(uint64, uint64) {})
		if !errors.Is(err, ErrRollback) && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPublicFork: a file that is the log of its own checkpoints and not of the given
// ones shows that two histories were signed.
func TestPublicFork(t *testing.T) {
	w := newWorld(t, 1)
	w.fill(20)
	other := *w
	other.commits, other.docs, other.heads = w.copied(), maps.Clone(w.docs), maps.Clone(w.heads)
	w.write("thread/a", "group/0", 1)
	w.pin()
	other.write("thread/b", "group/0", 1)
	other.pin()
	var b bytes.Buffer
	named := func(gotong.Stream) bool { return false }
	if _, err := Publish(t.Context(), other.source(other.commits), &other.pinned[1], named, &b, func(uint64, uint64) {}); err != nil {
		t.Fatal(err)
	}
	if r, err := verifyPublic(t, w, b.Bytes(), &w.pinned[1]); err != nil || r.Code != Forked {
		t.Errorf("found %+v, %v", r, err)
	}
	if r, err := verifyPublic(t, w, b.Bytes(), &other.pinned[1]); err != nil || r.Code != Verified {
		t.Errorf("found %+v, %v", r, err)
	}
}
