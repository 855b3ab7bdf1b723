package glebarez_test

import (
	"testing"

	_ "github.com/glebarez/go-sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook/interop/databases/sqlite"
)

func Test(t *testing.T) {
	t.Parallel()
	sqlite.Run(t, sqlite.Driver{Name: "sqlite", Setting: sqlite.Pragma})
}
