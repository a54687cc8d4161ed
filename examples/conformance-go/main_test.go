package main

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inProcess runs the adapter within the test, where the race detector sees it.
func inProcess(ctx context.Context) (*conformance.Adapter, error) {
	in, commands := io.Pipe()
	lines, out := io.Pipe()
	var running sync.WaitGroup
	var failed error
	running.Go(func() {
		failed = run(ctx, in, out)
		_ = in.Close()
		_ = out.Close()
	})
	return &conformance.Adapter{In: commands, Out: lines, Wait: func() string {
		running.Wait()
		if failed != nil {
			return failed.Error()
		}
		return ""
	}}, nil
}

func TestConformance(t *testing.T) {
	report, err := conformance.Run(t.Context(), conformance.Options{Start: inProcess})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		t.Log(r.ID, r.Outcome, r.MS)
		if r.Outcome == conformance.Fail {
			t.Errorf("%s: %s\n%s", r.ID, r.Reason, strings.Join(r.Transcript, "\n"))
		}
	}
}
