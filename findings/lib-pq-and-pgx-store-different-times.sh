#!/usr/bin/env bash
# github.com/lib/pq v1.12.3 and github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 18
# (npm @electric-sql/pglite 0.5.14 with pglite-socket 0.2.17)
#
# A time.Time has nanoseconds and a timestamptz has microseconds. lib/pq sends all nine digits,
# and PostgreSQL rounds them; pgx cuts them off before it sends. So the two store the same
# time.Time one microsecond apart in half of all cases, and lib/pq stores one that has not come
# yet. A row that one of them has written is not found by "WHERE at = $1" of the other, and one
# that is due "now" is not due yet when the same process looks for what is.
#
# One would guess that the value that a driver stores is a matter of the database and the
# column, and that a service may have pgx beside lib/pq on one table.
#
# For hosts: cut a time with t.Truncate(time.Microsecond) before it becomes an argument. The
# store's own times are whole numbers.
#
# Seen 2026-11-29, Go 1.26.8, for a time that ends in .123456789:
#	lib/pq: stored .123457, pgx finds it: false
#	pgx: stored .123456, pgx finds it: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
npm install --prefix "$work" --no-audit --no-fund @electric-sql/pglite@0.5.14 @electric-sql/pglite-socket@0.2.17 >/dev/null 2>&1
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/lib/pq@v1.12.3 github.com/jackc/pgx/v5@v5.12.0 github.com/jackc/pgx/v5/stdlib@v5.12.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func open(driver, options string) *sql.DB {
	db, err := sql.Open(driver, "user=postgres dbname=postgres sslmode=disable host="+os.Args[1]+options)
	must(err)
	db.SetMaxOpenConns(1)
	return db
}

func main() {
	at := time.Date(2026, 11, 29, 10, 0, 0, 123456789, time.UTC)
	// All connections of this server have one session, so pgx must not name its statements.
	pgx, pq := open("pgx", " default_query_exec_mode=cache_describe"), open("postgres", "")
	_, err := pgx.Exec("CREATE TABLE t (who text, at timestamptz)")
	must(err)
	for name, db := range map[string]*sql.DB{"lib/pq": pq, "pgx": pgx} {
		_, err = db.Exec("INSERT INTO t VALUES ($1, $2)", name, at)
		must(err)
		var stored string
		var found bool
		must(pgx.QueryRow("SELECT to_char(at, '.US'), at = $1 FROM t WHERE who = $2", at, name).Scan(&stored, &found))
		fmt.Printf("%s: stored %s, pgx finds it: %v\n", name, stored, found)
	}
}
GO
go build -o finding .
node_modules/.bin/pglite-server -m 2 --path="$work/.s.PGSQL.5432" >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.5
done
got=$(./finding "$work" | sort)
want='lib/pq: stored .123457, pgx finds it: false
pgx: stored .123456, pgx finds it: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
