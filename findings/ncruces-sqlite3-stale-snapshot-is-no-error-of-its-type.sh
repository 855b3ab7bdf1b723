#!/usr/bin/env bash
# github.com/ncruces/go-sqlite3 v0.37.0, by database/sql
#
# A deferred transaction that has read, and writes after another connection has committed, is
# refused with SQLITE_BUSY_SNAPSHOT (517). From a statement of database/sql that is no
# *sqlite3.Error, the type that the package documents for errors of SQLite, but an
# sqlite3.ExtendedErrorCode itself: errors.As with the documented type finds nothing, and
# whoever looks for code and text there takes it for an unknown failure. A constraint that
# fails in the same transaction is a *sqlite3.Error.
#
# For hosts: look for both types, or use errors.Is with sqlite3.BUSY, which fits both. The
# SQLite store reads either.
#
# Seen 2026-11-29, Go 1.26.8:
#	constraint: *sqlite3.Error true
#	stale snapshot: *sqlite3.Error false, ExtendedErrorCode 517, is BUSY true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
go get github.com/ncruces/go-sqlite3@v0.37.0 github.com/ncruces/go-sqlite3/driver@v0.37.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/driver"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	db, err := sql.Open("sqlite3", "file:finding.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1000)&_txlock=deferred")
	must(err)
	_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	must(err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	must(err)

	var e *sqlite3.Error
	var code sqlite3.ExtendedErrorCode
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	fmt.Printf("constraint: *sqlite3.Error %v\n", errors.As(err, &e))

	tx, err := db.Begin()
	must(err)
	var n int
	must(tx.QueryRow("SELECT count(*) FROM t").Scan(&n)) // the transaction's snapshot
	_, err = db.Exec("INSERT INTO t VALUES (2)")          // by another connection
	must(err)
	_, err = tx.Exec("INSERT INTO t VALUES (3)")
	as := errors.As(err, &e)
	errors.As(err, &code)
	fmt.Printf("stale snapshot: *sqlite3.Error %v, ExtendedErrorCode %d, is BUSY %v\n", as, code, errors.Is(err, sqlite3.BUSY))
	must(tx.Rollback())
	must(db.Close())
}
GO
got=$(go run .)
want='constraint: *sqlite3.Error true
stale snapshot: *sqlite3.Error false, ExtendedErrorCode 517, is BUSY true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
