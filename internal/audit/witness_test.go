package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
	"gotong.dev/gotong/proof"
)

// neighbours are witnesses by host. They follow C2SP tlog-witness as real ones
// do, see TestRealWitnesses.
type neighbours map[string]*neighbour

type neighbour struct {
	note.Signer

	vkey  string
	mu    sync.Mutex
	trees map[string]proof.Checkpoint // by origin
	asked int
	read  int                                                          // bytes of the longest answer that were read
	fault func(r *http.Request) (status int, answer string, err error) // nil: none
}

func newNeighbour(tb testing.TB, name string) *neighbour {
	tb.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		tb.Fatal(err)
	}
	return &neighbour{Signer: s, vkey: vkey, trees: map[string]proof.Checkpoint{}}
}

// RoundTrip implements [http.RoundTripper].
func (n neighbours) RoundTrip(r *http.Request) (*http.Response, error) {
	w := n[r.URL.Host]
	w.mu.Lock()
	w.asked++
	fault := w.fault
	w.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	status, answer := 0, ""
	switch {
	case err != nil:
	case fault != nil:
		status, answer, err = fault(r)
	case r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint":
		status = http.StatusNotFound
	default:
		status, answer = w.add(string(body))
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: &answerBody{strings.NewReader(answer), w, 0}, Request: r}, nil
}

// answerBody counts what is read of it.
type answerBody struct {
	io.Reader

	of   *neighbour
	read int
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	b.of.mu.Lock()
	b.of.read = max(b.of.read, b.read)
	b.of.mu.Unlock()
	return n, err
}

func (b *answerBody) Close() error { return nil }

func (w *neighbour) heal() {
	w.mu.Lock()
	w.fault = nil
	w.mu.Unlock()
}

// add answers to a checkpoint.
func (w *neighbour) add(body string) (status int, answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head, signed, _ := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 63)
	text := strings.Split(signed, "\n")
	if err != nil || len(text) < 5 || len(lines) > 64 {
		return http.StatusBadRequest, "malformed"
	}
	size, _ := strconv.ParseInt(text[1], 10, 64)
	root, _ := base64.StdEncoding.DecodeString(text[2])
	var path tlog.TreeProof
	for _, line := range lines[1:] {
		h, _ := base64.StdEncoding.DecodeString(line)
		path = append(path, tlog.Hash(h))
	}
	had := w.trees[text[0]]
	switch {
	case old > uint64(size):
		return http.StatusBadRequest, "the tree shrinks"
	case old != had.Size:
		return http.StatusConflict, fmt.Sprintln(had.Size)
	case old > 0 && tlog.CheckTree(path, size, tlog.Hash(root), int64(old), tlog.Hash(had.Root)) != nil, old == 0 && len(path) > 0:
		return http.StatusUnprocessableEntity, "another history"
	}
	w.trees[text[0]] = proof.Checkpoint{Size: uint64(size), Root: gotong.Hash(root)}
	cosigned, err := note.Sign(&note.Note{Text: strings.Join(text[:3], "\n") + "\n"}, w)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	_, answer, _ = strings.Cut(string(cosigned), "\n\n")
	return http.StatusOK, answer
}

// with adds witnesses to the options of a keeper.
func (n neighbours) with(t *testing.T, o Options, quorum int) (Options, proof.Trust) {
	t.Helper()
	var list []string
	for host, w := range n {
		list = append(list, "http://"+host+"/w/ "+w.vkey)
	}
	var err error
	if o.Witnesses, err = ParseWitnesses(list, quorum); err != nil {
		t.Fatal(err)
	}
	o.Transport, o.Quorum = n, quorum
	trust := proof.Trust{Quorum: quorum}
	for _, w := range o.Witnesses {
		trust.Witnesses = append(trust.Witnesses, w.Witness)
	}
	return o, trust
}

// covered checks that the checkpoints which the witnesses have cosigned are the
// newest ones.
func covered(t *testing.T, w *world, k *Keeper, trust proof.Trust) {
	t.Helper()
	trust.Keys = k.Keys()
	cosigned := k.Cosigned()
	for p, commits := range w.commits {
		if len(commits) == 0 {
			continue
		}
		got, err := proof.Open(cosigned[p].Note, trust)
		if err != nil || got.Checkpoint.Size != uint64(len(commits)) || got.Checkpoint != k.Pinned()[p].Checkpoint {
			t.Errorf("partition %d of %d commits: %+v, %v", p, len(commits), got, err)
		}
	}
}

