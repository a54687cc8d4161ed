package engine_test

import (
	"context"
	"fmt"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store/storetest"
)

// Who is being decided while the engine is closed, and who waits behind, gets
// an answer all the same.
func TestDecidedAfterCloseIsAnswered(t *testing.T) {
	faulty := storetest.NewFaulty(newMemory())
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
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
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
