package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store/storetest"
)

// A command that is being decided when the patience of Close ends, and those
// that wait behind it, are answered all the same, and nothing is written.
func TestDecidedAfterCloseIsAnswered(t *testing.T) {
	faulty := storetest.NewFaulty(newMemory(t))
	r := newRig(t, faulty)
	hold := faulty.Hold(storetest.OpLoad, 1)
	const n = 5
	answers := make(chan error, n)
	submitted := make(chan struct{})
	go func() {
		r.Submit(t.Context(), command(one, "ani", "0", add{N: 1}), func(_ gotong.Receipt, err error) { answers <- err })
		close(submitted)
	}()
	<-hold.Entered()
	for i := 1; i < n; i++ {
		r.Submit(t.Context(), command(one, "ani", fmt.Sprint(i), add{N: 1}), func(_ gotong.Receipt, err error) { answers <- err })
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Close(impatient); !errors.Is(err, context.Canceled) {
		t.Fatalf("closing while a command is decided: %v", err)
	}
	hold.Release()
	<-submitted
	for range n {
		if err := <-answers; gotong.CodeOf(err) != gotong.CodeBusy {
			t.Errorf("answered %v", err)
		}
	}
	if got := len(r.log(t, one)); got != 0 {
		t.Errorf("%d events were written after the end", got)
	}
}

// Close waits for a command that was accepted, and answers it.
func TestCloseWaitsForWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := storetest.NewFaulty(newMemory(t))
		r := newRig(t, faulty)
		hold := faulty.Hold(storetest.OpCommit, 1)
		answers := make(chan error, 1)
		r.Submit(t.Context(), command(one, "ani", "a", add{N: 1}), func(_ gotong.Receipt, err error) { answers <- err })
		closed := make(chan error, 1)
		go func() { closed <- r.Close(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("closed before the command was answered: %v", err)
		default:
		}
		hold.Release()
		if err := <-answers; err != nil {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
