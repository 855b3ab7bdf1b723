// Command alotwebhook tests webhooks without a tunnel, an account or a network:
// it signs, verifies, sends, listens, forwards, replays, and checks a receiver. It also
// moves endpoints in from other senders, and shows ids as the UUIDs that databases keep.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, isTerminal: isTerminal}
	log.SetFlags(0) // of what net/http prints, such as bytes that a receiver sends behind its response
	log.SetOutput(printableWriter{a.err})
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
