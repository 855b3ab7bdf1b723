#!/usr/bin/env bash
# net/http of Go 1.26.8, and curl 7.88.1
#
# With socks5:// curl looks up the host and gives the proxy an address; socks5h:// has the proxy look
# it up. One would guess that net/http's Transport does the same. It gives the proxy the name with
# both. So a guard in DialContext or in Dialer.Control, which is to keep requests from private networks,
# sees the address of the proxy and nothing else, and the proxy connects to whatever the name means to it.
#
# For hosts: a Transport with a socks5 proxy needs a proxy that refuses private addresses, or a look-up of
# its own before. This library has a SOCKS5 client of its own for that reason: Config.Proxy.
#
# Seen 2026-11-29, Go 1.26.8, linux/amd64:
#	curl socks5://: the address 127.0.0.1
#	curl socks5h://: the name localhost
#	net/http socks5://: the name localhost
#	net/http socks5h://: the name localhost
#	the guard of net/http was asked about: the proxy alone
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
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"syscall"
)

// asked accepts one connection, reads a SOCKS5 request, refuses it and says what it was for.
func asked(l net.Listener) string {
	conn, err := l.Accept()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	read := func(n byte) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	read(read(2)[1])
	_, _ = conn.Write([]byte{5, 0})
	what := ""
	switch kind := read(4)[3]; kind {
	case 1:
		what = "the address " + net.IP(read(4)).String()
	case 4:
		what = "the address " + net.IP(read(16)).String()
	case 3:
		what = "the name " + string(read(read(1)[0]))
	}
	read(2)
	_, _ = conn.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
	return what
}

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	const target = "http://localhost:4430/"
	for _, scheme := range []string{"socks5", "socks5h"} {
		cmd := exec.Command("curl", "-4", "-s", "--noproxy", "", "-x", scheme+"://"+l.Addr().String(), target)
		_ = cmd.Start()
		fmt.Printf("curl %s://: %s\n", scheme, asked(l))
		_ = cmd.Wait()
	}
	guarded := map[string]bool{}
	for _, scheme := range []string{"socks5", "socks5h"} {
		dialer := &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			guarded[address] = true
			return nil
		}}
		transport := &http.Transport{
			Proxy:       http.ProxyURL(&url.URL{Scheme: scheme, Host: l.Addr().String()}),
			DialContext: dialer.DialContext,
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := (&http.Client{Transport: transport}).Get(target); err == nil {
				resp.Body.Close()
			}
		}()
		fmt.Printf("net/http %s://: %s\n", scheme, asked(l))
		<-done
	}
	if len(guarded) == 1 && guarded[l.Addr().String()] {
		fmt.Println("the guard of net/http was asked about: the proxy alone")
	}
}
GO
go run . | tee seen
diff seen - <<'WANT'
curl socks5://: the address 127.0.0.1
curl socks5h://: the name localhost
net/http socks5://: the name localhost
net/http socks5h://: the name localhost
the guard of net/http was asked about: the proxy alone
WANT
