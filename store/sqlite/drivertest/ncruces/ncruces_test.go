//go:build alldrivers

package ncruces_test

import (
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver" // registers the driver "sqlite3"

	"github.com/alot/alotwebhook/store/sqlite/drivertest"
)

func Test(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Driver{
		Name:      "sqlite3",
		DSN:       func(path string) string { return "file:" + path + "?_pragma=busy_timeout(60000)&_txlock=immediate" },
		Impatient: func(path string) string { return "file:" + path + "?_pragma=busy_timeout(0)" },
	})
}
