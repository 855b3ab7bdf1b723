#!/usr/bin/env bash
# Go 1.26.8, crypto/rand with testing/synctest, under GODEBUG=fips140=on
#
# With the FIPS 140-3 module on, crypto/rand takes its first bytes from the jitter of the clock. In a
# bubble of testing/synctest the clock stands still, there is no jitter, and the first rand.Read of a
# process ends with "failed to obtain initial entropy". One would guess that random bytes need no
# time, and that a bubble changes time alone. If anything has read random bytes outside of the
# bubble before, the same test passes: so a test fails by itself and passes among others. With the
# certified module v1.0.0 (GOFIPS140=v1.0.0), which asks the system for bytes, it passes either way.
#
# For hosts: a test of yours that makes an event in a bubble calls rand.Read once in TestMain, if it
# is ever run under fips140=on.
#
# Seen 2026-11-30: whether a test that reads random bytes in a bubble passes
#	off, module latest: alone true, after a read outside true
#	on, module latest: alone false, after a read outside true
#	on, module v1.26.0: alone false, after a read outside true
#	on, module v1.0.0: alone true, after a read outside true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
[[ $(go env GOVERSION) == go1.26.8 ]] || { echo "this was seen with Go 1.26.8, and here is $(go env GOVERSION)" >&2; exit 1; }
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >finding_test.go <<'GO'
package finding

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
)

func read(t *testing.T) {
	if _, err := rand.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
}

func TestAlone(t *testing.T) { synctest.Test(t, read) }

func TestAfter(t *testing.T) {
	read(t)
	synctest.Test(t, read)
}
GO
passes() { # passes NAME runs a test, and says whether it passes; it may fail for one reason only
	if out=$(timeout 60 ./finding.test -test.run="^$1\$" 2>&1); then
		echo true
	elif [[ $out == *'failed to obtain initial entropy'* ]]; then
		echo false
	else
		echo "$out" >&2
		echo 'for another reason'
	fi
}
try() { # try MODE MODULE
	GOFIPS140=$2 go test -c -o finding.test .
	export GODEBUG=fips140=$1
	local alone after
	alone=$(passes TestAlone)
	after=$(passes TestAfter)
	unset GODEBUG
	echo "$1, module $2: alone $alone, after a read outside $after"
}
got=$(try off latest && try on latest && try on v1.26.0 && try on v1.0.0)
want='off, module latest: alone true, after a read outside true
on, module latest: alone false, after a read outside true
on, module v1.26.0: alone false, after a read outside true
on, module v1.0.0: alone true, after a read outside true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
