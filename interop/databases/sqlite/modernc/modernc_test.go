package modernc_test

import (
	"testing"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook/interop/databases/sqlite"
)

func Test(t *testing.T) {
	t.Parallel()
	sqlite.Run(t, sqlite.Driver{Name: "sqlite", Setting: sqlite.Pragma})
}
