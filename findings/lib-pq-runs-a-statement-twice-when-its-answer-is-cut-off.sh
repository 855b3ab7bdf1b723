#!/usr/bin/env bash
# github.com/lib/pq v1.12.3, by database/sql, with github.com/jackc/pgx/v5 v5.12.0 beside it
#
# When a connection ends between a statement and its answer, as it does when a pooler or a
# server is restarted, lib/pq reports driver.ErrBadConn. For database/sql this means that the
# server cannot have run the statement, so DB.Exec and DB.QueryRow run it once more on another
# connection. The caller gets no error, and an INSERT without a key of its own has stored two
# rows. Since v1.12.2 this includes an answer that was cut off in its middle. pgx reports
# "unexpected EOF" for the same statement; the statements of a transaction are not repeated.
#
# One would guess that a call of Exec that returns nil has run its statement once.
#
# For hosts: give rows a key that you make, or write in a transaction. dedupe.SQL knows its
# own claim when it meets it for a second time.
#
# Seen 2026-11-29, Go 1.26.8 (with a real PostgreSQL 18.4 behind a relay there were two rows):
#	lib/pq DB.Exec: error <nil>, INSERT received 2 times
#	lib/pq Tx.Exec: error driver: bad connection, INSERT received 1 times
#	pgx DB.Exec: error unexpected EOF, INSERT received 1 times
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
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
	"net"
	"strings"
	"sync/atomic"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/pgx/v5/pgproto3"
	_ "github.com/lib/pq"
)

// server counts the executions of prepared statements, and hangs up instead of answering
// the first one.
type server struct{ executed atomic.Int32 }

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	state := byte('I')
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: state})
	for backend.Flush() == nil {
		message, err := backend.Receive()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.Query:
			if strings.HasPrefix(m.String, "BEGIN") {
				state = 'T'
				backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("BEGIN")})
			} else {
				backend.Send(&pgproto3.EmptyQueryResponse{})
			}
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		case *pgproto3.Parse:
			backend.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Describe:
			backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{25}})
			backend.Send(&pgproto3.NoData{})
		case *pgproto3.Bind:
			backend.Send(&pgproto3.BindComplete{})
		case *pgproto3.Execute:
			if s.executed.Add(1) == 1 {
				return
			}
			backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("INSERT 0 1")})
		case *pgproto3.Sync:
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		}
	}
}

type execer interface {
	Exec(query string, args ...any) (sql.Result, error)
}

// try executes one INSERT on what begin returns, and prints what became of it.
func try(name, driver string, begin func(*sql.DB) execer) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	s := new(server)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	db, err := sql.Open(driver, fmt.Sprintf("postgres://user@%s/db?sslmode=disable", listener.Addr()))
	must(err)
	defer db.Close()
	must(db.Ping())
	_, err = begin(db).Exec("INSERT INTO t VALUES ($1)", "x")
	fmt.Printf("%s: error %v, INSERT received %d times\n", name, err, s.executed.Load())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func handle(db *sql.DB) execer { return db }

func transaction(db *sql.DB) execer {
	tx, err := db.Begin()
	must(err)
	return tx
}

func main() {
	try("lib/pq DB.Exec", "postgres", handle)
	try("lib/pq Tx.Exec", "postgres", transaction)
	try("pgx DB.Exec", "pgx", handle)
}
GO
got=$(go run .)
want='lib/pq DB.Exec: error <nil>, INSERT received 2 times
lib/pq Tx.Exec: error driver: bad connection, INSERT received 1 times
pgx DB.Exec: error unexpected EOF, INSERT received 1 times'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
