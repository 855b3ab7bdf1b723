#!/usr/bin/env bash
# github.com/jackc/pgx/v5 v5.12.0, package pgconn
#
# pgconn.SafeToRetry promises that the error came "before sending any data to the server".
# When a connection ends between a COMMIT and its answer, the error of Tx.Commit (and so of
# pgx.BeginFunc) is "conn closed", and SafeToRetry is true of it, although the server has
# received the COMMIT and carries it out. The same goes for every statement without arguments,
# and for all of them with QueryExecModeSimpleProtocol: reading the answer a second time finds
# the connection closed already, and that error replaces the first one. With arguments the
# error is "unexpected EOF", and SafeToRetry is false, as it should be.
#
# One would guess that the one function that is made for it tells a transaction that may be
# repeated from one that may have been committed.
#
# For hosts: do not repeat a transaction because SafeToRetry says so. Repeat what is safe to
# repeat anyway: a row and an event with ids of their own, made once before the first try.
#
# Seen 2026-11-29, Go 1.26.8 (with a real PostgreSQL 18.4 behind a relay the row was there):
#	commit: conn closed, safe to retry: true, received: true
#	insert without arguments: conn closed, safe to retry: true, received: true
#	insert with arguments: unexpected EOF, safe to retry: false, received: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
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
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// serve is a server that takes every statement, and hangs up instead of answering the first
// one that begins with last. It sends on received whether that one arrived.
func serve(conn net.Conn, last string, received chan<- bool) {
	arrived := false
	defer func() { conn.Close(); received <- arrived }()
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	state := byte('I')
	server.Send(&pgproto3.AuthenticationOk{})
	server.Send(&pgproto3.ReadyForQuery{TxStatus: state})
	for server.Flush() == nil {
		message, err := server.Receive()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.Query:
			if arrived = strings.HasPrefix(m.String, last); arrived {
				return
			}
			if state = 'I'; m.String == "begin" {
				state = 'T'
			}
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte(strings.ToUpper(m.String))})
			server.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		case *pgproto3.Parse:
			server.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Describe:
			server.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{23}})
			server.Send(&pgproto3.NoData{})
		case *pgproto3.Execute:
			arrived = true
			return
		case *pgproto3.Sync:
			server.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		}
	}
}

// try prints the error of f on a connection whose server hangs up at the statement last.
func try(name, last string, f func(context.Context, *pgx.Conn) error) {
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	received := make(chan bool, 1)
	go func() {
		conn, err := listener.Accept()
		must(err)
		serve(conn, last, received)
	}()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://user@%s/db?sslmode=disable", listener.Addr()))
	must(err)
	err = f(ctx, conn)
	fmt.Printf("%s: %v, safe to retry: %v, received: %v\n", name, err, pgconn.SafeToRetry(err), <-received)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	try("commit", "commit", func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		must(err)
		return tx.Commit(ctx)
	})
	try("insert without arguments", "INSERT", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	try("insert with arguments", "INSERT", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO t VALUES ($1)", 1)
		return err
	})
}
GO
got=$(go run .)
want='commit: conn closed, safe to retry: true, received: true
insert without arguments: conn closed, safe to retry: true, received: true
insert with arguments: unexpected EOF, safe to retry: false, received: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
