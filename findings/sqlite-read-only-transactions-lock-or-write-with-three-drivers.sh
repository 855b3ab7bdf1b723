#!/usr/bin/env bash
# modernc.org/sqlite v1.62.0, github.com/ncruces/go-sqlite3 v0.37.0,
# github.com/mattn/go-sqlite3 v1.14.53, github.com/glebarez/go-sqlite v1.23.0, by database/sql
#
# sql.TxOptions{ReadOnly: true} means three things. With mattn/go-sqlite3 it means nothing: with
# _txlock=immediate such a transaction takes the write lock, and waits for whoever has it. With
# modernc.org/sqlite and glebarez/go-sqlite it takes no lock, but a statement that writes is
# carried out and committed. With ncruces/go-sqlite3 alone it is read-only. database/sql asks of
# a driver that it refuses what it cannot do, and none of them does.
#
# One would guess that a read-only transaction neither waits for writers nor writes.
#
# For hosts: begin what only reads on a second handle without _txlock=immediate, and with
# query_only where it must not write. The store's own reads wait for nobody.
#
# Seen 2026-11-29, Go 1.26.8:
#	modernc.org/sqlite: begins beside a writer: true, refuses to write: false
#	github.com/ncruces/go-sqlite3/driver: begins beside a writer: true, refuses to write: true
#	github.com/mattn/go-sqlite3: begins beside a writer: false, refuses to write: false
#	github.com/glebarez/go-sqlite: begins beside a writer: true, refuses to write: false
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
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func Main(driver string) {
	dir, err := os.MkdirTemp("", "finding")
	must(err)
	defer os.RemoveAll(dir)
	// mattn/go-sqlite3 has names of its own for what _pragma says to the others.
	db, err := sql.Open(driver, "file:"+dir+"/finding.db?_txlock=immediate&_pragma=journal_mode(WAL)&_journal_mode=WAL&_pragma=busy_timeout(100)&_busy_timeout=100")
	must(err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (n)")
	must(err)
	readOnly := &sql.TxOptions{ReadOnly: true}

	writer, err := db.Begin()
	must(err)
	reader, err := db.BeginTx(context.Background(), readOnly)
	begins := err == nil
	if begins {
		must(reader.Rollback())
	}
	must(writer.Rollback())

	reader, err = db.BeginTx(context.Background(), readOnly)
	must(err)
	_, refused := reader.Exec("INSERT INTO t VALUES (1)")
	must(reader.Commit())
	var rows int
	must(db.QueryRow("SELECT count(*) FROM t").Scan(&rows))
	fmt.Printf("begins beside a writer: %v, refuses to write: %v\n", begins, refused != nil && rows == 0)
}
GO
for driver in modernc.org/sqlite:sqlite github.com/ncruces/go-sqlite3/driver:sqlite3 \
	github.com/mattn/go-sqlite3:sqlite3 github.com/glebarez/go-sqlite:sqlite; do
	printf 'package main\n\nimport (\n\t"finding/run"\n\n\t_ "%s"\n)\n\nfunc main() { run.Main("%s") }\n' "${driver%:*}" "${driver#*:}" >main.go
	printf '%s: ' "${driver%:*}"
	CGO_ENABLED=1 go run .
done >got
got=$(cat got)
want='modernc.org/sqlite: begins beside a writer: true, refuses to write: false
github.com/ncruces/go-sqlite3/driver: begins beside a writer: true, refuses to write: true
github.com/mattn/go-sqlite3: begins beside a writer: false, refuses to write: false
github.com/glebarez/go-sqlite: begins beside a writer: true, refuses to write: false'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
