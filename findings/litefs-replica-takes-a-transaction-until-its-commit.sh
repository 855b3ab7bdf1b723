#!/usr/bin/env bash
# github.com/superfly/litefs v0.5.14, with SQLite 3.40.1, on Linux with FUSE, as root
#
# A replica of LiteFS is read-only. In WAL mode a transaction that writes there is not told so: BEGIN
# IMMEDIATE gets its lock, INSERT succeeds, SELECT returns the new row, and COMMIT alone fails, with
# "disk I/O error" (SQLITE_IOERR_WRITE). In DELETE mode the INSERT is refused at once, as "attempt to
# write a readonly database". One would guess that a replica says SQLITE_READONLY in both, at the
# first statement that writes. What is done between INSERT and COMMIT, such as a request to somebody
# else, is done for a transaction that never comes to be, and the error sends one to look at the disk.
#
# For hosts: run the dispatcher on the primary alone, and emit there. On a replica a store opens, since
# that only reads, and each write says that the disk failed.
#
# Seen 2026-11-30: BEGIN IMMEDIATE; INSERT; SELECT count(*); COMMIT on a replica with one row
#	wal: 2 rows, refused at line 4, disk I/O error (10)
#	delete: 1 rows, refused at line 2, attempt to write a readonly database (8)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOBIN=$work
[[ -e /dev/fuse ]] || { echo 'this needs FUSE' >&2; exit 1; }
command -v fusermount3 >/dev/null || { echo "this needs Debian's package fuse3" >&2; exit 1; }
[[ $(sqlite3 --version) == 3.40.1* ]] || { echo "this was seen with SQLite 3.40.1, and here is $(sqlite3 --version)" >&2; exit 1; }
go install github.com/superfly/litefs/cmd/litefs@v0.5.14 >/dev/null 2>&1

ports() { # ports prints two free ports
	node -e 'const n=require("net");const a=n.createServer().listen(0,"127.0.0.1",()=>{const b=n.createServer().listen(0,"127.0.0.1",()=>{console.log(a.address().port,b.address().port);a.close();b.close()})})'
}
read -r first second < <(ports)
nodes=()
finish() {
	kill "${nodes[@]}" 2>/dev/null || true
	for _ in {1..50}; do
		grep -q " $work/" /proc/mounts || break
		sleep 0.2
	done
	umount -l "$work"/primary "$work"/replica 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
node() { # node NAME PORT CANDIDATE mounts a node of the cluster whose primary is the first
	mkdir -p "$1" "$1.data"
	printf 'fuse:\n  dir: "%s"\ndata:\n  dir: "%s"\nhttp:\n  addr: "127.0.0.1:%s"\nlease:\n  type: "static"\n  advertise-url: "http://127.0.0.1:%s"\n  candidate: %s\n' \
		"$work/$1" "$work/$1.data" "$2" "$first" "$3" >"$1.yml"
	./litefs mount -config "$1.yml" >"$1.log" 2>&1 &
	nodes+=($!)
	for _ in {1..100}; do
		grep -q 'connected to cluster' "$1.log" && return
		sleep 0.2
	done
	cat "$1.log" >&2
	return 1
}
node primary "$first" true
node replica "$second" false

try() { # try MODE
	sqlite3 "primary/$1.db" "PRAGMA journal_mode = $1; CREATE TABLE t (x); INSERT INTO t VALUES (1)" >/dev/null
	for _ in {1..100}; do
		[[ $(sqlite3 "replica/$1.db" 'SELECT count(*) FROM t' 2>/dev/null) == 1 ]] && break
		sleep 0.2
	done
	printf 'BEGIN IMMEDIATE;\nINSERT INTO t VALUES (2);\nSELECT count(*) FROM t;\nCOMMIT;\n' | sqlite3 "replica/$1.db" >out 2>err || true
	echo "$1: $(cat out) rows, $(sed -n 's/^Runtime error near line \([0-9]*\): /refused at line \1, /p' err)"
}
got=$(try wal && try delete)
want='wal: 2 rows, refused at line 4, disk I/O error (10)
delete: 1 rows, refused at line 2, attempt to write a readonly database (8)'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
