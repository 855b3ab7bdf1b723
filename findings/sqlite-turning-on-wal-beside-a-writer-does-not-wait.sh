#!/usr/bin/env bash
# modernc.org/sqlite v1.62.0 (SQLite in Go) and github.com/ncruces/go-sqlite3 v0.37.0 (SQLite in
# WebAssembly), with Go 1.26.8
#
# PRAGMA journal_mode = WAL on a file that is not in WAL yet heeds busy_timeout only beside a
# reader. Beside a connection that has begun to write, it fails at once with SQLITE_BUSY, however
# long the timeout. So when several processes start on a new file at the same moment, each of which
# turns on WAL, one that comes while another makes its tables fails now and then; most drivers run
# the pragma as they open a connection, so that it is the opening that fails.
#
# For users: repeat the opening while it says SQLITE_BUSY. This project's Open and New do, up to ten
# seconds.
#
# Seen 2026-11-30, Go 1.26.8:
#	sqlite beside a reader: waited, busy
#	sqlite beside a writer: at once, busy
#	sqlite beside nobody: at once, wal
#	(the same for sqlite3)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
printf 'module finding\n\ngo 1.25\n' >go.mod
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
	_ "modernc.org/sqlite"
)

var ctx = context.Background()

func open(driver, path string) *sql.Conn {
	db, err := sql.Open(driver, "file:"+path+"?_pragma=busy_timeout(2000)")
	check(err)
	conn, err := db.Conn(ctx)
	check(err)
	return conn
}

func exec(c *sql.Conn, statements ...string) {
	for _, s := range statements {
		_, err := c.ExecContext(ctx, s)
		check(err)
	}
}

func turnOn(driver, beside string, c *sql.Conn) {
	began, mode := time.Now(), ""
	err := c.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
	if err != nil && strings.Contains(err.Error(), "database is locked") {
		mode, err = "busy", nil
	}
	check(err)
	waited := "at once"
	if time.Since(began) > time.Second {
		waited = "waited"
	}
	fmt.Printf("%s beside %s: %s, %s\n", driver, beside, waited, mode)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	for _, driver := range []string{"sqlite", "sqlite3"} {
		path := filepath.Join(dir, driver)
		one, other := open(driver, path), open(driver, path)
		exec(one, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", "BEGIN")
		var n int
		check(one.QueryRowContext(ctx, "SELECT x FROM t").Scan(&n))
		turnOn(driver, "a reader", other)
		exec(one, "ROLLBACK", "BEGIN IMMEDIATE")
		turnOn(driver, "a writer", other)
		exec(one, "ROLLBACK")
		turnOn(driver, "nobody", other)
	}
}
GO
go get modernc.org/sqlite@v1.62.0 github.com/ncruces/go-sqlite3@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='sqlite beside a reader: waited, busy
sqlite beside a writer: at once, busy
sqlite beside nobody: at once, wal
sqlite3 beside a reader: waited, busy
sqlite3 beside a writer: at once, busy
sqlite3 beside nobody: at once, wal'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
