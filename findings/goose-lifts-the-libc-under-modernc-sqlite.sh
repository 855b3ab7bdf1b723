#!/usr/bin/env bash
# github.com/pressly/goose/v3 v3.30.1 with modernc.org/sqlite v1.62.0, Go 1.26.8
#
# The documentation of modernc.org/sqlite (doc.go, "Fragile modernc.org/libc dependency") asks
# programs to use exactly the version of modernc.org/libc that its own go.mod names, the one
# that SQLite was translated for and tested with. A go.mod can only name a lowest version, so
# nothing holds a program to it. goose v3.30.1, a tool for migrations, names the same
# modernc.org/sqlite and a later libc: a program that migrates with it, on PostgreSQL even, runs
# its SQLite on a libc that its authors have not tested with it. No tool says a word: go mod
# tidy, go vet and go mod verify are content.
#
# For users: compare the two versions after each change of requirements, as .ci/run of this
# project does. docs/databases.md has the commands.
#
# Seen 2026-11-30, Go 1.26.8:
#	wanted by modernc.org/sqlite v1.62.0: modernc.org/libc v1.80.1
#	used without goose: modernc.org/libc v1.80.1
#	used with goose v3.30.1: modernc.org/libc v1.80.2
#	go mod tidy, vet, verify: content
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >main.go <<'GO'
package main

import _ "modernc.org/sqlite"

func main() {}
GO
used() { go list -m modernc.org/libc; }
got=$(
	exec 2>/dev/null
	go get modernc.org/sqlite@v1.62.0
	go mod tidy
	wanted=$(sed -nE 's|^.*(modernc.org/libc v[^ ]+).*$|\1|p' "$(go list -m -f '{{.GoMod}}' modernc.org/sqlite)")
	echo "wanted by $(go list -m modernc.org/sqlite): $wanted"
	echo "used without goose: $(used)"
	sed -i 's|^import .*|import (\n\t_ "github.com/pressly/goose/v3"\n\t_ "modernc.org/sqlite"\n)|' main.go
	go get github.com/pressly/goose/v3@v3.30.1
	go mod tidy
	echo "used with goose $(go list -m -f '{{.Version}}' github.com/pressly/goose/v3): $(used)"
	go mod tidy -diff && go vet ./... && go mod verify >/dev/null && echo 'go mod tidy, vet, verify: content'
)
want='wanted by modernc.org/sqlite v1.62.0: modernc.org/libc v1.80.1
used without goose: modernc.org/libc v1.80.1
used with goose v3.30.1: modernc.org/libc v1.80.2
go mod tidy, vet, verify: content'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
