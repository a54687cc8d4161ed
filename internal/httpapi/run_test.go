package httpapi_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

// stuck is an engine whose store does not answer.
type stuck struct{}

func (stuck) Execute(ctx context.Context, _ gotong.Command) (gotong.Receipt, error) {
	<-ctx.Done()
	return gotong.Receipt{}, gotong.NewError(gotong.CodeBusy, "unknown")
}

// A request does not wait for ever for a store that does not answer.
func TestRunReturnsWithoutAnAnswerOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := httpapi.Run(t.Context(), stuck{}, gotong.Command{})
		if took := time.Since(began); gotong.CodeOf(err) != gotong.CodeBusy || took != 10*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