// Witnesses cosign what has grown; the cosignatures are kept with the checkpoints,
// are in proofs, and outlast a start.
func TestCosigned(t *testing.T) {
	w, dir := living(t, 1, 0), filepath.Join(t.TempDir(), "c")
	around := neighbours{"a": newNeighbour(t, "example.org/a"), "b": newNeighbour(t, "example.org/b")}
	o, trust := around.with(t, w.options(dir), 2)
	k := open(t, o)
	for range 5 {
		w.fill(20)
		w.grow()
		if err := k.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.cosign(t.Context())
		covered(t, w, k, trust)
	}
	asked := around["a"].asked
	if k.cosign(t.Context()); around["a"].asked != asked {
		t.Error("a checkpoint that did not change was posted again")
	}
	k.cosigning.round += uint64(refreshAfter)
	if k.cosign(t.Context()); around["a"].asked == asked {
		t.Error("after a day, the checkpoints are not cosigned again")
	}
	around["b"].fault = func(*http.Request) (int, string, error) { return 0, "", errors.New("no route to host") }
	w.fill(20)
	w.grow()
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.cosign(t.Context())
	if k.cosign(t.Context()); k.CosignedAge() != 2*cosignEvery {
		t.Errorf("the quorum has not cosigned for %s", k.CosignedAge())
	}
	around["b"].fault = nil
	k = open(t, o) // which has forgotten what the witnesses know
	if k.cosign(t.Context()); k.CosignedAge() != 0 {
		t.Errorf("the quorum has not cosigned for %s", k.CosignedAge())
	}
	covered(t, w, k, trust)
	w.fill(20)
	w.grow()
	if err := k.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.cosign(t.Context())
	covered(t, w, k, trust)
	file, err := os.ReadFile(filepath.Join(dir, CosignedFile))
	trust.Keys = k.Keys()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadNotes(file, trust); err != nil {
		t.Errorf("the file: %v", err)
	}
}

// A proof uses the cosigned checkpoint if it covers the event, and else the newest
// one; never one of another history.
func TestProofsAreCosigned(t *testing.T) {
	w := living(t, 2, 0)
	around := neighbours{"a": newNeighbour(t, "example.org/a")}
	o, trust := around.with(t, w.options(filepath.Join(t.TempDir(), "c")), 1)
	k := open(t, o)
	trust.Keys = k.Keys()
	prove := func(seq uint64, cosigned bool) {
		t.Helper()
		state, err := w.live.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e, err := Prove(t.Context(), w.live, store.NewCodec(nil), state.Eras, []Pinned{k.Cosigned(), k.Pinned()}, "thread/a", seq)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Check(trust); (err == nil) != cosigned {
			t.Errorf("event %d, cosigned %v: %v", seq, cosigned, err)
		}
		if _, err := e.Check(proof.Trust{Keys: k.Keys()}); err != nil {
			t.Errorf("event %d: %v", seq, err)
		}
	}
	for range 2 {
		w.write("thread/a", "group/0", 1)
		w.grow()
		if err := k.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.commits[gotong.PartitionOf("group/0")]) == 1 {
			k.cosign(t.Context())
		}
	}
	prove(1, true)
	prove(2, false)
	k.cosign(t.Context())
	prove(2, true)
	for p := range k.cosigned {
		k.cosigned[p].Checkpoint.Root[0] ^= 1
	}
	prove(2, false)
}

// What a witness may do wrong delays no checkpoint and no other witness. It is
// asked ever less often, its failure is logged once, and when it is well again, it
// cosigns.
func TestFaultyWitness(t *testing.T) {
	foreign := newNeighbour(t, "example.org/foreign")
	for name, fault := range map[string]func(r *http.Request) (int, string, error){
		"no route":      func(*http.Request) (int, string, error) { return 0, "", errors.New("no route to host") },
		"hangs":         func(r *http.Request) (int, string, error) { <-r.Context().Done(); return 0, "", r.Context().Err() },
		"500":           func(*http.Request) (int, string, error) { return 500, "oops", nil },
		"429":           func(*http.Request) (int, string, error) { return 429, "", nil },
		"404":           func(*http.Request) (int, string, error) { return 404, "unknown log", nil },
		"redirects":     func(*http.Request) (int, string, error) { return 307, "", nil },
		"nothing":       func(*http.Request) (int, string, error) { return 200, "", nil },
		"text":          func(*http.Request) (int, string, error) { return 200, "<html>", nil },
		"long text":     func(*http.Request) (int, string, error) { return 200, strings.Repeat("— x y\n", 100_000), nil },
		"another's key": func(*http.Request) (int, string, error) { return 200, foreign.lines(), nil },
		"409 in a loop": func(*http.Request) (int, string, error) { return 409, "0\n", nil },
		"409 and text":  func(*http.Request) (int, string, error) { return 409, "much", nil },
		"knows more":    func(*http.Request) (int, string, error) { return 409, "99999\n", nil },
		"422":           func(*http.Request) (int, string, error) { return 422, "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.live = memory.New(w.epoch, memory.Options{})
				defer func() { _ = w.live.Close() }()
				around := neighbours{"good": newNeighbour(t, "example.org/good"), "bad": newNeighbour(t, "example.org/bad")}
				around["bad"].fault = fault
				o, trust := around.with(t, w.options(""), 1)
				var text bytes.Buffer // written by one goroutine at a time, and read when they wait
				o.Log = slog.New(slog.NewTextHandler(&text, nil))
				k := open(t, o)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- k.Run(ctx) }()
				p := gotong.PartitionOf("group/0")
				for n := range uint64(16) {
					w.write("thread/a", "group/0", 1)
					w.grow()
					<-time.After(signEvery + time.Millisecond)
					synctest.Wait()
					if k.Pinned()[p].Checkpoint.Size != n+1 {
						t.Fatalf("checkpoint %d is late", n+1)
					}
					<-time.After(2*cosignEvery + roundLimit)
					synctest.Wait()
					covered(t, w, k, trust)
				}
				around["bad"].mu.Lock()
				if asked := around["bad"].asked; asked > 16 { // in 70 rounds; each asks twice at most
					t.Errorf("asked %d times", asked)
				}
				if read := around["bad"].read; read > maxAnswer {
					t.Errorf("%d bytes of an answer were read", read)
				}
				around["bad"].mu.Unlock()
				around["bad"].heal()
				if age := k.CosignedAge(); age != 0 {
					t.Errorf("the quorum has not cosigned for %s", age)
				}
				w.write("thread/a", "group/0", 1)
				w.grow()
				<-time.After(maxPause * 2 * cosignEvery)
				synctest.Wait()
				trust.Quorum = 2
				covered(t, w, k, trust)
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if strings.Count(text.String(), "does not cosign") != 1 || strings.Count(text.String(), "cosigns again") != 1 {
					t.Errorf("logged:\n%s", text.String())
				}
			})
		})
	}
}

