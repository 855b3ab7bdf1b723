#!/usr/bin/env bash
# github.com/valyala/fasthttp v1.69.0 and v1.78.0, package fasthttpadaptor
#
# The adaptor makes an http.Request for a handler of net/http, whose Header is a map to lists. A header that
# was sent twice is there twice, one would guess, since fasthttp itself has both: PeekAll gives two. But
# v1.69.0, which is what github.com/gofiber/fiber/v3 v3.1.0 requires, sets each value over the one before
# it, so that the last alone is left; Values and Get then agree, and nothing shows that there was more.
# With v1.78.0 all are there, and Get gives the first where it gave the last: an upgrade of a dependency's
# dependency gives a handler another address of X-Forwarded-For, or another signature, for the same request.
#
# For receivers: do not rely on Get for a header that may come more than once. Look at all values, and
# expect that behind such an adaptor there may be fewer than were sent.
#
# Seen 2026-11-30, Go 1.26.8: X-Signature was sent with the values one and two
#	v1.69.0: fasthttp has 2; the handler has [two], and Get gives two
#	v1.78.0: fasthttp has 2; the handler has [one two], and Get gives one
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	adapted := fasthttpadaptor.NewFastHTTPHandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("the handler has %v, and Get gives %s\n", r.Header.Values("X-Signature"), r.Header.Get("X-Signature"))
	})
	go func() {
		must(fasthttp.Serve(l, func(ctx *fasthttp.RequestCtx) {
			fmt.Printf("fasthttp has %d; ", len(ctx.Request.Header.PeekAll("X-Signature")))
			adapted(ctx)
		}))
	}()
	req, err := http.NewRequest("GET", "http://"+l.Addr().String(), nil)
	must(err)
	req.Header["X-Signature"] = []string{"one", "two"}
	res, err := http.DefaultClient.Do(req)
	must(err)
	must(res.Body.Close())
}
GO
for version in v1.69.0 v1.78.0; do
	go get "github.com/valyala/fasthttp@$version" >/dev/null 2>&1
	go build -o finding .
	echo "$version: $(timeout 30 ./finding)"
done | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
v1.69.0: fasthttp has 2; the handler has [two], and Get gives two
v1.78.0: fasthttp has 2; the handler has [one two], and Get gives one
WANT
