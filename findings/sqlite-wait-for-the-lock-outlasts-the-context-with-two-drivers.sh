#!/usr/bin/env bash
# modernc.org/sqlite v1.62.0, github.com/ncruces/go-sqlite3 v0.37.0,
# github.com/mattn/go-sqlite3 v1.14.53, github.com/glebarez/go-sqlite v1.23.0, by database/sql
#
# With mattn/go-sqlite3 and glebarez/go-sqlite a statement that waits for SQLite's write lock
# does not notice that its context ends: ExecContext and BeginTx return when busy_timeout is
# over. They interrupt a statement that runs, and a busy handler that sleeps is none. With
# modernc.org/sqlite and ncruces/go-sqlite3 both return with the context. One would guess that
# the shorter of two time limits counts, since each driver heeds the context elsewhere.
#
# For hosts: with the first two, busy_timeout is what a request may wait at most. Keep it below
# the time that a request, or the graceful end of the process, has. The store's own statements
# wait in another way with each of them.
#
# Seen 2026-11-29, Go 1.26.8, with a context of 100 ms and a busy_timeout of 5 s:
#	modernc.org/sqlite: ExecContext ends with its context, BeginTx ends with its context
#	github.com/ncruces/go-sqlite3/driver: ExecContext ends with its context, BeginTx ends with its context
#	github.com/mattn/go-sqlite3: ExecContext ends with busy_timeout, BeginTx ends with busy_timeout
#	github.com/glebarez/go-sqlite: ExecContext ends with busy_timeout, BeginTx ends with busy_timeout
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
	github.com/mattn/go-sqlite3@v1.14.53 github.com/glebarez/go-sqlite@v1.23.0 >/dev/null 2>&1
mkdir run
cat >run/run.go <<'GO'
package run

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// ends tells what ended f, which gets a context of 100 ms and must fail.
func ends(f func(context.Context) error) string {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if f(ctx) == nil {
		panic("it got the lock")
	}
	if time.Since(start) < 2500*time.Millisecond {
		return "its context"
	}
	return "busy_timeout"
}

func Main(driver string) {
	dir, err := os.MkdirTemp("", "finding")
	must(err)
	defer os.RemoveAll(dir)
	// mattn/go-sqlite3 has names of its own for what _pragma says to the others.
	db, err := sql.Open(driver, "file:"+dir+"/finding.db?_txlock=immediate&_pragma=busy_timeout(5000)&_busy_timeout=5000")
	must(err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (n)")
	must(err)
	tx, err := db.Begin() // has the lock
	must(err)
	defer tx.Rollback()
	exec := ends(func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	begin := ends(func(ctx context.Context) error {
		_, err := db.BeginTx(ctx, nil)
		return err
	})
	fmt.Printf("ExecContext ends with %s, BeginTx ends with %s\n", exec, begin)
}
GO
for driver in modernc.org/sqlite:sqlite github.com/ncruces/go-sqlite3/driver:sqlite3 \
	github.com/mattn/go-sqlite3:sqlite3 github.com/glebarez/go-sqlite:sqlite; do
	printf 'package main\n\nimport (\n\t"finding/run"\n\n\t_ "%s"\n)\n\nfunc main() { run.Main("%s") }\n' "${driver%:*}" "${driver#*:}" >main.go
	printf '%s: ' "${driver%:*}"
	CGO_ENABLED=1 go run .
done >got
got=$(cat got)
want='modernc.org/sqlite: ExecContext ends with its context, BeginTx ends with its context
github.com/ncruces/go-sqlite3/driver: ExecContext ends with its context, BeginTx ends with its context
github.com/mattn/go-sqlite3: ExecContext ends with busy_timeout, BeginTx ends with busy_timeout
github.com/glebarez/go-sqlite: ExecContext ends with busy_timeout, BeginTx ends with busy_timeout'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
