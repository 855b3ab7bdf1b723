#!/usr/bin/env bash
# modernc.org/sqlite v1.62.0, github.com/ncruces/go-sqlite3 v0.37.0 and
# github.com/mattn/go-sqlite3 v1.14.53, with testing/synctest of Go 1.26.8
#
# In a bubble of testing/synctest time goes on when all goroutines wait. Whether one that waits
# for SQLite's lock counts depends on the driver, and each kind breaks tests that the other
# passes. modernc.org/sqlite and mattn/go-sqlite3 sleep outside of Go: the bubble's clock stands
# still meanwhile, and a transaction that holds the lock for 100 ms of that clock never ends.
# The other one fails after the busy_timeout in real time. ncruces/go-sqlite3 sleeps by the
# bubble's clock, and gets the lock; but where the lock is held by something outside of the
# bubble, a busy_timeout of 5 s is over in an instant.
#
# One would guess that database/sql on a local file, which needs no network, is fit for
# synctest; and that a busy_timeout is real time with all drivers, or faked with all.
#
# For users: in a bubble let no transaction wait for another, or give it a database of its own.
#
# Seen 2026-11-29, with a holder of 100 ms in the bubble (busy_timeout 1 s), and of 3 s outside (5 s):
#	modernc.org/sqlite: held in the bubble: locked, held outside: got it
#	github.com/ncruces/go-sqlite3/driver: held in the bubble: got it, held outside: locked
#	github.com/mattn/go-sqlite3: held in the bubble: locked, held outside: got it
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get modernc.org/sqlite@v1.62.0 github.com/ncruces/go-sqlite3/driver@v0.37.0 \
	github.com/mattn/go-sqlite3@v1.14.53 >/dev/null 2>&1
cat >finding.txt <<'GO'
package finding

import (
	"database/sql"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	_ "DRIVER"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// open opens a file with a table. mattn/go-sqlite3 has a name of its own for what _pragma
// says to the others.
func open(t *testing.T, timeout time.Duration) (file string, db *sql.DB) {
	file = fmt.Sprintf("file:%s/finding.db?_txlock=immediate&_pragma=busy_timeout(%d)&_busy_timeout=%[2]d", t.TempDir(), timeout.Milliseconds())
	db, err := sql.Open("NAME", file)
	must(err)
	_, err = db.Exec("CREATE TABLE t (n)")
	must(err)
	return file, db
}

func lock(db *sql.DB) *sql.Tx {
	tx, err := db.Begin()
	must(err)
	return tx
}

func write(db *sql.DB) string {
	if _, err := db.Exec("INSERT INTO t VALUES (1)"); err != nil {
		return "locked"
	}
	return "got it"
}

// inside has the lock held for 100 ms of the bubble's clock.
func inside(t *testing.T) (result string) {
	synctest.Test(t, func(t *testing.T) {
		_, db := open(t, time.Second)
		tx := lock(db)
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(100 * time.Millisecond)
			must(tx.Rollback())
		}()
		result = write(db)
		<-done
		must(db.Close())
	})
	return result
}

// outside has it held for 3 s of the real clock.
func outside(t *testing.T) (result string) {
	file, db := open(t, 5*time.Second)
	tx := lock(db)
	released := time.AfterFunc(3*time.Second, func() { must(tx.Rollback()) })
	synctest.Test(t, func(t *testing.T) {
		other, err := sql.Open("NAME", file)
		must(err)
		result = write(other)
		must(other.Close())
	})
	if released.Stop() {
		must(tx.Rollback())
	}
	return result
}

func TestFinding(t *testing.T) {
	fmt.Printf("DRIVER: held in the bubble: %s, held outside: %s\n", inside(t), outside(t))
}
GO
for driver in modernc.org/sqlite:sqlite github.com/ncruces/go-sqlite3/driver:sqlite3 github.com/mattn/go-sqlite3:sqlite3; do
	sed "s#DRIVER#${driver%:*}#; s#\"NAME\"#\"${driver#*:}\"#" finding.txt >finding_test.go
	CGO_ENABLED=1 go test -count=1 -v . | grep 'held in'
done >got
got=$(cat got)
want='modernc.org/sqlite: held in the bubble: locked, held outside: got it
github.com/ncruces/go-sqlite3/driver: held in the bubble: got it, held outside: locked
github.com/mattn/go-sqlite3: held in the bubble: locked, held outside: got it'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
