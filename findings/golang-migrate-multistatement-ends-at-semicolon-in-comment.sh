#!/usr/bin/env bash
# golang-migrate v4.20.1, package database/multistmt (what x-multi-statement=true uses)
#
# A migration is split at every semicolon, also at one inside a "--" comment. The rest of
# the comment becomes the beginning of the next statement, so PostgreSQL reports a syntax
# error at a word of the comment. One would guess that the splitter knows comments, since
# the option exists for files written for other tools.
#
# For hosts: no comment of a migration that goes through golang-migrate with
# x-multi-statement may hold a semicolon. postgres.MigrationSQL has none.
#
# Seen 2026-11-28, Go 1.26.8:
#	"-- the queue;"
#	" what is due comes first\nCREATE TABLE queue (id int);"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
go get github.com/golang-migrate/migrate/v4@v4.20.1 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	"github.com/golang-migrate/migrate/v4/database/multistmt"
)

func main() {
	const migration = "-- the queue; what is due comes first\nCREATE TABLE queue (id int);"
	err := multistmt.Parse(strings.NewReader(migration), []byte(";"), 1<<20, func(statement []byte) bool {
		fmt.Printf("%q\n", statement)
		return true
	})
	if err != nil {
		fmt.Println(err)
	}
}
GO
got=$(go run .)
want='"-- the queue;"
" what is due comes first\nCREATE TABLE queue (id int);"'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
