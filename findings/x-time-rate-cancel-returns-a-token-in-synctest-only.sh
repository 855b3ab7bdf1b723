#!/usr/bin/env bash
# golang.org/x/time v0.16.0, package rate, with testing/synctest of Go 1.26.8
#
# Reservation.Cancel gives a token back only while the reservation lies in the future, and one
# that may act at once (Delay is 0) lies a few nanoseconds in the past when it is cancelled. So
# Cancel does nothing for it. That is the usual case: reserve of the endpoint's limiter, reserve
# of the limiter for all, and cancel the first if the second says no. An endpoint that is
# refused five times so has used up its burst of five without one request. In a bubble of
# testing/synctest no time passes between the two calls, and every token comes back: the test
# of such code passes, and the code is wrong.
#
# For hosts: take one moment, and give it to both calls: ReserveN(now, 1) and CancelAt(now).
#
# Seen 2026-11-29: tokens that are left of 5 after five reservations, all cancelled
#	real clock: 0
#	synctest: 5
#	real clock, one moment for both calls: 5
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get golang.org/x/time@v0.16.0 >/dev/null 2>&1
cat >finding_test.go <<'GO'
package finding

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// left returns how many tokens of 5 are left after take was called five times. One more
// would come after an hour.
func left(take func(*rate.Limiter)) float64 {
	limiter := rate.NewLimiter(rate.Every(time.Hour), 5)
	for range 5 {
		take(limiter)
	}
	return limiter.Tokens()
}

func cancel(limiter *rate.Limiter) {
	limiter.Reserve().Cancel()
}

func cancelAt(limiter *rate.Limiter) {
	now := time.Now()
	limiter.ReserveN(now, 1).CancelAt(now)
}

func TestFinding(t *testing.T) {
	fmt.Printf("real clock: %.0f\n", left(cancel))
	synctest.Test(t, func(*testing.T) { fmt.Printf("synctest: %.0f\n", left(cancel)) })
	fmt.Printf("real clock, one moment for both calls: %.0f\n", left(cancelAt))
}
GO
got=$(go test -count=1 -v . | grep -E '^(real|synctest)')
want='real clock: 0
synctest: 5
real clock, one moment for both calls: 5'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
