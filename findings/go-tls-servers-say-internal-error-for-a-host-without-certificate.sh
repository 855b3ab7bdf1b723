#!/usr/bin/env bash
# Caddy 2.6.2 (Debian's caddy 2.6.2-5) and golang.org/x/crypto v0.58.0, package acme/autocert, with
# crypto/tls of Go 1.26.8; OpenSSL as the client
#
# A TLS server that has no certificate for the host name ends the handshake with the alert that was made
# for this, unrecognized_name (112), one would guess, as OpenSSL and nginx do. Caddy and autocert send
# internal_error (80): they choose the certificate in tls.Config.GetCertificate, and whatever error that
# returns becomes this alert. It has no way to name another. If it returns neither a certificate nor an
# error, as nobody writes it who wants to say why, the alert is 112. So a host that is missing in a
# configuration looks to the client like a server that is broken for a while.
#
# For senders: internal_error is no reason to expect that a repetition helps. Tell the owner of the
# endpoint that the server may have no site of this name.
#
# Seen 2026-11-30: alert for the host name unknown.test
#	Caddy with a site for known.test: 80
#	autocert with HostWhitelist("known.test"): 80
#	GetCertificate with an error: 80
#	GetCertificate with nil and nil: 112
set -euo pipefail
work=$(mktemp -d)
servers=()
ends() {
	kill "${servers[@]}" 2>/dev/null || true
	wait "${servers[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap ends EXIT
chmod 755 "$work"
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
[[ $(go env GOVERSION) == go1.26.8 ]] || { echo "this was seen with Go 1.26.8, and here is $(go env GOVERSION)" >&2; exit 1; }
apt-get download caddy=2.6.2-5 >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
dpkg -x caddy_*.deb .
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get golang.org/x/crypto/acme/autocert@v0.58.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/acme/autocert"
)

func serve(name string, config *tls.Config) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d %s\n", l.Addr().(*net.TCPAddr).Port, name)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				panic(err)
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}()
		}
	}()
}

func main() {
	auto := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist("known.test")}
	serve(`autocert with HostWhitelist("known.test")`, auto.TLSConfig())
	serve("GetCertificate with an error", &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("no certificate for " + hello.ServerName)
	}})
	serve("GetCertificate with nil and nil", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, nil
	}})
	fmt.Println("ready")
	select {}
}
GO
go build -o finding .
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=known.test \
	-addext 'subjectAltName=DNS:known.test' 2>/dev/null
port=$((20000 + RANDOM % 10000))
cat >Caddyfile <<CADDY
{
	admin off
	auto_https disable_redirects
	https_port $port
	storage file_system $work/storage
}
known.test {
	bind 127.0.0.1
	tls $work/cert.pem $work/key.pem
	respond "hello"
}
CADDY
HOME=$work usr/bin/caddy run --config Caddyfile --adapter caddyfile >caddy.log 2>&1 &
servers+=($!)
./finding >ports 2>finding.log &
servers+=($!)
until grep -q ready ports && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
	kill -0 "${servers[@]}" || { cat caddy.log finding.log >&2; exit 1; }
	sleep 0.1
done
alert() { # alert PORT HOST is the number of the alert that the server sends
	openssl s_client -connect "127.0.0.1:$1" -servername "$2" </dev/null 2>&1 | sed -n 's/.*SSL alert number \([0-9]*\).*/\1/p'
}
[[ -z $(alert "$port" known.test) ]] || { echo 'Caddy has no site for known.test either' >&2; exit 1; }
{
	echo "Caddy with a site for known.test: $(alert "$port" unknown.test)"
	while read -r one name; do
		[[ $one == ready ]] || echo "$name: $(alert "$one" unknown.test)"
	done <ports
} | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
Caddy with a site for known.test: 80
autocert with HostWhitelist("known.test"): 80
GetCertificate with an error: 80
GetCertificate with nil and nil: 112
WANT
