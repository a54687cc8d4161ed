package proof_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// vectors are what the tree is for ever. Another implementation, in another
// language, computed them from the words of the format.
type vectors struct {
	Leaves []struct {
		Partition gotong.Partition `json:"partition"`
		Position  uint64           `json:"position"`
		Stream    gotong.Stream    `json:"stream"`
		First     uint64           `json:"first"`
		Chains    []gotong.Hash    `json:"chains"`
		Encoded   string           `json:"encoded"`
		Hash      gotong.Hash      `json:"hash"`
	} `json:"leaves"`
	Roots []struct {
		Size uint64      `json:"size"`
		Root gotong.Hash `json:"root"`
	} `json:"roots"`
}

func golden(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/leaves.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoldenLeaves(t *testing.T) {
	for _, v := range golden(t).Leaves {
		l := proof.Leaf{Partition: v.Partition, Position: v.Position, Stream: v.Stream, First: v.First, Chains: v.Chains}
		if got := hex.EncodeToString(l.Append(nil)); got != v.Encoded {
			t.Errorf("%s: encoded as %s, want %s", v.Stream, got, v.Encoded)
		}
		if l.Hash() != v.Hash {
			t.Errorf("%s: hash %s, want %s", v.Stream, l.Hash(), v.Hash)
		}
	}
}

func TestGoldenRoots(t *testing.T) {
	var tree proof.Tree
	for _, v := range golden(t).Roots {
		for tree.Size() < v.Size {
			n := tree.Size()
			tree.Add(proof.Leaf{
				Partition: 2, Position: n + 1, Stream: "thread/t", First: n + 1,
				Chains: []gotong.Hash{sha256.Sum256(fmt.Appendf(nil, "chain %d", n))},
			}.Hash())
		}
		if tree.Root() != v.Root {
			t.Errorf("size %d: root %s, want %s", v.Size, tree.Root(), v.Root)
		}
	}
}

// Two leaves that differ in any field have different bytes.
func TestEveryFieldOfALeafCounts(t *testing.T) {
	a, b := gotong.Hash{1}, gotong.Hash{2}
	base := proof.Leaf{Partition: 1, Position: 2, Stream: "thread/x", First: 3, Chains: []gotong.Hash{a, b}}
	for name, change := range map[string]func(*proof.Leaf){
		"partition": func(l *proof.Leaf) { l.Partition++ },
		"position":  func(l *proof.Leaf) { l.Position++ },
		"stream":    func(l *proof.Leaf) { l.Stream += "x" },
		"first":     func(l *proof.Leaf) { l.First++ },
		"order":     func(l *proof.Leaf) { l.Chains = []gotong.Hash{b, a} },
		"fewer":     func(l *proof.Leaf) { l.Chains = l.Chains[:1] },
	} {
		l := base
		if change(&l); l.Hash() == base.Hash() {
			t.Errorf("%s: the hash is the same", name)
		}
	}
}

// naive is the definition of RFC 6962, section 2.1, word for word.
func naive(leaves [][]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := naive(leaves[:k]), naive(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestTreeIsThatOfRFC6962(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 8), 0, 80).Draw(t, "leaves")
		var tree proof.Tree
		for i, leaf := range leaves {
			if got, want := tree.Root(), gotong.Hash(naive(leaves[:i])); got != want {
				t.Fatalf("root of %d leaves is %s, want %s", i, got, want)
			}
			tree.Add(gotong.Hash(tlog.RecordHash(leaf)))
		}
		if tree.Size() != uint64(len(leaves)) || tree.Root() != gotong.Hash(naive(leaves)) {
			t.Fatalf("root of all %d leaves is %s", len(leaves), tree.Root())
		}
	})
}

