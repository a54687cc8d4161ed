package engine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The fingerprint in a record is what crypto/hmac makes of the request under the
// record's salt, whatever the length of the body.
func TestFingerprintIsHMAC(t *testing.T) {
	r := newRig(t, newMemory(t))
	for _, size := range []int{0, 1, 64, 900, 1000, 1024, 5000} {
		c := command(one, "ani", fmt.Sprint("k", size), add{N: 1})
		c.Raw, c.Targets = []byte(strings.Repeat("x", size)), []string{"", "budi"}
		r.must(t, c)
		snap, err := r.store.Load(t.Context(), store.Need{Records: []gotong.RequestKey{c.Key()}})
		if err != nil {
			t.Fatal(err)
		}
		record := snap.Records[c.Key()]
		mac := hmac.New(sha256.New, record.Salt)
		for _, field := range []string{c.Type, string(c.Stream), string(c.Raw), "", "budi"} {
			_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
			_, _ = mac.Write([]byte(field))
		}
		if want := mac.Sum(nil); !hmac.Equal(record.Fingerprint, want) {
			t.Errorf("a body of %d bytes: %x, want %x", size, record.Fingerprint, want)
		}
	}
}

// No two salts are the same, within a commit or among commits, nor are two ids.
func TestSaltsAreFresh(t *testing.T) {
	r := newRig(t, newMemory(t))
	seen := map[string]string{}
	fresh := func(what string, b []byte) {
		if other, ok := seen[string(b)]; ok || len(strings.Trim(string(b), "\x00")) == 0 {
			t.Errorf("%s is %x, as %s", what, b, other)
		}
		seen[string(b)] = what
	}
	for n, times := range []int{1, 1, 2, 5, 1} {
		c := command(one, "ani", fmt.Sprint("k", n), run{times})
		receipt := r.must(t, c)
		snap, err := r.store.Load(t.Context(), store.Need{
			Records: []gotong.RequestKey{c.Key()},
			Events:  []store.EventRange{{Stream: one, From: receipt.First - 1, To: receipt.Last}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.Events[0]) != times {
			t.Fatalf("%d events of %d", len(snap.Events[0]), times)
		}
		fresh(fmt.Sprint("the salt of commit ", n), snap.Records[c.Key()].Salt)
		for _, e := range snap.Events[0] {
			name := fmt.Sprint(" of event ", e.Seq)
			fresh("the data's salt"+name, e.DataSalt[:])
			fresh("the content's salt"+name, e.ContentSalt[:])
			fresh("the random part"+name, e.ID[8:])
			if err := e.Verify(r.store.Epoch()); err != nil {
				t.Errorf("event %d: %v", e.Seq, err)
			}
		}
	}
}
