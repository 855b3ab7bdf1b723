#!/usr/bin/env bash
# net/http and net/textproto of Go 1.26.8
#
# When a connection ends, or its read deadline passes, in the middle of a line of a response's
# header, net/textproto takes the part of the line for a whole one, and drops the error of the
# connection. The part has no colon mostly, so http.Client and http.ReadResponse report a malformed
# header, and neither io.ErrUnexpectedEOF nor a timeout is in the chain of errors. One byte
# more or less, at the end of a line or within a value, and the same event is io.ErrUnexpectedEOF or a
# timeout. Even then the method Timeout of the error is false: only errors.Is finds the deadline.
# So whoever classes failures tells the owner of a server that dies or hangs that
# it does not speak HTTP, now and then.
#
# For users: the reason of an attempt is connection_reset or timeout here, wherever the
# header is cut. This project looks at what the connection itself returned.
#
# Seen 2026-11-30, Go 1.26.8:
#	EOF after a line          unexpected EOF: true, deadline exceeded: false, Timeout(): false, malformed: false
#	EOF within a name         unexpected EOF: false, deadline exceeded: false, Timeout(): false, malformed: true
#	EOF within a value        unexpected EOF: true, deadline exceeded: false, Timeout(): false, malformed: false
#	deadline after a line     unexpected EOF: false, deadline exceeded: true, Timeout(): false, malformed: false
#	deadline within a name    unexpected EOF: false, deadline exceeded: false, Timeout(): false, malformed: true
#	deadline within a value   unexpected EOF: false, deadline exceeded: true, Timeout(): false, malformed: false
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	for _, end := range []string{"EOF", "deadline"} {
		for _, cut := range []struct{ where, sent string }{
			{"after a line", "HTTP/1.1 200 OK\r\nServer: one\r\n"},
			{"within a name", "HTTP/1.1 200 OK\r\nServer: one\r\nContent-Le"},
			{"within a value", "HTTP/1.1 200 OK\r\nServer: o"},
		} {
			err := get(cut.sent, end == "EOF")
			fmt.Printf("%-25s unexpected EOF: %v, deadline exceeded: %v, Timeout(): %v, malformed: %v\n", end+" "+cut.where,
				errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded), err.(*url.Error).Timeout(), strings.Contains(err.Error(), "malformed"))
		}
	}
}

// get makes a request of a server that sends a part of a header, and closes or waits then.
func get(sent string, closes bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, sent)
		if !closes {
			_, _ = c.Read(make([]byte, 1)) // until the client gives up
		}
	}()
	// A deadline on the connection, as transports with a limit for each read set it.
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		}
		return c, err
	}}}
	_, err = client.Get("http://" + l.Addr().String())
	return err
}
GO
got=$(go run .)
want='EOF after a line          unexpected EOF: true, deadline exceeded: false, Timeout(): false, malformed: false
EOF within a name         unexpected EOF: false, deadline exceeded: false, Timeout(): false, malformed: true
EOF within a value        unexpected EOF: true, deadline exceeded: false, Timeout(): false, malformed: false
deadline after a line     unexpected EOF: false, deadline exceeded: true, Timeout(): false, malformed: false
deadline within a name    unexpected EOF: false, deadline exceeded: false, Timeout(): false, malformed: true
deadline within a value   unexpected EOF: false, deadline exceeded: true, Timeout(): false, malformed: false'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
