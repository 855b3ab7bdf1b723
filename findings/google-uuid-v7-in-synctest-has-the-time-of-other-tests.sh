#!/usr/bin/env bash
# github.com/google/uuid v1.6.0, with testing/synctest of Go 1.26.8
#
# NewV7 remembers the latest time that it has used, for the whole process, and never goes
# back behind it. In a bubble of testing/synctest the clock begins in the year 2000. Once
# anything in the process has made a version 7 id outside of a bubble, every id made in a
# bubble has the real time of that moment, and a test that compares it with time.Now is
# off by decades: depending on which tests ran before. Before that, the first 4,096 ids of
# one moment of the bubble have its time, and those after them run ahead of it.
#
# For users: set the time in an id yourself where it has to be right. Ids made by this
# project do, if the two differ by more than a second.
#
# Seen 2026-11-29, Go 1.26.8:
#	alone: year 2000, the 9000th at the same moment is ahead by 2 ms
#	after one id outside: year of the real clock: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
go get github.com/google/uuid@v1.6.0 >/dev/null 2>&1
cat >finding_test.go <<'GO'
package finding

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

func at() time.Time { // the time in a new id: its first 48 bits are milliseconds since 1970
	id := uuid.Must(uuid.NewV7())
	ms := int64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

func TestFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := at()
		last := first
		for range 8999 {
			last = at()
		}
		fmt.Printf("alone: year %d, the 9000th at the same moment is ahead by %d ms\n", first.Year(), last.Sub(first).Milliseconds())
	})
	real := time.Now()
	_ = at()
	synctest.Test(t, func(t *testing.T) {
		fmt.Printf("after one id outside: year of the real clock: %v\n", at().Year() == real.UTC().Year())
	})
}
GO
got=$(go test -count=1 . -v | grep -E '^(alone|after)')
want='alone: year 2000, the 9000th at the same moment is ahead by 2 ms
after one id outside: year of the real clock: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
