package glebarez_test

import (
	"testing"

	_ "github.com/glebarez/go-sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook/store/sqlite/drivertest"
)

func Test(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Driver{
		Name:      "sqlite",
		DSN:       func(path string) string { return "file:" + path + "?_pragma=busy_timeout(60000)&_txlock=immediate" },
		Impatient: func(path string) string { return "file:" + path },
	})
}