// lines is a cosignature of something else.
func (w *neighbour) lines() string {
	signed, err := note.Sign(&note.Note{Text: "x\n1\nAAAA\n"}, w)
	if err != nil {
		panic(err)
	}
	return strings.SplitN(string(signed), "\n\n", 2)[1]
}

// A witness that knows another history cosigns none of this one, even if this
// node was restored with its directory.
func TestWitnessSeesAnotherHistory(t *testing.T) {
	for name, of := range rolledBack {
		t.Run(name, func(t *testing.T) {
			before, after := of(t)
			around := neighbours{"a": newNeighbour(t, "example.org/a")}
			text, err := proof.NewSigner("test.example.org")
			if err != nil {
				t.Fatal(err)
			}
			run := func(w *world) (*Keeper, string) {
				dir := filepath.Join(t.TempDir(), "c") // as after a restore of both
				if err := makeKey(dir, text); err != nil {
					t.Fatal(err)
				}
				o, _ := around.with(t, w.options(dir), 1)
				o.New = true
				var said bytes.Buffer
				o.Log = slog.New(slog.NewTextHandler(&said, nil))
				k := open(t, o)
				w.grow()
				if err := k.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				k.cosign(t.Context())
				return k, said.String()
			}
			if _, said := run(before); said != "" {
				t.Fatal(said)
			}
			k, said := run(after)
			if !strings.Contains(said, "rolled back") && !strings.Contains(said, "another history") && name != "empty" {
				t.Errorf("logged: %q", said)
			}
			differ := 0
			for p, c := range k.Cosigned() {
				if now := k.Pinned()[p].Checkpoint; now.Size > 0 && c.Note == nil {
					differ++
				}
			}
			if differ == 0 && name != "empty" {
				t.Error("the other history is cosigned")
			}
		})
	}
}

func TestParseWitnesses(t *testing.T) {
	a, b := newNeighbour(t, "example.org/a").vkey, newNeighbour(t, "example.org/b").vkey
	var many []string
	for i := range MaxWitnesses + 1 {
		many = append(many, "https://w "+newNeighbour(t, fmt.Sprintf("example.org/%d", i)).vkey)
	}
	for name, of := range map[string]struct {
		list   []string
		quorum int
		good   bool
	}{
		"none":             {nil, 0, true},
		"two":              {[]string{"https://w.example.org/x " + a, "http://127.0.0.1:1 " + b}, 2, true},
		"no key":           {[]string{"https://w.example.org"}, 0, false},
		"no address":       {[]string{a}, 0, false},
		"another scheme":   {[]string{"file:///x " + a}, 0, false},
		"a query":          {[]string{"https://w.example.org/?x=1 " + a}, 0, false},
		"the same key":     {[]string{"https://w " + a, "https://v " + a}, 1, false},
		"a larger quorum":  {[]string{"https://w " + a}, 2, false},
		"a quorum of none": {nil, 1, false},
		"a negative one":   {[]string{"https://w " + a}, -1, false},
		"as many as can":   {many[1:], 0, true},
		"too many":         {many, 0, false},
	} {
		if w, err := ParseWitnesses(of.list, of.quorum); (err == nil) != of.good || of.good && len(w) != len(of.list) {
			t.Errorf("%s: %d, %v", name, len(w), err)
		}
	}
}
