package check

import (
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	surrealstore "gotong.dev/gotong/internal/store/surreal"
	"gotong.dev/gotong/internal/surreal"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

// TestLongMessagesFitIntoOneAnswer: one read of streams fits into one answer of
// the database, however long the messages are. All sizes, that of the answer
// too, are a sixteenth of the real ones.
func TestLongMessagesFitIntoOneAnswer(t *testing.T) {
	surrealtest.Each(t, func(t *testing.T, e surrealtest.Engine) {
		t.Helper()
		s, err := surrealstore.Open(t.Context(), surrealtest.Start(t, e), surrealstore.Options{
			Client: surreal.Options{MaxMessage: 4 << 20},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		for i := range someStreams {
			c := storetest.Build(s.Epoch(), storetest.Draft{
				Stream: gotong.Stream(fmt.Sprint("thread/", i)), Events: 250, Body: strings.Repeat("x", 1<<10),
			})
			if out, err := store.CommitAll(t.Context(), s, []store.Commit{c}); err != nil || out[0].Status != store.Committed {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		err = Run(t.Context(), s, Options{Fault: func(f *Fault) { t.Error(f) }})
		if err != nil {
			t.Error(err)
		}
	})
}
