#!/usr/bin/env bash
# github.com/slok/go-http-metrics v0.13.0, github.com/NYTimes/gziphandler v1.1.1,
# github.com/CAFxX/httpcompression v0.0.8, with github.com/prometheus/client_golang v1.25.0 and
# github.com/klauspost/compress v1.20.4 beside them
#
# The first three wrap the http.ResponseWriter without a method Unwrap. An
# http.ResponseController finds the connection behind it no more, and so SetReadDeadline, the
# only limit that a handler can set to the time of the request's body, fails with "feature not
# supported". Who ignores that error reads for as long as a client likes. The other two, which
# do the same for a user, pass it on.
#
# One would guess that what measures or compresses responses leaves the reading of requests as
# it is, and that all such packages have learned Unwrap, which came in 2023 with Go 1.20.
#
# For hosts: behind these the BodyTimeout of a Receiver does nothing. Put it in front of them, or
# set the server's ReadTimeout.
#
# Seen 2026-11-29, Go 1.26.8:
#	slok/go-http-metrics: feature not supported
#	NYTimes/gziphandler: feature not supported
#	CAFxX/httpcompression: feature not supported
#	prometheus/promhttp: <nil>
#	klauspost/gzhttp: <nil>
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/slok/go-http-metrics@v0.13.0 github.com/NYTimes/gziphandler@v1.1.1 \
	github.com/CAFxX/httpcompression@v0.0.8 github.com/prometheus/client_golang/prometheus/promhttp@v1.25.0 \
	github.com/klauspost/compress@v1.20.4 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/CAFxX/httpcompression"
	"github.com/NYTimes/gziphandler"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/slok/go-http-metrics/metrics"
	"github.com/slok/go-http-metrics/middleware"
	"github.com/slok/go-http-metrics/middleware/std"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	measure := middleware.New(middleware.Config{Recorder: metrics.Dummy})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests"}, []string{"code"})
	compress, err := httpcompression.DefaultAdapter()
	must(err)
	for _, m := range []struct {
		name string
		wrap func(http.Handler) http.Handler
	}{
		{"slok/go-http-metrics", func(next http.Handler) http.Handler { return std.Handler("", measure, next) }},
		{"NYTimes/gziphandler", gziphandler.GzipHandler},
		{"CAFxX/httpcompression", compress},
		{"prometheus/promhttp", func(next http.Handler) http.Handler {
			return promhttp.InstrumentHandlerCounter(requests, next)
		}},
		{"klauspost/gzhttp", func(next http.Handler) http.Handler { return gzhttp.GzipHandler(next) }},
	} {
		server := httptest.NewServer(m.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute))
			fmt.Printf("%s: %v\n", m.name, err)
		})))
		// A client asks for gzip by itself.
		response, err := http.Post(server.URL, "application/json", strings.NewReader("{}"))
		must(err)
		must(response.Body.Close())
		server.Close()
	}
}
GO
got=$(go run .)
want='slok/go-http-metrics: feature not supported
NYTimes/gziphandler: feature not supported
CAFxX/httpcompression: feature not supported
prometheus/promhttp: <nil>
klauspost/gzhttp: <nil>'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
