//go:build alldrivers && cgo

package mattn_test

import (
	"testing"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"; needs cgo

	"github.com/alot/alotwebhook/store/sqlite/drivertest"
)

func Test(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Driver{
		Name:      "sqlite3",
		DSN:       func(path string) string { return "file:" + path + "?_busy_timeout=60000&_txlock=immediate" },
		Impatient: func(path string) string { return "file:" + path + "?_busy_timeout=0" },
	})
}