func newKey(t *testing.T, instance string) proof.Signer {
	t.Helper()
	text, err := proof.NewSigner(instance)
	if err != nil {
		t.Fatal(err)
	}
	s, err := proof.ParseSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeys(t *testing.T) {
	s := newKey(t, "chat.example.org/gotong")
	k, err := proof.ParseKey(s.String())
	if err != nil || k.String() != s.String() || k.Instance() != "chat.example.org/gotong" {
		t.Fatalf("the key is read as %v, %v", k, err)
	}
	if _, err := note.NewVerifier(k.For("chat.example.org/gotong/e1/p0")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "a+b", "a+b+c", s.String() + "A", "Big+12345678+AAAA", "PRIVATE+KEY+a+b+c"} {
		if _, err := proof.ParseKey(bad); !errors.Is(err, proof.ErrUnverified) {
			t.Errorf("ParseKey(%q): %v", bad, err)
		}
		if _, err := proof.ParseSigner(bad); err == nil {
			t.Errorf("ParseSigner(%q) is accepted", bad)
		}
	}
	for _, bad := range []string{"", "/a", "a/", "A", "a b", "a+b", strings.Repeat("a", 129)} {
		if _, err := proof.NewSigner(bad); err == nil {
			t.Errorf("the instance %q is accepted", bad)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	old, now, other := newKey(t, "chat.example.org"), newKey(t, "chat.example.org"), newKey(t, "evil.example.org")
	c := proof.Checkpoint{Origin: proof.Origin{Instance: "chat.example.org", Epoch: "e1", Partition: 3}, Size: 7, Root: gotong.Hash{1, 2}}
	signed, err := c.Sign(now, old)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(signed), "chat.example.org/e1/p3\n7\nAQIA") || strings.Count(string(signed), "\n— chat.example.org/e1/p3 ") != 2 {
		t.Fatalf("the note is\n%s", signed)
	}
	for _, k := range []proof.Key{old.Key, now.Key} { // while keys rotate, either verifies
		if got, err := proof.Open(signed, proof.Trust{Keys: []proof.Key{other.Key, k}}); err != nil || got.Checkpoint != c || len(got.Keys) != 1 || got.Keys[0].String() != k.String() {
			t.Errorf("opened as %v, %v", got, err)
		}
	}
	foreign, err := c.Sign(other) // signed under the origin of another instance
	if err != nil {
		t.Fatal(err)
	}
	text := string(signed)
	for name, bad := range map[string]struct {
		note string
		keys []proof.Key
	}{
		"no key":           {text, nil},
		"another key":      {text, []proof.Key{newKey(t, "chat.example.org").Key}},
		"another instance": {string(foreign), []proof.Key{other.Key}},
		"partition":        {strings.Replace(text, "p3\n", "p4\n", 1), []proof.Key{now.Key}},
		"epoch":            {strings.Replace(text, "/e1/p3\n", "/e2/p3\n", 1), []proof.Key{now.Key}},
		"size":             {strings.Replace(text, "\n7\n", "\n8\n", 1), []proof.Key{now.Key}},
		"size with zero":   {strings.Replace(text, "\n7\n", "\n07\n", 1), []proof.Key{now.Key}},
		"root":             {strings.Replace(text, "AQIA", "AQMA", 1), []proof.Key{now.Key}},
		"extension":        {strings.Replace(text, "\n\n", "\nmore\n\n", 1), []proof.Key{now.Key}},
		"no signature":     {c.Text() + "\n", []proof.Key{now.Key}},
		"partition 16":     {strings.Replace(text, "p3\n", "p16\n", 1), []proof.Key{now.Key}},
		"empty":            {"", []proof.Key{now.Key}},
	} {
		if got, err := proof.Open([]byte(bad.note), proof.Trust{Keys: bad.keys}); !errors.Is(err, proof.ErrUnverified) {
			t.Errorf("%s: opened as %v, %v", name, got, err)
		}
	}
}

func TestSplitNotes(t *testing.T) {
	s := newKey(t, "x")
	var file strings.Builder
	var want []string
	for p := range gotong.Partition(3) {
		n, err := proof.Checkpoint{Origin: proof.Origin{Instance: "x", Epoch: "e", Partition: p}}.Sign(s, s)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(n))
		_, _ = file.Write(n)
		if p == 1 {
			_, _ = file.WriteString("\n")
		}
	}
	if got := proof.SplitNotes(file.String()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("split as %q, want %q", got, want)
	}
	if got := proof.SplitNotes("\n"); len(got) != 0 {
		t.Errorf("an empty file is split as %q", got)
	}
}
