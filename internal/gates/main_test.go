package gates

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"gotong.dev/gotong/internal/store/postgres/postgrestest"
	"gotong.dev/gotong/internal/surreal/surrealtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		surrealtest.Stop()
		postgrestest.Stop()
		os.Exit(code)
	}))
}
