//go:build alldrivers

package ncruces_test

import (
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver" // registers the driver "sqlite3"

	"github.com/alot/alotwebhook/interop/databases/sqlite"
)

func Test(t *testing.T) {
	t.Parallel()
	sqlite.Run(t, sqlite.Driver{Name: "sqlite3", Setting: sqlite.Pragma})
}
