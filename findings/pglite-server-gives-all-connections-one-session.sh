#!/usr/bin/env bash
# npm @electric-sql/pglite-socket 0.2.17 with pglite 0.5.14 (PostgreSQL 18), and
# github.com/jackc/pgx/v5 v5.12.0
#
# pglite-server has an option --max-connections, and takes that many. All of them have the same
# session: two of them get the same exclusive advisory lock, what one sets the other has, a
# notification goes to whoever speaks next and not to who listens, and a pgx pool fails with
# its second connection, since the first has prepared a statement of that name. Only
# transactions keep others out: these wait until it ends, also where PostgreSQL would answer.
#
# One would guess that connections are sessions, once a server lets several in; and that tests
# of locks and of LISTEN that pass or fail here say something about PostgreSQL.
#
# For hosts: test several processes, or a pool, on a real PostgreSQL; package
# store/postgres/postgrestest starts one.
#
# Seen 2026-11-29, Go 1.26.8:
#	the same statement on both: prepared statement already exists
#	advisory lock: first true, second true
#	application_name that the second sees after the first has set it: first
#	listener hears: false, notifier hears: true
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
go get github.com/jackc/pgx/v5@v5.12.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func connect() *pgx.Conn {
	conn, err := pgx.Connect(ctx, "user=postgres dbname=postgres sslmode=disable host="+os.Args[1])
	must(err)
	return conn
}

func exec(conn *pgx.Conn, query string) {
	_, err := conn.Exec(ctx, query)
	must(err)
}

// ask returns the one value of a query, without a prepared statement of a name.
func ask[T any](conn *pgx.Conn, query string) (value T) {
	must(conn.QueryRow(ctx, query, pgx.QueryExecModeExec).Scan(&value))
	return value
}

// hears tells whether the connection has a notification within a second.
func hears(conn *pgx.Conn) bool {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := conn.WaitForNotification(short)
	return err == nil
}

func main() {
	first, second := connect(), connect()
	exec(first, "SET application_name = 'first'")
	locked := ask[bool](first, "SELECT pg_try_advisory_lock(1)")
	exec(first, "LISTEN channel")

	var n int
	must(first.QueryRow(ctx, "SELECT 1").Scan(&n))
	err := second.QueryRow(ctx, "SELECT 1").Scan(&n)
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42P05" {
		err = errors.New("prepared statement already exists")
	}
	fmt.Println("the same statement on both:", err)
	fmt.Printf("advisory lock: first %v, second %v\n", locked, ask[bool](second, "SELECT pg_try_advisory_lock(1)"))
	fmt.Println("application_name that the second sees after the first has set it:", ask[string](second, "SHOW application_name"))
	exec(second, "NOTIFY channel")
	fmt.Printf("listener hears: %v, notifier hears: %v\n", hears(first), hears(second))
}
GO
go build -o finding .
node_modules/.bin/pglite-server --max-connections=2 --path="$work/.s.PGSQL.5432" >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.5
done
got=$(./finding "$work")
want='the same statement on both: prepared statement already exists
advisory lock: first true, second true
application_name that the second sees after the first has set it: first
listener hears: false, notifier hears: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
