#!/usr/bin/env bash
# github.com/uptrace/bun v1.3.0, dialect/pgdialect v1.3.0
#
# bun.Tx has the methods of *sql.Tx, and is passed where an interface asks for these. But
# QueryContext and ExecContext write the arguments into the text where it has "?", and pass
# none on. A statement with PostgreSQL's own placeholders reaches the driver without its
# arguments: "$1" stays, and what it stood for is gone. One would guess that a method with
# the signature of database/sql passes on what it does not use.
#
# For hosts: give bun's embedded *sql.Tx (tx.Tx) to code that has SQL of its own. The
# stores take that out of bun.Tx by themselves.
#
# Seen 2026-11-28, Go 1.26.8:
#	bun.Tx  SELECT $1::int with 0 arguments
#	sql.Tx  SELECT $1::int with 1 arguments
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
go get github.com/uptrace/bun@v1.3.0 github.com/uptrace/bun/dialect/pgdialect@v1.3.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// recorder is a database that prints what it is asked.
type recorder struct{ driver.Conn }

var who string

func (recorder) Connect(context.Context) (driver.Conn, error) { return recorder{}, nil }
func (recorder) Driver() driver.Driver                        { return nil }
func (recorder) Close() error                                 { return nil }
func (recorder) Commit() error                                { return nil }
func (recorder) Rollback() error                              { return nil }

func (recorder) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return recorder{}, nil }

func (recorder) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	fmt.Printf("%s  %s with %d arguments\n", who, query, len(args))
	return driver.ResultNoRows, nil
}

func main() {
	ctx := context.Background()
	tx, err := bun.NewDB(sql.OpenDB(recorder{}), pgdialect.New()).BeginTx(ctx, nil)
	if err != nil {
		panic(err)
	}
	for name, exec := range map[string]func(context.Context, string, ...any) (sql.Result, error){
		"bun.Tx": tx.ExecContext, "sql.Tx": tx.Tx.ExecContext,
	} {
		who = name
		if _, err := exec(ctx, "SELECT $1::int", 1); err != nil {
			fmt.Println(err)
		}
	}
}
GO
got=$(go run . | sort)
want='bun.Tx  SELECT $1::int with 0 arguments
sql.Tx  SELECT $1::int with 1 arguments'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
