package importer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"gotong.dev/gotong"
)

// heap returns the bytes that are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// answered writes an export of n messages and an answer to each.
func answered(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	_, _ = fmt.Fprint(w, `{"name":"RT 05","type":"private_group","id":7,"messages":[`)
	for i := range 2 * n {
		comma, answer := ",", ""
		if i == 0 {
			comma = ""
		}
		if i%2 == 1 {
			answer = fmt.Sprintf(`,"reply_to_message_id":%d`, i)
		}
		_, _ = fmt.Fprintf(w, `%s{"id":%d,"type":"message","date_unixtime":"1786960800","from":"Budi","from_id":"user1","text":"halo"%s}`,
			comma, i+1, answer)
	}
	_, _ = fmt.Fprint(w, "]}")
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMemoryOfAnImport: of a message that another one answers, an import keeps two
// numbers and an id, and of any other message nothing.
func TestMemoryOfAnImport(t *testing.T) {
	const messages, each = 4_000, 90
	path := answered(t, messages)
	if _, _, err := opened(t, path, Source{}); err != nil { // what a first import prepares once
		t.Fatal(err)
	}
	before := heap()
	f, err := Open(path, Source{})
	if err != nil {
		t.Fatal(err)
	}
	survey, err := f.Survey(Source{})
	if err != nil {
		t.Fatal(err)
	}
	plan := NewPlan("x")
	plan.Targets = survey.Targets
	sent, used := 0, 0
	r, err := Run(t.Context(), func(context.Context, string, any, string) (Wait, error) {
		if sent++; sent == 2*messages {
			used = heap() - before
		}
		id := gotong.EventID{byte(sent), byte(sent >> 8)}
		return func(context.Context) (gotong.Receipt, bool, error) {
			return gotong.Receipt{First: 1, EventIDs: []gotong.EventID{id}}, false, nil
		}, nil
	}, plan.Steps(f.Entries(Source{})), nil, nil)
	if err != nil || r.Done != 2*messages+1 || survey.Replies != messages || r.Loose != 0 {
		t.Fatalf("%d of %d steps, %d loose, %v", r.Done, survey.Steps, r.Loose, err)
	}
	if limit := 100_000 + messages*each; used > limit {
		t.Errorf("%d bytes are in use, more than %d", used, limit)
	}
}
