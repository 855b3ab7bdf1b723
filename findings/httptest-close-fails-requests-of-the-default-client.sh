#!/usr/bin/env bash
# net/http and net/http/httptest of Go 1.26.8
#
# The end of an httptest.Server closes the idle connections of http.DefaultTransport, whoever uses
# them. One would guess that this leaves requests under way alone. Now and then it does not: a POST
# through http.DefaultClient to another server, beside it in the same process, fails with
# "http: CloseIdleConnections called", and is not repeated. So tests that run in parallel, one with a
# server of its own and one that posts with the default client, fail once in some ten thousand
# requests, for no reason of their own.
#
# For hosts: tests that send events to a receiver, webhooktest.Battery among them, need a client with
# a transport of its own, such as http.DefaultTransport.(*http.Transport).Clone().
#
# Seen 2026-11-29, Go 1.26.8, linux/amd64:
#	the default client: failed with "http: CloseIdleConnections called"
#	a client of its own: did not fail
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=go1.26.8
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const why = "http: CloseIdleConnections called"

// tries posts with a client beside servers that end, until a request fails or the time is up.
func tries(client *http.Client, most time.Duration) string {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	until := time.Now().Add(most)
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for time.Now().Before(until) && failed.Load() == nil {
				response, err := client.Post(server.URL, "application/json", strings.NewReader(`{}`))
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	all.Go(func() {
		for time.Now().Before(until) && failed.Load() == nil {
			httptest.NewServer(http.NotFoundHandler()).Close()
		}
	})
	all.Wait()
	switch err := failed.Load(); {
	case err == nil:
		return "did not fail"
	case strings.HasSuffix((*err).Error(), why):
		return fmt.Sprintf("failed with %q", why)
	default:
		return "failed otherwise: " + (*err).Error()
	}
}

func main() {
	fmt.Println("the default client:", tries(http.DefaultClient, 3*time.Minute))
	own := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	fmt.Println("a client of its own:", tries(own, 30*time.Second))
}
GO
go run . | tee seen
diff seen - <<'WANT'
the default client: failed with "http: CloseIdleConnections called"
a client of its own: did not fail
WANT
