#!/usr/bin/env bash
# github.com/ThreeDotsLabs/watermill v1.5.1, message/router/middleware, with its GoChannel
#
# The middleware Deduplicator remembers a message before its handler runs, and does not forget it when
# the handler fails. The message is sent again, is taken for a duplicate of itself, and is acknowledged:
# it was never handled. One would guess that a duplicate is one of a message that was handled.
# Besides, without a KeyFactory of one's own it compares the Adler-32 sums of the payloads. These are
# sums of the bytes and of their places, so that payloads in which one digit grows by two and its
# neighbours shrink by one have the same: of {"id":"ord_1030"} and {"id":"ord_1111"} the second is
# dropped. One would guess a hash under which different orders differ.
#
# For hosts whose outbox hands on to a receiver or to Emit: leave it out. An event id that is emitted
# again changes nothing, and a Deduper of the receiver forgets what its handler failed.
#
# Seen 2026-11-30: how often the handler was called, and how often it succeeded, in five seconds
#	fails once, without Deduplicator: called 2, succeeded 1
#	fails once, with Deduplicator: called 1, succeeded 0
#	ord_1030 and ord_1111, without Deduplicator: called 2, succeeded 2
#	ord_1030 and ord_1111, with Deduplicator: called 1, succeeded 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/ThreeDotsLabs/watermill@v1.5.1 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// handle publishes the payloads to a handler whose first calls fail, and counts its calls.
func handle(what string, dedupe bool, failures int32, payloads ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	channel := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	must(err)
	with := "without"
	if dedupe {
		with = "with"
		router.AddMiddleware((&middleware.Deduplicator{}).Middleware)
	}
	var called, succeeded atomic.Int32
	router.AddNoPublisherHandler("handler", "orders", channel, func(*message.Message) error {
		if called.Add(1) <= failures {
			return errors.New("the database is away for a moment")
		}
		succeeded.Add(1)
		return nil
	})
	go func() { must(router.Run(ctx)) }()
	<-router.Running()
	for _, p := range payloads {
		must(channel.Publish("orders", message.NewMessage(watermill.NewUUID(), []byte(p))))
	}
	time.Sleep(5 * time.Second)
	fmt.Printf("%s, %s Deduplicator: called %d, succeeded %d\n", what, with, called.Load(), succeeded.Load())
}

func main() {
	for _, dedupe := range []bool{false, true} {
		handle("fails once", dedupe, 1, `{"id":"ord_1030"}`)
	}
	for _, dedupe := range []bool{false, true} {
		handle("ord_1030 and ord_1111", dedupe, 0, `{"id":"ord_1030"}`, `{"id":"ord_1111"}`)
	}
}
GO
go build -o finding .
got=$(timeout 60 ./finding)
want='fails once, without Deduplicator: called 2, succeeded 1
fails once, with Deduplicator: called 1, succeeded 0
ord_1030 and ord_1111, without Deduplicator: called 2, succeeded 2
ord_1030 and ord_1111, with Deduplicator: called 1, succeeded 1'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
