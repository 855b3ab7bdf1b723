//go:build alldrivers && cgo

package mattn_test

import (
	"testing"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"; needs cgo

	"github.com/alot/alotwebhook/interop/databases/sqlite"
)

func Test(t *testing.T) {
	t.Parallel()
	sqlite.Run(t, sqlite.Driver{Name: "sqlite3", Setting: func(name, value string) string { return "_" + name + "=" + value }})
}
