#!/usr/bin/env bash
# Go 1.26.8, crypto/tls and net/http, with OpenSSL 3.0.22 as the server
#
# GODEBUG=fips140=on is the mode that forbids nothing: SHA-1, MD5 and short keys go on working, and
# only fips140=only takes them away. But a TLS client refuses servers in it. One that speaks TLS 1.2
# without the extension "extended master secret", as OpenSSL before 1.1.0 and some load balancers do,
# is reached without the mode and by curl, and under fips140=on the handshake ends with "FIPS 140-3
# requires the use of Extended Master Secret". The error comes from this side; the server's log has
# no word of the cause. One would guess that "on" changes which code computes, and not whom it reaches.
#
# For hosts: a sender that is built or run with fips140=on loses the endpoints behind such servers.
# A receiver needs TLS 1.3, or that extension, which is a matter of its OpenSSL's age.
#
# Seen 2026-11-30: GET of a server with TLS 1.2, with the extension and without
#	off: with 200 ok, without 200 ok; MD5 true
#	on: with 200 ok, without refused; MD5 true
#	only: with 200 ok, without refused; MD5 false
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOTOOLCHAIN=local
[[ $(go env GOVERSION) == go1.26.8 ]] || { echo "this was seen with Go 1.26.8, and here is $(go env GOVERSION)" >&2; exit 1; }
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
	-addext 'subjectAltName=IP:127.0.0.1' 2>/dev/null
settings() { # settings OPTIONS writes a configuration of OpenSSL
	printf 'openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\nOptions = %s\n' "$1"
}
settings ExtendedMasterSecret >with.cnf
settings -ExtendedMasterSecret >without.cnf
cat >main.go <<'GO'
package main

import (
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func get(address string) string {
	text, err := os.ReadFile("cert.pem")
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	res, err := client.Get("https://" + address)
	switch {
	case err == nil:
		return res.Status
	case strings.Contains(err.Error(), "requires the use of Extended Master Secret"):
		return "refused"
	}
	return err.Error()
}

func md5Works() (works bool) {
	defer func() { works = recover() == nil }()
	_ = md5.Sum([]byte("x"))
	return
}

func main() {
	fmt.Printf("with %s, without %s; MD5 %v\n", get(os.Args[1]), get(os.Args[2]), md5Works())
}
GO
go build -o finding main.go
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
serve() { # serve NAME starts a server and sets port
	OPENSSL_CONF=$work/$1.cnf openssl s_server -www -tls1_2 -accept 127.0.0.1:0 -cert cert.pem -key key.pem >"$1.log" 2>&1 &
	servers+=($!)
	for _ in {1..100}; do
		port=$(sed -n 's/^ACCEPT.*:\([0-9]*\)$/\1/p' "$1.log")
		[[ -n $port ]] && return
		sleep 0.1
	done
	cat "$1.log" >&2
	return 1
}
serve with && with=$port
serve without && without=$port
got=$(for mode in off on only; do
	printf '%s: ' $mode
	GODEBUG=fips140=$mode timeout 60 ./finding "127.0.0.1:$with" "127.0.0.1:$without"
done)
want='off: with 200 OK, without 200 OK; MD5 true
on: with 200 OK, without refused; MD5 true
only: with 200 OK, without refused; MD5 false'
got=${got//200 ok/200 OK}
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
