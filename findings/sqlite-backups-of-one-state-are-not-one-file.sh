#!/usr/bin/env bash
# SQLite 3.40.1 (Debian's sqlite3 and libsqlite3-0 3.40.1-2+deb12u2), the sqlite3 tool
#
# SQLite's documentation of the backup API says that it makes a bit-wise identical copy, and of a file's
# change counter (bytes 24 to 27 of it) that it grows as the file is changed. So one would guess that two
# backups of a database that nobody has changed have one checksum, and that the counter tells which of two
# is newer. Neither holds. A backup into a new file has the counter 1, and each later one into the same file
# one more: it counts backups, as does the number of the schema beside it, and the checksum changes
# although nothing else has. VACUUM INTO does give one checksum for one state, and always the counter 1,
# however much was written between two copies.
#
# For hosts: to see whether a copy brings anything new, compare files of VACUUM INTO. To see which of two
# is newer, keep the time beside them, or a number in a table or in PRAGMA user_version, which both copy.
#
# Seen 2026-11-30: the change counter, and whether the checksum is that of the copy before
#	source 11; backup 1, again into the same file 2, equal no; VACUUM INTO 1, again 1, equal yes
#	20 rows later: source 31; backup into the same file 3; VACUUM INTO 1, equal no
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
for package in sqlite3 libsqlite3-0; do
	apt-get download "$package=3.40.1-2+deb12u2" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
export HOME=$work LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu
sql() { usr/bin/sqlite3 source.db "$1"; }
[[ $(sql 'SELECT sqlite_version()') == 3.40.1 ]]
rows() { for ((i = 0; i < $1; i++)); do sql "INSERT INTO t VALUES ($i)"; done; }
backup() { # backup NAME makes a copy into a file that each backup has used, and keeps what it is now
	sql '.backup backup.db'
	cp backup.db "$1.db"
}
counter() { echo $((16#$(od -An -tx1 -j24 -N4 "$1.db" | tr -d ' '))); }
equal() { cmp -s "$1.db" "$2.db" && echo yes || echo no; }
sql 'CREATE TABLE t (x)'
rows 10
backup backup1
backup backup2
sql "VACUUM INTO 'vacuum1.db'"
sql "VACUUM INTO 'vacuum2.db'"
{
	echo "source $(counter source); backup $(counter backup1), again into the same file $(counter backup2), equal $(equal backup1 backup2);" \
		"VACUUM INTO $(counter vacuum1), again $(counter vacuum2), equal $(equal vacuum1 vacuum2)"
	rows 20
	backup backup3
	sql "VACUUM INTO 'vacuum3.db'"
	echo "20 rows later: source $(counter source); backup into the same file $(counter backup3); VACUUM INTO $(counter vacuum3), equal $(equal vacuum2 vacuum3)"
} | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
source 11; backup 1, again into the same file 2, equal no; VACUUM INTO 1, again 1, equal yes
20 rows later: source 31; backup into the same file 3; VACUUM INTO 1, equal no
WANT
