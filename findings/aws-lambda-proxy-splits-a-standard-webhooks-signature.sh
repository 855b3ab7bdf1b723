#!/usr/bin/env bash
# github.com/awslabs/aws-lambda-go-api-proxy v0.16.2, with
# github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
#
# The adapter for HTTP APIs and function URLs (payload format 2.0: httpadapter.NewV2, and
# ginadapter, chiadapter and echoadapter likewise) makes several values of a header that has
# commas. "webhook-signature: v1,BASE64" becomes the two values "v1" and "BASE64", Header.Get
# finds "v1", and the published library refuses every request. For REST APIs and load balancers
# the same package leaves the header whole. One would guess that a header of one line stays
# one, or that the two adapters of a package do the same.
#
# For hosts: receivers of this library put the parts together again. For others, join the
# values of webhook-signature with a comma before they verify. X-Alot-Signature has no comma.
#
# Seen 2026-11-29, Go 1.26.8:
#	HTTP API: 2 values, verified: false
#	REST API: 1 values, verified: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/awslabs/aws-lambda-go-api-proxy/httpadapter@v0.16.2 \
	github.com/standard-webhooks/standard-webhooks/libraries@v0.0.1 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	body   = `{"type":"candidate.completed"}`
	secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	hook, err := standardwebhooks.NewWebhook(secret)
	must(err)
	now := time.Now()
	signature, err := hook.Sign("evt_1", now, []byte(body))
	must(err)
	header := map[string]string{
		"webhook-id":        "evt_1",
		"webhook-timestamp": strconv.FormatInt(now.Unix(), 10),
		"webhook-signature": signature,
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values("webhook-signature")
		fmt.Printf("%d values, verified: %v\n", len(values), hook.Verify([]byte(body), r.Header) == nil)
		w.WriteHeader(http.StatusOK)
	})

	fmt.Print("HTTP API: ")
	api := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: "/", Headers: header, Body: body}
	api.RequestContext.HTTP.Method = http.MethodPost
	_, err = httpadapter.NewV2(handler).ProxyWithContext(context.Background(), api)
	must(err)

	fmt.Print("REST API: ")
	rest := events.APIGatewayProxyRequest{HTTPMethod: http.MethodPost, Path: "/", Headers: header, Body: body}
	_, err = httpadapter.New(handler).ProxyWithContext(context.Background(), rest)
	must(err)
}
GO
got=$(go run .)
want='HTTP API: 2 values, verified: false
REST API: 1 values, verified: true'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
