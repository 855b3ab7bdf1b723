#!/usr/bin/env bash
# github.com/aws/aws-lambda-go v1.34.1, v1.38.0 and v1.55.1, with Go 1.26.8
#
# The bytes that Invoke of a lambda.Handler returns belong to the handler: it has a buffer for
# its answers, and the next Invoke writes its answer over them. Whoever keeps the first
# answer has the second one, or, if it is of another length, a mixture of both. Under Lambda
# itself nothing shows, as the runtime sends an answer before it takes the next event. It shows
# where Invoke is called by hand: in tests, in servers that stand for Lambda, and in handlers
# that call another one. With v1.34.1 each answer has bytes of its own.
#
# For users: copy what Invoke returns before the handler is called again, and give each request
# that runs beside others a handler of its own, as the tests of examples/frameworks do.
#
# Seen 2026-11-30, Go 1.26.8:
#	v1.34.1: kept {"answer":"first of all"}, then {"answer":"second"}
#	v1.38.0: kept {"answer":"second"}	all"}, then {"answer":"second"}
#	v1.55.1: kept {"answer":"second"}	all"}, then {"answer":"second"}
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOMAXPROCS=1
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	type answer struct {
		Answer string `json:"answer"`
	}
	h := lambda.NewHandler(func(_ context.Context, name string) (answer, error) { return answer{name}, nil })
	call := func(name string) []byte {
		b, err := h.Invoke(context.Background(), []byte(`"`+name+`"`))
		if err != nil {
			panic(err)
		}
		return b
	}
	kept := call("first of all")
	then := call("second")
	line := func(b []byte) string { return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\t") }
	fmt.Printf("%s: kept %s, then %s\n", os.Args[1], line(kept), line(then))
}
GO
got=$(for version in v1.34.1 v1.38.0 v1.55.1; do
	printf 'module finding\n\ngo 1.25\n' >go.mod
	go get "github.com/aws/aws-lambda-go@$version" >/dev/null 2>&1
	go run . "$version"
done)
mixed=$'kept {"answer":"second"}\tall"}, then {"answer":"second"}'
want=$(printf '%s\n' 'v1.34.1: kept {"answer":"first of all"}, then {"answer":"second"}' "v1.38.0: $mixed" "v1.55.1: $mixed")
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
