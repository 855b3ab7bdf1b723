#!/usr/bin/env bash
# modernc.org/sqlite v1.62.0, github.com/ncruces/go-sqlite3 v0.37.0,
# github.com/mattn/go-sqlite3 v1.14.53, github.com/glebarez/go-sqlite v1.23.0, by database/sql
#
# When the context of a statement that writes ends while it runs, SQLite rolls back the whole
# transaction and goes on without one. The *sql.Tx knows nothing of it. What was written before
# is lost; what is executed in it afterwards gets no error and is committed at once; Rollback
# fails and takes nothing back. So a transaction that goes on after a step that was allowed to
# time out stores its second half alone. The four drivers do the same.
#
# One would guess that a *sql.Tx is all or nothing whatever fails in it, or that it refuses to
# go on, as one of PostgreSQL does.
#
# For hosts: after an error in a transaction execute nothing more in it, not even an emit, and
# give the statements of a transaction its own context, not shorter ones. The SQLite store
# lets its statements in a host's transaction end, and stops between two of them.
#
# Seen 2026-11-29, Go 1.26.8, the same of each driver:
#	next statement: <nil>
#	rollback: cannot rollback - no transaction is active
#	stored: after
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
	"regexp"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// long takes many seconds if nobody ends it.
const long = `INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 100000000) SELECT n FROM c`

func Main(driver string) {
	dir, err := os.MkdirTemp("", "finding")
	must(err)
	defer os.RemoveAll(dir)
	db, err := sql.Open(driver, "file:"+dir+"/finding.db")
	must(err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (s)")
	must(err)

	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("INSERT INTO t VALUES ('before')")
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err = tx.ExecContext(ctx, long); err == nil {
		panic("the statement was not interrupted")
	}
	_, err = tx.Exec("INSERT INTO t VALUES ('after')")
	fmt.Println("next statement:", err)
	err = tx.Rollback()
	fmt.Println("rollback:", regexp.MustCompile(`cannot rollback[^(]*active`).FindString(fmt.Sprint(err)))
	var stored sql.NullString
	must(db.QueryRow("SELECT group_concat(s) FROM t").Scan(&stored))
	fmt.Println("stored:", stored.String)
}
GO
want='next statement: <nil>
rollback: cannot rollback - no transaction is active
stored: after'
for driver in modernc.org/sqlite:sqlite github.com/ncruces/go-sqlite3/driver:sqlite3 \
	github.com/mattn/go-sqlite3:sqlite3 github.com/glebarez/go-sqlite:sqlite; do
	printf 'package main\n\nimport (\n\t"finding/run"\n\n\t_ "%s"\n)\n\nfunc main() { run.Main("%s") }\n' "${driver%:*}" "${driver#*:}" >main.go
	got=$(CGO_ENABLED=1 go run .)
	printf '%s\n%s\n' "${driver%:*}" "$got"
	[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
done
