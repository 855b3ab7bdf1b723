#!/usr/bin/env bash
# github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 18 (npm @electric-sql/pglite 0.5.14 with
# pglite-socket 0.2.17)
#
# QueryExecModeExec and QueryExecModeSimpleProtocol, which are for poolers that know no
# prepared statements, go by the Go type of an argument and not by the column. For a jsonb
# column a []byte, what json.Marshal returns, is sent as a bytea in hexadecimal, and refused as
# "invalid input syntax for type json"; a map or a struct cannot be encoded at all. A
# json.RawMessage with the same bytes is stored, and so is a string. In the default mode all
# of them are. QueryExecModeCacheDescribe names no statement either, and takes all of them.
#
# One would guess that the mode changes how a statement is sent, and not which arguments it
# takes; and that two types of the same bytes are one.
#
# For hosts: where the pool's mode is one of these, give a jsonb column a json.RawMessage or a
# string. The store's statements work in each mode.
#
# Seen 2026-11-29, Go 1.26.8: whether the argument is stored
#	cache describe: []byte true, json.RawMessage true, string true, map true
#	exec: []byte false, json.RawMessage true, string true, map false
#	simple protocol: []byte false, json.RawMessage true, string true, map false
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
	"encoding/json"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "user=postgres dbname=postgres sslmode=disable host="+os.Args[1])
	must(err)
	_, err = conn.Exec(ctx, "CREATE TABLE t (payload jsonb)")
	must(err)
	const text = `{"score":82}`
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		stored := func(payload any) bool {
			var back string
			err := conn.QueryRow(ctx, "INSERT INTO t VALUES ($1) RETURNING payload->>'score'", mode, payload).Scan(&back)
			return err == nil && back == "82"
		}
		fmt.Printf("%s: []byte %v, json.RawMessage %v, string %v, map %v\n", mode,
			stored([]byte(text)), stored(json.RawMessage(text)), stored(text), stored(map[string]any{"score": 82}))
	}
}
GO
go build -o finding .
node_modules/.bin/pglite-server --path="$work/.s.PGSQL.5432" >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.5
done
got=$(./finding "$work")
want='cache describe: []byte true, json.RawMessage true, string true, map true
exec: []byte false, json.RawMessage true, string true, map false
simple protocol: []byte false, json.RawMessage true, string true, map false'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
